"""What other codes would print, against hand-worked values and loops over ranked lists."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from coverdex.benchmarks import evaluate
from coverdex.benchmarks.published_codes import (
    as_acoss,
    as_coverhunter,
    as_move,
    average_precision_of_found,
)
from coverdex.benchmarks.ties import TieGroups


def test_move_gives_performances_without_cover_rank_1(six, six_works):
    figures = as_move(evaluate(six, six_works))
    assert figures["MR"] == pytest.approx((1 + 1 + 3 + 4 + 2 + 1) / 6) == pytest.approx(2.0)
    assert figures["MRR"] == pytest.approx(0.681, abs=5e-4)
    assert figures["mAP"] == pytest.approx(0.533333, abs=5e-7)
    assert figures["Top1"] == 2
    assert figures["Top10"] == 8


def test_acoss_divides_mrr_by_all_performances(six, six_works):
    figures = as_acoss(evaluate(six, six_works))
    assert figures["MRR"] == pytest.approx(0.514, abs=5e-4)
    assert figures["MR"] == pytest.approx(2.2)
    assert figures["MDR"] == 2
    assert figures["MAP"] == pytest.approx(0.533333, abs=5e-7)
    assert [figures[f"Top-{k}"] for k in (1, 10)] == [2, 5]


def test_coverhunter_averages_over_all_its_queries(six, six_works):
    figures = as_coverhunter(evaluate(six, six_works))
    assert figures["mean_ap"] == pytest.approx(0.533333 * 5 / 6, abs=5e-7)
    assert figures["mean_ap (queries with covers)"] == pytest.approx(0.533333, abs=5e-7)
    assert figures["rank1"] == pytest.approx(11 / 6)
    assert figures["hit_rate"] == pytest.approx(2 / 6)
    assert figures["top10 (queries with covers)"] == pytest.approx(8 / 50)


def test_coverhunter_divides_by_the_covers_found_before_the_cut(six, six_works):
    # Ranks of the covers: a1 1, 4; a2 1, 4; a3 3, 4; b1 4; b2 2. Only those up to 3 are seen.
    figures = as_coverhunter(evaluate(six, six_works), cut=3)
    assert figures["mean_ap (queries with covers)"] == pytest.approx(
        (1 + 1 + 1 / 3 + 0 + 1 / 2) / 5
    )
    assert figures["rank1 (queries with covers)"] == pytest.approx(2.2)


@pytest.mark.parametrize("cut", [1, 3, 4, 6, 9])
@pytest.mark.parametrize(("size", "covers"), [(1, 1), (4, 1), (5, 3), (4, 4)])
def test_a_tie_across_the_cut_is_the_mean_over_every_order(size, covers, cut):
    # One cover at rank 2, then a tie from rank 4 on.
    groups = TieGroups(
        *(np.array(x, dtype=np.int64) for x in ([0, 0], [1, 3], [1, size], [1, covers]))
    )
    results = []
    for places in itertools.combinations(range(4, 4 + size), covers):
        found = [rank for rank in (2, *places) if rank <= cut]
        precisions = [at / rank for at, rank in enumerate(found, start=1)]
        results.append(np.mean(precisions) if found else 0.0)
    assert average_precision_of_found(groups, cut)[0] == pytest.approx(np.mean(results))


def test_a_long_tie_across_the_cut_is_the_sum_over_its_places():
    # A run that lists 1,000 of 15,000 candidates, two of three covers among the others.
    ahead, size, covers, cut = 1000, 13_999, 2, 10_000
    groups = TieGroups(
        *(np.array(x, dtype=np.int64) for x in ([0, 0], [4, ahead], [1, size], [1, covers]))
    )
    places = cut - ahead
    expected = 0.0
    for inside in range(covers + 1):
        outside = covers - inside
        chance = math.comb(places, inside) * math.comb(size - places, outside)
        between = max(inside - 1, 0) / (places - 1)  # covers expected at each place before one
        precisions = ((2 + i * between) / (ahead + 1 + i) for i in range(places))
        found = 1 / 5 + inside / places * sum(precisions)
        expected += chance / math.comb(size, covers) * found / (1 + inside)
    assert average_precision_of_found(groups, cut)[0] == pytest.approx(expected, rel=1e-12)


def test_nothing_to_find_gives_none(six_works):
    nothing = evaluate(np.eye(2), ["a", "b"])
    assert as_acoss(nothing)["MAP"] is None
    assert as_move(nothing)["MR"] == 1
    assert as_coverhunter(nothing)["mean_ap"] == 0
