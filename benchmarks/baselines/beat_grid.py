"""Beats estimated from chroma: a grid of frames that follows the tempo of the performance.

2DFTM wants one frame of chroma per beat, because a cover may be faster. Catalogues of chroma carry
neither beats nor audio, but a change of chroma is audible as well: this is the beat tracker of
Ellis (2007, "Beat tracking by dynamic programming") with the rise of chroma in place of the rise of
the mel spectrum.

1. *Novelty*: how much the pitch classes gain within about 50 ms, less the mean over a second.
2. *Period*: the lag at which the novelty correlates best with itself, weighted by a bell over the
   logarithm of the lag: centred at half a second (120 beats per minute), one octave wide.
3. *Beats*: the sequence of times that collects the most novelty while neighbours keep about one
   period apart, found by dynamic programming. A gap of t costs ``100 log(t / period)^2``.

A tracker may settle on half or double the tempo; then two covers get grids of different rates. On
percussive music chroma says less about beats than audio does. Both are limits of the data here.

Shapes: novelty ``(n,)``; grids ``(n_segments + 1,)`` as in
:mod:`~coverdex.benchmarks.baselines.frame_grid`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...encoder.chroma import DATACOS_FRAME_RATE, Chroma
from .frame_grid import aggregate, fixed_grid

#: Frames per second at which novelty is measured at most, in Hz: those of Da-TACOS.
NOVELTY_RATE = DATACOS_FRAME_RATE
#: Chroma slower than this, in Hz, cannot show beats; it gets a fixed grid.
SLOWEST_FRAME_RATE = 10.0
#: Segments per second of the grid where there is no beat to follow, in Hz (120 a minute).
FALLBACK_RATE = 2.0

_USUAL_PERIOD = 0.5  # seconds
_PERIOD_OCTAVES = 1.0
_LONGEST_PERIOD = 4.0  # seconds
_RISE = 0.05  # seconds within which a note comes up
_TIGHTNESS = 100.0


def beat_grid(chroma: Chroma) -> NDArray[np.intp]:
    """Return the frames of ``chroma`` at which beats fall.

    Parameters
    ----------
    chroma : Chroma
        A performance.

    Returns
    -------
    ndarray, shape (n_beats,), intp
        Strictly increasing frame numbers, at least two. What lies before the first beat and after
        the last is left out. A fixed grid of 2 Hz where the chroma has fewer than 10 frames per
        second, does not change at all, or has fewer than two beats.
    """
    rate = min(NOVELTY_RATE, chroma.frame_rate)
    frames = fixed_grid(chroma.n_frames, chroma.frame_rate, rate)
    if chroma.frame_rate >= SLOWEST_FRAME_RATE:
        novelty = chroma_novelty(aggregate(chroma.values, frames), rate)
        if novelty.any():
            beats = frames[track_beats(novelty, beat_period(novelty, rate))]
            if len(beats) >= 2:
                return beats
    return fixed_grid(chroma.n_frames, chroma.frame_rate, FALLBACK_RATE)


def chroma_novelty(values: NDArray[np.float32], rate: float) -> NDArray[np.float64]:
    """Return how much the pitch classes gain at each frame.

    Parameters
    ----------
    values : ndarray, shape (n, 12), float32
        Chroma, its loudest pitch class about 1.
    rate : float
        Frames per second, in Hz.

    Returns
    -------
    ndarray, shape (n,), float64
        Mean about zero and unit standard deviation; all zero where nothing changes.
    """
    loudness = np.log1p(10.0 * values.astype(np.float64))
    back = max(1, round(_RISE * rate))
    rise = np.zeros(len(values))
    rise[back:] = np.maximum(loudness[back:] - loudness[:-back], 0).sum(axis=1)
    rise -= _smoothed(rise, np.hanning(int(rate) | 1))
    spread = rise.std()
    return rise / spread if spread > 1e-9 else np.zeros_like(rise)


def beat_period(novelty: NDArray[np.float64], rate: float) -> int:
    """Return the beat period in frames, at least 2.

    Parameters
    ----------
    novelty : ndarray, shape (n,), float64
        From :func:`chroma_novelty`.
    rate : float
        Frames per second, in Hz.
    """
    n_lags = max(4, int(_LONGEST_PERIOD * rate))
    spectrum = np.fft.rfft(novelty, len(novelty) + n_lags)  # padded: no lag wraps around
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, len(novelty) + n_lags)
    lags = np.arange(2, n_lags)
    octaves = np.log2(lags / (_USUAL_PERIOD * rate)) / _PERIOD_OCTAVES
    return int(lags[np.argmax(correlation[2:n_lags] * np.exp(-0.5 * octaves**2))])


def track_beats(novelty: NDArray[np.float64], period: int) -> NDArray[np.intp]:
    """Return the best sequence of beats.

    Parameters
    ----------
    novelty : ndarray, shape (n,), float64
        From :func:`chroma_novelty`.
    period : int
        Expected frames between two beats, at least 2.

    Returns
    -------
    ndarray, shape (n_beats,), intp
        Increasing positions in ``novelty``; neighbours half to two periods apart.
    """
    width = np.exp(-0.5 * (np.arange(-period, period + 1) * 32.0 / period) ** 2)
    local = np.convolve(novelty, width, mode="same")[: len(novelty)]
    gaps = np.arange(max(1, round(period / 2)), 2 * period + 1)
    costs = _TIGHTNESS * np.log(gaps / period) ** 2
    before = gaps[-1]  # room for gaps that reach behind the first frame
    score = np.concatenate([np.zeros(before), local])
    previous = np.full(len(score), -1, dtype=np.intp)
    # No gap is shorter than half a period, so that many frames depend on earlier ones alone.
    for start in range(before, len(score), gaps[0]):
        frames = np.arange(start, min(start + gaps[0], len(score)))
        reached = score[frames[:, None] - gaps] - costs
        best = np.argmax(reached, axis=1)
        gain = reached[np.arange(len(frames)), best]
        source = frames - gaps[best]
        linked = (gain > 0) & (source >= before)
        score[frames[linked]] += gain[linked]
        previous[frames[linked]] = source[linked]
    last = max(before, len(score) - 2 * period)
    beat = last + int(np.argmax(score[last:]))
    beats = []
    while beat >= 0:
        beats.append(beat - before)
        beat = int(previous[beat])
    return np.array(beats[::-1], dtype=np.intp)


def _smoothed(values: NDArray[np.float64], window: NDArray[Any]) -> NDArray[np.float64]:
    """Return the running mean under a window; at the borders, of what there is."""
    weight = np.convolve(np.ones_like(values), window, mode="full")
    total = np.convolve(values, window, mode="full")
    start = (len(window) - 1) // 2
    inside = slice(start, start + len(values))
    return np.asarray(total[inside] / weight[inside])
