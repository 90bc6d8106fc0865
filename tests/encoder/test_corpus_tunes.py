"""Tunes from ABC: what is read, what counts as one tune, what is left out, how it is played."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from coverdex.encoder.errors import NotFoundError, TrainingError
from coverdex.encoder.training.abc_notation import AbcTune, read_abc, read_key
from coverdex.encoder.training.corpus import BASS, CHORDS, MELODY, Notes
from coverdex.encoder.training.corpus_tables import read_note_table
from coverdex.encoder.training.corpus_tunes import leave_out_tunes, main, read_settings, tune_works
from coverdex.encoder.training.harmonisation import (
    PALETTES,
    chords_of_scale,
    draw_harmony_style,
    harmonise,
    melody_fit,
)
from coverdex.encoder.training.sampler import title_key
from coverdex.encoder.training.tune_grouping import (
    group_settings,
    incipit,
    interval_sequences,
    likeness,
    plain_tune_title,
    too_like,
)
from coverdex.encoder.training.tune_versions import MelodyStyle, draw_version, vary_melody

HEADER = "X:1\nT:{title}\nM:{metre}\nL:1/8\nK:{key}\n"
STILL = MelodyStyle(drop=0, fill=0, neighbour=0, decorate=0, split=0, swing=0)


def tune(music: str, *, title: str = "A", metre: str = "4/4", key: str = "C") -> AbcTune:
    (read,) = read_abc(HEADER.format(title=title, metre=metre, key=key) + music)
    assert read is not None
    return read


def random_music(seed: int, n_bars: int = 16) -> str:
    rng = np.random.default_rng(seed)
    bars = ["".join(rng.choice(list("CDEFGABcdefga"), 8)) for _ in range(n_bars)]
    half = n_bars // 2
    return f"|:{'|'.join(bars[:half])}:|\n|:{'|'.join(bars[half:])}:|\n"


def played(music: str, **fields: str) -> list[tuple[float, float, int]]:
    return [tuple(note) for note in tune(music, **fields).strains[0][0].notes]


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("C2 D/ E// z c'", [(0, 1, 60), (1, 0.25, 62), (1.25, 0.125, 64), (1.875, 0.5, 84)]),
        ("C>D E<F", [(0, 0.75, 60), (0.75, 0.25, 62), (1, 0.25, 64), (1.25, 0.75, 65)]),
        ("(3CDE (FG)", [(0, 1 / 3, 60), (1 / 3, 1 / 3, 62), (2 / 3, 1 / 3, 64), (1, 0.5, 65),
                        (1.5, 0.5, 67)]),
        ("^C C | C", [(0, 0.5, 61), (0.5, 0.5, 61), (1, 0.5, 60)]),
        ('"Am"{g}[CE]2 !trill!~C-C', [(0, 1, 64), (1, 1, 60)]),
        ("C2 [K:D] F C,", [(0, 1, 60), (1, 0.5, 66), (1.5, 0.5, 49)]),
    ],
)  # fmt: skip
def test_notes_are_read(music: str, expected: list[tuple[float, float, int]]) -> None:
    np.testing.assert_allclose(played(music + " |"), expected)


@pytest.mark.parametrize(
    ("text", "tonic", "raised"),
    [
        ("G", 7, {"F": 1}),
        ("Bb", 10, {"B": -1, "E": -1}),
        ("A Dorian", 9, {"F": 1}),
        ("Em", 4, {"F": 1}),
        ("D mix", 2, {"F": 1}),
        ("F# minor", 6, {"F": 1, "C": 1, "G": 1}),
        ("C lyd", 0, {"F": 1}),
    ],
)
def test_keys_and_modes(text: str, tonic: int, raised: dict[str, int]) -> None:
    read = read_key(text)
    assert read is not None
    assert read[0] == tonic
    assert {k: v for k, v in read[1].items() if v} == raised


def test_strains_and_endings() -> None:
    read = tune("G2|:C4 D4|1 E8:|2 F8|]\nA2|c8|d6||")
    assert len(read.strains) == 2
    first, last = read.strains[0]
    assert [n.pitch for n in first.notes] == [67, 60, 62, 64]  # the pickup belongs to the strain
    assert [n.pitch for n in last.notes] == [67, 60, 62, 65]
    assert first.bars == (0, 1, 5, 9)
    assert [n.pitch for n in read.strains[1][0].notes] == [69, 72, 74]


def test_several_voices_are_not_read() -> None:
    assert read_abc("X:1\nM:C\nK:C\nV:1\nCDEF|\n") == [None]
    assert read_abc("X:1\nM:C\nCDEF|\nX:2\nM:C\nK:C\nz8|\n") == [None, None]  # no key, no notes


def test_titles_lose_spelling_article_setting_and_kind() -> None:
    same = ["The Blooming Meadows -- Jig", "Blooming Meadows, The", "BLOOMING MEADOWS (jig)"]
    same.append("The Blooming Meadows. 2nd Setting")
    assert {plain_tune_title(t) for t in same} == {"bloomingmeadows"}
    assert plain_tune_title("A Scotch Reel") == ""


def test_melodies_are_alike_in_any_key() -> None:
    music = random_music(1)
    up_a_tone = tune(music.translate(str.maketrans("CDEFGABcdefga", "DEFGABcdefgab")), key="D")
    marks = interval_sequences([tune(music), up_a_tone, tune(random_music(2))])
    alike = likeness(marks, marks)
    assert alike[0, 1] == pytest.approx(1.0)
    assert alike[0, 2] < 0.1


def test_the_incipit_knows_neither_key_nor_pickup() -> None:
    in_c = tune("CEGc EGce|CEGc EGce|CEGc EGce|CEGc EGce|")
    in_d = tune("A2|DFAd FAdf|DFAd FAdf|DFAd FAdf|DFAd FAdf|", key="D")
    assert incipit(in_c).tolist() == incipit(in_d).tolist()
    assert incipit(in_c).size == 8


def test_settings_are_grouped_by_melody_and_kept_apart_by_title() -> None:
    music, other, third = (random_music(s) for s in (1, 2, 3))
    tunes = [
        tune(music, title="The Cuckoo"),
        tune(other, title="Cuckoo"),
        tune(music.replace("B", "c", 3), title="Another Name"),
        tune(third, title="Unrelated"),
        tune(random_music(4), title="A Reel"),
        tune(random_music(5), title="A Reel"),
    ]
    same, family = group_settings(tunes)
    assert same == [0, 1, 0, 3, 4, 5]
    assert family == [0, 0, 0, 3, 4, 5]


def test_what_may_be_a_left_out_tune_is_left_out() -> None:
    music = random_music(1)
    listed = [tune(music, title="Listed")]
    tunes = [
        tune(random_music(2), title="Listed (reel)"),
        tune(music.replace("B", "c", 3), title="Under Another Name"),
        tune(music[:30] + "|" + random_music(3)[2:], title="Same Opening"),
        tune(random_music(4), title="Free"),
    ]
    assert too_like(tunes, listed).tolist() == [True, True, True, False]


def test_chords_fit_the_melody_and_differ_between_players() -> None:
    scale = (0, 2, 4, 5, 7, 9, 11)
    weights = np.random.default_rng(0).dirichlet(np.full(7, 0.5), 200)
    by_pitch = np.zeros((200, 12))
    by_pitch[:, list(scale)] = weights
    fits, lines = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        style = draw_harmony_style(rng)
        chords = chords_of_scale(scale, style)
        drawn = harmonise(by_pitch, scale, style, rng)
        fit = melody_fit(by_pitch, chords)
        chosen = [fit[i, chords.index(chord)] for i, chord in enumerate(drawn)]
        fits.append(np.mean(chosen) - fit.mean())
        lines.append([chord.root for chord in drawn])
    assert np.mean(fits) > 0.15  # better than any chord
    agreement = np.mean([[np.mean(np.equal(a, b)) for a in lines] for b in lines])
    assert 0.2 < agreement < 0.8
    assert {len(p) for p in PALETTES} == {7}


def test_an_unchanged_melody_stays_as_printed_and_beats_keep_their_notes() -> None:
    read = tune(random_music(1), metre="2/2")
    strain = read.strains[0][0]
    assert vary_melody(strain, read, STILL, np.random.default_rng(0)) == list(strain.notes)
    bold = MelodyStyle(drop=0.5, fill=0, neighbour=0.5, decorate=0, split=0, swing=0)
    varied = vary_melody(strain, read, bold, np.random.default_rng(0))
    assert len(varied) < len(strain.notes)
    on_beats = {n.onset: n.pitch for n in strain.notes if n.onset % 2 == 0}
    assert on_beats.items() <= {n.onset: n.pitch for n in varied}.items()


def test_versions_are_drawn_by_the_generator_alone_and_differ() -> None:
    read = tune(random_music(1), metre="2/2")

    def draw(seed: int) -> Notes:
        return draw_version(read, np.random.default_rng(seed), seconds=(20.0, 30.0))

    np.testing.assert_array_equal(draw(3).onset, draw(3).onset)
    versions = [draw(seed) for seed in range(40)]
    lengths = [float((v.onset + v.duration).max()) for v in versions]
    assert 19.0 < min(lengths) < max(lengths) < 40.0
    parts = {tuple(sorted(set(v.part.tolist()))) for v in versions}
    assert {(MELODY,), (MELODY, CHORDS), (MELODY, BASS), (MELODY, CHORDS, BASS)} <= parts
    assert len({v.onset.size for v in versions}) > 30
    for v in versions:
        assert (v.duration > 0).all()
        assert v.loudness.min() >= 1
        assert v.loudness.max() <= 127


@pytest.fixture
def abc_corpus(tmp_path: Path) -> Path:
    corpus = tmp_path / "corpus"
    for collection in ("oneills1850", "ryansMammoth", "airdsAirs"):
        (corpus / collection).mkdir(parents=True)
    header = "X:{0}\nT:Lark {0}\nM:C|\nL:1/8\nK:G\n"
    texts = [header.format(i) + random_music(i) for i in range(1, 7)]
    (corpus / "oneills1850" / "a.abc").write_text("\n".join(texts))
    again = header.format(2) + random_music(2)
    (corpus / "ryansMammoth" / "b.abc").write_text(again)
    (corpus / "airdsAirs" / "c.abc").write_text(header.format(9) + random_music(9))
    (corpus / "airdsAirs" / "d.abc").write_text("% from thesession.org\n" + texts[0])
    return corpus


def listing(folder: Path, position: int) -> Path:
    setting = {"title": "A Listed One", "file": "oneills1850/a.abc", "position": position}
    path = folder / "listed.json"
    path.write_text(json.dumps({"works": [{"title": "The Lark 5", "settings": [setting]}]}))
    return path


def test_the_table_is_a_seed_without_the_listed_tunes(abc_corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "tunes.parquet"
    arguments = ["--out", str(out), "--leave-out", str(listing(tmp_path, 0))]
    arguments += ["--corpus", str(abc_corpus), "--seconds", "20", "30", "--versions", "3"]
    main(arguments)
    first = pq.read_table(out)
    main(arguments)
    assert pq.read_table(out).equals(first)
    versions = list(read_note_table(out))
    works = {v.work_id for v in versions}
    # Tune 1 is listed by place, tune 5 by title; tune 2 stands in two books.
    assert len(works) == 5
    assert len(versions) == 15
    places = {v.version_id.rpartition("/")[0] for v in versions}
    assert places.isdisjoint({"oneills1850/a/0", "oneills1850/a/4", "airdsAirs/d/0"})
    both = [v.version_id for v in versions if v.work_id.startswith("tune_lark2")]
    assert {name.partition("/")[0] for name in both} == {"oneills1850", "ryansMammoth"}
    assert {v.corpus for v in versions} == {"tunes"}


def test_works_of_one_title_have_one_key_for_the_sampler(abc_corpus: Path) -> None:
    text = "X:1\nT:Lark 3\nM:C|\nL:1/8\nK:G\n" + random_music(33)
    (abc_corpus / "ryansMammoth" / "e.abc").write_text(text)
    works = tune_works(read_settings(abc_corpus))
    of_three = [w.work_id for w in works if "Lark 3" in w.settings[0].tune.title]
    assert len(of_three) == 2
    assert len({title_key(w) for w in of_three}) == 1
    assert len({title_key(w.work_id) for w in works}) == len(works) - 1


def test_a_list_of_another_corpus_is_an_error(abc_corpus: Path, tmp_path: Path) -> None:
    settings = read_settings(abc_corpus)
    with pytest.raises(TrainingError, match="1 are not in the corpus"):
        leave_out_tunes(settings, listing(tmp_path, 99))
    with pytest.raises(NotFoundError, match="no list"):
        leave_out_tunes(settings, tmp_path / "absent.json")
    for text in ("{", "[]", '{"works": 3}', '{"works": [{"title": "A Reel"}]}', "\0"):
        (tmp_path / "wrong.json").write_text(text)
        with pytest.raises(TrainingError, match=r"wrong\.json is no list of tunes"):
            leave_out_tunes(settings, tmp_path / "wrong.json")
    with pytest.raises(NotFoundError, match="no ABC files"):
        read_settings(tmp_path)
