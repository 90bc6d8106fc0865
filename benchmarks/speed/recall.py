"""Recall, and the least effort that reaches it.

Recall@k is the share of the true nearest k, found by comparing with every vector, that a search
gave. Contenders are compared at equal recall, so each is asked with ever more effort until it
reaches what is wanted: by doubling first, then by halving the interval until its ends are within 3%
of each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contender import Ladder

#: The bisection ends when the efforts on both sides are this near.
_STEP = 1.03


def recall_of(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Say which share of the true neighbours was found.

    Parameters
    ----------
    found, truth : ndarray, shape (n_queries, k), int64
        Rows; -1 for none.
    """
    was_found = (truth[:, :, np.newaxis] == found[:, np.newaxis, :]).any(axis=2)
    return float(was_found.mean())


def least_effort(
    recall: Callable[[dict[str, Any]], float], ladder: Ladder, wanted: float
) -> dict[str, Any] | None:
    """Find the setting of a ladder that just reaches a recall.

    Parameters
    ----------
    recall : callable
        Measures it at a setting; taken to grow with the effort.
    ladder : Ladder
    wanted : float

    Returns
    -------
    dict or None
        The setting; None if even the greatest effort does not reach it.
    """
    low, high = ladder.low, ladder.low
    while recall(ladder.setting(high)) < wanted:
        if high >= ladder.high:
            return None
        low, high = high + 1, min(2 * high, ladder.high)
    while high > low * _STEP and high > low:
        middle = (low + high) // 2
        if recall(ladder.setting(middle)) >= wanted:
            high = middle
        else:
            low = middle + 1
    return ladder.setting(high)
