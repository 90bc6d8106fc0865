"""Notes of a setting: read from ABC, cut into bars and strains.

Dance tunes are built of *strains* (parts), most of them eight bars long and played twice; a strain
may close with a first ending and, the second time, a second one. Players choose how often to
repeat a strain, so the repeats are not written out here but kept as a choice.

Time is counted in quarter notes. Notes come from ``music21``'s reading of the ABC, one voice, of a
double stop the upper note. Where a transcription is careless (a bar too short, say), the demo plays
what is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

#: Bar lines that close a strain. (A repeat sign is a class of its own in music21.)
_CLOSING_BARLINES = {"double", "final", "heavy-light", "light-heavy"}


@dataclass(frozen=True)
class Note:
    """A note of the melody.

    Parameters
    ----------
    onset : Fraction
        From the start of its bar, in quarter notes.
    duration : Fraction
        In quarter notes.
    pitch : int
        MIDI note number as written.
    grace : tuple of int
        Grace notes before it, as MIDI note numbers.
    """

    onset: Fraction
    duration: Fraction
    pitch: int
    grace: tuple[int, ...] = ()


@dataclass(frozen=True)
class Bar:
    """The notes between two bar lines, and the length in quarter notes (a pickup is short)."""

    notes: tuple[Note, ...]
    length: Fraction


@dataclass(frozen=True)
class Strain:
    """A part of the tune: bars, and what replaces the first ending when it is played again."""

    bars: tuple[Bar, ...]
    first_ending: tuple[Bar, ...] = ()
    second_ending: tuple[Bar, ...] = ()

    def played(self, *, last_time: bool) -> tuple[Bar, ...]:
        """Return the bars of one playing; the last time takes the second ending, if written."""
        ending = self.second_ending if last_time and self.second_ending else self.first_ending
        return self.bars + ending

    @property
    def length(self) -> Fraction:
        """Length of one playing, in quarter notes."""
        return sum((bar.length for bar in self.played(last_time=False)), Fraction(0))


@dataclass(frozen=True)
class Tune:
    """A setting's strains and its metre.

    Parameters
    ----------
    strains : tuple of Strain
        In the order of the page.
    metre : str
        ``"6/8"``, ``"2/2"`` and so on.
    bar : Fraction
        Length of a full bar in quarter notes.
    beat : Fraction
        Length of what a dancer feels as one beat: a dotted quarter in 6/8 or 9/8, a half in 2/2.
    """

    strains: tuple[Strain, ...]
    metre: str
    bar: Fraction
    beat: Fraction

    @property
    def compound(self) -> bool:
        """Whether the beat divides in three (jigs) and not in two (reels)."""
        return self.beat.numerator == 3

    @property
    def pitches(self) -> list[int]:
        """Every written pitch, as MIDI note numbers."""
        return [
            note.pitch
            for strain in self.strains
            for bar in strain.bars + strain.first_ending + strain.second_ending
            for note in bar.notes
        ]


def read_tune(path: Path, position: int) -> Tune:
    """Read one tune of an ABC file.

    Parameters
    ----------
    path : Path
        ABC file.
    position : int
        Which tune, counting the ``X:`` lines from 0.
    """
    from music21 import converter

    text = path.read_text(encoding="utf-8", errors="replace")
    tunes = re.split(r"(?m)^(?=X:)", text)[1:]
    score: Any = converter.parse(tunes[position], format="abc")
    part = score.parts[0]
    measures = list(part.getElementsByClass("Measure"))
    numerator, denominator = _longest_lasting_metre(measures)
    bar = Fraction(4 * numerator, denominator)
    return Tune(
        strains=_strains(part, measures, bar),
        metre=f"{numerator}/{denominator}",
        bar=bar,
        beat=_beat(numerator, denominator),
    )


def _longest_lasting_metre(measures: list[Any]) -> tuple[int, int]:
    # The first is the one: for a pickup in mid tune music21 writes a metre of its own, such as 1/8.
    signature = measures[0].timeSignature or measures[1].timeSignature
    return int(signature.numerator), int(signature.denominator)


def _beat(numerator: int, denominator: int) -> Fraction:
    if denominator == 8 and numerator % 3 == 0:
        return Fraction(3, 2)
    return Fraction(4, denominator)


def _strains(part: Any, measures: list[Any], bar: Fraction) -> tuple[Strain, ...]:
    ending_starts = _ending_starts(part)
    strains: list[Strain] = []
    carried: list[Bar] = []  # a lone pickup belongs to the strain after it
    for stretch in _stretches(measures):
        bars = [*carried, *map(_bar, stretch)]
        carried = []
        endings = {ending_starts.get(id(m)): i for i, m in enumerate(stretch)}
        if 2 in endings and endings[2] == 0 and strains and strains[-1].first_ending:
            previous = strains[-1]
            strains[-1] = Strain(previous.bars, previous.first_ending, tuple(bars))
        elif sum((b.length for b in bars), Fraction(0)) < bar:
            carried = bars
        elif 1 in endings:
            cut = len(bars) - len(stretch) + endings[1]
            strains.append(Strain(tuple(bars[:cut]), tuple(bars[cut:])))
        else:
            strains.append(Strain(tuple(bars)))
    return tuple(strains)


def _ending_starts(part: Any) -> dict[int, int]:
    return {
        id(bracket.getFirst()): int(bracket.numberRange[0])
        for bracket in part.recurse().getElementsByClass("RepeatBracket")
    }


def _stretches(measures: list[Any]) -> list[list[Any]]:
    """Cut the measures wherever a bar line closes a strain or a repeat begins or ends."""
    stretches: list[list[Any]] = [[]]
    for measure in measures:
        if _is_cut(measure.leftBarline) and stretches[-1]:
            stretches.append([])
        stretches[-1].append(measure)
        if _is_cut(measure.rightBarline):
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def _is_cut(barline: Any) -> bool:
    if barline is None:
        return False
    return "Repeat" in barline.classes or barline.type in _CLOSING_BARLINES


def _bar(measure: Any) -> Bar:
    notes: list[Note] = []
    grace: list[int] = []
    for element in measure.notes:
        if "Harmony" in element.classes:  # fingerings in quotes read as chord symbols
            continue
        pitch = max(int(p.midi) for p in element.pitches)
        if element.duration.isGrace:
            grace.append(pitch)
            continue
        onset, duration = Fraction(element.offset), Fraction(element.quarterLength)
        tied = element.tie is not None and element.tie.type in ("stop", "continue")
        if tied and notes and notes[-1].pitch == pitch:
            last = notes.pop()
            notes.append(Note(last.onset, onset + duration - last.onset, pitch, last.grace))
        else:
            notes.append(Note(onset, duration, pitch, tuple(grace)))
        grace = []
    return Bar(tuple(notes), Fraction(measure.duration.quarterLength).limit_denominator(96))
