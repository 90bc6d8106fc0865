"""Prepared tracks: the preprocessed chroma of a catalogue in one file, read where it is needed.

The feature files of a large catalogue (10,000 of Da-TACOS are about 6 GB) are read once, one at a
time, and what preprocessing makes of them is laid end to end in ``tracks.f16``::

    tracks.f16       (total_frames, 12) float16, in 0..1; four minutes at 4 frames per second: 23 kB
    tracks.parquet   performance_id, work_id, title, first, n_frames: whose it is and where it lies

``tracks.f16`` is memory-mapped, so that a batch reads what it needs and memory stays bounded. The
table is written last and under a temporary name: a preparation that was killed is begun again, a
finished one is used again by the next run in the folder on the same catalogue.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..chroma import N_PITCH_CLASSES
from ..errors import InvalidChromaError, TrainingError
from ..preprocessing import Preprocessing
from .world import Catalogue

_VALUES, _TABLE = "tracks.f16", "tracks.parquet"
_ORIGIN = b"origin"


@dataclass(frozen=True, eq=False)
class PreparedTracks:
    """Preprocessed chroma on disk.

    Parameters
    ----------
    path : pathlib.Path
        ``tracks.f16``.
    performances, works : list of str
        Ids, by track.
    titles : list of str or None
        By track.
    first, n_frames : numpy.ndarray, shape (n_tracks,), int64
        Where each lies.
    left_out : mapping of str to int
        Performances of the catalogue that are not among them, by reason.
    """

    path: Path
    performances: list[str]
    works: list[str]
    titles: list[str | None]
    first: NDArray[np.int64]
    n_frames: NDArray[np.int64]
    left_out: Mapping[str, int]

    @cached_property
    def _values(self) -> NDArray[np.float16]:
        shape = (int(self.n_frames.sum()), N_PITCH_CLASSES)
        # A mapping would take the beginning of a longer file without a word.
        if not self.path.is_file() or self.path.stat().st_size != 2 * shape[0] * shape[1]:
            raise TrainingError(
                f"{self.path} was removed or replaced after it had been read; start the run again, "
                "and leave the folder alone while it goes on"
            )
        return np.memmap(self.path, dtype=np.float16, mode="r", shape=shape)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapping out: a worker process opens its own."""
        return {k: v for k, v in self.__dict__.items() if k != "_values"}

    def copy_to(self, folder: Path) -> None:
        """Copy both files into a folder, which is made."""
        folder.mkdir(parents=True)
        for name in (_VALUES, _TABLE):
            shutil.copyfile(self.path.with_name(name), folder / name)

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self.performances)

    def frames(self, track: int, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Read frames of a track: ``(stop - start, 12)`` float32, all of them by default."""
        first, n_frames = int(self.first[track]), int(self.n_frames[track])
        stop = n_frames if stop is None else min(stop, n_frames)
        return self._values[first + start : first + stop].astype(np.float32)


def prepare_tracks(
    catalogue: Catalogue, folder: Path, preprocessing: Preprocessing, *, origin: Mapping[str, Any]
) -> PreparedTracks:
    """Preprocess a catalogue into a folder, or take what an earlier run has prepared there.

    Parameters
    ----------
    catalogue : Catalogue
        Read once, one performance at a time. Performances without a work, and those that hold
        nothing to embed, are left out.
    folder : pathlib.Path
    preprocessing : Preprocessing
    origin : mapping
        What tells this catalogue from another; plain values.
    """
    wanted = json.dumps({**origin, "preprocessing": preprocessing.to_config()}, sort_keys=True)
    if (found := _read(folder, wanted)) is not None:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    # Beside their places: who has mapped what lies there goes on reading it.
    values, described = (folder / f"{name}.part" for name in (_VALUES, _TABLE))
    try:
        with values.open("wb") as stream:
            rows, left_out = _write_values(catalogue, preprocessing, stream)
            stream.flush()
            os.fsync(stream.fileno())
        if not rows:
            raise TrainingError(f"nothing in the catalogue can be trained on: {dict(left_out)}")
        table = pa.Table.from_pylist(rows, schema=_SCHEMA)
        metadata = {_ORIGIN: wanted.encode(), b"left out": json.dumps(left_out).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), described)
        (folder / _TABLE).unlink(missing_ok=True)
        values.replace(folder / _VALUES)
        described.replace(folder / _TABLE)
    except OSError as error:
        if error.filename is not None:
            raise
        # A full disk, which names no file.
        raise OSError(error.errno, error.strerror or str(error), str(folder / _VALUES)) from error
    finally:
        values.unlink(missing_ok=True)
        described.unlink(missing_ok=True)
    read = _read(folder, wanted)
    assert read is not None  # it was just written
    return read


def _write_values(
    catalogue: Catalogue, preprocessing: Preprocessing, stream: BinaryIO
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Write what the network reads of each performance; give the table's rows and what is not."""
    rows: list[dict[str, Any]] = []
    left_out: Counter[str] = Counter()
    total = 0
    for record, chroma in catalogue:
        if record.work_id is None:
            left_out["no work"] += 1
            continue
        try:
            values = preprocessing.apply(chroma)
        except InvalidChromaError as error:
            left_out[error.reason] += 1
            continue
        stream.write(np.ascontiguousarray(values, dtype="<f2").tobytes())
        rows.append(
            {
                "performance_id": record.performance_id,
                "work_id": record.work_id,
                "title": record.title,
                "first": total,
                "n_frames": len(values),
            }
        )
        total += len(values)
    return rows, left_out


_SCHEMA = pa.schema(
    [
        pa.field("performance_id", pa.string(), nullable=False),
        pa.field("work_id", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("first", pa.int64(), nullable=False),
        pa.field("n_frames", pa.int64(), nullable=False),
    ]
)


def read_tracks(folder: Path) -> PreparedTracks:
    """Read tracks that were prepared, whatever their origin.

    They are mapped at once: who replaces the folder afterwards changes nothing that is drawn here.

    Raises
    ------
    TrainingError
        There are none, or they are damaged.
    """
    if (found := _read(folder, None)) is None:
        raise TrainingError(
            f"{folder} holds no prepared tracks, or damaged ones; prepare them again"
        )
    _ = found._values
    return found


def _read(folder: Path, wanted: str | None) -> PreparedTracks | None:
    """Read what lies in a folder; None where it is not there, damaged or of another origin."""
    values = folder / _VALUES
    try:
        table = pq.read_table(folder / _TABLE)
        length = values.stat().st_size
    except (OSError, pa.ArrowException):
        return None
    metadata = table.schema.metadata or {}
    if wanted is not None and metadata.get(_ORIGIN) != wanted.encode():
        return None
    n_frames = table["n_frames"].to_numpy()
    if length != int(n_frames.sum()) * N_PITCH_CLASSES * 2:
        return None
    return PreparedTracks(
        path=values,
        performances=table["performance_id"].to_pylist(),
        works=table["work_id"].to_pylist(),
        titles=table["title"].to_pylist(),
        first=table["first"].to_numpy(),
        n_frames=n_frames,
        left_out=json.loads(metadata[b"left out"]),
    )
