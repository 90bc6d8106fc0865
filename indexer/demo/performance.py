"""From a page and an arrangement to sounding notes: who plays what, when, how loudly.

Time is in seconds from here on, pitch in MIDI note numbers as they sound. Nobody plays like a
metronome: the tempo drifts by a few per cent, notes start some milliseconds early or late, loudness
follows the beat, long notes take cuts (a quick grace note from above), repeats are varied.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .arrangement import Arrangement
from .harmony import Chord, harmonise
from .notation import Bar, Note, Tune
from .tunes import Setting

#: Semitones of the scale of each mode, to vary a melody within its key.
_SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
}
_GRACE_SECONDS = 0.055
_KICK, _SNARE, _HAT, _TAMBOURINE = 36, 38, 42, 54


@dataclass(frozen=True)
class Sound:
    """A note that sounds.

    Parameters
    ----------
    player : str
        ``"lead"``, ``"doubling"``, ``"chords"``, ``"bass"``, ``"drone"`` or ``"drums"``.
    onset, duration : float
        In seconds.
    pitch : int
        MIDI note number.
    velocity : int
        1 to 127.
    """

    player: str
    onset: float
    duration: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class _Stage:
    """What every player needs to know."""

    setting: Setting
    tune: Tune
    arrangement: Arrangement
    plays: list[tuple[Bar, ...]]
    chords: list[Chord]
    seconds: Callable[[Fraction], float]
    length: Fraction

    @property
    def key_shift(self) -> int:
        return self.arrangement.tonic - self.setting.tonic


def perform(setting: Setting, tune: Tune, arrangement: Arrangement) -> list[Sound]:
    """Play a setting.

    Returns
    -------
    list of Sound
        By onset.
    """
    rng = np.random.default_rng([arrangement.seed, 1])
    plays = [tune.strains[index].played(last_time=last) for index, last in arrangement.form]
    stage = _Stage(
        setting=setting,
        tune=tune,
        arrangement=arrangement,
        plays=plays,
        chords=harmonise(tune, plays, setting.tonic, setting.mode, rng),
        seconds=_clock(tune, arrangement, rng),
        length=sum((bar.length for bars in plays for bar in bars), Fraction(0)),
    )
    sounds = list(_melody(stage, "lead", arrangement.lead_shift, rng))
    if arrangement.doubling:
        sounds += _melody(stage, "doubling", arrangement.doubling_shift, rng)
    if arrangement.chords:
        sounds += _chords(stage, rng)
    if arrangement.bass:
        sounds += _bass(stage, rng)
    if arrangement.drone:
        sounds += _drone(stage, rng)
    if arrangement.drums:
        sounds += _drums(stage, rng)
    if arrangement.introduction:
        sounds = _with_introduction(stage, sounds)
    return sorted(sounds, key=lambda s: (s.onset, s.player, s.pitch))


def _clock(
    tune: Tune, arrangement: Arrangement, rng: np.random.Generator
) -> Callable[[Fraction], float]:
    """Return the map from quarter notes to seconds, with a slow drift of the tempo."""
    seconds_a_quarter = 60.0 / (arrangement.tempo * float(tune.beat))
    depth, phase = rng.uniform(0.005, 0.025), rng.uniform(0, 2 * math.pi)
    period = float(tune.bar) * rng.uniform(8, 24)

    def seconds(quarters: Fraction) -> float:
        turn = 2 * math.pi / period
        drift = depth * (math.sin(turn * float(quarters) + phase) - math.sin(phase)) / turn
        return arrangement.silence + seconds_a_quarter * (float(quarters) + drift)

    return seconds


def _melody(stage: _Stage, player: str, shift: int, rng: np.random.Generator) -> Iterator[Sound]:
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


def _varied(bar: Bar, stage: _Stage, rng: np.random.Generator) -> Iterator[Note]:
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


def _neighbour(pitch: int, step: int, stage: _Stage) -> int:
    scale = {(stage.setting.tonic + s) % 12 for s in _SCALES[stage.setting.mode]}
    pitch += step
    while pitch % 12 not in scale:
        pitch += step
    return pitch


def _graces(note: Note, stage: _Stage, rng: np.random.Generator) -> tuple[int, ...]:
    if note.grace:
        return note.grace[-2:]
    if note.duration >= Fraction(1, 2) and rng.random() < stage.arrangement.ornaments:
        return (_neighbour(note.pitch, 1, stage),)
    return ()


def _swung(onset: Fraction, stage: _Stage) -> Fraction:
    """Move the second of each pair of quavers back; jigs are left as they are."""
    swing = stage.arrangement.swing
    if stage.tune.compound or swing == 1.0:
        return onset
    quarter, within = divmod(onset, 1)
    middle = Fraction(swing / (1 + swing)).limit_denominator(1000)
    if within <= Fraction(1, 2):
        return quarter + within * 2 * middle
    return quarter + middle + (within - Fraction(1, 2)) * 2 * (1 - middle)


def _voicing(chord: Chord, key_shift: int, centre: int) -> list[int]:
    """Voice a chord in close position around the instrument's centre."""
    return sorted(centre + (pc + key_shift - centre + 6) % 12 - 6 for pc in chord.pitch_classes)


def _beats(chord: Chord, beat: Fraction) -> Iterator[tuple[Fraction, Fraction]]:
    """Cut a chord's time into beats: (onset, length) in quarter notes."""
    onset, end = chord.onset, chord.onset + chord.duration
    while onset < end:
        yield onset, min(beat, end - onset)
        onset += beat


def _chords(stage: _Stage, rng: np.random.Generator) -> Iterator[Sound]:
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


def _bass(stage: _Stage, rng: np.random.Generator) -> Iterator[Sound]:
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


def _drone(stage: _Stage, rng: np.random.Generator) -> Iterator[Sound]:
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


def _drums(stage: _Stage, rng: np.random.Generator) -> Iterator[Sound]:
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


def _with_introduction(stage: _Stage, sounds: list[Sound]) -> list[Sound]:
    """Let the accompaniment play its first two bars alone before everyone starts."""
    start = stage.seconds(Fraction(0))
    length = stage.seconds(2 * stage.tune.bar) - start
    intro = [
        s
        for s in sounds
        if s.player in ("chords", "bass", "drums") and s.onset < start + length - 0.05
    ]
    return intro + [
        Sound(s.player, s.onset + length, s.duration, s.pitch, s.velocity) for s in sounds
    ]
