"""The description of a catalogue: numbers by hand, figures with the right axes, the command."""

from __future__ import annotations

import itertools
import json
import tracemalloc

import numpy as np
import pytest
from coverdex.benchmarks.commands import datasets
from coverdex.benchmarks.dataset_description import Spread, describe
from coverdex.benchmarks.dataset_figures import draw_chroma, from_c_to_b, scaled_per_track
from coverdex.benchmarks.dataset_reading import read_track
from coverdex.benchmarks.titles import TitleSpace, plain, without_remarks
from coverdex.encoder.chroma import PITCH_CLASSES, Chroma
from coverdex.encoder.errors import CoverdexError, NotFoundError
from coverdex.indexer import PerformanceRecord, open_catalogue, write_parquet_catalogue
from typer.testing import CliRunner

RECORDS = [
    PerformanceRecord("P_1", "W_1", "Hurt", "Nine Inch Nails", year=1994),
    PerformanceRecord("P_2", "W_1", "hurt", "Johnny Cash", year=2002),
    PerformanceRecord("P_3", "W_1", "Hurt (Live)", "Nine Inch Nails"),
    PerformanceRecord("P_4", "W_2", "La Mer", "Charles Trenet", year=1946),
    PerformanceRecord("P_5", "W_2", "Beyond the Sea", None, year=1959),
    PerformanceRecord("P_6", "W_3", None, None, year=1970),
    PerformanceRecord("P_7", None, "Alone", "Somebody"),
]


def test_numbers_of_a_small_catalogue():
    d = describe(RECORDS, {"P_1": 100.0, "P_2": 200.0}, rejected=3)
    assert (d.n_performances, d.n_works, d.n_pairs, d.rejected) == (7, 4, 4, 3)
    assert d.works_by_size == {1: 2, 2: 1, 3: 1}
    assert (d.titles.n_pairs, d.titles.n_unknown) == (4, 0)
    assert d.titles.same == pytest.approx(1 / 4)  # P_1 and P_2
    assert d.titles.same_without_remarks == pytest.approx(3 / 4)
    assert d.titles.similar == pytest.approx(3 / 4)
    assert d.same_artist == pytest.approx(1 / 3)  # of three pairs with both artists
    assert d.n_artist_unknown == 1
    assert d.missing["title"] == 1
    assert d.missing["work_id"] == 1
    assert d.missing["year"] == 2
    assert d.years is not None
    assert d.years_apart == Spread(2, 8.0, 9.25, 10.5, 10.5, 11.75, 13.0)
    assert d.durations is not None
    assert d.durations.mean == 150
    assert d.hours == pytest.approx(300 / 3600)


def test_pairs_of_a_large_work_are_counted_as_one_by_one():
    rng = np.random.default_rng(1)
    words = ["the", "rain", "song", "sea", "live", "blue"]
    work = [
        PerformanceRecord(
            f"P_{i:02}",
            "W_1",
            " ".join(rng.choice(words, rng.integers(1, 4))),
            str(rng.choice(["A", "a", "B"])),
            year=int(rng.integers(1990, 1996)),
        )
        for i in range(40)
    ]
    pairs = list(itertools.combinations(work, 2))
    titles = [(a.title or "", b.title or "") for a, b in pairs]
    space = TitleSpace(p.title or "" for p in work)
    cosines = np.array([space.similarity(*pair) for pair in titles])
    d = describe(work)
    assert d.titles.n_pairs == len(pairs) == 780
    assert d.titles.same == pytest.approx(np.mean([plain(a) == plain(b) for a, b in titles]))
    assert d.titles.same_without_remarks == pytest.approx(
        np.mean([without_remarks(a) == without_remarks(b) for a, b in titles])
    )
    assert d.titles.similar == pytest.approx((cosines >= 0.5).mean())
    assert d.titles.mean_cosine == pytest.approx(cosines.mean())
    artists = [(a.artist or "").lower() == (b.artist or "").lower() for a, b in pairs]
    assert d.same_artist == pytest.approx(np.mean(artists))
    apart = Spread.of([abs((a.year or 0) - (b.year or 0)) for a, b in pairs])
    assert apart is not None
    assert d.years_apart is not None
    assert vars(d.years_apart) == pytest.approx(vars(apart))


def test_a_work_of_thousands_is_described_in_memory_that_its_pairs_have_no_room_in():
    work = [PerformanceRecord(f"P_{i}", "W_1", f"Song {i}", "A", year=2000) for i in range(3_000)]
    tracemalloc.start()
    try:
        assert describe(work).n_pairs == 4_498_500
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_titles_without_a_word_are_told_apart():
    records = [PerformanceRecord(f"P_{i}", "W_1", title) for i, title in enumerate(["+", "÷", "+"])]
    assert describe(records).titles.same_without_remarks == pytest.approx(1 / 3)


