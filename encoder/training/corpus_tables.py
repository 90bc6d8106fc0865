"""Note tables: symbolic music as Parquet, one row per version.

Columns: ``work_id``, ``version_id`` (strings) and the equally long lists ``onset_ms``,
``duration_ms``, ``midi_pitch``, ``velocity`` and ``part`` (0 melody, 1 inner melody, 2 chords or
piano, 3 bass). Times are in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from .corpus import Notes, Version, roll_from_notes, split_bass

NOTE_COLUMNS = ("onset_ms", "duration_ms", "midi_pitch", "velocity", "part")


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
    """
    table = pq.read_table(path, columns=["work_id", "version_id", *NOTE_COLUMNS])
    for rows in table.to_batches(max_chunksize=64):
        columns = {c: rows.column(c) for c in rows.schema.names}
        for i in range(rows.num_rows):
            values = {c: columns[c][i].values.to_numpy(zero_copy_only=False) for c in NOTE_COLUMNS}
            if values["onset_ms"].size == 0:
                continue
            yield (
                columns["work_id"][i].as_py(),
                columns["version_id"][i].as_py(),
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
