"""Playing the accompaniment: chords in several styles, bass, drone and drums."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from .harmony import Chord
from .notation import Tune
from .stage import Sound, Stage

_KICK, _SNARE, _HAT, _TAMBOURINE = 36, 38, 42, 54


def _voicing(chord: Chord, key_shift: int, centre: int) -> list[int]:
    """Voice a chord in close position around the instrument's centre."""
    return sorted(centre + (pc + key_shift - centre + 6) % 12 - 6 for pc in chord.pitch_classes)


def _beats(chord: Chord, beat: Fraction) -> Iterator[tuple[Fraction, Fraction]]:
    """Cut a chord's time into beats: (onset, length) in quarter notes."""
    onset, end = chord.onset, chord.onset + chord.duration
    while onset < end:
        yield onset, min(beat, end - onset)
        onset += beat


def play_chords(stage: Stage, rng: np.random.Generator) -> Iterator[Sound]:
    """Play the chords as the style of accompaniment wants."""
    instrument = stage.arrangement.chords
    assert instrument is not None
    play = {"pad": _pad, "arpeggio": _arpeggio}.get(stage.arrangement.style, _vamp)
    for chord in stage.chords:
        pitches = _voicing(chord, stage.key_shift, instrument.centre)
        for onset, length, pitch, velocity in play(chord, pitches, stage.tune):
            start = stage.seconds(onset) + rng.normal(0.0, 0.008)
            duration = max(0.08, stage.seconds(onset + length) - start)
            loud = int(np.clip(velocity + rng.normal(0, 5), 20, 120))
            yield Sound("chords", max(start, 0.0), duration, pitch, loud)


_Strokes = Iterator[tuple[Fraction, Fraction, int, int]]


def _vamp(chord: Chord, pitches: list[int], tune: Tune) -> _Strokes:
    """Strike a low note on the beat and the chord after it."""
    after = Fraction(2, 3) if tune.compound else Fraction(1, 2)
    for onset, length in _beats(chord, tune.beat):
        low = min(pitches) - 12 if pitches[0] > 48 else pitches[0]
        yield onset, length * after, low, 76
        if length == tune.beat:
            for pitch in pitches:
                yield onset + length * after, length * (1 - after), pitch, 66


def _pad(chord: Chord, pitches: list[int], _: Tune) -> _Strokes:
    """Hold the chord."""
    for pitch in pitches:
        yield chord.onset, chord.duration, pitch, 64


def _arpeggio(chord: Chord, pitches: list[int], _: Tune) -> _Strokes:
    """Break the chord into quavers, upwards and back."""
    turn = [*pitches, pitches[0] + 12, *pitches[:0:-1]]
    step = Fraction(1, 2)
    for i in range(math.ceil(chord.duration / step)):
        yield chord.onset + i * step, step * 2, turn[i % len(turn)], 70


def play_bass(stage: Stage, rng: np.random.Generator) -> Iterator[Sound]:
    """Play the root on the first beat of a chord, the fifth on its others."""
    instrument = stage.arrangement.bass
    assert instrument is not None
    for chord in stage.chords:
        root, _, fifth = chord.pitch_classes
        for i, (onset, length) in enumerate(_beats(chord, stage.tune.beat)):
            pc = (fifth if i % 2 else root) + stage.key_shift
            pitch = instrument.centre + (pc - instrument.centre + 6) % 12 - 6
            start = stage.seconds(onset) + rng.normal(0.0, 0.008)
            duration = max(0.1, 0.9 * (stage.seconds(onset + length) - start))
            velocity = int(np.clip(84 + rng.normal(0, 5), 30, 120))
            yield Sound("bass", max(start, 0.0), duration, pitch, velocity)


def play_drone(stage: Stage, rng: np.random.Generator) -> Iterator[Sound]:
    """Hold tonic, fifth and octave, taken up again every four bars."""
    instrument = stage.arrangement.drone
    assert instrument is not None
    tonic = instrument.centre + (stage.arrangement.tonic - instrument.centre + 6) % 12 - 6
    with_fifth = rng.random() < 0.7
    onset = Fraction(0)
    while onset < stage.length:
        length = min(4 * stage.tune.bar, stage.length - onset)
        start = stage.seconds(onset)
        for pitch in (tonic, tonic + 12, *((tonic + 7,) if with_fifth else ())):
            yield Sound("drone", start, stage.seconds(onset + length) - start - 0.05, pitch, 60)
        onset += length


def play_drums(stage: Stage, rng: np.random.Generator) -> Iterator[Sound]:
    """Beat kick and snare by turns, hi-hat or tambourine between them."""
    light = int(rng.choice([_HAT, _TAMBOURINE]))
    division = 3 if stage.tune.compound else 2
    beat = stage.tune.beat
    for i in range(int(stage.length / beat)):
        strokes = [(Fraction(0), _SNARE if i % 2 else _KICK, 78)]
        strokes += [(beat * k / division, light, 58) for k in range(division)]
        for offset, drum, velocity in strokes:
            start = stage.seconds(i * beat + offset) + rng.normal(0.0, 0.006)
            loud = int(np.clip(velocity + rng.normal(0, 6), 20, 110))
            yield Sound("drums", max(start, 0.0), 0.1, drum, loud)
