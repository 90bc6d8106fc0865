"""What other public evaluation codes would have printed for the same ranking.

Papers quote numbers that were computed by different rules under the same names. To compare with
such a number, take it from here; to say how good a system is, use
:class:`~coverdex.benchmarks.evaluation.Evaluation`. Read from the public sources of

``move`` (MOVE, Yesiler et al. 2020; Re-MOVE's is the same)
    MAP as ours. Its mean rank and MRR run over *all* performances, and one without a cover counts
    as if its first cover were at rank 1. ``Top1`` and ``Top10`` are counts of covers, not shares.
``acoss`` (Yesiler et al. 2019, the code of the Da-TACOS paper)
    MAP and mean rank as ours. MRR sums over the queries but divides by the number of all
    performances. Adds the median rank and counts of queries with a cover among the first k.
``coverhunter`` (CoverHunter, Liu et al. 2023)
    Looks at the first 10,000 candidates and divides AP by the covers found there, not by those that
    exist. Means run over the list of queries that it is given: if that is the whole catalogue, a
    performance without a cover counts with AP 0 and rank 0. ``top10`` is precision at 10,
    ``hit_rate`` is hits@1. Both readings of the query list are given.

All three put candidates of equal similarity in the order that their sort leaves them in. Here ties
count with their expectation under random order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import ties
from .ties import TieGroups

if TYPE_CHECKING:
    from .evaluation import Evaluation

#: Candidates that CoverHunter looks at.
COVERHUNTER_CUT = 10_000

Figures = dict[str, float | None]


def as_move(evaluation: Evaluation) -> Figures:
    """Return ``mAP``, ``MRR``, ``MR``, ``Top1`` and ``Top10`` as MOVE's code computes them."""
    n, n_noise = evaluation.counts.n_performances, evaluation.counts.n_noise
    return _printable(
        {
            "mAP": evaluation.map,
            "MRR": _ratio(evaluation.reciprocal_rank.sum() + n_noise, n),
            "MR": _ratio(evaluation.first_rank.sum() + n_noise, n),
            "Top1": float(evaluation.hit_at(1).sum()),
            "Top10": float(evaluation.covers_within(10).sum()),
        }
    )


def as_acoss(evaluation: Evaluation) -> Figures:
    """Return ``MR``, ``MRR``, ``MDR``, ``MAP`` and ``Top-k`` as acoss computes them."""
    ranks = evaluation.first_rank
    figures = {
        "MR": evaluation.mr1,
        "MRR": _ratio(evaluation.reciprocal_rank.sum(), evaluation.counts.n_performances),
        "MDR": float(np.median(ranks)) if ranks.size else math.nan,
        "MAP": evaluation.map,
    }
    for k in (1, 10, 100, 1000):
        figures[f"Top-{k}"] = float(evaluation.hit_at(k).sum())
    return _printable(figures)


def as_coverhunter(evaluation: Evaluation, *, cut: int = COVERHUNTER_CUT) -> Figures:
    """Return ``mean_ap``, ``rank1``, ``hit_rate`` and ``top10`` as CoverHunter computes them.

    Once with all performances as its query list and once (``... (queries with covers)``) with only
    those that have covers.
    """
    totals = {
        "mean_ap": average_precision_of_found(evaluation.groups, cut).sum(),
        "rank1": evaluation.first_rank.sum(),
        "hit_rate": evaluation.hit_at(1).sum(),
        "top10": evaluation.covers_within(10).sum() / 10,
    }
    n, n_queries = evaluation.counts.n_performances, evaluation.counts.n_queries
    figures = {name: _ratio(total, n) for name, total in totals.items()}
    for name, total in totals.items():
        figures[f"{name} (queries with covers)"] = _ratio(total, n_queries)
    return _printable(figures)


#: The codes by the name that the command line gives them.
PUBLISHED_CODES: dict[str, Callable[[Evaluation], Figures]] = {
    "move": as_move,
    "acoss": as_acoss,
    "coverhunter": as_coverhunter,
}


def average_precision_of_found(groups: TieGroups, cut: int) -> NDArray[np.float64]:
    """Mean of the precision at the covers among the first ``cut``, shape (n_queries,).

    Divided by the covers found there; 0 where there is none. In expectation over ties, exactly:
    of a tied group that the cut goes through, h of its r covers are inside with the hypergeometric
    probability, and given h they are spread evenly over the places inside.
    """
    whole = groups.ahead + groups.size <= cut
    crossing = (groups.ahead < cut) & ~whole
    precision = ties.precision_at_covers(groups)
    inside = np.asarray(groups.summed(np.where(whole, precision, 0.0)), np.float64)
    found = np.asarray(groups.summed(np.where(whole, groups.covers, 0)), np.float64)
    result = np.divide(inside, found, out=np.zeros_like(inside), where=found > 0)
    for at in np.flatnonzero(crossing):
        query = groups.query[at]
        result[query] = _over_crossing_group(groups, int(at), cut, inside[query], int(found[query]))
    return result


def _over_crossing_group(groups: TieGroups, at: int, cut: int, inside: float, found: int) -> float:
    a, n, r = (int(x[at]) for x in (groups.ahead, groups.size, groups.covers))
    places = cut - a
    # As in :mod:`.ties`, of the places inside: in closed form, since a run that is cut off leaves
    # thousands of them for each query.
    harmonic = float((1.0 / np.arange(a + 1, cut + 1)).sum())
    ways = math.comb(n, r)
    expected = 0.0
    for h in range(max(0, r - (n - places)), min(r, places) + 1):
        chance = math.comb(places, h) * math.comb(n - places, r - h) / ways
        if found + h:
            share = (h - 1) / (places - 1) if places > 1 and h > 0 else 0.0
            ahead_of = share * places + (found + 1 - share * (a + 1)) * harmonic
            expected += chance * (inside + h / places * ahead_of) / (found + h)
    return expected


def _ratio(total: float, n: int) -> float:
    return float(total) / n if n else math.nan


def _printable(figures: dict[str, float]) -> Figures:
    return {name: None if math.isnan(value) else value for name, value in figures.items()}
