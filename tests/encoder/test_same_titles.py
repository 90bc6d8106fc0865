"""Works that share a title never meet as negatives, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from coverdex.encoder.training.pairs import make_pairs
from coverdex.encoder.training.same_titles import batches_apart, groups_by_title, plain_title
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Help!", "HELP (Live)", True),
        ("Déjà Vu", "deja vu [remastered]", True),
        ("(I Can't Get No) Satisfaction", "Satisfaction", True),
        ("(Untitled)", "(Untitled)", True),
        ("Yesterday", "Yesterday Once More", False),
        ("夜曲", "夜曲 (demo)", True),
        ("Unit 7", "Unit Seven", True),
        ("500 Miles High", "Five Hundred Miles High", True),
        ("21st Century Blues", "Twenty-First Century Blues", True),
        ("The 12th of Never", "The Twelfth of Never", True),
        ("115", "One Hundred Fifteen", True),
        ("30th", "Thirtieth", True),
        ("1999", "1998", False),
        ("Cold Sweat, Pt. 2", "Cold Sweat Part II", True),
        ("Cold Sweat, Pt. 1", "Cold Sweat Part II", False),
        ("Part of Your World", "Part Of Your World", True),
        ("Sonata IX", "Sonata 9", True),
        ("Why Shouldn't I", "Why Shouldn't One", False),
        ("The Blue Room", "Blue Room", True),
        ("A", "The", False),
        ("Georgia on My Mind", "Georgi on My Mind", False),
        ("Rock & Roll", "Rock and Roll", True),
    ],
)
def test_titles(one: str, other: str, same: bool) -> None:
    assert (plain_title(one) == plain_title(other)) is same
    assert plain_title(one)


def test_groups_join_through_others() -> None:
    titles = [["A"], ["B", None], ["C"], ["a", "b"], [None], [], ["..."], ["!"]]
    assert groups_by_title(titles).tolist() == [0, 0, 2, 0, 4, 5, 6, 7]


@settings(max_examples=100, deadline=None)
@given(
    groups=st.lists(st.integers(0, 6), min_size=1, max_size=40),
    size=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_batches_are_full_apart_and_leave_nobody_out(
    groups: list[int], size: int, seed: int
) -> None:
    of = np.array(groups)
    size = min(size, len(np.unique(of)))
    order = np.random.default_rng(seed).permutation(len(of))
    batches = list(batches_apart(order, of, size))
    assert all(len(batch) == size == len(np.unique(of[batch])) for batch in batches)
    assert set(np.concatenate(batches).tolist()) == set(range(len(of)))
    assert len(batches) >= -(-len(of) // size)


def test_without_shared_titles_batches_are_pieces_of_the_order() -> None:
    order = np.random.default_rng(0).permutation(11)
    pieces = [order[:4], order[4:8], np.concatenate([order[8:], order[:1]])]
    for batch, piece in zip(batches_apart(order, np.arange(11), 4), pieces, strict=True):
        np.testing.assert_array_equal(batch, piece)


@pytest.mark.parametrize("percentage", [30.0, 75.0])
def test_works_of_one_title_make_no_pair_of_different_works(percentage: float) -> None:
    work_of = {f"P_{w}_{v}": f"W_{w}" for w in range(5) for v in range(2)}
    titles = {p: "The same song" if w in ("W_0", "W_1") else None for p, w in work_of.items()}

    def different(**options: object) -> set[frozenset[str]]:
        table = make_pairs(
            work_of,
            dissimilar_percentage=percentage,
            held_out=0.0,
            **options,  # type: ignore[arg-type]
        )
        return {frozenset((r["work_a"], r["work_b"])) for r in table.to_pylist() if r["different"]}

    assert all(
        frozenset(("W_0", "W_1")) not in different(titles=titles, seed=seed) for seed in range(20)
    )
    assert any(frozenset(("W_0", "W_1")) in different(seed=seed) for seed in range(20))
