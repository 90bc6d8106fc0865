from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from coverdex.search.ranking import NOTHING_BEYOND, ranked, stand_as_found
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


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.booleans())
@settings(max_examples=100, deadline=None)
def test_answers_that_stand_as_found_are_those_that_ranking_leaves(
    seed: int, limit: int, complete: bool
) -> None:
    rng = np.random.default_rng(seed)
    n_found = int(rng.integers(1, 9))
    # In tenths and mostly in order, so that ties, swaps and gaps all come up.
    similarities = np.sort(rng.integers(0, 12, (20, n_found)) / 10, axis=1)[:, ::-1]
    similarities = similarities.astype(np.float32)
    similarities[:3] = similarities[:3, ::-1]
    rows = np.stack([rng.permutation(30)[:n_found] for _ in similarities])
    rows[rng.random(20) < 0.2, -1] = -1
    beyond = np.full(20, NOTHING_BEYOND, np.float32) if complete else similarities.min(axis=1)
    stands = stand_as_found(similarities, rows, beyond, limit)
    for i, is_so in enumerate(stands):
        answer = rank(similarities[i].tolist(), rows[i].tolist(), float(beyond[i]), limit)
        as_found = (similarities[i, :limit].tolist(), rows[i, :limit].tolist())
        in_order = (np.diff(similarities[i]) < 0).all() and (rows[i] >= 0).all()
        assert bool(is_so) == (in_order and answer is not None)
        if is_so:
            assert answer == as_found
