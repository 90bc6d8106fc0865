"""What a reader of a table of results must know beside it: rankings that are not whole rankings.

A run file that is cut off, and a system that gives many candidates the same similarity, have not
ranked everything. Their figures are expectations over the orders that are left open.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..rankings import listed_in_words
from .run import Outcome


def cautions(outcomes: Sequence[Outcome]) -> list[str]:
    """Give one sentence for each system that leaves its ranking open so far that it shows."""
    found = []
    for outcome in outcomes:
        if outcome.share_listed < 1:
            found.append(
                f"{outcome.name} lists "
                f"{listed_in_words(outcome.share_listed, outcome.queries_left_out)}; the others "
                "are tied behind them, so its figures are estimates"
            )
        evaluation = outcome.evaluation
        best, worst = (f"{evaluation.with_ties_broken(best=b).map:.3f}" for b in (True, False))
        if best != worst:
            found.append(
                f"{outcome.name} ties covers with others for {evaluation.n_tied:,} of "
                f"{evaluation.counts.n_queries:,} queries: MAP {worst} to {best}"
            )
    return found
