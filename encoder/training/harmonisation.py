"""Chords for a melody, drawn at random among those that fit.

A tune without words or chords has no one harmony: players of one tune disagree on every bar, put
the relative minor for the major, stay on a drone, or change twice as often. Here each stretch of
the melody (a bar, half a bar, two bars) gets a triad on a degree of the scale, drawn with
probability ``softmax(sharpness * fit + preference)``, where

* *fit* is the share of the melody's time in the stretch, strong beats counting more, that the
  chord's tones cover (0-1);
* *preference* is how much the player likes each degree, drawn once per version from palettes that
  disagree (three chords; minor ones; tonic and the tone below it, as in modal tunes; anything),
  and a bonus for staying on a chord.

So two versions share what the melody enforces and differ in the rest, which is what a listener who
recognises tunes must learn to disregard. Pitch classes: C = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: How much degrees I-VII are liked, in natural log units, in the palettes that versions draw from.
PALETTES: tuple[tuple[float, ...], ...] = (
    (1.0, -2.0, -2.0, 0.6, 0.8, -1.5, -3.0),  # three chords
    (0.5, 0.3, 0.0, 0.3, 0.3, 0.5, -1.5),  # all of the major key
    (-0.5, 0.6, 0.6, -0.5, -0.5, 1.2, -1.0),  # the minor side
    (0.8, -1.0, -1.5, 0.2, -0.8, -0.8, 1.0),  # tonic and the tone below
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),  # anything that fits
)


@dataclass(frozen=True)
class Chord:
    """A root and the tones above it, the root among them; pitch classes, C = 0."""

    root: int
    tones: tuple[int, ...]


@dataclass(frozen=True)
class HarmonyStyle:
    """A player's taste.

    Parameters
    ----------
    preference : ndarray, shape (7,), float64
        Of each degree, natural log units.
    sharpness : float
        How much a better fit counts.
    stay : float
        Bonus for the chord before.
    colour : {"triad", "open", "seventh", "sus"}
        Tones above the root: third and fifth; fifth; third, fifth and seventh; fourth and fifth.
    lowered_seventh : bool
        Whether the triad on the seventh degree stands a tone below the tonic in any mode.
    """

    preference: NDArray[np.float64]
    sharpness: float
    stay: float
    colour: str
    lowered_seventh: bool


def draw_harmony_style(rng: np.random.Generator) -> HarmonyStyle:
    """Draw a player's taste."""
    palette = np.array(PALETTES[int(rng.integers(len(PALETTES)))])
    return HarmonyStyle(
        preference=palette + rng.normal(0.0, 0.5, 7),
        sharpness=float(rng.uniform(3.0, 9.0)),
        stay=float(rng.uniform(-0.5, 1.0)),
        colour=str(rng.choice(["triad", "open", "seventh", "sus"], p=[0.6, 0.15, 0.17, 0.08])),
        lowered_seventh=bool(rng.random() < 0.5),
    )


def chords_of_scale(scale: Sequence[int], style: HarmonyStyle) -> tuple[Chord, ...]:
    """Build the chord on each degree.

    Parameters
    ----------
    scale : sequence of int
        Seven pitch classes from the tonic upwards.
    style : HarmonyStyle
    """
    steps = {"triad": (0, 2, 4), "open": (0, 4), "seventh": (0, 2, 4, 6), "sus": (0, 3, 4)}
    chords = [
        Chord(scale[d], tuple(scale[(d + step) % 7] for step in steps[style.colour]))
        for d in range(7)
    ]
    if style.lowered_seventh:
        root = (scale[0] - 2) % 12
        chords[6] = Chord(root, tuple((root + t) % 12 for t in (0, 4, 7)))
    return tuple(chords)


def melody_fit(weights: NDArray[np.float64], chords: Sequence[Chord]) -> NDArray[np.float64]:
    """Give the share of the melody that each chord covers.

    Parameters
    ----------
    weights : ndarray, shape (n_stretches, 12), float64
        Time of each pitch class in each stretch, C = 0.
    chords : sequence of Chord

    Returns
    -------
    ndarray, shape (n_stretches, n_chords), float64
        0-1; zero in stretches without a note.
    """
    tones = np.zeros((12, len(chords)))
    for i, chord in enumerate(chords):
        tones[list(chord.tones), i] = 1.0
    total = weights.sum(axis=1, keepdims=True)
    fit: NDArray[np.float64] = (weights @ tones) / np.maximum(total, 1e-9)
    return fit


def harmonise(
    weights: NDArray[np.float64],
    scale: Sequence[int],
    style: HarmonyStyle,
    rng: np.random.Generator,
) -> list[Chord]:
    """Draw a chord for each stretch of a melody.

    Parameters
    ----------
    weights : ndarray, shape (n_stretches, 12), float64
        Time of each pitch class in each stretch, C = 0.
    scale : sequence of int
        Seven pitch classes from the tonic upwards.
    style : HarmonyStyle
    rng : numpy.random.Generator
    """
    chords = chords_of_scale(scale, style)
    scores = style.sharpness * melody_fit(weights, chords) + style.preference
    drawn: list[Chord] = []
    last = -1
    for row in scores:
        score = row.copy()
        if last >= 0:
            score[last] += style.stay
        last = int(np.argmax(score + rng.gumbel(size=score.size)))  # a draw from the softmax
        drawn.append(chords[last])
    return drawn
