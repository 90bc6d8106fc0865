"""A table of chord charts: made-up standards, each in two collections."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

#: start_beat, length_beats, bass, pitch_classes (C = 0), as a table of charts has them.
CHART = [[0, 4, 0, [0, 4, 7]], [4, 4, 5, [5, 9, 0]], [8, 4, 7, [7, 11, 2]]]


def write_charts(path: Path, n_works: int) -> None:
    """Write works ``tune0``, ``tune1``, ... of collections ``a`` and ``b``, a semitone apart."""
    rows = [
        {
            "work_id": f"tune{work}",
            "source": source,
            "version_id": str(work),
            "title": f"Standard {work}",
            "chords_json": json.dumps(
                [
                    [s, n, (b + work) % 12, [(t + work) % 12 for t in tones]]
                    for s, n, b, tones in CHART
                ]
            ),
        }
        for work in range(n_works)
        for source in ("a", "b")
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
