"""Timing two or more sides in turns, so that a busy moment of the machine hits all of them.

A speed by itself says little: machines differ, and the same one differs from minute to minute. What
can be compared is two sides in one run, each round timing every side once. The order is drawn anew
for each round: a side finds in the caches what the one before it left there, so the same
predecessor every time would favour one of them. The median of the rounds is given, which a few
disturbed ones don't move, and the ratio of two medians is the result.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

#: One side of a comparison; takes the number of the round, so that rounds can ask different things.
Side = Callable[[int], object]

#: The order of the sides in each round is drawn with this seed.
ORDER_SEED = 1


@dataclass(frozen=True)
class Timing:
    """Times of one side.

    Parameters
    ----------
    seconds : tuple of float
        One per round.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the rounds, in seconds."""
        return float(np.median(self.seconds))

    def percentile(self, share: float) -> float:
        """Time that this share (in percent) of the rounds did not exceed, in seconds."""
        return float(np.percentile(self.seconds, share))


def interleaved(sides: Mapping[str, Side], *, rounds: int, warm_up: int = 1) -> dict[str, Timing]:
    """Time every side once per round.

    Parameters
    ----------
    sides : mapping of str to callable
        Called with the number of the round.
    rounds : int
    warm_up : int, default 1
        Calls of each side before the first round, not timed.

    Returns
    -------
    dict of str to Timing
    """
    names = list(sides)
    for number in range(warm_up):
        for name in names:
            sides[name](number)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    order = random.Random(ORDER_SEED)
    for number in range(rounds):
        order.shuffle(names)
        for name in names:
            start = time.perf_counter()
            sides[name](number)
            seconds[name].append(time.perf_counter() - start)
    return {name: Timing(tuple(times)) for name, times in seconds.items()}
