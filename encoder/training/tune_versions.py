"""Versions of a tune: how different players would play one page.

From one setting (:mod:`.abc_notation`) a version is drawn by a random generator, in this order:

form
    each strain once or twice, sometimes beginning with another strain, round and round until the
    wanted length; the second ending where a strain moves on;
tempo
    by the metre's kind of dance, with some spread, slower for airs; 1.5 to 7 notes a second;
melody
    notes between the beats dropped, third leaps filled, long notes decorated or split, notes
    between the beats replaced by a neighbour in the scale, dotted or straight; drawn for each
    playing of a strain, as fiddlers vary repeats;
accompaniment
    none, drone, bass, or chords (:mod:`.harmonisation`) held, struck, after the beat, broken, or
    with a bass, changing every half bar to every two bars; sometimes a second voice in thirds or
    sixths; each part as loud as it happens to be.

Key and octave stay as printed: octaves do not show in chroma, and the simulator transposes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .abc_notation import AbcTune, MelodyNote, Strain
from .corpus import BASS, CHORDS, INNER, MELODY, Notes
from .harmonisation import Chord, draw_harmony_style, harmonise

#: Beats a minute by length of the beat. The simulator spreads tempi further.
_TEMPI = {1.5: (88.0, 120.0), 2.0: (72.0, 104.0), 1.0: (88.0, 125.0)}
#: Notes a second, in the mean of the tune.
_RATES = (1.5, 7.0)

#: Kinds of accompaniment and how often they are drawn.
ACCOMPANIMENTS = {
    "none": 0.14,
    "drone": 0.12,
    "bass": 0.1,
    "held": 0.16,
    "struck": 0.14,
    "after-beat": 0.18,
    "broken": 0.16,
}


@dataclass(frozen=True)
class MelodyStyle:
    """How a player changes a melody: probabilities by note that is open to the change."""

    drop: float
    fill: float
    neighbour: float
    decorate: float
    split: float
    swing: float


@dataclass
class _Score:
    """Notes as they are collected: onset and duration in quarter notes."""

    rows: list[tuple[float, float, int, float, int]] = field(default_factory=list)

    def add(self, onset: float, duration: float, pitch: int, loudness: float, part: int) -> None:
        self.rows.append(
            (onset, max(duration, 0.02), pitch, min(max(float(loudness), 1.0), 127.0), part)
        )


def draw_version(tune: AbcTune, rng: np.random.Generator, *, seconds: tuple[float, float]) -> Notes:
    """Draw one version of a tune.

    Parameters
    ----------
    tune : AbcTune
    rng : numpy.random.Generator
    seconds : (float, float)
        Range of the length; the strain that reaches it is played to its end, within 1.3 times the
        greatest length.

    Returns
    -------
    coverdex.encoder.training.corpus.Notes
        Times in seconds.
    """
    quarter = 60.0 / draw_tempo(tune, rng)
    wanted = rng.uniform(*seconds) / quarter
    score = _Score()
    style = _melody_style(rng)
    accompaniment = _Accompaniment(tune, rng)
    at = 0.0
    for strain in _form(tune, wanted, 1.3 * seconds[1] / quarter, rng):
        melody = vary_melody(strain, tune, style, rng)
        accompaniment.play(score, strain, melody, at)
        at += strain.length
    onset, duration, pitch, loudness, part = (np.array(c) for c in zip(*score.rows, strict=True))
    return Notes(onset * quarter, duration * quarter, pitch, loudness, part)


def draw_tempo(tune: AbcTune, rng: np.random.Generator) -> float:
    """Draw a tempo in quarter notes a minute."""
    low, high = _TEMPI.get(tune.beat, (70.0, 110.0))
    beats = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if rng.random() < 0.07 or "air" in tune.rhythm.lower():
        beats *= rng.uniform(0.55, 0.85)
    quarters = beats * tune.beat
    length = sum(first.length for first, _ in tune.strains)
    density = sum(len(first.notes) for first, _ in tune.strains) / max(length, 1e-6)
    return float(np.clip(quarters, 60.0 * _RATES[0] / density, 60.0 * _RATES[1] / density))


def _form(tune: AbcTune, wanted: float, most: float, rng: np.random.Generator) -> list[Strain]:
    """Order of the strains, up to ``wanted`` quarter notes and past ``most`` only by the first."""
    n = len(tune.strains)
    order = np.roll(np.arange(n), int(rng.integers(n)) if rng.random() < 0.15 else 0)
    twice = rng.random(n) < rng.choice([0.0, 0.5, 1.0], p=[0.2, 0.3, 0.5])
    played: list[Strain] = []
    at = 0.0
    while at < wanted:
        for k in order:
            first, last = tune.strains[int(k)]
            for strain in (first, last) if twice[k] else (last,):
                if played and (at >= wanted or at + strain.length > most):
                    return played
                played.append(strain)
                at += strain.length
    return played


def _melody_style(rng: np.random.Generator) -> MelodyStyle:
    plain = rng.random() < 0.2
    most = 0.05 if plain else 1.0
    return MelodyStyle(
        drop=most * float(rng.choice([rng.uniform(0, 0.15), rng.uniform(0.2, 0.6)])),
        fill=most * rng.uniform(0, 0.4),
        neighbour=most * rng.uniform(0, 0.2),
        decorate=most * rng.uniform(0, 0.4),
        split=most * rng.uniform(0, 0.3),
        swing=float(rng.choice([0.0, rng.uniform(-0.15, 0.33)])),
    )


def vary_melody(
    strain: Strain, tune: AbcTune, style: MelodyStyle, rng: np.random.Generator
) -> list[MelodyNote]:
    """Change the notes of one playing of a strain; beats keep their notes."""
    scale = _scale_pitches(tune)
    varied: list[MelodyNote] = []
    for i, note in enumerate(strain.notes):
        in_bar = note.onset - strain.bars[bisect_left(strain.bars, note.onset + 1e-6) - 1]
        if not _on_beat(in_bar, tune.beat):
            if rng.random() < style.drop and varied:
                last = varied[-1]
                varied[-1] = MelodyNote(
                    last.onset, note.onset + note.duration - last.onset, last.pitch
                )
                continue
            if rng.random() < style.neighbour:
                note = note._replace(
                    pitch=_step(scale, note.pitch, 1 if rng.random() < 0.5 else -1)
                )
        following = strain.notes[i + 1].pitch if i + 1 < len(strain.notes) else note.pitch
        varied.extend(_decorated(note, following, tune.beat, style, scale, rng))
    return [_swung(n, style.swing) for n in varied] if tune.beat != 1.5 else varied


def _decorated(
    note: MelodyNote,
    following: int,
    beat: float,
    style: MelodyStyle,
    scale: Sequence[int],
    rng: np.random.Generator,
) -> list[MelodyNote]:
    onset, duration, pitch = note
    if 3 <= abs(following - pitch) <= 4 and duration >= beat / 3 and rng.random() < style.fill:
        between = _step(scale, pitch, 1 if following > pitch else -1)
        half = duration / 2
        return [MelodyNote(onset, half, pitch), MelodyNote(onset + half, half, between)]
    if duration >= beat / 2 and rng.random() < style.decorate:  # a cut or a turn from a neighbour
        grace = _step(scale, pitch, (1, -1, 2)[int(rng.integers(3))])
        part = duration * (0.125, 0.25)[int(rng.integers(2))]
        after = MelodyNote(onset + part, duration - part, pitch)
        if rng.random() < 0.5:
            return [MelodyNote(onset, part, grace), after]
        middle = MelodyNote(onset + part, part, grace)
        rest = MelodyNote(onset + 2 * part, duration - 2 * part, pitch)
        return [MelodyNote(onset, part, pitch), middle, rest]
    if duration >= beat and rng.random() < style.split:
        half = duration / 2
        other = (
            pitch if rng.random() < 0.5 else _step(scale, pitch, 2 if rng.random() < 0.5 else -2)
        )
        return [MelodyNote(onset, half, pitch), MelodyNote(onset + half, half, other)]
    return [note]


def _swung(note: MelodyNote, swing: float) -> MelodyNote:
    """Lengthen the first of each two eighths by ``swing`` of an eighth."""

    def moved(time: float) -> float:
        half = time % 1.0
        warped = half * (1 + swing) if half < 0.5 else 1 - (1 - half) * (1 - swing)
        return time - half + warped

    onset = moved(note.onset)
    return MelodyNote(onset, moved(note.onset + note.duration) - onset, note.pitch)


class _Accompaniment:
    """What is played under and with the melody, the same all through a version."""

    def __init__(self, tune: AbcTune, rng: np.random.Generator) -> None:
        self._tune, self._rng = tune, rng
        names = list(ACCOMPANIMENTS)
        chance = np.array(list(ACCOMPANIMENTS.values()))
        self._kind = str(rng.choice(names, p=chance / chance.sum()))
        self._style = draw_harmony_style(rng)
        self._every = float(rng.choice([0.5, 1.0, 1.0, 2.0])) * tune.bar
        self._loudness = rng.uniform(20, 120, 4)
        self._loudness[MELODY] = rng.uniform(60, 120)
        self._walks = bool(rng.random() < 0.3)
        self._pulse = float(rng.choice([tune.beat, tune.beat, tune.bar]))
        self._second = int(rng.choice([0, -2, 2, -5], p=[0.82, 0.09, 0.03, 0.06]))
        self._has_bass = bool(rng.random() < 0.65)
        self._keeps_chords = bool(rng.random() < 0.7)
        self._known: dict[int, list[Chord]] = {}

    def play(self, score: _Score, strain: Strain, melody: list[MelodyNote], at: float) -> None:
        """Add one playing of a strain that starts ``at`` quarter notes."""
        scale = _scale_pitches(self._tune)
        for onset, duration, pitch in melody:
            accent = self._rng.normal(0, 6)
            score.add(at + onset, duration, pitch, self._loudness[MELODY] + accent, MELODY)
            if self._second:
                other = _step(scale, pitch, self._second)
                score.add(at + onset, duration, other, self._loudness[INNER] + accent, INNER)
        if self._kind == "none":
            return
        if self._kind == "drone":
            for tone in (0, 7):
                pitch = 48 + (self._tune.tonic + tone) % 12
                score.add(at, strain.length, pitch, self._loudness[BASS], BASS)
            return
        edges = self._stretches(strain)
        for chord, start, end in zip(self._chords(strain, edges), edges, edges[1:], strict=False):
            if self._kind == "bass" or self._has_bass:
                self._bass(score, chord, at + start, at + end)
            if self._kind != "bass":
                self._chord(score, chord, at + start, at + end)

    def _stretches(self, strain: Strain) -> list[float]:
        """Where chords may change: every so often from the first full bar on."""
        pickup = strain.bars[1] if strain.bars[1] < 0.75 * self._tune.bar else 0.0
        inner = np.arange(pickup, strain.length - 1e-6, self._every)
        return [float(t) for t in inner] + [strain.length]

    def _chords(self, strain: Strain, edges: list[float]) -> list[Chord]:
        if self._keeps_chords and id(strain) in self._known:
            return self._known[id(strain)]
        weights = np.zeros((len(edges) - 1, 12))
        for onset, duration, pitch in strain.notes:
            k = bisect_left(edges, onset + 1e-6) - 1
            if k >= 0:
                strong = 1.6 if _on_beat(onset - edges[k], self._tune.beat) else 1.0
                weights[k, pitch % 12] += strong * duration
        chords = harmonise(weights, self._tune.scale, self._style, self._rng)
        self._known[id(strain)] = chords
        return chords

    def _bass(self, score: _Score, chord: Chord, start: float, end: float) -> None:
        for k, onset in enumerate(np.arange(start, end - 1e-6, self._pulse)):
            tone = chord.root
            if k and self._walks:
                tone = chord.tones[int(self._rng.integers(len(chord.tones)))]
            elif k % 2:
                tone = chord.tones[-1] if len(chord.tones) < 4 else chord.tones[2]
            length = min(self._pulse, end - onset)
            score.add(float(onset), length, 36 + tone, self._loudness[BASS], BASS)

    def _chord(self, score: _Score, chord: Chord, start: float, end: float) -> None:
        beat = self._tune.beat
        loudness = self._loudness[CHORDS]
        if self._kind == "held":
            for tone in chord.tones:
                score.add(start, end - start, 60 + tone, loudness, CHORDS)
            return
        if self._kind == "broken":
            step = beat / (3 if beat == 1.5 else 2)
            for k, onset in enumerate(np.arange(start, end - 1e-6, step)):
                tone = chord.tones[k % len(chord.tones)]
                score.add(float(onset), step, 60 + tone, loudness, CHORDS)
            return
        late, length = (0.5, 0.4) if self._kind == "after-beat" else (0.0, 0.7)
        for onset in np.arange(start, end - 1e-6, beat):
            for tone in chord.tones:
                score.add(float(onset) + late * beat, length * beat, 60 + tone, loudness, CHORDS)


def _on_beat(time: float, beat: float) -> bool:
    return abs(time / beat - round(time / beat)) < 1e-3


def _scale_pitches(tune: AbcTune) -> list[int]:
    return [pitch for pitch in range(128) if pitch % 12 in tune.scale]


def _step(scale: Sequence[int], pitch: int, steps: int) -> int:
    """Move a pitch by steps of the scale."""
    at = bisect_left(scale, pitch)
    if steps > 0 and scale[min(at, len(scale) - 1)] != pitch:
        at -= 1
    return scale[min(max(at + steps, 0), len(scale) - 1)]
