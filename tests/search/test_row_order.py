"""Rows in another order where a column has more text than one of Arrow's arrays holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from coverdex.search import Index, IndexEditor, row_order
from coverdex.search.row_order import in_order

from .made_up import ENCODER_ID, MadeUp


@pytest.fixture
def _little_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_order, "MOST_TEXT", 60)  # of two gigabytes in earnest


@pytest.mark.usefixtures("_little_text")
def test_long_columns_are_taken_in_parts() -> None:
    texts = ["x" * 50, None, "", *[f"é{i}" * (i % 5) for i in range(40)], "y" * 55, "z" * 200]
    table = pa.table({"n": range(len(texts)), "text": pa.chunked_array([texts[:7], texts[7:]])})
    rows = np.random.default_rng(0).permutation(np.repeat(np.arange(len(texts)), 2))
    taken = in_order(table, rows)
    assert taken.schema == table.schema
    assert taken.to_pylist() == [table.slice(row, 1).to_pylist()[0] for row in rows]
    chunks = taken.column("text").chunks
    assert len(chunks) > 1
    assert all(len(chunk) == 1 or chunk.nbytes <= 60 for chunk in chunks)
    assert in_order(table, rows[:0]).num_rows == 0


@pytest.mark.usefixtures("_little_text")
def test_an_index_of_long_columns_is_what_it_was_made_of(catalogue: MadeUp, tmp_path: Path) -> None:
    catalogue.shuffled(3).write(tmp_path / "i")
    with IndexEditor(tmp_path / "i") as editor:
        first, second, *_ = sorted(catalogue.ids)
        vector = editor.index.embedding(first)[np.newaxis]
        editor.update([{"performance_id": first, "title": "t" * 99}], vector, encoder_id=ENCODER_ID)
        editor.remove([second])
        changed = editor.index.pinned()
        rows, vectors = changed.performances.to_pylist(), changed.embeddings
        editor.compact()
    index = Index.open(tmp_path / "i")
    assert index.performances.to_pylist() == rows
    assert np.array_equal(index.embeddings, vectors)
    known = {row["performance_id"]: row for row in catalogue.performances.to_pylist()}
    for row in rows[1:]:
        name = row["performance_id"]
        assert all(row[column] == value for column, value in known[name].items())
        at = catalogue.ids.index(name)
        assert np.array_equal(index.embedding(name), catalogue.embeddings[at])
    assert (rows[0]["title"], len(rows)) == ("t" * 99, len(known) - 1)
