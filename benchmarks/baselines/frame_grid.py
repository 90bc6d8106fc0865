"""Frame grids: chroma at a few frames per second, as the alignment methods take it.

Da-TACOS has 86 frames of chroma per second; the methods of the literature want a few per second:
2DFTM one per beat, SiMPle two, Qmax two to ten. A *grid* is a list of frame numbers at which
segments begin; every segment becomes one frame, the mean or the median of its frames per pitch
class. The median drops what sounds in less than half of the segment (drum hits, passing notes).

Catalogues of chroma carry no beats. A grid of fixed rate needs none, and
:mod:`~coverdex.benchmarks.baselines.beat_grid` estimates beats from the chroma itself.

Shapes: values ``(n_frames, 12)`` float32; a grid ``(n_segments + 1,)`` of increasing frame numbers,
the first and the last being the borders of the first and the last segment.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...encoder.chroma import Chroma

Aggregation = Literal["mean", "median"]


def fixed_grid(n_frames: int, frame_rate: float, rate: float) -> NDArray[np.intp]:
    """Return the grid with ``rate`` segments per second.

    Parameters
    ----------
    n_frames : int
        Frames of the chroma, one or more.
    frame_rate : float
        Frames per second of the chroma, in Hz.
    rate : float
        Segments per second, in Hz. A rate above ``frame_rate`` keeps every frame as it is.

    Returns
    -------
    ndarray, shape (n_segments + 1,), intp
        Borders; a last segment of less than half the length is left out unless it is the only one.
    """
    frames_per_segment = max(1.0, frame_rate / rate)
    n_segments = max(1, round(n_frames / frames_per_segment))
    borders = np.round(np.arange(n_segments + 1) * frames_per_segment).astype(np.intp)
    return np.minimum(borders, n_frames)


def aggregate(
    values: NDArray[np.float32], grid: NDArray[np.intp], how: Aggregation = "mean"
) -> NDArray[np.float32]:
    """Return one frame for each segment of the grid.

    Parameters
    ----------
    values : ndarray, shape (n_frames, 12), float32
        Chroma.
    grid : ndarray, shape (n_segments + 1,), intp
        Strictly increasing borders within ``0 .. n_frames``.
    how : {"mean", "median"}
        What a segment becomes.

    Returns
    -------
    ndarray, shape (n_segments, 12), float32
        Chroma on the grid.
    """
    starts, lengths = grid[:-1], np.diff(grid)
    if how == "mean":
        sums = np.add.reduceat(values[: grid[-1]], starts, axis=0, dtype=np.float64)
        return (sums / lengths[:, None]).astype(np.float32)
    result = np.empty((len(starts), values.shape[1]), dtype=np.float32)
    for length in np.unique(lengths):  # segments of one length are one block of numpy's median
        of_length = np.flatnonzero(lengths == length)
        block = values[starts[of_length, None] + np.arange(length)]
        result[of_length] = np.median(block, axis=1)
    return result


def at_rate(chroma: Chroma, rate: float, how: Aggregation = "mean") -> NDArray[np.float32]:
    """Return the values of ``chroma`` at about ``rate`` frames per second, (n_segments, 12)."""
    grid = fixed_grid(chroma.n_frames, chroma.frame_rate, rate)
    return aggregate(chroma.values, grid, how)


def at_least(values: NDArray[np.float32], n_frames: int) -> NDArray[np.float32]:
    """Repeat the last frame until there are ``n_frames``, for tracks too short for one window."""
    missing = n_frames - len(values)
    if missing <= 0:
        return values
    return np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
