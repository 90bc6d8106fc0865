"""Each closed form of one tied group, against every arrangement of its covers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from coverdex.benchmarks import ties
from coverdex.benchmarks.ties import TieGroups


def one_group(ahead, size, covers, covers_ahead=0):
    """A query with ``covers_ahead`` covers on the first ranks, then the group."""
    rows = [(i, 1, 1) for i in range(covers_ahead)] + [(ahead, size, covers)]
    a, n, r = np.array(rows, dtype=np.int64).T
    return TieGroups(query=np.zeros(len(rows), dtype=np.int64), ahead=a, size=n, covers=r)


def arrangements(ahead, size, covers, covers_ahead=0):
    """Ranks of all covers, for every choice of places in the group."""
    before = list(range(1, covers_ahead + 1))
    for places in itertools.combinations(range(1, size + 1), covers):
        yield before + [ahead + p for p in places]


def ap_of(ranks):
    return np.mean([found / rank for found, rank in enumerate(ranks, start=1)])


GROUPS = [
    (ahead, size, covers, covers_ahead)
    for ahead in (0, 1, 4)
    for size in (1, 2, 3, 7)
    for covers in (1, 2, 3, 7)
    for covers_ahead in (0, 1)
    if covers <= size and covers_ahead <= ahead
]


@pytest.mark.parametrize("group", GROUPS)
def test_closed_forms_are_means_over_arrangements(group):
    groups = one_group(*group)
    ranks = list(arrangements(*group))
    assert ties.average_precision(groups)[0] == pytest.approx(np.mean([ap_of(r) for r in ranks]))
    assert ties.first_rank(groups)[0] == pytest.approx(np.mean([r[0] for r in ranks]))
    assert ties.reciprocal_rank(groups)[0] == pytest.approx(np.mean([1 / r[0] for r in ranks]))
    assert ties.mean_rank(groups)[0] == pytest.approx(np.mean(ranks))
    for k in range(1, 12):
        hits = np.mean([r[0] <= k for r in ranks])
        within = np.mean([sum(rank <= k for rank in r) for r in ranks])
        assert ties.hit_at(groups, k)[0] == pytest.approx(hits)
        assert ties.covers_within(groups, k)[0] == pytest.approx(within)


@pytest.mark.parametrize("group", GROUPS)
def test_best_and_worst_case_are_the_extremes_over_arrangements(group):
    groups = one_group(*group)
    aps = [ap_of(r) for r in arrangements(*group)]
    assert ties.average_precision(ties.broken(groups, best=True))[0] == pytest.approx(max(aps))
    assert ties.average_precision(ties.broken(groups, best=False))[0] == pytest.approx(min(aps))


def test_reciprocal_rank_of_a_large_tie_keeps_its_precision():
    # One cover among 15,000 ties: the mean of 1/k, a harmonic number over 15,000.
    harmonic = sum(1 / k for k in range(1, 15_001))
    assert ties.reciprocal_rank(one_group(0, 15_000, 1))[0] == pytest.approx(
        harmonic / 15_000, rel=1e-12
    )


def test_queries_are_kept_apart():
    groups = TieGroups(
        query=np.array([0, 0, 1]),
        ahead=np.array([0, 2, 5]),
        size=np.array([1, 1, 1]),
        covers=np.array([1, 1, 1]),
    )
    assert groups.covers_ahead.tolist() == [0, 1, 0]
    assert groups.n_covers.tolist() == [2, 1]
    assert ties.average_precision(groups) == pytest.approx([(1 + 2 / 3) / 2, 1 / 6])
