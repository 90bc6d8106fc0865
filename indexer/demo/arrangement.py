"""How a setting is to be played: everything a band would decide before it starts.

What differs between cover versions differs here too: key, tempo, instruments, accompaniment, how
often the parts are repeated, swing and ornaments, tuning, the room, the recording's noise. Each
decision is drawn from a generator seeded by the work's id, and settings of one tune never share the
sounding key, the lead instrument or the kind of accompaniment, nor a range of tempo.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .notation import Tune
from .tunes import Setting

T = TypeVar("T")

KEY_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True)
class Instrument:
    """A General MIDI voice: name, program from 0, the MIDI note in the middle of its range."""

    name: str
    program: int
    centre: int
    sustained: bool = True


LEADS = (
    Instrument("fiddle", 40, 73),
    Instrument("flute", 73, 77),
    Instrument("accordion", 21, 73),
    Instrument("banjo", 105, 67, sustained=False),
    Instrument("piano", 0, 71, sustained=False),
    Instrument("steel guitar", 25, 66, sustained=False),
    Instrument("recorder", 74, 78),  # General MIDI's own whistle is mostly breath
    Instrument("strings", 48, 72),
    Instrument("clarinet", 71, 68),
    Instrument("harp", 46, 71, sustained=False),
    Instrument("harmonica", 22, 73),
    Instrument("oboe", 68, 73),
    Instrument("dulcimer", 15, 71, sustained=False),
    Instrument("alto saxophone", 65, 65),
    Instrument("trumpet", 56, 69),
    Instrument("harpsichord", 6, 71, sustained=False),
)
CHORDS = (
    Instrument("steel guitar", 25, 57, sustained=False),
    Instrument("nylon guitar", 24, 57, sustained=False),
    Instrument("piano", 0, 57, sustained=False),
    Instrument("accordion", 21, 60),
    Instrument("electric piano", 4, 57, sustained=False),
    Instrument("organ", 16, 60),
    Instrument("strings", 48, 60),
    Instrument("harp", 46, 60, sustained=False),
)
BASSES = (
    Instrument("acoustic bass", 32, 40, sustained=False),
    Instrument("electric bass", 33, 40, sustained=False),
    Instrument("cello", 42, 45),
    Instrument("tuba", 58, 40),
)
DRONES = (
    Instrument("bagpipe", 109, 50),
    Instrument("reed organ", 20, 50),
    Instrument("strings", 48, 50),
)

#: Kinds of accompaniment and how often each is drawn.
STYLES = {"band": 0.27, "vamp": 0.2, "pad": 0.15, "arpeggio": 0.14, "drone": 0.12, "solo": 0.12}

SOUNDFONTS = ("FluidR3_GM.sf2", "TimGM6mb.sf2")

#: Beats a minute at which dancers would want each metre.
_DANCE_TEMPO = {
    "6/8": 106, "12/8": 106, "9/8": 110, "3/8": 70, "2/2": 94, "2/4": 92, "4/4": 144, "3/4": 100,
}  # fmt: skip
_TEMPO_RANGE = (0.74, 1.22)
_SECONDS = (46.0, 66.0)
_LONGEST = 86.0


@dataclass(frozen=True)
class Room:
    """FluidSynth's reverberator: size, damping and level from 0 to 1."""

    size: float
    damping: float
    level: float


@dataclass(frozen=True)
class Arrangement:
    """One performance, decided.

    Parameters
    ----------
    seed : int
        For what is decided while playing: ornaments, timing, noise.
    lead, doubling, chords, bass, drone : Instrument or None
        Who plays; ``doubling`` plays the melody too, an octave away or in unison.
    style : str
        Kind of accompaniment, a key of ``STYLES``.
    drums : bool
        Whether there is percussion.
    tempo : float
        Beats a minute.
    tonic : int
        Sounding tonic, pitch class with C = 0.
    lead_shift, doubling_shift : int
        Semitones from the page to what sounds.
    form : tuple of (int, bool)
        Strains in the order of playing: index, and whether it is the last of its repeats.
    swing : float
        Length of the first of two even quavers over the second; 1 is straight.
    ornaments, variation : float
        Probability, a note, of an ornament and of a melodic variation.
    detune : float
        Cents off A = 440 Hz.
    lead_level, accompaniment_level : int
        MIDI volume, 0 to 127.
    soundfont : str
        File name.
    room : Room
        Reverberation.
    signal_to_noise : float
        Loudness of the music over that of the recording's noise, in dB.
    silence : float
        Seconds before the first note.
    introduction : bool
        Whether the accompaniment plays a bar before the tune starts.
    """

    seed: int
    lead: Instrument
    doubling: Instrument | None
    chords: Instrument | None
    bass: Instrument | None
    drone: Instrument | None
    style: str
    drums: bool
    tempo: float
    tonic: int
    lead_shift: int
    doubling_shift: int
    form: tuple[tuple[int, bool], ...]
    swing: float
    ornaments: float
    variation: float
    detune: float
    lead_level: int
    accompaniment_level: int
    soundfont: str
    room: Room
    signal_to_noise: float
    silence: float
    introduction: bool

    @property
    def key_name(self) -> str:
        """Name of the sounding tonic."""
        return KEY_NAMES[self.tonic]

    @property
    def instruments(self) -> str:
        """Everyone who plays, for the catalogue."""
        players = [self.lead, self.doubling, self.chords, self.bass, self.drone]
        names = [player.name for player in players if player is not None]
        return ", ".join([*dict.fromkeys(names), *(["drums"] if self.drums else [])])


