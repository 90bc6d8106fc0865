"""A melody as another singer would sing it.

Singers keep a tune's outline and change the rest: they come in early or late, hold on, leave out
notes in passing, slide in from a neighbour, put in turns, and fall silent while others play. Each
version draws how free it is; notes that are long keep their pitch, for they carry the tune.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .corpus import MELODY, Notes


@dataclass(frozen=True)
class SingingStyle:
    """How free a singer is.

    Parameters
    ----------
    timing : float
        Standard deviation of each onset, in seconds.
    drop : float
        Probability that a short note (below ``short`` seconds) is left out.
    neighbour : float
        Probability that a short note moves by a step of the scale.
    slide : float
        Probability that a note begins with a neighbour, for up to a third of its length.
    hold : float
        Probability that a note lasts until the next one.
    rest : float
        Probability for each stretch of eight seconds to be silent.
    short : float
        Seconds.
    """

    timing: float = 0.0
    drop: float = 0.0
    neighbour: float = 0.0
    slide: float = 0.0
    hold: float = 0.0
    rest: float = 0.0
    short: float = 0.35


def draw_singing_style(rng: np.random.Generator) -> SingingStyle:
    """Draw a singer."""
    free = float(rng.random())
    return SingingStyle(
        timing=0.15 * free * rng.random(),
        drop=0.4 * free * rng.random(),
        neighbour=0.3 * free * rng.random(),
        slide=0.4 * free * rng.random(),
        hold=float(rng.choice([0.0, rng.random()])),
        rest=0.15 * rng.random(),
    )


def vary_singing(notes: Notes, style: SingingStyle, rng: np.random.Generator) -> Notes:
    """Sing the melody of a score anew; other parts are left out.

    Parameters
    ----------
    notes : Notes
    style : SingingStyle
    rng : numpy.random.Generator

    Returns
    -------
    coverdex.encoder.training.corpus.Notes
        Of the part melody alone; may be empty.
    """
    chosen = np.flatnonzero(notes.part == MELODY)
    chosen = chosen[np.argsort(notes.onset[chosen], kind="stable")]
    n = chosen.size
    onset, duration = notes.onset[chosen].copy(), notes.duration[chosen].copy()
    pitch, loudness = notes.pitch[chosen].copy(), notes.loudness[chosen].copy()
    if n == 0:
        return _melody(onset, duration, pitch, loudness)
    short = duration < style.short
    kept = ~(short & (rng.random(n) < style.drop))
    silent = rng.random(int(onset.max() / 8.0) + 1) < style.rest
    kept &= ~silent[(onset / 8.0).astype(np.int64)]
    scale = scale_of(pitch, duration)
    up = rng.random(n) < 0.5
    moved = short & (rng.random(n) < style.neighbour)
    pitch[moved] = step_in_scale(pitch[moved], up[moved], scale)
    gap = np.diff(onset, append=onset[-1] + duration[-1])
    held = rng.random(n) < style.hold
    duration = np.where(held & (gap < 4.0), np.maximum(duration, gap), duration)
    onset = np.maximum(onset + style.timing * rng.standard_normal(n), 0.0)
    slid = kept & (rng.random(n) < style.slide)
    first = duration * rng.uniform(0.1, 0.33, n)
    grace = step_in_scale(pitch, ~up, scale)
    return _melody(
        np.concatenate([np.where(slid, onset + first, onset)[kept], onset[slid]]),
        np.concatenate([np.where(slid, duration - first, duration)[kept], first[slid]]),
        np.concatenate([pitch[kept], grace[slid]]),
        np.concatenate([loudness[kept], loudness[slid]]),
    )


def scale_of(pitch: NDArray[np.int64], duration: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Give the seven pitch classes that sound longest.

    Returns
    -------
    ndarray, shape (12,), bool
        C = 0.
    """
    time = np.bincount(pitch % 12, duration, 12)
    scale = np.zeros(12, dtype=np.bool_)
    scale[np.argsort(-time, kind="stable")[:7]] = True
    return scale


def step_in_scale(
    pitch: NDArray[np.int64], up: NDArray[np.bool_], scale: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Move pitches to the next tone of a scale, up or down."""
    sign = np.where(up, 1, -1)
    moved = pitch + sign
    for _ in range(11):
        moved = np.where(scale[moved % 12], moved, moved + sign)
    return moved


def _melody(
    onset: NDArray[np.float64],
    duration: NDArray[np.float64],
    pitch: NDArray[np.int64],
    loudness: NDArray[np.float64],
) -> Notes:
    return Notes(onset, duration, pitch, loudness, np.full(onset.size, MELODY, dtype=np.int64))
