"""Optimal transposition index: into which key to move one performance to meet another.

Covers are often in another key. Serrà, Gómez and Herrera (2008, "Transposing chroma representations
to a common key") average the chroma of each performance over time into one *global profile* of 12
values, and choose the circular shift under which the two profiles correlate best::

    oti(q, c) = argmax_k  sum_p q[p] * c[(p - k) mod 12]

Rolling the candidate's chroma by ``k`` bins along pitch then brings it into the query's key. The
first choice is wrong now and then; the same authors propose to try the two best.

Conventions: profiles are ``(12,)``; shifts are semitones upwards, 0 to 11, applied to the
candidate; ties go to the smaller shift.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...encoder.chroma import N_PITCH_CLASSES

#: ``_ROLLED[k, p]`` is the bin of the candidate that lands on bin p when it is moved up by k.
_ROLLED = (np.arange(N_PITCH_CLASSES) - np.arange(N_PITCH_CLASSES)[:, None]) % N_PITCH_CLASSES


def global_profile(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of each pitch class over time.

    Parameters
    ----------
    values : ndarray, shape (n_frames, 12)
        Chroma.

    Returns
    -------
    ndarray, shape (12,), float64
        The profile, with its largest value at 1 (all zeros for silence).
    """
    profile = np.asarray(values, dtype=np.float64).mean(axis=0)
    peak = profile.max()
    return np.asarray(profile / peak if peak > 0 else profile)


def best_transpositions(
    query: NDArray[np.float64], candidates: NDArray[np.float64], count: int = 1
) -> NDArray[np.intp]:
    """Return the shifts that bring candidates nearest to the key of a query, best first.

    Parameters
    ----------
    query : ndarray, shape (12,)
        Global profile of the query.
    candidates : ndarray, shape (n_candidates, 12)
        Global profiles of the candidates.
    count : int, default 1
        How many shifts to return for each candidate, 1 to 12.

    Returns
    -------
    ndarray, shape (n_candidates, count), intp
        Semitones by which to roll each candidate's chroma upwards.
    """
    correlations = candidates[:, _ROLLED] @ query
    return np.argsort(-correlations, axis=1, kind="stable")[:, :count]
