"""Learning rate schedules: the factor on the peak learning rate at each step.

``one-cycle`` (Smith and Topin 2019, "Super-convergence") rises from a 25th of the peak to the peak
during the warm-up and falls along a cosine to almost nothing; ``cosine`` is the same with a linear
warm-up from 0; ``constant`` warms up and stays. A schedule is a function of the step, so resuming
needs no state of it.
"""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["one-cycle", "cosine", "constant"]

#: One-cycle begins at this share of the peak and ends at LAST.
FIRST = 1 / 25
LAST = 1e-4


def learning_rate_factor(schedule: Schedule, step: int, n_steps: int, warm_up: float) -> float:
    """Give the factor on the peak learning rate.

    Parameters
    ----------
    schedule : {"one-cycle", "cosine", "constant"}
        See the module's text.
    step : int
        From 0 to ``n_steps - 1``.
    n_steps : int
        Length of the run.
    warm_up : float
        Share of the run in which the rate rises, 0 to below 1.

    Returns
    -------
    float
        0 to 1; exactly 1 at the end of the warm-up.
    """
    n_rising = round(warm_up * n_steps)
    if step < n_rising:
        risen = (step + 1) / n_rising
        if schedule == "one-cycle":
            return FIRST + (1 - FIRST) * (1 - math.cos(math.pi * risen)) / 2
        return risen
    if schedule == "constant":
        return 1.0
    fallen = (step - n_rising) / max(1, n_steps - 1 - n_rising)
    return LAST + (1 - LAST) * (1 + math.cos(math.pi * fallen)) / 2
