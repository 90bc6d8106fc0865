"""Each change of harmony by itself, and what all of them keep."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from coverdex.encoder.training.reharmonisation import (
    ChartChord,
    ReharmonisationStyle,
    draw_reharmonisation_style,
    is_dominant,
    reharmonise,
)
from hypothesis import given
from hypothesis import strategies as st

D_MINOR = ChartChord(0.0, 4.0, 2, (2, 5, 9, 0))
G_SEVENTH = ChartChord(4.0, 4.0, 7, (7, 11, 2, 5))
C_MAJOR = ChartChord(8.0, 8.0, 0, (0, 4, 7, 11))
CADENCE = [D_MINOR, G_SEVENTH, C_MAJOR]


def changed(style: ReharmonisationStyle, chart: list[ChartChord] = CADENCE) -> list[ChartChord]:
    return reharmonise(chart, style, np.random.default_rng(0))


def test_without_strength_the_chart_stays() -> None:
    assert changed(ReharmonisationStyle()) == CADENCE


def test_the_tritone_substitute_keeps_third_and_seventh() -> None:
    _, substitute, _ = changed(ReharmonisationStyle(tritone=1.0))
    assert (substitute.bass, substitute.tones) == (1, (1, 5, 8, 11))
    assert {5, 11} <= set(substitute.tones) & set(G_SEVENTH.tones)


def test_a_dominant_gets_its_second() -> None:
    chords = changed(ReharmonisationStyle(related_second=1.0), [G_SEVENTH, C_MAJOR])
    assert [(c.start, c.length, c.tones[0]) for c in chords] == [
        (4.0, 2.0, 2),
        (6.0, 2.0, 7),
        (8.0, 8.0, 0),
    ]


def test_a_second_before_its_dominant_can_be_dropped() -> None:
    chords = changed(ReharmonisationStyle(dropped_second=1.0))
    assert chords == [G_SEVENTH._replace(start=0.0, length=8.0), C_MAJOR]


def test_a_long_chord_ends_in_the_dominant_of_the_next() -> None:
    last = changed(ReharmonisationStyle(secondary_dominant=1.0))[-1]
    assert is_dominant(last)
    assert last.tones[0] == (D_MINOR.tones[0] + 7) % 12  # the form goes round


def test_relatives_share_two_tones() -> None:
    chords = changed(ReharmonisationStyle(relative=1.0))
    assert chords[1] == G_SEVENTH
    for before, after in ((D_MINOR, chords[0]), (C_MAJOR, chords[-1])):
        assert after.tones[0] != before.tones[0]
        assert len(set(after.tones) & set(before.tones)) >= 2


def test_short_chords_give_way_to_the_one_before() -> None:
    passing = ChartChord(8.0, 1.0, 1, (1, 4, 7, 10))
    chart = [D_MINOR, G_SEVENTH, passing, C_MAJOR._replace(start=9.0, length=7.0)]
    chords = changed(ReharmonisationStyle(hold=1.0), chart)
    assert [c.tones[0] for c in chords] == [2, 7, 0]
    assert chords[1].length == 5.0


def test_inversions_move_the_bass_alone() -> None:
    chords = changed(ReharmonisationStyle(invert=1.0))
    assert [c.tones for c in chords] == [c.tones for c in CADENCE]
    assert all(c.bass in c.tones for c in chords)


@pytest.mark.parametrize(("colour", "n_tones"), [("plain", 3), ("as written", 4), ("ninths", 5)])
def test_colour_holds_throughout(colour: str, n_tones: int) -> None:
    assert {len(c.tones) for c in changed(ReharmonisationStyle(colour=colour))} == {n_tones}


@given(seed=st.integers(0, 2**32 - 1))
def test_beats_are_kept_whatever_is_drawn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    style = draw_reharmonisation_style(rng)
    chords = reharmonise(CADENCE, style, rng)
    assert chords[0].start == 0.0
    for before, after in pairwise(chords):
        assert before.start + before.length == pytest.approx(after.start)
    assert chords[-1].start + chords[-1].length == 16.0
    for chord in chords:
        assert chord.length > 0
        assert all(0 <= tone < 12 for tone in (chord.bass, *chord.tones))
