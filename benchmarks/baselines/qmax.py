"""Qmax: the longest passage that two performances share, gaps and tempo changes allowed.

Serrà, Serra and Andrzejak (2009, "Cross recurrence quantification for cover song identification",
New Journal of Physics 11) read the cross recurrence plot R
(:mod:`~coverdex.benchmarks.baselines.cross_recurrence`) with a local alignment. Q[i, j] is the
length of the best path that ends in (i, j); a step may go one state on in both (tempo alike), or
one in the one and two in the other (up to twice as fast or as slow)::

    R[i, j] = 1:  Q[i, j] = 1 + max(Q[i-1, j-1], Q[i-2, j-1], Q[i-1, j-2])
    R[i, j] = 0:  Q[i, j] = max(0, Q[i-1, j-1] - g(R[i-1, j-1]),
                                   Q[i-2, j-1] - g(R[i-2, j-1]),
                                   Q[i-1, j-2] - g(R[i-1, j-2]))

with g(1) the cost of beginning a disruption (``onset``), g(0) of prolonging it (``extension``), and
Q = 0 in the first two rows and columns. Qmax is the largest Q. The paper turns it into the distance
``sqrt(n_candidate_states) / Qmax``; Coverdex takes the reciprocal, so that larger is closer. It
depends on which of the two is the candidate, so the similarity matrix is not symmetric.

Defaults are those of essentia and acoss: m = 9, tau = 1, kappa = .095, both costs .5. The paper
itself found its optimum at an onset of 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .aligner import CrossRecurrenceAligner


def qmax_paths(
    recurrence: NDArray[Any], *, onset: float = 0.5, extension: float = 0.5
) -> NDArray[np.float32]:
    """Return Q, the length of the best path that ends in each cell.

    Parameters
    ----------
    recurrence : ndarray, shape (n, m), bool or 0/1
        Cross recurrence plot.
    onset, extension : float
        What it costs to begin and to prolong a disruption, in states.

    Returns
    -------
    ndarray, shape (n, m), float32
        Zero or more; its maximum is Qmax.
    """
    near = np.asarray(recurrence, dtype=bool)
    paths = np.zeros(near.shape, dtype=np.float32)
    cost = np.where(near, np.float32(onset), np.float32(extension))
    for i in range(2, len(near)):
        one, two = paths[i - 1], paths[i - 2]
        grown = np.maximum(np.maximum(one[1:-1], two[1:-1]), one[:-2]) + np.float32(1)
        paid_one, paid_two = one - cost[i - 1], two - cost[i - 2]
        disrupted = np.maximum(np.maximum(paid_one[1:-1], paid_two[1:-1]), paid_one[:-2])
        paths[i, 2:] = np.where(near[i, 2:], grown, np.maximum(disrupted, 0))
    return paths


@dataclass(frozen=True, kw_only=True)
class Qmax(CrossRecurrenceAligner):
    """Qmax with optimal transposition, for all pairs of a catalogue.

    Parameters
    ----------
    See :class:`~coverdex.benchmarks.baselines.aligner.CrossRecurrenceAligner`.
    """

    name: ClassVar[str] = "Qmax"
    long_gaps: ClassVar[bool] = False

    def paths(self, recurrence: NDArray[Any]) -> NDArray[np.float32]:
        """Return Q of a recurrence plot (n, m), float32."""
        return qmax_paths(recurrence, onset=self.onset, extension=self.extension)
