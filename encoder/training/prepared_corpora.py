"""The corpora of a prepared folder (:mod:`.prepared_covers`): versions and their rolls as Parquet.

::

    versions.parquet   work_id, version_id, collection, title, cyclic, n_frames, held_out
    rolls.parquet      60 columns uint8, part by part and pitch class by pitch class from A:
                       the rolls of all versions end to end, held-out ones last

The rolls of some 17,700 versions are 800 MB in memory and 75 MB on disk; they are written and read
a million frames at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .corpus import N_PARTS, PARTS, RollCorpus
from .seed_corpora import SeedCorpora

_VERSIONS, _ROLLS = "versions.parquet", "rolls.parquet"
_COLUMNS = tuple(f"{part}-{tone}" for part in PARTS for tone in range(12))
#: Frames that are written at a time.
_ROW_GROUP = 1 << 20


def write_corpora(corpora: SeedCorpora, titles: Mapping[str, str], folder: Path) -> None:
    """Write both corpora into a folder.

    Parameters
    ----------
    corpora : SeedCorpora
    titles : mapping of str to str
        Version id to title, where there is one.
    folder : Path
        It is there.
    """
    trained, held_out = corpora
    written = [trained] if held_out is None else [trained, held_out]
    tables = []
    for corpus in written:
        titled = [titles.get(version) for version in corpus.version_ids]
        columns = {
            "work_id": [corpus.work_ids[work] for work in corpus.work],
            "version_id": list(corpus.version_ids),
            "collection": list(corpus.corpora),
            "title": pa.array(titled, pa.string()),
            "cyclic": corpus.cyclic,
            "n_frames": corpus.n_frames,
            "held_out": [corpus is held_out] * corpus.n_versions,
        }
        tables.append(pa.table(columns))
    pq.write_table(pa.concat_tables(tables), folder / _VERSIONS)
    schema = pa.schema([pa.field(name, pa.uint8(), nullable=False) for name in _COLUMNS])
    with pq.ParquetWriter(folder / _ROLLS, schema, compression="zstd") as writer:
        for corpus in written:
            for first in range(0, len(corpus.rolls), _ROW_GROUP):
                rows = np.ascontiguousarray(corpus.rolls[first : first + _ROW_GROUP].T)
                writer.write_table(pa.table(list(rows), schema=schema))


def read_prepared_corpora(folder: Path) -> tuple[SeedCorpora, dict[str, str]]:
    """Read both corpora.

    Returns
    -------
    corpora : SeedCorpora
    titles : dict of str to str
        Version id to title, where there is one.
    """
    versions = pq.read_table(folder / _VERSIONS)
    rolls = _read_rolls(folder / _ROLLS)
    held_out = versions["held_out"].to_numpy()
    n_trained = int(versions["n_frames"].to_numpy()[~held_out].sum())
    trained = _corpus(versions.filter(~held_out), rolls[:n_trained])
    held = _corpus(versions.filter(held_out), rolls[n_trained:]) if held_out.any() else None
    titled = zip(versions["version_id"].to_pylist(), versions["title"].to_pylist(), strict=True)
    return SeedCorpora(trained, held), {version: title for version, title in titled if title}


def _read_rolls(path: Path) -> NDArray[np.uint8]:
    file = pq.ParquetFile(path)
    rolls = np.empty((file.metadata.num_rows, N_PARTS * 12), dtype=np.uint8)
    first = 0
    for group in range(file.num_row_groups):
        table = file.read_row_group(group)
        for column, values in enumerate(table.columns):
            rolls[first : first + len(table), column] = values.to_numpy()
        first += len(table)
    return rolls


def _corpus(versions: pa.Table, rolls: NDArray[np.uint8]) -> RollCorpus:
    works = versions["work_id"].to_pylist()
    work_ids = sorted(set(works))
    position = {work: i for i, work in enumerate(work_ids)}
    n_frames = versions["n_frames"].to_numpy()
    return RollCorpus(
        rolls=rolls,
        first=np.concatenate([[0], np.cumsum(n_frames)[:-1]]).astype(np.int64),
        n_frames=n_frames,
        cyclic=versions["cyclic"].to_numpy(),
        work=np.array([position[work] for work in works], dtype=np.int64),
        work_ids=tuple(work_ids),
        version_ids=tuple(versions["version_id"].to_pylist()),
        corpora=tuple(versions["collection"].to_pylist()),
    )