def arrange_work(settings: list[Setting], tunes: list[Tune]) -> list[Arrangement]:
    """Decide how each setting of one tune is played, no two alike.

    Parameters
    ----------
    settings : list of Setting
        All settings of a work.
    tunes : list of Tune
        Their notes, in the same order.
    """
    rng = np.random.default_rng(_seed(settings[0].work_id))
    n = len(settings)
    leads = _without_replacement(rng, LEADS, n)
    styles = _without_replacement(rng, tuple(STYLES), n, list(STYLES.values()))
    tonics = rng.choice(12, n, replace=False)
    # One stratum of tempo each: [0, 1) cut in n, drawn in the middle 80 % of each.
    strata = (rng.permutation(n) + rng.uniform(0.1, 0.9, n)) / n
    return [
        _arrange(setting, tune, lead, style, int(tonic), float(stratum))
        for setting, tune, lead, style, tonic, stratum in zip(
            settings, tunes, leads, styles, tonics, strata, strict=True
        )
    ]


def _arrange(
    setting: Setting, tune: Tune, lead: Instrument, style: str, tonic: int, stratum: float
) -> Arrangement:
    seed = _seed(setting.performance_id)
    rng = np.random.default_rng(seed)
    low, high = _TEMPO_RANGE
    tempo = round(_DANCE_TEMPO[tune.metre] * (low + (high - low) * stratum), 1)
    doubling = _one(rng, LEADS) if rng.random() < {"band": 0.5}.get(style, 0.15) else None
    if doubling == lead:
        doubling = None
    accompanied = style in ("band", "vamp", "pad", "arpeggio")
    key_shift = tonic - setting.tonic
    middle = float(np.median(tune.pitches))
    lead_shift = _nearest_octave(key_shift, middle, lead.centre)
    return Arrangement(
        seed=seed,
        lead=lead,
        doubling=doubling,
        chords=_chord_instrument(rng, style, lead) if accompanied else None,
        bass=_one(rng, BASSES) if style == "band" or (accompanied and rng.random() < 0.5) else None,
        drone=_one(rng, DRONES) if style == "drone" else None,
        style=style,
        drums=style == "band" and bool(rng.random() < 0.7),
        tempo=tempo,
        tonic=tonic,
        lead_shift=lead_shift,
        doubling_shift=_nearest_octave(key_shift, middle, doubling.centre) if doubling else 0,
        form=_form(rng, tune, tempo),
        swing=float(rng.choice([1.0, 1.0, 1.2, 1.5])),
        ornaments=float(rng.uniform(0.0, 0.12)),
        variation=float(rng.uniform(0.01, 0.08)),
        detune=round(float(rng.normal(0.0, 9.0)), 1),
        lead_level=int(rng.integers(104, 124)),
        accompaniment_level=int(rng.integers(66, 104)),
        soundfont=str(rng.choice(SOUNDFONTS, p=[0.65, 0.35])),
        room=Room(*(round(float(x), 2) for x in rng.uniform([0.2, 0.0, 0.2], [0.9, 0.6, 0.9]))),
        signal_to_noise=round(float(rng.uniform(8.0, 24.0)), 1),
        silence=round(float(rng.uniform(0.1, 1.2)), 2),
        introduction=accompanied and bool(rng.random() < 0.4),
    )


def _form(rng: np.random.Generator, tune: Tune, tempo: float) -> tuple[tuple[int, bool], ...]:
    """Go round the strains until the time is up; how often each is repeated is the band's habit."""
    seconds_a_quarter = 60.0 / (tempo * float(tune.beat))
    repeats = rng.choice([1, 2], size=len(tune.strains), p=[0.35, 0.65])
    wanted = float(rng.uniform(*_SECONDS))
    form: list[tuple[int, bool]] = []
    played = 0.0
    while played < wanted:
        for index, strain in enumerate(tune.strains):
            length = float(strain.length) * seconds_a_quarter
            for repeat in range(1, int(repeats[index]) + 1):
                if played < wanted and played + length <= _LONGEST:
                    form.append((index, repeat == repeats[index]))
                    played += length
        if played + min(float(s.length) for s in tune.strains) * seconds_a_quarter > _LONGEST:
            break
    return tuple(form)


def _chord_instrument(rng: np.random.Generator, style: str, lead: Instrument) -> Instrument:
    fitting = [
        player
        for player in CHORDS
        if player.name != lead.name and (player.sustained == (style == "pad"))
    ]
    return _one(rng, tuple(fitting))


def _nearest_octave(shift: int, middle: float, centre: int) -> int:
    """Add octaves to a transposition so that the tune lies in the middle of an instrument."""
    return shift + 12 * round((centre - middle - shift) / 12)


def _one(rng: np.random.Generator, choices: tuple[T, ...]) -> T:
    return choices[int(rng.integers(len(choices)))]


def _without_replacement(
    rng: np.random.Generator, choices: tuple[T, ...], n: int, p: list[float] | None = None
) -> list[T]:
    return [choices[int(i)] for i in rng.choice(len(choices), n, replace=False, p=p)]


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"coverdex demo {text}".encode()).digest()[:8], "big")