def test_catalogue_that_says_nothing():
    d = describe([PerformanceRecord("P_1"), PerformanceRecord("P_2")])
    assert d.n_works == 2
    assert d.same_artist is None
    assert d.titles.n_pairs == 0
    assert d.durations is None
    assert d.missing["work_id"] == 2
    json.dumps(d.summary())


def test_heat_map_goes_from_c_to_b():
    values = np.eye(12, dtype=np.float32)  # frame i sounds pitch class i
    rows = from_c_to_b(values)
    labels = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
    for row, label in zip(rows, labels, strict=True):
        assert row.argmax() == PITCH_CLASSES.index(label)


def test_scaling_is_per_track():
    scaled = scaled_per_track(np.array([[0.2, 0.4], [0.6, 1.0]]))
    assert scaled == pytest.approx(np.array([[0, 0.25], [0.5, 1]]))
    assert scaled_per_track(np.full((2, 12), 0.5)).max() == 0


@pytest.fixture
def catalogue(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "catalogue.parquet"
    pairs = [(r, Chroma(rng.random((200, 12)), frame_rate=10.0)) for r in RECORDS]
    write_parquet_catalogue(path, pairs)
    return path


def test_command_describes_and_draws(catalogue, tmp_path):
    pytest.importorskip("matplotlib")
    arguments = ["describe", str(catalogue), "--json", "--figures", str(tmp_path / "figures")]
    result = CliRunner().invoke(datasets, [*arguments, "--track", "P_4"], catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["n_pairs"] == 4
    assert document["durations"]["median"] == 20
    drawn = {p.name: p.read_bytes()[:8] for p in (tmp_path / "figures").iterdir()}
    names = {"titles.png", "works-by-size.png", "years.png", "durations.png", "chroma.png"}
    assert set(drawn) == names
    assert set(drawn.values()) == {b"\x89PNG\r\n\x1a\n"}


def test_what_cannot_be_drawn_is_named_before_files_are_read(catalogue, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    unread = "coverdex.benchmarks.dataset_reading.read_durations"
    monkeypatch.setattr(unread, lambda _: pytest.fail("it read"))
    figures = tmp_path / "a-file"
    arguments = ["describe", str(catalogue), "--figures", str(figures)]
    with pytest.raises(NotFoundError, match=r"P_99; give an id such as P_\d"):
        CliRunner().invoke(datasets, [*arguments, "--track", "P_99"], catch_exceptions=False)
    figures.touch()
    with pytest.raises(CoverdexError, match="a-file is a file"):
        CliRunner().invoke(datasets, arguments, catch_exceptions=False)


def test_a_description_is_printed_although_its_figures_cannot_be_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    write_parquet_catalogue(tmp_path / "empty.parquet", [])
    arguments = ["describe", str(tmp_path / "empty.parquet"), "--figures", str(tmp_path / "x")]
    result = CliRunner().invoke(datasets, [*arguments, "--json"])
    assert isinstance(result.exception, NotFoundError)
    assert json.loads(result.stdout)["n_performances"] == 0


def test_table_without_reading(catalogue):
    result = CliRunner().invoke(datasets, ["describe", str(catalogue), "--no-read"])
    assert "pairs of covers" in result.stdout
    assert "hours" not in result.stdout


def test_track_that_is_not_there(catalogue):
    with pytest.raises(NotFoundError, match=r"P_99; give an id such as P_\d"):
        read_track(open_catalogue(catalogue), "P_99")


def test_a_track_that_is_not_drawn_is_wrong_usage(catalogue):
    refused = CliRunner().invoke(datasets, ["describe", str(catalogue), "--track", "P_4"])
    assert refused.exit_code == 2
    assert "goes with --figures" in " ".join(refused.stderr.split())


@pytest.mark.parametrize("title", [r"$ave \foo{ $ome", "Ca$h % $", "A$AP and Ke$ha", r"\$1 $"])
def test_dollars_in_a_title_are_dollars(tmp_path, title):
    pytest.importorskip("matplotlib")
    chroma = Chroma(np.random.default_rng(1).random((50, 12)), frame_rate=10.0)
    assert draw_chroma(chroma, tmp_path / "chroma.png", title=title).is_file()


def test_same_track_gives_the_same_picture(tmp_path):
    pytest.importorskip("matplotlib")
    chroma = Chroma(np.random.default_rng(1).random((50, 12)), frame_rate=10.0)
    one, other = (draw_chroma(chroma, tmp_path / n, title="x") for n in ("a.png", "b.png"))
    assert one.read_bytes() == other.read_bytes()
