"""The indexes in `data/format-1*` were written when format 1 was fixed. They must open for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coverdex.search import Index, verify_index

FORMAT_1 = Path(__file__).parent / "data" / "format-1"
CHANGED = Path(__file__).parent / "data" / "format-1-changed"


@pytest.mark.parametrize("mmap", [True, False])
def test_an_index_of_format_1_opens_and_answers(mmap: bool) -> None:
    index = Index.open(FORMAT_1, mmap=mmap)
    assert index.manifest.encoder_id == "format-1-0123456789ab"
    assert index.manifest.source == {"kind": "test data"}
    found = index.search_by_id("P_0", limit=7)
    assert [candidate.performance_id for candidate in found] == [f"P_{i}" for i in range(1, 8)]
    # By construction the similarity of P_0 and P_i is cos(i / 10).
    expected = np.cos(np.arange(1, 8) / 10)
    np.testing.assert_allclose([candidate.similarity for candidate in found], expected, atol=1e-6)
    row = dict(index.metadata("P_0"))
    assert row["title"] == "Añoranza"
    assert (row["year"], row["collection"], row["work_id"]) == (1903, "oneill", "W_0")
    assert index.metadata("P_3")["year"] is None


def test_a_changed_index_of_format_1_opens_with_its_log() -> None:
    index = Index.open(CHANGED)
    assert index.manifest.generation == 2
    assert index.n_changes == (2, 2)
    assert index.performances.column("performance_id").to_pylist() == [
        "A_0",
        "P_0",
        "P_2",
        "P_4",
        "P_5",
        "P_6",
        "P_7",
    ]
    found = index.search_by_id("P_0", limit=6)
    # P_2 was given what P_3 had, and A_0 points the other way.
    expected = [("P_2", 0.3), ("P_4", 0.4), ("P_5", 0.5), ("P_6", 0.6), ("P_7", 0.7)]
    assert [candidate.performance_id for candidate in found[:5]] == [name for name, _ in expected]
    similarities = [candidate.similarity for candidate in found]
    np.testing.assert_allclose(
        similarities, [*np.cos([angle for _, angle in expected]), -1], atol=1e-6
    )
    assert found[5].title == "Ö"
    assert index.metadata("P_2")["work_id"] is None


@pytest.mark.parametrize("folder", [FORMAT_1, CHANGED])
def test_an_index_of_format_1_verifies(folder: Path) -> None:
    assert verify_index(folder).problems == []
