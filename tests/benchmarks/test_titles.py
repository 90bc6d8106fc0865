from __future__ import annotations

import math

import pytest
from coverdex.benchmarks.titles import TitleSpace, plain, without_remarks, words


@pytest.mark.parametrize(
    ("title", "kept"),
    [
        ("Yesterday (Live)", "yesterday"),
        ("Help! [Live at Shea Stadium]", "help"),
        ("Help! (Live (1965))", "help"),
        ("Help! (The Movie (1965))", "help the movie 1965"),
        ("Yesterday - Remastered 2009", "yesterday"),
        ("Déjà Vu", "deja vu"),
        ("Rock & Roll", "rock and roll"),
        ("Don't Stop", "dont stop"),
        ("Umbrella feat. Jay-Z", "umbrella"),
        ("Crazy (feat. Someone)", "crazy"),
        ("(I Can't Get No) Satisfaction", "i cant get no satisfaction"),
        ("Blue Suede Shoes - Acoustic Version", "blue suede shoes"),
        ("Live and Let Die", "and let die"),
        ("Live", "live"),  # nothing would be left
        ("", ""),
    ],
)
def test_remarks_are_dropped(title, kept):
    assert without_remarks(title) == kept


def test_plain_evens_out_case_and_blanks_only():
    assert plain("  The  LONG Road (Live) ") == "the long road (live)"


def test_words_of_any_script():
    assert words("上を向いて歩こう / Sukiyaki!") == ["上を向いて歩こう", "sukiyaki"]


def test_rare_words_weigh_more():
    space = TitleSpace(["the rain", "the sun", "the yesterday"])
    shares_rare = space.similarity("the rain", "my rain")
    shares_common = space.similarity("the rain", "the moon")
    assert shares_rare > shares_common > 0


def test_cosine_by_hand():
    space = TitleSpace(["rain song", "rain"])
    rain, song = 1.0, math.log(3 / 2) + 1  # in both titles, in one of two
    expected = rain / math.hypot(rain, song)
    assert space.similarity("rain song", "rain") == pytest.approx(expected)
    assert space.similarity("rain song", "Song, Rain!") == pytest.approx(1)
    assert space.similarity("rain", "") == 0
    assert space.similarity("unseen words", "unseen words") == pytest.approx(1)
