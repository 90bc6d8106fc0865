"""How the demo's tunes are harmonised, arranged and played, on tunes made here."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from coverdex.indexer.demo import harmony
from coverdex.indexer.demo.arrangement import Arrangement, arrange_work
from coverdex.indexer.demo.averaged_frames import averaged
from coverdex.indexer.demo.harmony import harmonise
from coverdex.indexer.demo.notation import Bar, Note, Strain, Tune
from coverdex.indexer.demo.performance import perform
from coverdex.indexer.demo.tunes import Collection, Setting, read_works
from hypothesis import given, settings
from hypothesis import strategies as st

QUAVER = Fraction(1, 2)
C_MAJOR, G_MAJOR, F_MAJOR = (60, 64, 67), (67, 71, 74), (65, 69, 72)


def jig_bar(*triads: tuple[int, ...]) -> Bar:
    pitches = [pitch for triad in triads for pitch in triad]
    notes = tuple(Note(i * QUAVER, QUAVER, pitch) for i, pitch in enumerate(pitches))
    return Bar(notes, len(pitches) * QUAVER)


def jig() -> Tune:
    bars = (
        jig_bar(C_MAJOR, C_MAJOR),
        jig_bar(F_MAJOR, F_MAJOR),
        jig_bar(G_MAJOR, G_MAJOR),
        jig_bar(C_MAJOR, C_MAJOR),
    )
    return Tune((Strain(bars * 2), Strain(bars[::-1] * 2)), "6/8", Fraction(3), Fraction(3, 2))


def a_setting(performance_id: str = "P_1", key: str = "C") -> Setting:
    book = Collection("A Book", "An Editor", 1800)
    return Setting(performance_id, "W_1", "Jig", "Jig", key, book, "book.abc", 0)


def arranged(n: int = 3) -> list[Arrangement]:
    return arrange_work([a_setting(f"P_{i}") for i in range(n)], [jig()] * n)


def quiet(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("key", "tonic", "mode"),
    [
        ("G", 7, "major"),
        ("Am", 9, "minor"),
        ("Dmix", 2, "mixolydian"),
        ("Cdor", 0, "dorian"),
        ("EDor", 4, "dorian"),
        ("Glyd", 7, "lydian"),
        ("F#m", 6, "minor"),
        ("Bb", 10, "major"),
    ],
)
def test_key_is_read(key: str, tonic: int, mode: str) -> None:
    setting = a_setting(key=key)
    assert (setting.tonic, setting.mode) == (tonic, mode)


def test_key_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="write it like"):
        _ = a_setting(key="H sharp").tonic


def test_listed_settings_have_ids_of_their_own() -> None:
    works = read_works()
    ids = [setting.performance_id for work in works for setting in work]
    assert len(ids) == len(set(ids)) == 140
    assert all(len({s.work_id for s in work}) == 1 for work in works)
    places = [(setting.file, setting.position) for work in works for setting in work]
    assert len(set(places)) == 140


def test_broken_chords_are_harmonised_as_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harmony, "_TASTE", 0.0)
    tune = jig()
    chords = harmonise(tune, [tune.strains[0].bars], 0, "major", quiet(0))
    roots = [chord.root for chord in chords]
    assert roots == [0, 0, 5, 5, 7, 7, 0, 0] * 2
    assert not any(chord.minor for chord in chords)
    assert [chord.onset for chord in chords] == [i * Fraction(3, 2) for i in range(16)]


def test_chords_follow_a_transposed_tune() -> None:
    tune = jig()
    strain = tune.strains[0]
    up = tuple(
        Bar(tuple(replace(n, pitch=n.pitch + 2) for n in bar.notes), bar.length)
        for bar in strain.bars
    )
    plain = harmonise(tune, [strain.bars], 0, "major", quiet(1))
    moved = harmonise(tune, [up], 2, "major", quiet(1))
    assert [(c.root + 2) % 12 for c in plain] == [c.root for c in moved]


def test_players_differ_in_taste() -> None:
    scale = (60, 62, 64, 65, 67, 69, 71, 72, 74, 72, 71, 69)
    bars = (jig_bar(scale[:6]), jig_bar(scale[6:])) * 4
    tune = Tune((Strain(bars),), "6/8", Fraction(3), Fraction(3, 2))
    heard = {
        tuple(c.root for c in harmonise(tune, [bars], 0, "major", quiet(seed)))
        for seed in range(12)
    }
    assert len(heard) > 1


def test_pickup_has_no_chord() -> None:
    pickup = Bar((Note(Fraction(0), QUAVER, 67),), QUAVER)
    tune = jig()
    chords = harmonise(tune, [(pickup, *tune.strains[0].bars)], 0, "major", quiet(0))
    assert chords[0].onset == QUAVER


def test_settings_of_a_work_are_arranged_unlike() -> None:
    arrangements = arranged(3)
    for decision in ("tonic", "tempo", "lead", "style"):
        assert len({getattr(a, decision) for a in arrangements}) == 3, decision


def test_arrangement_is_drawn_from_the_ids_alone() -> None:
    assert arranged() == arranged()
    other = arrange_work([a_setting("P_7"), a_setting("P_8")], [jig()] * 2)
    assert other != arranged(2)


def test_second_ending_is_played_the_last_time() -> None:
    first, second = (jig_bar(G_MAJOR, G_MAJOR),), (jig_bar(C_MAJOR, C_MAJOR),)
    strain = Strain((jig_bar(F_MAJOR, F_MAJOR),), first, second)
    assert strain.played(last_time=False)[-1:] == first
    assert strain.played(last_time=True)[-1:] == second


def test_performance_is_the_same_each_time_and_lasts_as_long_as_wanted() -> None:
    for arrangement in arranged():
        sounds = perform(a_setting(), jig(), arrangement)
        assert sounds == perform(a_setting(), jig(), arrangement)
        assert 40 < max(s.onset + s.duration for s in sounds) < 95
        assert min(s.onset for s in sounds) >= 0


def test_lead_sounds_in_the_arranged_key() -> None:
    arrangement = replace(arranged()[0], ornaments=0.0, variation=0.0)
    sounds = perform(a_setting(), jig(), arrangement)
    heard = {s.pitch % 12 for s in sounds if s.player == "lead"}
    written = {(pitch + arrangement.tonic) % 12 for pitch in jig().pitches}
    assert heard == written


@pytest.mark.parametrize("style", ["band", "vamp", "pad", "arpeggio", "drone", "solo"])
def test_accompaniment_stays_in_the_chords(style: str) -> None:
    """A tune of C, F and G chords leaves no room for notes outside the scale."""
    from coverdex.indexer.demo.arrangement import BASSES, CHORDS, DRONES

    arrangement = replace(
        arranged()[0],
        style=style,
        chords=CHORDS[0] if style not in ("drone", "solo") else None,
        bass=BASSES[0] if style == "band" else None,
        drone=DRONES[0] if style == "drone" else None,
        drums=style == "band",
    )
    sounds = perform(a_setting(), jig(), arrangement)
    accompaniment = [s for s in sounds if s.player in ("chords", "bass", "drone")]
    scale = {(step + arrangement.tonic) % 12 for step in (0, 2, 4, 5, 7, 9, 11)}
    assert {s.pitch % 12 for s in accompaniment} <= scale
    assert bool(accompaniment) == (style != "solo")
    assert any(s.player == "drums" for s in sounds) == (style == "band")


@given(st.integers(1, 60), st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_averaging_keeps_the_mean_and_drops_the_rest(n_frames: int, group: int) -> None:
    values = np.random.default_rng(n_frames).random((n_frames, 12), dtype=np.float32)
    means = averaged(values, group)
    n = n_frames // group
    assert means.shape == (n, 12)
    if n:
        expected = values[: n * group].mean(axis=0)
        np.testing.assert_allclose(means.mean(axis=0), expected, rtol=1e-5)
