"""A rhythm section: what a band plays from a chart.

A chart names chords; how they sound is the band's. Drawn once per version, for the chords (as
voiced and struck by a piano or guitar):

held
    as long as the chord lasts;
beats
    on every beat, short or long;
off-beats
    between the beats, as in reggae and dance music;
pattern
    a rhythm of half beats, drawn once and repeated every two bars;
broken
    one tone after the other on half beats;
stabs
    once at each change, short;

for the bass: *root* (held), *two* (root and fifth in turn), *walking* (a tone of the chord on each
beat, at the end a semitone from the next bass note) or *pattern* (a rhythm of half beats). Voicings
may leave out the root, the fifth or the third. Now and then somebody improvises: a line that moves
by small steps and mostly lands on tones of the chord.

Everything is written straight into rolls (:mod:`.corpus`): ``(n_frames, 4, 12)``, pitch classes
from A; charts count from C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .corpus import BASS, CHORDS, MELODY, NOTE_LOUDNESS
from .reharmonisation import ChartChord

CHORD_STYLES = ("held", "beats", "off-beats", "pattern", "broken", "stabs")
BASS_STYLES = ("root", "two", "walking", "pattern")

#: Half beats after which a rhythm repeats: two bars of four.
_PATTERN = 16


@dataclass(frozen=True, eq=False)
class BandStyle:
    """What a band keeps doing through a version.

    Parameters
    ----------
    chords : str
        One of :data:`CHORD_STYLES`.
    bass : str
        One of :data:`BASS_STYLES`.
    chord_rhythm, bass_rhythm : ndarray, shape (16,), bool
        Half beats of two bars on which the style ``pattern`` plays.
    note_length : float
        Beats that a struck chord sounds.
    left_out : frozenset of int
        Intervals above the root that the voicings leave out.
    improvised : bool
        Whether a line is played over the chords.
    """

    chords: str
    bass: str
    chord_rhythm: NDArray[np.bool_]
    bass_rhythm: NDArray[np.bool_]
    note_length: float
    left_out: frozenset[int]
    improvised: bool


def draw_band_style(rng: np.random.Generator, *, improvised: float = 0.5) -> BandStyle:
    """Draw a band; ``improvised`` is the probability that it has a soloist."""
    voicing = rng.choice(4, p=[0.6, 0.15, 0.15, 0.1])
    left_out = ((), (0,), (7,), (3, 4))[int(voicing)]
    return BandStyle(
        chords=str(rng.choice(CHORD_STYLES, p=[0.25, 0.2, 0.1, 0.25, 0.12, 0.08])),
        bass=str(rng.choice(BASS_STYLES, p=[0.3, 0.2, 0.3, 0.2])),
        chord_rhythm=_rhythm(0.4, rng),
        bass_rhythm=_rhythm(0.4, rng),
        note_length=float(rng.uniform(0.3, 1.2)),
        left_out=frozenset(left_out),
        improvised=bool(rng.random() < improvised),
    )


def play_chart(
    chart: Sequence[ChartChord],
    style: BandStyle,
    rng: np.random.Generator,
    *,
    frames_per_beat: float,
) -> NDArray[np.float64]:
    """Play a chart once.

    Parameters
    ----------
    chart : sequence of ChartChord
        In order of their beats; the first starts the roll.
    style : BandStyle
    rng : numpy.random.Generator
        Of the notes of walking bass and improvisation.
    frames_per_beat : float
        Roll frames that a beat lasts.

    Returns
    -------
    ndarray, shape (n_frames, 4, 12), float64
        Loudness of melody, inner, chords and bass.

    Raises
    ------
    ValueError
        The chart has no chord.
    """
    if not chart:
        raise ValueError("a chart has no chords; leave it out of the corpus")
    origin = chart[0].start
    n_frames = max(1, round((chart[-1].start + chart[-1].length - origin) * frames_per_beat))
    played = np.zeros((n_frames, 4, 12))
    accents = rng.uniform(0.7, 1.3, _PATTERN)
    pitch = int(rng.integers(12))
    for i, chord in enumerate(chart):
        moved = chord._replace(start=chord.start - origin)
        following = chart[(i + 1) % len(chart)]
        for start, length, tones in _struck(moved, style):
            accent = accents[round(2 * start) % _PATTERN]
            _write(played, CHORDS, start, length, tones, accent, frames_per_beat)
        for start, length, tone in _bass_line(moved, following, style, rng):
            _write(played, BASS, start, length, (tone,), 1.0, frames_per_beat)
        if style.improvised:
            line = _improvise(moved, pitch, rng)
            for start, length, tone in line:
                _write(played, MELODY, start, length, (tone,), 1.0, frames_per_beat)
            pitch = line[-1][2] if line else pitch
    return played


def _rhythm(density: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    hits: NDArray[np.bool_] = rng.random(_PATTERN) < density
    hits[0] |= not hits.any()
    return hits


def _write(
    played: NDArray[np.float64],
    part: int,
    start: float,
    length: float,
    tones: Sequence[int],
    loudness: float,
    frames_per_beat: float,
) -> None:
    """Sound some tones (C = 0) in a part, for one frame at least."""
    first = round(start * frames_per_beat)
    last = max(first + 1, round((start + length) * frames_per_beat))
    for tone in tones:
        played[first:last, part, (tone + 3) % 12] += loudness * NOTE_LOUDNESS


def _struck(chord: ChartChord, style: BandStyle) -> list[tuple[float, float, tuple[int, ...]]]:
    """When and how long which tones of a chord sound: start, length (beats), tones."""
    start, length, root = chord.start, chord.length, chord.tones[0]
    tones = tuple(t for t in chord.tones if (t - root) % 12 not in style.left_out) or chord.tones
    end = start + length
    if style.chords == "held":
        return [(start, length, tones)]
    if style.chords == "stabs":
        return [(start, min(length, style.note_length), tones)]
    halves = [float(h) / 2 for h in range(int(np.ceil(2 * start)), int(np.ceil(2 * end)))]
    if style.chords == "broken":
        return [(h, min(0.5, end - h), (tones[k % len(tones)],)) for k, h in enumerate(halves)]
    if style.chords == "beats":
        hits = [h for h in halves if h % 1 == 0]
    elif style.chords == "off-beats":
        hits = [h for h in halves if h % 1 != 0]
    else:
        hits = [h for h in halves if style.chord_rhythm[round(2 * h) % _PATTERN]]
    return [(h, min(style.note_length, end - h), tones) for h in hits or [start]]


def _bass_line(
    chord: ChartChord, following: ChartChord, style: BandStyle, rng: np.random.Generator
) -> list[tuple[float, float, int]]:
    """Start and length (beats) and pitch class of each note of the bass under a chord."""
    start, length, bass, tones = chord
    end = start + length
    if style.bass == "root":
        return [(start, length, bass)]
    if style.bass == "pattern":
        halves = [float(h) / 2 for h in range(int(np.ceil(2 * start)), int(np.ceil(2 * end)))]
        hits = [h for h in halves if style.bass_rhythm[round(2 * h) % _PATTERN]]
        return [(h, min(0.75, end - h), bass) for h in hits or [start]]
    beats = [start + k for k in range(int(np.ceil(length)))]
    if style.bass == "two":
        fifth = (tones[0] + 7) % 12
        kept = beats[::2]
        return [(b, min(2.0, end - b), bass if k % 2 == 0 else fifth) for k, b in enumerate(kept)]
    line: list[tuple[float, float, int]] = []
    for k, beat in enumerate(beats):
        tone = bass if k == 0 else int(rng.choice(tones))
        if k and k == len(beats) - 1 and rng.random() < 0.5:
            tone = (following.bass + (1 if rng.random() < 0.5 else -1)) % 12
        line.append((beat, min(1.0, end - beat), tone))
    return line


def _improvise(
    chord: ChartChord, pitch: int, rng: np.random.Generator
) -> list[tuple[float, float, int]]:
    """Half beats of a line that begins near ``pitch``: start, length, pitch class."""
    line: list[tuple[float, float, int]] = []
    at = chord.start
    while at < chord.start + chord.length - 1e-6:
        length = float(rng.choice([0.5, 1.0], p=[0.75, 0.25]))
        if rng.random() < 0.8:
            pitch = (pitch + int(rng.choice([-2, -1, 1, 2]))) % 12
            if rng.random() < 0.6:  # land on the nearest tone of the chord
                pitch = min(chord.tones, key=lambda t: min((t - pitch) % 12, (pitch - t) % 12))
            line.append((at, min(length, chord.start + chord.length - at), pitch))
        at += length
    return line
