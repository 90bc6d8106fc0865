"""The index in `data/format-1` was written when format 1 was fixed. It must open for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coverdex.search import Index, verify_index

FORMAT_1 = Path(__file__).parent / "data" / "format-1"


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


def test_an_index_of_format_1_verifies() -> None:
    assert verify_index(FORMAT_1).problems == []
