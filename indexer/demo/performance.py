"""From a page and an arrangement to sounding notes: who plays what, when, how loudly.

Nobody plays like a metronome: the tempo drifts by a few per cent, and the players
(:mod:`.melody`, :mod:`.accompaniment`) are never quite together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from .accompaniment import play_bass, play_chords, play_drone, play_drums
from .arrangement import Arrangement
from .harmony import harmonise
from .melody import play_melody
from .notation import Tune
from .stage import Sound, Stage
from .tunes import Setting


def perform(setting: Setting, tune: Tune, arrangement: Arrangement) -> list[Sound]:
    """Play a setting.

    Returns
    -------
    list of Sound
        By onset.
    """
    rng = np.random.default_rng([arrangement.seed, 1])
    plays = [tune.strains[index].played(last_time=last) for index, last in arrangement.form]
    stage = Stage(
        setting=setting,
        tune=tune,
        arrangement=arrangement,
        plays=plays,
        chords=harmonise(tune, plays, setting.tonic, setting.mode, rng),
        seconds=_clock(tune, arrangement, rng),
        length=sum((bar.length for bars in plays for bar in bars), Fraction(0)),
    )
    sounds = list(play_melody(stage, "lead", arrangement.lead_shift, rng))
    if arrangement.doubling:
        sounds += play_melody(stage, "doubling", arrangement.doubling_shift, rng)
    if arrangement.chords:
        sounds += play_chords(stage, rng)
    if arrangement.bass:
        sounds += play_bass(stage, rng)
    if arrangement.drone:
        sounds += play_drone(stage, rng)
    if arrangement.drums:
        sounds += play_drums(stage, rng)
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


def _with_introduction(stage: Stage, sounds: list[Sound]) -> list[Sound]:
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
