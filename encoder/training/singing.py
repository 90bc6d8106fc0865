"""How a voice bends its notes: glides into them, vibrato, intonation.

A sampler strikes every note where the score has it. A singer slides into it from below or from the
note before, sings it a little high or low, and lets it waver once it has lasted: in trained voices
five to seven times a second, by a quarter of a semitone to a whole one to either side (Sundberg
1987, "The Science of the Singing Voice"); what is drawn here goes from hardly any to .6. In chroma
this smears a melody over neighbouring pitch classes, and recordings of songs have it throughout.
Here the bend of a melody is a curve in semitones over time, which the pitch wheel of a synthesiser
plays (:mod:`.rendering`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Milliseconds between two values of the curve.
STEP = 20
#: Notes that begin within so many milliseconds after the last one ended are sung in one breath.
_BREATH = 80.0
#: Vibrato begins so many milliseconds into a note and takes as long again to reach its depth.
_STEADY = 250.0
#: The curve stays within so many semitones.
FARTHEST = 1.9


@dataclass(frozen=True)
class SingingStyle:
    """How one singer bends notes.

    Parameters
    ----------
    glide : float
        Milliseconds from the beginning of a note until it is reached.
    scoop : float
        Semitones below a note at which it is begun after a breath.
    scooped : float
        Share of these notes that are.
    vibrato_rate : float
        In Hz.
    vibrato_depth : float
        In semitones, to either side.
    intonation : float
        Standard deviation in semitones of how high or low a note is sung.
    """

    glide: float
    scoop: float
    scooped: float
    vibrato_rate: float
    vibrato_depth: float
    intonation: float


def draw_singing_voice(rng: np.random.Generator) -> SingingStyle:
    """Draw a singer."""
    return SingingStyle(
        glide=float(rng.uniform(40, 160)),
        scoop=float(rng.uniform(0.2, 1.5)),
        scooped=float(rng.uniform(0.2, 0.8)),
        vibrato_rate=float(rng.uniform(4.8, 7.0)),
        vibrato_depth=float(rng.uniform(0.05, 0.6)),
        intonation=float(rng.uniform(0.02, 0.15)),
    )


def bend_of_voice(
    start: NDArray[np.float64],
    stop: NDArray[np.float64],
    pitch: NDArray[np.int64],
    style: SingingStyle,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give the curve along which a voice sings some notes.

    Parameters
    ----------
    start, stop : ndarray, shape (n_notes,), float64
        Milliseconds, in order of the start; of notes that overlap the last one begun counts.
    pitch : ndarray, shape (n_notes,), int64
        MIDI note numbers.
    style : SingingStyle
    rng : numpy.random.Generator

    Returns
    -------
    at : ndarray, shape (n_values,), int64
        Milliseconds, never falling, :data:`STEP` apart within each note; equal where notes begin
        at once.
    bend : ndarray, shape (n_values,), float64
        Semitones, at most :data:`FARTHEST` to either side.
    """
    times: list[NDArray[np.int64]] = []
    bends: list[NDArray[np.float64]] = []
    for i in range(start.size):
        end = min(stop[i], start[i + 1]) if i + 1 < start.size else stop[i]
        since = np.arange(0, max(end - start[i], 1.0), STEP)
        together = i > 0 and start[i] - stop[i - 1] < _BREATH
        if together:
            begun = float(pitch[i - 1] - pitch[i])
        else:
            begun = -style.scoop if rng.random() < style.scooped else 0.0
        begun = float(np.clip(begun, -1.5, 1.5))
        missing = begun * np.clip(1 - since / style.glide, 0, 1)
        depth = style.vibrato_depth * np.clip((since - _STEADY) / _STEADY, 0, 1)
        wave = np.sin(2 * np.pi * (style.vibrato_rate * since / 1000 + rng.random()))
        bend = missing + depth * wave + style.intonation * rng.standard_normal()
        times.append(np.round(start[i] + since).astype(np.int64))
        bends.append(np.clip(bend, -FARTHEST, FARTHEST))
    if not times:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    return np.concatenate(times), np.concatenate(bends)
