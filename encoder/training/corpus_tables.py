"""Note tables: symbolic music as Parquet, one row per version.

Columns: ``work_id``, ``version_id`` (strings) and the equally long lists ``onset_ms``,
``duration_ms``, ``midi_pitch``, ``velocity`` and ``part`` (0 melody, 1 inner melody, 2 chords or
piano, 3 bass). Times are in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..chroma import MAX_DURATION
from ..errors import TrainingError
from .corpus import BASS, Notes, Version, roll_from_notes, split_bass

NOTE_COLUMNS = ("onset_ms", "duration_ms", "midi_pitch", "velocity", "part")


def columns_of(path: Path) -> set[str]:
    """Give the names of a table's columns.

    Raises
    ------
    TrainingError
        It is no Parquet file.
    """
    try:
        return set(pq.read_schema(path).names)
    except (OSError, pa.ArrowException) as error:
        raise TrainingError(
            f"{path} cannot be read as Parquet ({error}); give a table of notes or of charts, or a "
            "folder of MIDI"
        ) from error


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Read some columns of a table.

    Raises
    ------
    TrainingError
        It is damaged, or lacks one of them.
    """
    if missing := [name for name in columns if name not in columns_of(path)]:
        raise TrainingError(
            f"{path} has no column {', '.join(missing)}; give a table with {', '.join(columns)}"
        )
    try:
        return pq.read_table(path, columns=list(columns))
    except (OSError, pa.ArrowException) as error:
        raise TrainingError(f"{path} cannot be read ({error}); get it again") from error


def read_notes(path: Path) -> Iterator[tuple[str, str, Notes]]:
    """Read a note table row by row.

    Parameters
    ----------
    path : Path
        A Parquet file as described above.

    Yields
    ------
    work_id, version_id : str
    notes : Notes
        As the table has them; rows without notes are left out.

    Raises
    ------
    TrainingError
        A column is missing, or a row is not as the module's text says.
    """
    table = read_columns(path, ["work_id", "version_id", *NOTE_COLUMNS])
    n_read = 0
    for rows in table.to_batches(max_chunksize=64):
        columns = {c: rows.column(c) for c in rows.schema.names}
        for i in range(rows.num_rows):
            n_read += 1
            row = {c: columns[c][i] for c in rows.schema.names}
            work_id, version_id, values = _checked(row, where=f"{path}, row {n_read}")
            if values["onset_ms"].size == 0:
                continue
            yield (
                work_id,
                version_id,
                Notes(
                    onset=values["onset_ms"] / 1000.0,
                    duration=np.maximum(values["duration_ms"], 1) / 1000.0,
                    pitch=values["midi_pitch"].astype(np.int64),
                    loudness=values["velocity"].astype(np.float64),
                    part=values["part"].astype(np.int64),
                ),
            )


def read_note_table(path: Path, *, corpus: str | None = None) -> Iterator[Version]:
    """Read a note table version by version, as rolls.

    Parameters
    ----------
    path : Path
        A Parquet file as described above.
    corpus : str, optional
        Name of the collection; the file's stem when left out.

    Yields
    ------
    Version
        With the bass split from the chords where the table has none.
    """
    for work_id, version_id, notes in read_notes(path):
        roll = roll_from_notes(split_bass(notes))
        yield Version(work_id, version_id, corpus or path.stem, roll)


def _checked(
    row: Mapping[str, Any], *, where: str
) -> tuple[str, str, dict[str, NDArray[np.float64]]]:
    """Give the ids and the lists of a row; refuse what would be drawn as something else."""
    ids = [row[name].as_py() for name in ("work_id", "version_id")]
    for name, value in zip(("work_id", "version_id"), ids, strict=True):
        if not isinstance(value, str):
            raise TrainingError(f"{where}: {name} is {value!r}; give text")
    values: dict[str, NDArray[np.float64]] = {}
    for name in NOTE_COLUMNS:
        if getattr(row[name], "values", None) is None:
            raise TrainingError(f"{where}: {name} is {row[name].as_py()!r}; give a list of numbers")
        values[name] = row[name].values.to_numpy(zero_copy_only=False)
        if values[name].dtype.kind not in "fiu" or not np.isfinite(values[name]).all():
            raise TrainingError(f"{where}: {name} holds something that is no number; leave it out")
    lengths = {name: len(values[name]) for name in NOTE_COLUMNS}
    if len(set(lengths.values())) > 1:
        raise TrainingError(
            f"{where}: lists of different lengths, {lengths}; give one of each note"
        )
    if lengths["part"]:
        least, largest = values["part"].min(), values["part"].max()
        if least < 0 or largest > BASS:
            raise TrainingError(
                f"{where}: part goes from {least:g} to {largest:g}; give 0 melody, 1 inner melody, "
                "2 chords or 3 bass"
            )
        hours = (values["onset_ms"].max() - values["onset_ms"].min()) / 3_600_000
        hours += values["duration_ms"].max() / 3_600_000
        if hours * 3600 > MAX_DURATION:
            raise TrainingError(
                f"{where}: lasts {hours:.4g} hours; give at most {MAX_DURATION / 3600:g}, in "
                "milliseconds"
            )
    return *ids, values
