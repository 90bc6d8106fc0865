"""Groups of frames averaged: the demo catalogue has a quarter of Da-TACOS's frames.

Encoders average to some four frames per second themselves, and the catalogue comes with every
installation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def averaged(chroma: NDArray[np.float32], group: int) -> NDArray[np.float32]:
    """Average groups of frames; frames left over at the end are dropped.

    Parameters
    ----------
    chroma : ndarray, shape (n_frames, 12)
    group : int
        Frames to average.

    Returns
    -------
    ndarray of float32, shape (n_frames // group, 12)
    """
    n = len(chroma) // group
    means: NDArray[np.float32] = chroma[: n * group].reshape(n, group, 12).mean(axis=1)
    return means
