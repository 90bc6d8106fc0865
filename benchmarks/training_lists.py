"""What a system has learnt from: training lists of files, of encoders, of indexes.

An encoder's checkpoint carries its list (:mod:`coverdex.encoder.training_list`), and an index names
the encoder that filled it, so for both it is found without being asked for. For anything else, a
list is given: a table, or the catalogue itself that was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..encoder.errors import CheckpointError, CoverdexError, NotFoundError
from .encoder_system import EncoderSystem
from .leakage import Known, Leakage, Learnt, check_leakage
from .work_lists import DELIMITERS

if TYPE_CHECKING:
    from ..encoder import Checkpoint
    from ..indexer import PerformanceRecord
    from .baselines.system import System
    from .leakage import Embed
    from .rankings import Ranking


def learnt_by(checkpoint: Checkpoint) -> Learnt | None:
    """Give what a checkpoint has learnt from; None where it does not say."""
    listed = checkpoint.training_list
    if listed is None:
        return None
    known = [Known(p.performance_id, p.work_id, p.title) for p in listed.performances]
    return Learnt(checkpoint.id, known, complete=listed.complete)


def learnt_by_ranking(ranking: Ranking) -> Learnt | None:
    """Give what the encoder of an index has learnt from, if it is found under its name.

    None for a ranking that names no encoder, and where the checkpoint of that name is not there any
    more, has another id, or does not say.
    """
    from ..encoder import load_checkpoint

    if ranking.encoder_name is None:
        return None
    try:
        checkpoint = load_checkpoint(ranking.encoder_name)
    except (NotFoundError, CheckpointError):
        return None
    return learnt_by(checkpoint) if checkpoint.id == ranking.encoder_id else None


def leakage_of_ranking(ranking: Ranking) -> Leakage | None:
    """Compare an index with what its encoder has learnt from, by id and title; None for others."""
    if ranking.encoder_id is None:
        return None
    listed = ranking.listed
    titles = ranking.titles or [None] * len(listed)
    rows = zip(listed.performances, listed.works, titles, strict=True)
    return _leakage([Known(*row) for row in rows], learnt_by_ranking(ranking), ranking.encoder_id)


def leakage_of_system(system: System, records: Iterable[PerformanceRecord]) -> Leakage | None:
    """Compare a catalogue with what an encoder has learnt from; None for untrained systems."""
    if not isinstance(system, EncoderSystem):
        return None
    known = [Known(r.performance_id, r.work_id, r.title) for r in records]
    return _leakage(known, learnt_by(system.encoder.checkpoint), system.encoder.id)


def _leakage(catalogue: list[Known], learnt: Learnt | None, encoder_id: str) -> Leakage:
    if learnt is None:
        return check_leakage(catalogue, unknown=[encoder_id])
    return check_leakage(catalogue, [learnt])


def read_training_list(
    path: str | Path, *, embed: Embed | None = None, kind: str = "hpcp"
) -> Learnt:
    """Read what an encoder was trained on from a file.

    Parameters
    ----------
    path : path-like
        A Parquet or CSV file (``.tsv``: with tabs) with a column ``work_id`` and, as far as known,
        ``performance_id`` (or ``version_id``, ``track_id``) and ``title``; or a catalogue, whose
        chroma is then compared too.
    embed : callable, optional
        From chroma to an embedding, for catalogues.
    kind : str, default "hpcp"
        Which chroma of a catalogue to read: that of the catalogue that it is compared with.

    Raises
    ------
    NotFoundError
        If there is nothing at ``path``.
    CoverdexError
        If it cannot be read, or has no column ``work_id``.
    """
    at = Path(path)
    if str(path) != "demo" and not at.exists():
        raise NotFoundError(f"no training list at {path}")
    try:
        is_table = at.suffix.lower() in {*DELIMITERS, ".parquet"} and at.is_file()
        rows = _rows(at) if is_table and not _has_chroma(at) else None
    except (OSError, pa.ArrowException) as error:
        raise CoverdexError(f"training list {path} cannot be read ({error})") from error
    if rows is None:
        if at.is_file() and at.suffix.lower() != ".parquet":
            raise CoverdexError(
                f"training list {path} ends in {at.suffix or 'nothing'}, so how to read it is not "
                "known; give a .csv, .tsv or .parquet file, or a catalogue"
            )
        from ..indexer import open_catalogue

        known = [
            Known.of(record, chroma, embed) for record, chroma in open_catalogue(path, kind=kind)
        ]
    else:
        known = [_known(row) for row in rows]
    return Learnt(str(path), known)


def _has_chroma(path: Path) -> bool:
    import pyarrow.parquet as pq

    return path.suffix.lower() == ".parquet" and "chroma" in pq.read_schema(path).names


def _rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow.csv
    import pyarrow.parquet as pq

    wanted = ("work_id", "performance_id", "version_id", "track_id", "title")
    if delimiter := DELIMITERS.get(path.suffix.lower()):
        # As text, all of them: an id such as 0012 or a title such as 1999 is no number.
        texts = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(wanted, pa.string()))
        columns = pyarrow.csv.ParseOptions(delimiter=delimiter)
        table = pyarrow.csv.read_csv(path, parse_options=columns, convert_options=texts)
    else:
        names = pq.read_schema(path).names
        table = pq.read_table(path, columns=[name for name in wanted if name in names])
    if "work_id" not in table.column_names:
        raise CoverdexError(f"training list {path} has no column work_id; add it")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _known(row: Mapping[str, Any]) -> Known:
    ids = (_text(row.get(name)) for name in ("performance_id", "version_id", "track_id"))
    own = next((value for value in ids if value), None)
    return Known(own, _text(row["work_id"]), _text(row.get("title")))


def _text(value: object) -> str | None:
    if value is None or value != value:
        return None
    # Numbers that have gaps among them are kept as 12.0 by pandas, and mean the id 12.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
