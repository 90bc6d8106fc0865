"""Chords under a tune: a small harmoniser, in the way an accompanist by ear goes about it.

The collections print melodies only. A chord is chosen for each beat, or each bar where the beat is
the bar, out of the major and minor triads of the tune's mode, plus the major dominant in minor. It
scores

* the melody notes that it contains, by their duration and twice on the beat, less those that it
  does not contain;
* its place in the key: the tonic first, then the dominant and subdominant (in mixolydian and dorian
  tunes the chord below the tonic takes the dominant's place), the others after;
* how it follows the chord before: staying costs nothing, a fifth little, other steps more;
* the tonic at the end of a strain.

The best sequence is found by dynamic programming (Viterbi). Accompanists differ: every performance
draws its own small liking for each chord, so that two settings, and two performances of the same
setting, are not harmonised alike.

Pitch classes count from C = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .notation import Bar, Tune

#: Scale degrees of the usable triads by mode: (semitones above the tonic, is minor, liking).
_TRIADS = {
    "major": [(0, 0, 0.5), (7, 0, 0.35), (5, 0, 0.3), (9, 1, 0.0), (2, 1, 0.0), (4, 1, -0.2)],
    "lydian": [(0, 0, 0.5), (7, 0, 0.35), (2, 0, 0.2), (9, 1, 0.0), (4, 1, -0.1), (11, 1, -0.2)],
    "mixolydian": [(0, 0, 0.5), (10, 0, 0.35), (5, 0, 0.25), (7, 1, 0.0), (2, 1, 0.0), (9, 1, 0.0)],
    "dorian": [(0, 1, 0.5), (10, 0, 0.35), (5, 0, 0.2), (3, 0, 0.1), (7, 1, 0.0), (2, 1, -0.1)],
    "minor": [(0, 1, 0.5), (7, 0, 0.2), (10, 0, 0.2), (5, 1, 0.2), (3, 0, 0.15), (8, 0, 0.0)],
}
_STEP_COST = {0: 0.0, 5: 0.2, 7: 0.2}  # by the root's movement in semitones; else:
_OTHER_STEP_COST = 0.4
_OUTSIDE = -0.6  # a note that the chord does not contain, per quarter note
_CADENCE = 1.5
#: Standard deviation of a player's liking for a chord.
_TASTE = 0.3


@dataclass(frozen=True)
class Chord:
    """A triad that lasts for a while.

    Parameters
    ----------
    onset, duration : Fraction
        In quarter notes from the start of the performance.
    root : int
        Pitch class, C = 0.
    minor : bool
        Minor third instead of major.
    """

    onset: Fraction
    duration: Fraction
    root: int
    minor: bool

    @property
    def pitch_classes(self) -> tuple[int, int, int]:
        """Root, third and fifth, C = 0."""
        return self.root, (self.root + (3 if self.minor else 4)) % 12, (self.root + 7) % 12


def harmonise(
    tune: Tune, plays: list[tuple[Bar, ...]], tonic: int, mode: str, rng: np.random.Generator
) -> list[Chord]:
    """Choose the chords of a performance.

    Parameters
    ----------
    tune : Tune
        For its metre.
    plays : list of tuple of Bar
        The bars of each playing of a strain, in the order they are played.
    tonic : int
        Pitch class of the printed key, C = 0: chords are in the printed key too.
    mode : str
        A key of the table of triads: major, minor, dorian, mixolydian, lydian.
    rng : numpy.random.Generator
        Draws this player's taste.

    Returns
    -------
    list of Chord
        In order of time, without gaps except under pickups.
    """
    triads = _TRIADS[mode]
    liking = np.array([like for _, _, like in triads]) + _TASTE * rng.standard_normal(len(triads))
    chords: list[Chord] = []
    start = Fraction(0)
    for bars in plays:
        slots: list[tuple[Fraction, Fraction]] = []
        scores: list[NDArray[np.float64]] = []
        for bar in bars:
            if bar.length >= tune.bar / 2:  # nobody strums under a pickup
                for offset, length in _slots(tune, bar):
                    slots.append((start + offset, length))
                    scores.append(_fit(bar, offset, length, tonic, mode) + liking)
            start += bar.length
        for slot, choice in zip(slots, _best_path(np.array(scores), triads), strict=True):
            degree, minor, _ = triads[choice]
            chords.append(Chord(*slot, root=(tonic + degree) % 12, minor=bool(minor)))
    return chords


def _slots(tune: Tune, bar: Bar) -> list[tuple[Fraction, Fraction]]:
    """Cut a bar into stretches of one chord each: (offset, length) in quarter notes."""
    unit = max(tune.beat, Fraction(3, 2))
    if unit >= bar.length or tune.bar <= 3:
        unit = tune.beat if tune.compound and bar.length > tune.beat else bar.length
    slots: list[tuple[Fraction, Fraction]] = []
    offset = Fraction(0)
    while offset < bar.length:
        length = min(unit, bar.length - offset)
        if length < unit / 2 and slots:  # a crumb of an uneven bar goes to the chord before it
            slots[-1] = (slots[-1][0], slots[-1][1] + length)
        else:
            slots.append((offset, length))
        offset += length
    return slots


def _fit(
    bar: Bar, offset: Fraction, length: Fraction, tonic: int, mode: str
) -> NDArray[np.float64]:
    """Score each triad by the melody notes under it."""
    weights = np.zeros(12)
    for note in bar.notes:
        sounding = min(note.onset + note.duration, offset + length) - max(note.onset, offset)
        if sounding > 0:
            weights[note.pitch % 12] += float(sounding) * (2 if note.onset == offset else 1)
    fits = []
    for degree, minor, _ in _TRIADS[mode]:
        chord = Chord(offset, length, (tonic + degree) % 12, bool(minor))
        inside = weights[list(chord.pitch_classes)].sum()
        fits.append(inside + _OUTSIDE * (weights.sum() - inside))
    return np.array(fits)


def _best_path(scores: NDArray[np.float64], triads: list[tuple[int, int, float]]) -> list[int]:
    """Viterbi: scores (n_slots, n_triads) and the cost of steps between roots."""
    if len(scores) == 0:
        return []
    roots = np.array([degree for degree, _, _ in triads])
    cost = np.array(
        [[_STEP_COST.get(int(b - a) % 12, _OTHER_STEP_COST) for b in roots] for a in roots]
    )
    best = scores[0].copy()
    came_from = np.zeros(scores.shape, dtype=int)
    for i, score in enumerate(scores[1:], start=1):
        options = best[:, None] - cost  # (from, to)
        came_from[i] = options.argmax(axis=0)
        best = options.max(axis=0) + score
    best[0] += _CADENCE  # the first triad of every mode is the tonic
    path = [int(best.argmax())]
    for i in range(len(scores) - 1, 0, -1):
        path.append(int(came_from[i][path[-1]]))
    return path[::-1]
