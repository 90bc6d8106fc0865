"""Make the committed index of format 1. Run once, when the format was fixed; never again.

Every later release must open what this wrote (`test_format_1.py`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from coverdex.search import IndexEditor, write_index
from coverdex.search.locks import LOCK_NAME

DATA = Path(__file__).parent / "data"
FOLDER = DATA / "format-1"
#: The same after a compaction and further changes: a second generation and a log.
CHANGED = DATA / "format-1-changed"


def embeddings() -> np.ndarray:
    """Eight unit vectors; the inner product of row 0 and row i is cos(i / 10)."""
    vectors = np.zeros((8, 64), np.float32)
    vectors[0, 0] = 1
    for i in range(1, 8):
        vectors[i, 0] = np.cos(i / 10)
        vectors[i, i] = np.sin(i / 10)
    return vectors


def write(folder: Path) -> None:
    """Write the index of generation 1."""
    write_index(
        folder,
        embeddings=embeddings(),
        performances=pa.table(
            {
                "performance_id": [f"P_{i}" for i in range(8)],
                "work_id": [f"W_{i // 2}" for i in range(8)],
                "title": ["Añoranza", "A", "B", "C", "D", "E", "F", None],
                "year": pa.array([1903, 1883, 1782, None, 1900, 1901, 1902, 1903], pa.int32()),
                "collection": ["oneill", "ryan", "aird", "aird", "ryan", "ryan", "ryan", "ryan"],
            }
        ),
        encoder_id="format-1-0123456789ab",
        encoder_name="format-1",
        source={"kind": "test data"},
        created="2026-11-23T00:00:00+00:00",
    )


def change(folder: Path) -> None:
    """Remove P_1, compact; then add A_0, replace P_2, remove P_3 and leave that in the log."""
    with IndexEditor(folder) as editor:
        editor.remove("P_1")
        editor.compact()
        encoder_id = "format-1-0123456789ab"
        editor.add(
            [{"performance_id": "A_0", "title": "Ö"}], -embeddings()[:1], encoder_id=encoder_id
        )
        editor.update([{"performance_id": "P_2"}], embeddings()[3:4], encoder_id=encoder_id)
        editor.remove("P_3")
    (folder / LOCK_NAME).unlink()


if __name__ == "__main__":
    for folder in (FOLDER, CHANGED):
        if not folder.exists():
            write(folder)
            if folder is CHANGED:
                change(folder)
