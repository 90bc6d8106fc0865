"""Tunes in ABC notation: strains of bars of single notes.

ABC (Chris Walshaw's; the standard is at https://abcnotation.com/wiki/abc:standard:v2.1) is the text
notation in which most collections of dance tunes are transcribed. This reader takes what one
melodic line needs: header fields ``X T M L K R``, changes of them within the tune, notes, rests,
accidentals that last for a bar, broken rhythm, tuplets, ties, repeats with first and second
endings. Of a double stop or chord the upper note counts. Grace notes, slurs, bowings and text are
passed over. Tunes of several voices are not read.

Time is in quarter notes, pitch in MIDI note numbers. A *strain* is a part of a tune, mostly of
eight bars; who plays decides how often it is repeated, so repeats are not written out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SHARPS = ("F", "C", "G", "D", "A", "E", "B")
_FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
#: Places on the circle of fifths from the major key of the same tonic.
_MODES = {"ion": 0, "maj": 0, "mix": -1, "dor": -2, "min": -3, "aeo": -3, "phr": -4, "loc": -5}
_ACCIDENTALS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}

_TOKEN = re.compile(
    r"""
    "[^"]*" | !(?!\s)[^!\n]*! | \{[^}]*\}            # text, decoration, grace notes
  | \[(?P<field>[A-Za-z]):(?P<value>[^\]]*)\]
  | (?P<bar>[:|]*\|[:|\]]*|:{2,}|\[\|\]?)(?:\s*\[?(?P<volta>[12]))?
  | \[(?P<ending>[12])
  | \[(?P<chord>[^\]|\n]*)\](?P<chord_length>\d*/*\d*)
  | \((?P<tuplet>[2-9])(?::(?P<time>[1-9])?(?::(?P<count>[1-9])?)?)?
  | (?P<broken>[<>]+)
  | (?P<tie>-)
  | (?P<rest>[zx])(?P<rest_length>\d*/*\d*)
  | (?P<accidental>\^\^|\^|__|_|=)?(?P<letter>[A-Ga-g])(?P<octave>[,']*)(?P<length>\d*/*\d*)
    """,
    re.VERBOSE,
)


class MelodyNote(NamedTuple):
    """One note: onset and duration in quarter notes from the start of its strain, MIDI pitch."""

    onset: float
    duration: float
    pitch: int


@dataclass(frozen=True)
class Strain:
    """One playing of a part of a tune.

    Parameters
    ----------
    notes : tuple of MelodyNote
    bars : tuple of float
        Where the bars start, and at last where the strain ends; a pickup is a short bar.
    """

    notes: tuple[MelodyNote, ...]
    bars: tuple[float, ...]

    @property
    def length(self) -> float:
        """Length in quarter notes."""
        return self.bars[-1]


@dataclass(frozen=True)
class AbcTune:
    """One tune.

    Parameters
    ----------
    number : str
        The field ``X``.
    title, rhythm : str
        The first field ``T``; the field ``R``, which may be empty.
    metre : (int, int)
    tonic : int
        Pitch class of the key, C = 0.
    scale : tuple of int
        Pitch classes of the key's seven notes, from the tonic upwards.
    strains : tuple of tuple of Strain
        Each strain as it is played the first time, and the last (with the second ending).
    """

    number: str
    title: str
    rhythm: str
    metre: tuple[int, int]
    tonic: int
    scale: tuple[int, ...]
    strains: tuple[tuple[Strain, Strain], ...]

    @property
    def bar(self) -> float:
        """Length of a full bar in quarter notes."""
        return 4.0 * self.metre[0] / self.metre[1]

    @property
    def beat(self) -> float:
        """Length in quarter notes of what a dancer feels as one beat."""
        numerator, denominator = self.metre
        if denominator == 8 and numerator % 3 == 0:
            return 1.5
        return 2.0 if self.metre in ((2, 2), (4, 4)) else 4.0 / denominator


def read_abc(text: str) -> list[AbcTune | None]:
    """Read all tunes of an ABC file.

    Parameters
    ----------
    text : str
        Tunes start with a field ``X``.

    Returns
    -------
    list
        In the file's order; None for a tune without notes or key, or of several voices.
    """
    return [_read_tune(part) for part in re.split(r"(?m)^(?=X:)", text)[1:]]


def read_key(text: str) -> tuple[int, dict[str, int]] | None:
    """Read a key such as ``Ador``, ``F# minor`` or ``Bb``.

    Returns
    -------
    tonic : int
        Pitch class, C = 0.
    signature : dict
        Semitones by which each letter is raised. None instead of both where there is no key.
    """
    found = re.match(r"\s*([A-G])([#b]?)\s*([A-Za-z]*)", text)
    if found is None:
        return None
    letter, sharp, mode = found.groups()
    shift = {"#": 1, "b": -1, "": 0}[sharp]
    mode = mode.lower()
    mode_shift = 1 if mode.startswith("lyd") else _MODES.get(mode[:3], -3 if mode == "m" else 0)
    fifths = _FIFTHS[letter] + 7 * shift + mode_shift
    altered = _SHARPS[:fifths] if fifths > 0 else _SHARPS[::-1][: max(0, -fifths)]
    signature = dict.fromkeys(_STEPS, 0) | dict.fromkeys(altered, 1 if fifths > 0 else -1)
    return (_STEPS[letter] + shift) % 12, signature


def _read_tune(text: str) -> AbcTune | None:
    fields: dict[str, str] = {}
    body: list[str] = []
    for raw in text.splitlines():
        line = raw if raw.startswith("T:") else raw.partition("%")[0]
        if not re.match(r"[A-Za-z]:", line):
            body.append(line)
        elif "K" not in fields or line[0] not in "KLM":
            fields.setdefault(line[0], line[2:].strip())
        else:
            body.append(f"[{line[0]}:{line[2:]}]")
    music = "\n".join(body)
    key = read_key(fields.get("K", ""))
    if key is None or "V" in fields or "[V:" in music:
        return None
    metre = _read_metre(fields.get("M", "")) or (4, 4)
    unit = _read_unit(fields.get("L", "")) or (0.25 if metre[0] / metre[1] < 0.75 else 0.5)
    reader = _LineReader(unit, metre, key[1])
    reader.read(music)
    strains = _strains(reader.bars, 4.0 * metre[0] / metre[1])
    if not strains:
        return None
    scale = {(_STEPS[letter] + raised) % 12 for letter, raised in key[1].items()}
    return AbcTune(
        number=fields.get("X", ""),
        title=fields.get("T", ""),
        rhythm=fields.get("R", ""),
        metre=metre,
        tonic=key[0],
        scale=tuple(sorted(scale, key=lambda p: (p - key[0]) % 12)),
        strains=tuple(strains),
    )


def _read_metre(text: str) -> tuple[int, int] | None:
    text = text.strip()
    if text.startswith("C"):
        return (2, 2) if text.startswith("C|") else (4, 4)
    found = re.match(r"(\d+)\s*/\s*(\d+)", text)
    return (int(found[1]), int(found[2])) if found and int(found[2]) else None


def _read_unit(text: str) -> float | None:
    found = re.match(r"\s*(\d+)\s*/\s*(\d+)", text)
    return 4.0 * int(found[1]) / int(found[2]) if found and int(found[2]) else None


def _factor(text: str) -> float:
    """Length of a note in units: ``3``, ``/``, ``3/2``, ``//``."""
    number, slash, rest = text.partition("/")
    value = float(number or 1)
    if not slash:
        return value
    divisor = rest.lstrip("/")
    return value / (float(divisor) if divisor and divisor != "0" else 2.0 ** (1 + rest.count("/")))


@dataclass
class _Bar:
    """Pitches (None for a rest) with durations; what closes it; which ending starts with it."""

    events: list[tuple[int | None, float]]
    closes: bool = False
    ending: int = 0

    @property
    def length(self) -> float:
        return sum(duration for _, duration in self.events)


class _LineReader:
    """Reads the music of a tune into bars."""

    def __init__(self, unit: float, metre: tuple[int, int], signature: dict[str, int]) -> None:
        self.bars = [_Bar([])]
        self._unit, self._metre, self._signature = unit, metre, signature
        self._in_bar: dict[tuple[str, str], int] = {}
        self._next = 1.0  # what broken rhythm does to the next note
        self._tuplet, self._left = 1.0, 0
        self._tied = False

    def read(self, music: str) -> None:
        for token in _TOKEN.finditer(music):
            if token["field"]:
                self._change(token["field"], token["value"])
            elif token["bar"]:
                self._bar_line(token["bar"], int(token["volta"] or 0))
            elif token["ending"]:
                self._new_bar(int(token["ending"]))
            elif token["chord"] is not None:
                self._chord(token["chord"], token["chord_length"])
            elif token["tuplet"]:
                self._start_tuplet(int(token["tuplet"]), token["time"], token["count"])
            elif token["broken"]:
                self._break(token["broken"])
            elif token["tie"]:
                self._tied = True
            elif token["rest"]:
                self._add(None, _factor(token["rest_length"]))
            elif token["letter"]:
                self._add(self._pitch(token), _factor(token["length"]))

    def _change(self, field: str, value: str) -> None:
        if field == "K" and (key := read_key(value)):
            self._signature = key[1]
        elif field == "L":
            self._unit = _read_unit(value) or self._unit

    def _bar_line(self, bar: str, volta: int) -> None:
        self.bars[-1].closes |= bar != "|"
        self._new_bar(volta)

    def _new_bar(self, ending: int) -> None:
        self._in_bar = {}
        if self.bars[-1].events:
            self.bars.append(_Bar([], ending=ending))
        else:
            if len(self.bars) > 1:
                self.bars[-2].closes |= self.bars[-1].closes
            self.bars[-1].closes = False
            self.bars[-1].ending = ending or self.bars[-1].ending

    def _start_tuplet(self, notes: int, time: str | None, count: str | None) -> None:
        compound = self._metre[0] % 3 == 0 and self._metre[1] == 8
        usual = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(notes, 3 if compound else 2)
        self._tuplet, self._left = (int(time) if time else usual) / notes, int(count or notes)

    def _break(self, signs: str) -> None:
        events = self.bars[-1].events
        if not events:
            return
        short = 0.5 ** len(signs)
        mine, self._next = (2 - short, short) if signs[0] == ">" else (short, 2 - short)
        events[-1] = (events[-1][0], events[-1][1] * mine)

    def _chord(self, inside: str, length: str) -> None:
        notes = [t for t in _TOKEN.finditer(inside) if t["letter"]]
        if notes:
            upper = max((self._pitch(t), _factor(t["length"])) for t in notes)
            self._add(upper[0], upper[1] * _factor(length))

    def _pitch(self, token: re.Match[str]) -> int:
        letter, octave = token["letter"], token["octave"]
        if token["accidental"]:
            self._in_bar[letter, octave] = _ACCIDENTALS[token["accidental"]]
        raised = self._in_bar.get((letter, octave), self._signature[letter.upper()])
        height = 60 + 12 * (letter.islower() + octave.count("'") - octave.count(","))
        return height + _STEPS[letter.upper()] + raised

    def _add(self, pitch: int | None, factor: float) -> None:
        duration = factor * self._unit * self._next
        self._next = 1.0
        if self._left:
            duration *= self._tuplet
            self._left -= 1
        events = self.bars[-1].events
        if self._tied and events and events[-1][0] == pitch:
            events[-1] = (pitch, events[-1][1] + duration)
        elif duration > 0:
            events.append((pitch, duration))
        self._tied = False


def _strains(bars: list[_Bar], full: float) -> list[tuple[Strain, Strain]]:
    """Cut the bars where a strain closes; a lone pickup belongs to the strain after it."""
    strains: list[tuple[Strain, Strain]] = []
    common: list[_Bar] = []
    first: list[_Bar] = []
    second: list[_Bar] = []
    current = common

    def close() -> None:
        nonlocal common, first, second, current
        if any(pitch is not None for bar in common for pitch, _ in bar.events):
            strains.append((_strain(common + first), _strain(common + (second or first))))
        common, first, second = [], [], []
        current = common

    for bar in bars:
        if not bar.events:
            continue
        if bar.ending == 1:
            current = first
        elif bar.ending == 2:
            current = second
        elif current is first and first[-1].closes:
            close()
        current.append(bar)
        if bar.closes and current is not first:
            pickup = current is common and sum(b.length for b in common) < 0.75 * full
            if not pickup:
                close()
    close()
    return strains


def _strain(bars: list[_Bar]) -> Strain:
    notes: list[MelodyNote] = []
    starts = [0.0]
    at = 0.0
    for bar in bars:
        for pitch, duration in bar.events:
            if pitch is not None:
                notes.append(MelodyNote(at, duration, pitch))
            at += duration
        starts.append(at)
    return Strain(tuple(notes), tuple(starts))
