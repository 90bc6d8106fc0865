"""Which performance belongs to which work: the ground truth of an evaluation, from a file.

Read from

* a **CSV** file (``.tsv``: with tabs) with a header: columns ``work_id`` and ``performance_id`` (or
  ``track_id``, ``perf_id``);
* a **Parquet** file with the same columns: a catalogue of chroma, or the ``performances.parquet``
  of an index;
* the **metadata JSON** of Da-TACOS;
* a **folder**: an index, or a catalogue in the layout of Da-TACOS;
* the name ``demo``, the demo catalogue.

The order of the rows is kept: row i of a similarity matrix belongs to row i of this list.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..encoder.errors import CoverdexError, NotFoundError

if TYPE_CHECKING:
    import pyarrow as pa

_PERFORMANCE_COLUMNS = ("performance_id", "track_id", "perf_id")
#: What parts the columns of a list, by the ending of its name.
DELIMITERS = {".csv": ",", ".tsv": "\t"}


class WorkListError(CoverdexError):
    """A list of works and performances that cannot be used: columns missing, an id twice."""


@dataclass(frozen=True)
class WorkList:
    """Performances and their works, in order.

    Parameters
    ----------
    performances : list of n str
        Ids, each once.
    works : list of n str or None
        Work of each; None where it is unknown.

    Raises
    ------
    WorkListError
        If a performance is listed twice.
    """

    performances: list[str]
    works: list[str | None]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for performance in self.performances:
            if performance in seen:
                raise WorkListError(f"performance {performance!r} is listed twice; list it once")
            seen.add(performance)

    def __len__(self) -> int:
        return len(self.performances)

    @property
    def pairs(self) -> set[tuple[str | None, str]]:
        """The pairs (work, performance)."""
        return set(zip(self.works, self.performances, strict=True))


def read_work_list(path: str | Path) -> WorkList:
    """Read a list of works; see the module for the forms.

    Raises
    ------
    NotFoundError
        If there is nothing at ``path``.
    WorkListError
        If it lacks the columns, or lists a performance twice.
    """
    try:
        return _read(path)
    except WorkListError as error:
        if str(path) in str(error):
            raise
        raise WorkListError(f"{path}: {error}") from error


def _read(path: str | Path) -> WorkList:
    at = Path(path)
    if not at.exists() and str(path) != "demo":
        raise NotFoundError(
            f"no list of works at {path}; give a CSV or Parquet file with performance_id and "
            "work_id, the metadata of Da-TACOS, an index, or a catalogue"
        )
    suffix = at.suffix.lower()
    if suffix in DELIMITERS:
        try:
            return _from_csv(at, DELIMITERS[suffix])
        except UnicodeDecodeError as error:
            raise WorkListError(f"{path} is not UTF-8 ({error.reason}); save it as such") from error
        except csv.Error as error:
            raise WorkListError(f"{path} cannot be read as CSV ({error}); save it anew") from error
    if suffix == ".json":
        from ..indexer.datacos_metadata import read_datacos_metadata

        records = read_datacos_metadata(at).records
        return _of((name, record.work_id) for name, listed in records.items() for record in listed)
    if suffix == ".parquet":
        return _from_parquet(at)
    if (at / "manifest.json").is_file():
        from ..search import Index

        table = Index.open(at).performances
        return _of(
            zip(
                table.column("performance_id").to_pylist(),
                table.column("work_id").to_pylist(),
                strict=True,
            )
        )
    if at.is_file():
        raise WorkListError(
            f"{path} ends in {at.suffix or 'nothing'}, so how to read it is not known; lists of "
            "works are read from .csv, .tsv, .parquet and the metadata of Da-TACOS in .json, and "
            "from an index or a catalogue: give it the ending of what it is"
        )
    from ..indexer import open_catalogue

    return _of((r.performance_id, r.work_id) for r in open_catalogue(path).performances)


def _of(pairs: Iterable[tuple[str, str | None]]) -> WorkList:
    """Make a list; an id may be None or blank where a file lacks it, which is refused."""
    listed = list(pairs)
    for row, (performance, work) in enumerate(listed, start=1):
        if not (performance and performance.strip()):
            raise WorkListError(
                f"row {row} of the list of works (work {work or 'unknown'}) names no performance; "
                "give every row its id"
            )
    works = [work if work and work.strip() else None for _, work in listed]
    return WorkList([performance for performance, _ in listed], works)


def _performance_column(names: Sequence[str]) -> str | None:
    """Choose among the columns of a list the one of the performances' ids."""
    return next((name for name in _PERFORMANCE_COLUMNS if name in names), None)


def _from_csv(path: Path, delimiter: str) -> WorkList:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter=delimiter)
        names = rows.fieldnames or []
        column = _performance_column(names)
        if column is None or "work_id" not in names:
            raise WorkListError(
                f"{path} has the columns {', '.join(names) or '(none)'}; give work_id and "
                "performance_id, with a header"
            )
        return _of((row[column], row["work_id"]) for row in rows)


def _from_parquet(path: Path) -> WorkList:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
        column = _performance_column(names) or "performance_id"
        missing = {column, "work_id"} - set(names)
        if missing:
            raise WorkListError(f"{path} has no column {' and '.join(sorted(missing))}")
        table = pq.read_table(path, columns=[column, "work_id"])
        columns = [_as_text(table.column(c)) for c in (column, "work_id")]
    except (OSError, pa.ArrowException) as error:
        raise WorkListError(f"{path} cannot be read as Parquet of ids ({error})") from error
    return _of(zip(*columns, strict=True))


def _as_text(ids: pa.ChunkedArray) -> list[str | None]:
    """Make text of ids that may be numbers; where one is missing among them, it may be NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(ids.type):
        ids = pc.if_else(pc.is_nan(ids), None, ids)
    texts: list[str | None] = ids.cast(pa.string()).to_pylist()
    return texts
