"""Playing the melody: with ornaments, swing, accents, and never twice the same.

Notes start some milliseconds early or late, loudness follows the beat, long notes take cuts (a
quick grace note from above), now and then a note gives way to its neighbour in the scale or is held
over the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from .notation import Bar, Note
from .stage import Sound, Stage

#: Semitones of the scale of each mode, to vary a melody within its key.
_SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
}
_GRACE_SECONDS = 0.055


def play_melody(stage: Stage, player: str, shift: int, rng: np.random.Generator) -> Iterator[Sound]:
    """Play the whole form, as ``"lead"`` or ``"doubling"``, ``shift`` semitones off the page."""
    arrangement = stage.arrangement
    instrument = arrangement.lead if player == "lead" else arrangement.doubling
    assert instrument is not None
    legato = rng.uniform(0.8, 1.0) if instrument.sustained else 1.0
    softer = 0 if player == "lead" else 14
    start = Fraction(0)
    for bars in stage.plays:
        for bar in bars:
            for note in _varied(bar, stage, rng):
                onset = stage.seconds(start + _swung(note.onset, stage))
                end = stage.seconds(start + _swung(note.onset + note.duration, stage))
                onset += rng.normal(0.0, 0.008)
                accent = 12 if note.onset % stage.tune.beat == 0 else 0
                velocity = int(np.clip(82 + accent - softer + rng.normal(0, 6), 30, 122))
                pitch = note.pitch + shift
                for grace in _graces(note, stage, rng):
                    yield Sound(player, onset, _GRACE_SECONDS, grace + shift, velocity - 12)
                    onset += _GRACE_SECONDS
                duration = max(0.06, (end - onset) * legato)
                yield Sound(player, max(onset, 0.0), duration, pitch, velocity)
            start += bar.length


def _varied(bar: Bar, stage: Stage, rng: np.random.Generator) -> Iterator[Note]:
    """Vary a bar as it is played: a neighbour for a note, or a note held over the next one."""
    notes = list(bar.notes)
    i = 0
    while i < len(notes):
        note = notes[i]
        if rng.random() < stage.arrangement.variation:
            if rng.random() < 0.5 and i + 1 < len(notes) and note.duration <= Fraction(1, 2):
                duration = notes[i + 1].onset + notes[i + 1].duration - note.onset
                note = Note(note.onset, duration, note.pitch, note.grace)
                i += 1
            else:
                step = int(rng.choice([-1, 1]))
                note = Note(note.onset, note.duration, _neighbour(note.pitch, step, stage))
        yield note
        i += 1


def _neighbour(pitch: int, step: int, stage: Stage) -> int:
    scale = {(stage.setting.tonic + s) % 12 for s in _SCALES[stage.setting.mode]}
    pitch += step
    while pitch % 12 not in scale:
        pitch += step
    return pitch


def _graces(note: Note, stage: Stage, rng: np.random.Generator) -> tuple[int, ...]:
    if note.grace:
        return note.grace[-2:]
    if note.duration >= Fraction(1, 2) and rng.random() < stage.arrangement.ornaments:
        return (_neighbour(note.pitch, 1, stage),)
    return ()


def _swung(onset: Fraction, stage: Stage) -> Fraction:
    """Move the second of each pair of quavers back; jigs are left as they are."""
    swing = stage.arrangement.swing
    if stage.tune.compound or swing == 1.0:
        return onset
    quarter, within = divmod(onset, 1)
    middle = Fraction(swing / (1 + swing)).limit_denominator(1000)
    if within <= Fraction(1, 2):
        return quarter + within * 2 * middle
    return quarter + middle + (within - Fraction(1, 2)) * 2 * (1 - middle)
