"""Other chords for the same chart, as another band would play it.

Two charts of one standard agree on where the harmony goes and differ in how it gets there. The
changes made here are those that jazz harmony has names for (Levine 1995, *The Jazz Theory Book*,
chapters 10 to 14):

tritone substitution
    a dominant seventh chord becomes the one a tritone away, which has the same third and seventh;
related second
    the first half of a dominant becomes the minor seventh chord a fifth above it (G7: Dm7 G7);
dropped second
    the reverse: Dm7 G7 becomes G7 alone;
secondary dominant
    the end of a long chord becomes the dominant of the next chord;
relative chord
    a major chord becomes the minor chord a minor third below or a major third above, a minor chord
    the major one a minor third above;
held chord
    a short chord is left out and the one before it stays;
inversion
    the bass takes another tone of the chord;
plain or coloured chords
    throughout, sevenths are left out, or ninths put in.

Each version draws how far it goes, so that some stay close to the chart. Pitch classes: C = 0;
times in beats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class ChartChord(NamedTuple):
    """One chord of a chart: beats, the bass, and the tones with the root first; C = 0."""

    start: float
    length: float
    bass: int
    tones: tuple[int, ...]

    @property
    def intervals(self) -> frozenset[int]:
        """Semitones above the root, 0-11."""
        return frozenset((tone - self.tones[0]) % 12 for tone in self.tones)


@dataclass(frozen=True)
class ReharmonisationStyle:
    """How often each change is made where it is possible: probabilities by chord.

    Parameters
    ----------
    tritone, related_second, dropped_second, secondary_dominant, relative, hold, invert : float
        See the module's text.
    colour : {"as written", "plain", "ninths"}
        Of all chords of the version.
    """

    tritone: float = 0.0
    related_second: float = 0.0
    dropped_second: float = 0.0
    secondary_dominant: float = 0.0
    relative: float = 0.0
    hold: float = 0.0
    invert: float = 0.0
    colour: str = "as written"


def draw_reharmonisation_style(rng: np.random.Generator) -> ReharmonisationStyle:
    """Draw how far a version goes, from not at all to about one chord in five."""
    far = float(rng.uniform(0.0, 1.0))
    return ReharmonisationStyle(
        tritone=0.25 * far * rng.random(),
        related_second=0.5 * far * rng.random(),
        dropped_second=0.6 * far * rng.random(),
        secondary_dominant=0.25 * far * rng.random(),
        relative=0.2 * far * rng.random(),
        hold=0.3 * far * rng.random(),
        invert=0.2 * far * rng.random(),
        colour=str(rng.choice(["as written", "plain", "ninths"], p=[0.5, 0.35, 0.15])),
    )


def reharmonise(
    chart: Sequence[ChartChord], style: ReharmonisationStyle, rng: np.random.Generator
) -> list[ChartChord]:
    """Change the chords of a chart.

    Parameters
    ----------
    chart : sequence of ChartChord
        In order of their beats.
    style : ReharmonisationStyle
    rng : numpy.random.Generator

    Returns
    -------
    list of ChartChord
        Over the same beats.
    """
    chords = _joined(chart, style, rng)
    changed: list[ChartChord] = []
    for i, chord in enumerate(chords):
        following = chords[(i + 1) % len(chords)]
        changed += _changed(chord, following, style, rng)
    return [_coloured(chord, style.colour) for chord in changed]


def is_dominant(chord: ChartChord) -> bool:
    """Whether a chord has a major third and a minor seventh."""
    return {4, 10} <= chord.intervals


def is_minor(chord: ChartChord) -> bool:
    """Whether a chord has a minor third and a perfect fifth."""
    return {3, 7} <= chord.intervals


def _joined(
    chart: Sequence[ChartChord], style: ReharmonisationStyle, rng: np.random.Generator
) -> list[ChartChord]:
    """Leave out related seconds and short chords; their time goes to a neighbour."""
    joined: list[ChartChord] = []
    for chord in chart:
        before = joined[-1] if joined else None
        if before is not None and abs(before.start + before.length - chord.start) < 1e-3:
            both = before.length + chord.length
            prepares = is_minor(before) and is_dominant(chord)
            prepares = prepares and (chord.tones[0] - before.tones[0]) % 12 == 5
            if prepares and rng.random() < style.dropped_second:
                joined[-1] = chord._replace(start=before.start, length=both)
                continue
            if chord.length <= 2.0 and rng.random() < style.hold:
                joined[-1] = before._replace(length=both)
                continue
        joined.append(chord)
    return joined


def _changed(
    chord: ChartChord,
    following: ChartChord,
    style: ReharmonisationStyle,
    rng: np.random.Generator,
) -> list[ChartChord]:
    """Give the chord or chords that are played instead of one."""
    start, length, bass, tones = chord
    root, half = tones[0], chord.length / 2
    if is_dominant(chord):
        if rng.random() < style.tritone:
            return [ChartChord(start, length, (root + 6) % 12, _stack(root + 6, 0, 4, 7, 10))]
        if length >= 2.0 and rng.random() < style.related_second:
            second = ChartChord(start, half, (root + 7) % 12, _stack(root + 7, 0, 3, 7, 10))
            return [second, ChartChord(start + half, half, bass, tones)]
    elif rng.random() < style.relative:
        if is_minor(chord):
            return [ChartChord(start, length, (root + 3) % 12, _stack(root + 3, 0, 4, 7, 11))]
        if {4, 7} <= chord.intervals:
            lower = (root + (9 if rng.random() < 0.6 else 4)) % 12
            return [ChartChord(start, length, lower, _stack(lower, 0, 3, 7, 10))]
    if length >= 4.0 and rng.random() < style.secondary_dominant:
        last = half if rng.random() < 0.5 else 1.0
        fifth = (following.tones[0] + 7) % 12
        dominant = ChartChord(start + length - last, last, fifth, _stack(fifth, 0, 4, 7, 10))
        return [ChartChord(start, length - last, bass, tones), dominant]
    if rng.random() < style.invert:
        return [chord._replace(bass=int(rng.choice(tones)))]
    return [chord]


def _stack(root: int, *intervals: int) -> tuple[int, ...]:
    return tuple((root + interval) % 12 for interval in intervals)


def _coloured(chord: ChartChord, colour: str) -> ChartChord:
    """Leave out all above the fifth, or add a ninth."""
    root = chord.tones[0]
    if colour == "plain":
        kept = tuple(t for t in chord.tones if (t - root) % 12 in (0, 3, 4, 5, 6, 7, 8))
        return chord._replace(tones=kept if len(kept) > 1 else chord.tones)
    if colour == "ninths" and (root + 2) % 12 not in chord.tones and 1 not in chord.intervals:
        return chord._replace(tones=(*chord.tones, (root + 2) % 12))
    return chord
