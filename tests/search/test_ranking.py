from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from coverdex.search.ranking import NOTHING_BEYOND, ranked
from hypothesis import given, settings
from hypothesis import strategies as st


def rank(
    similarities: list[float], rows: list[int], beyond: float, limit: int, **options: Any
) -> Any:
    settled: dict[str, Any] = {
        "excluded": frozenset(),
        "removed": frozenset(),
        "tie_key": None,
        "work_of": None,
        **options,
    }
    found = np.array(similarities, np.float32), np.array(rows, np.int64)
    return ranked(*found, beyond, limit, **settled)


def test_a_tie_at_the_cut_is_not_final() -> None:
    # Row 0 may be as similar as row 5 and come before it, had it been found.
    assert rank([0.9, 0.5], [3, 5], 0.5, 2) is None
    assert rank([0.9, 0.5], [3, 5], 0.5 - 1e-7, 2) is None  # equal, but for the rounding
    assert rank([0.9, 0.5, 0.4], [3, 5, 6], 0.4, 2)[1] == [3, 5]
    assert rank([0.9, 0.5], [3, 5], NOTHING_BEYOND, 2)[1] == [3, 5]


def test_too_few_are_not_final_unless_there_are_no_more() -> None:
    assert rank([0.9, 0.5], [3, 5], 0.5, 3) is None
    assert rank([0.9, 0.5], [3, 5], 0.1, 2, excluded=frozenset([3])) is None
    assert rank([0.9, 0.5], [3, 5], NOTHING_BEYOND, 2, removed=frozenset([3]))[1] == [5]
    assert rank([0.9, 0.5], [3, -1], NOTHING_BEYOND, 2)[1] == [3]
    assert rank([], [], NOTHING_BEYOND, 2) == ([], [])


def test_equal_similarities_follow_the_key() -> None:
    assert rank([0.5, 0.5, 0.9], [1, 2, 3], NOTHING_BEYOND, 3)[1] == [3, 1, 2]
    by_name = {1: "b", 2: "a", 3: "c"}.__getitem__
    assert rank([0.5, 0.5, 0.9], [1, 2, 3], NOTHING_BEYOND, 3, tie_key=by_name)[1] == [3, 2, 1]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=30),
    st.integers(1, 8),
    st.integers(1, 30),
)
@settings(max_examples=50, deadline=None)
def test_a_final_answer_is_the_one_over_everything(
    rows: list[tuple[int, int]], limit: int, n_found: int
) -> None:
    # Similarity in tenths and work of each row; FAISS gives the first `n_found`, ties at random.
    order = sorted(range(len(rows)), key=lambda row: (-rows[row][0], (row * 7919) % 31))
    found = order[:n_found]
    complete = n_found >= len(rows)
    beyond = NOTHING_BEYOND if complete else rows[found[-1]][0] / 10
    answer = rank(
        [rows[row][0] / 10 for row in found],
        found,
        beyond,
        limit,
        work_of=lambda row: f"W_{rows[row][1]}" if rows[row][1] else None,
    )
    seen: set[int] = set()
    expected = []
    for row in sorted(range(len(rows)), key=lambda row: (-rows[row][0], row)):
        work = rows[row][1]
        if work == 0 or work not in seen:
            expected.append(row)
            seen.add(work)
    if answer is None:
        assert not complete
    else:
        assert answer[1] == expected[:limit]
        assert answer[0] == pytest.approx([rows[row][0] / 10 for row in expected[:limit]])
