"""Melodies bent as a voice bends them, and the wheel that plays them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from coverdex.encoder.training import rendering
from coverdex.encoder.training.corpus import BASS, MELODY, Notes
from coverdex.encoder.training.singing import (
    FARTHEST,
    STEP,
    SingingStyle,
    bend_of_voice,
    draw_singing_voice,
)

PLAIN = SingingStyle(
    glide=100, scoop=1.0, scooped=0.0, vibrato_rate=5, vibrato_depth=0, intonation=0
)


def sung(style: SingingStyle, *notes: tuple[float, float, int]) -> tuple[Any, Any]:
    start, stop, pitch = (np.array(column) for column in zip(*notes, strict=True))
    return bend_of_voice(start, stop, pitch, style, np.random.default_rng(0))


def varied(**changes: Any) -> SingingStyle:
    return SingingStyle(**{**PLAIN.__dict__, **changes})


def test_notes_of_one_breath_glide_into_each_other() -> None:
    at, bend = sung(PLAIN, (0.0, 500.0, 60), (500.0, 1000.0, 61))
    assert at.tolist() == list(range(0, 1000, STEP))
    assert not bend[at < 500].any()
    assert bend[at == 500] == pytest.approx(-1)  # still where the note before was
    assert bend[at == 560] == pytest.approx(-0.4)
    assert not bend[at >= 600].any()


def test_after_a_breath_a_note_is_scooped_or_not() -> None:
    at, bend = sung(varied(scooped=1.0), (0.0, 400.0, 60), (600.0, 900.0, 67))
    assert bend[at == 0] == bend[at == 600] == pytest.approx(-1)
    assert not sung(PLAIN, (0.0, 400.0, 60), (600.0, 900.0, 67))[1].any()


def test_vibrato_has_its_rate_and_depth_once_a_note_has_lasted() -> None:
    at, bend = sung(varied(vibrato_depth=0.5), (0.0, 2500.0, 60))
    assert not bend[at <= 250].any()
    steady = bend[at >= 500]
    assert 0.47 < steady.max() <= 0.5
    crossings = np.count_nonzero(np.diff(np.sign(steady)))
    assert crossings == pytest.approx(2 * 5 * 2.0, abs=1)  # two seconds at 5 Hz


def test_every_voice_stays_within_the_wheel_s_range() -> None:
    rng = np.random.default_rng(1)
    start = np.cumsum(rng.uniform(50, 600, 200))
    pitch = rng.integers(50, 80, 200)
    for _ in range(20):
        style = draw_singing_voice(rng)
        at, bend = bend_of_voice(start, start + rng.uniform(50, 900, 200), pitch, style, rng)
        assert np.abs(bend).max() <= FARTHEST
        assert (np.diff(at) >= 0).all()


def test_no_notes_no_bend() -> None:
    at, bend = bend_of_voice(
        np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64), PLAIN, np.random.default_rng(0)
    )
    assert at.size == bend.size == 0


def test_only_the_melody_of_a_band_is_sung() -> None:
    pytest.importorskip("mido")
    start = np.arange(8) * 0.5
    notes = Notes(
        np.tile(start, 2),
        np.full(16, 0.4),
        np.repeat([69, 45], 8),
        np.full(16, 80.0),
        np.repeat([MELODY, BASS], 8),
    )
    bands = {
        share: rendering.band_events(
            notes, np.random.default_rng(2), seconds=10, singing=share, tuning=0.25
        )
        for share in (0.0, 1.0)
    }
    wheels = {
        share: [message for _, message in events if message.type == "pitchwheel"]
        for share, events in bands.items()
    }
    assert not wheels[0.0]
    assert {message.channel for message in wheels[1.0]} == {MELODY}
    turned = np.array([message.pitch for message in wheels[1.0]]) / 8191 * 2
    assert np.median(turned) == pytest.approx(0.25, abs=0.2)  # in tune with the others
    programs = [m.program for _, m in bands[1.0] if m.type == "program_change"]
    assert programs[MELODY] in rendering.SUNG_PROGRAMS
