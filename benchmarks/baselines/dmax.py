"""Dmax: Qmax whose gaps also earn what they match, and that may skip further.

Chen, Li and Xiao (2017, "Fusing similarity functions for cover song identification", Multimedia
Tools and Applications) change the recursion of Qmax (:mod:`~coverdex.benchmarks.baselines.qmax`) in
two ways: a step may go up to three states in one performance for one in the other, and the states
that it passes over count where they recur::

    R[i, j] = 1:  D[i, j] = 1 + max(D[i-1, j-1],
                                    D[i-2, j-1] + R[i-1, j],
                                    D[i-1, j-2] + R[i, j-1],
                                    D[i-3, j-1] + R[i-2, j] + R[i-1, j],
                                    D[i-1, j-3] + R[i, j-2] + R[i, j-1])

    R[i, j] = 0:  the same five, each less the cost g(R) of the cell that it comes from, and 0

D = 0 in the first three rows and columns; Dmax is the largest D, and is normalised like Qmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .aligner import CrossRecurrenceAligner


def dmax_paths(
    recurrence: NDArray[Any], *, onset: float = 0.5, extension: float = 0.5
) -> NDArray[np.float32]:
    """Return D, the score of the best path that ends in each cell.

    Parameters
    ----------
    recurrence : ndarray, shape (n, m), bool or 0/1
        Cross recurrence plot.
    onset, extension : float
        What it costs to begin and to prolong a disruption, in states.

    Returns
    -------
    ndarray, shape (n, m), float32
        Zero or more; its maximum is Dmax.
    """
    near = np.asarray(recurrence, dtype=np.float32)
    paths = np.zeros(near.shape, dtype=np.float32)
    paid = np.where(near > 0, np.float32(-onset), np.float32(-extension))  # D less its cost
    for i in range(3, len(near)):
        passed_one = near[i - 1, 3:]
        passed_two = near[i - 2, 3:] + passed_one
        beside_one = near[i, 2:-1]
        beside_two = near[i, 1:-2] + beside_one

        def best(rows: NDArray[np.float32], at: int, steps: tuple[Any, ...]) -> Any:
            one, two, three = rows[at - 1], rows[at - 2], rows[at - 3]
            down_one, down_two, right_one, right_two = steps
            return np.max(
                (
                    one[2:-1],
                    two[2:-1] + down_one,
                    one[1:-2] + right_one,
                    three[2:-1] + down_two,
                    one[:-3] + right_two,
                ),
                axis=0,
            )

        steps = (passed_one, passed_two, beside_one, beside_two)
        matched = best(paths, i, steps) + np.float32(1)
        disrupted = np.maximum(best(paid, i, steps), 0)
        paths[i, 3:] = np.where(near[i, 3:] > 0, matched, disrupted)
        paid[i, 3:] += paths[i, 3:]
    return paths


@dataclass(frozen=True, kw_only=True)
class Dmax(CrossRecurrenceAligner):
    """Dmax with optimal transposition, for all pairs of a catalogue.

    Parameters
    ----------
    See :class:`~coverdex.benchmarks.baselines.aligner.CrossRecurrenceAligner`.
    """

    name: ClassVar[str] = "Dmax"
    long_gaps: ClassVar[bool] = True

    def paths(self, recurrence: NDArray[Any]) -> NDArray[np.float32]:
        """Return D of a recurrence plot (n, m), float32."""
        return dmax_paths(recurrence, onset=self.onset, extension=self.extension)
