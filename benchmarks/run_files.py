"""Run files: what another system retrieved, written down for evaluation.

Two forms, both naming performances by id:

**TREC**, text, one candidate a line, six columns between blanks::

    P_22 Q0 P_15 1 0.8312 my-system

(query, a constant that is ignored, candidate, rank, score, name of the system). As `trec_eval`
does, the order is taken from the **score**, larger first, not from the rank.

**Parquet**, with the columns ``query``, ``candidate`` and ``similarity`` (any real type, larger is
closer); where there is no ``similarity``, ``rank`` (1 is first) stands in.

A run may leave candidates out, such as all after the first 1,000. These share the last place, tied
behind all that are listed: a figure that looks deep, MR1 above all, is then an estimate, and
:attr:`RunSimilarity.share_listed` says how much was there. For exact figures write every candidate,
or give the similarity matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..encoder.errors import NotFoundError
from .similarity import InvalidSimilarityError

if TYPE_CHECKING:
    import pyarrow as pa

_TREC_COLUMNS = 6


class RunSimilarity:
    """Scores of listed candidates, as a source of similarities.

    Parameters
    ----------
    n : int
        Performances of the catalogue.
    queries, candidates : array, shape (m,), int64
        Positions in the catalogue; each pair at most once.
    scores : array, shape (m,), float64
        Larger is closer.
    performances : sequence of n str, optional
        Ids, by which errors name performances; by default they name positions.

    Raises
    ------
    InvalidSimilarityError
        If a pair is listed twice, or a score is NaN and not that of a query with itself.
    """

    def __init__(
        self,
        n: int,
        queries: NDArray[np.int64],
        candidates: NDArray[np.int64],
        scores: NDArray[np.float64],
        performances: Sequence[str] | None = None,
    ) -> None:
        self._names = performances
        wrong = np.isnan(scores) & (queries != candidates)
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise InvalidSimilarityError(
                f"{int(wrong.sum())} scores of the run are NaN or missing, such as that of the "
                f"candidate {self._name(candidates[at])} of the query {self._name(queries[at])}; "
                "give numbers, or leave these candidates out"
            )
        order = np.lexsort((candidates, queries))
        self._n = n
        self._candidates, self._scores = candidates[order], scores[order]
        ordered = queries[order]
        twice = (ordered[1:] == ordered[:-1]) & (self._candidates[1:] == self._candidates[:-1])
        if twice.any():
            at = int(np.flatnonzero(twice)[0])
            raise InvalidSimilarityError(
                f"the run lists the candidate {self._name(self._candidates[at])} of the query "
                f"{self._name(ordered[at])} twice; list each candidate once"
            )
        self._start = np.searchsorted(ordered, np.arange(n + 1))
        self._listed = np.bincount(ordered[ordered != self._candidates], minlength=n)

    def _name(self, position: np.int64) -> str:
        at = int(position)
        return f"at position {at}" if self._names is None else repr(self._names[at])

    @property
    def n(self) -> int:
        """Number of performances."""
        return self._n

    def share_listed(self, queries: NDArray[np.int64]) -> float:
        """Share of the candidates of ``queries`` (positions) that the run lists; 1 is complete."""
        if queries.size == 0 or self._n < 2:
            return 1.0
        return float(self._listed[queries].mean() / (self._n - 1))

    def queries_left_out(self, queries: NDArray[np.int64]) -> int:
        """Count those of ``queries`` (positions) for which the run lists no candidate."""
        return int((self._listed[queries] == 0).sum())

    def rows(self, which: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores of the candidates of ``which``, ``-inf`` if not listed, shape (b, n)."""
        block = np.full((len(which), self._n), -np.inf)
        for row, query in enumerate(which):
            listed = slice(self._start[query], self._start[query + 1])
            block[row, self._candidates[listed]] = self._scores[listed]
        return block


def read_run(path: str | Path, performances: Sequence[str]) -> RunSimilarity:
    """Read a run file: Parquet if its name ends in ``.parquet``, else TREC.

    Parameters
    ----------
    path : path-like
    performances : sequence of n str
        Ids of the catalogue; the result counts along them.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidSimilarityError
        If a line or column is not as it should be, or an id is not in the catalogue.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"no run file {path}; give an existing TREC or Parquet file")
    position = {performance: at for at, performance in enumerate(performances)}
    read = _read_parquet if path.suffix.lower() == ".parquet" else _read_trec
    return RunSimilarity(len(performances), *read(path, position), performances=performances)


Columns = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def _read_trec(path: Path, position: Mapping[str, int]) -> Columns:
    queries: list[int] = []
    candidates: list[int] = []
    scores: list[float] = []
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            line = raw.decode("utf-8-sig", errors="replace")
            columns = line.split()
            if not columns:
                continue
            try:
                if len(columns) != _TREC_COLUMNS:
                    raise ValueError
                score = float(columns[4])
            except ValueError:
                raise InvalidSimilarityError(
                    f"line {number} of {path} is no line of a TREC run: {line.strip()[:80]!r}; "
                    "give 'query Q0 candidate rank score system', a .parquet file with the columns "
                    "query, candidate and similarity, or a matrix as numpy.save writes it (.npy)"
                ) from None
            for name, positions in ((columns[0], queries), (columns[2], candidates)):
                if name not in position:
                    raise _unknown(path, name)
                positions.append(position[name])
            scores.append(score)
    return np.array(queries, np.int64), np.array(candidates, np.int64), np.array(scores, np.float64)


def _read_parquet(path: Path, position: Mapping[str, int]) -> Columns:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
        value = next((name for name in ("similarity", "rank") if name in names), None)
        if value is None or not {"query", "candidate"} <= set(names):
            raise InvalidSimilarityError(
                f"{path} has the columns {_some(names)}; give query, candidate and similarity "
                "(or rank), or a matrix as numpy.save writes it (.npy)"
            )
        table = pq.read_table(path, columns=["query", "candidate", value])
    except (OSError, pa.ArrowException) as error:
        raise InvalidSimilarityError(f"{path} cannot be read as Parquet ({error})") from error
    known = pa.array(list(position), pa.string())
    found = []
    for column in ("query", "candidate"):
        ids = _column_as(table, column, pa.string(), path)
        at = pc.index_in(ids, value_set=known)
        if at.null_count:
            raise _unknown(path, ids.filter(pc.is_null(at))[0].as_py())
        found.append(at.to_numpy().astype(np.int64))
    values = _column_as(table, value, pa.float64(), path).to_numpy()
    return found[0], found[1], -values if value == "rank" else values


def _column_as(table: pa.Table, name: str, kind: pa.DataType, path: Path) -> pa.ChunkedArray:
    import pyarrow as pa

    column = table.column(name)
    try:
        return column.cast(kind)
    except pa.ArrowException as error:
        raise InvalidSimilarityError(
            f"column {name} of {path} is of type {column.type} and does not become {kind} "
            f"({error}); give ids as text and similarities as numbers"
        ) from error


def _some(names: Sequence[str]) -> str:
    """Name columns; a matrix in Parquet has as many as there are performances."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")


def _unknown(path: Path, name: object) -> InvalidSimilarityError:
    return InvalidSimilarityError(
        f"{path} names the performance {name!r}, which the list of works does not have; give the "
        "list of the catalogue that the run was made on"
    )
