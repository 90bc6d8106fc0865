"""Rolls of notes, charts and MIDI; what is left out; which works share a batch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.encoder.errors import NotFoundError, TrainingError
from coverdex.encoder.training.arrangements import chart_chords
from coverdex.encoder.training.corpus import (
    BASS,
    CHORDS,
    MELODY,
    PAD,
    ROLL_RATE,
    Notes,
    RollCorpus,
    Version,
    moving_average,
    roll_from_notes,
    split_bass,
)
from coverdex.encoder.training.corpus_charts import NOMINAL_BEAT, roll_from_chart
from coverdex.encoder.training.sampler import WorkSampler, title_key
from coverdex.encoder.training.seeds import hold_out, leave_out, read_seeds


def notes(rows: list[tuple[float, float, int, int]]) -> Notes:
    onset, duration, pitch, part = zip(*rows, strict=True)
    return Notes(
        np.array(onset, float),
        np.array(duration, float),
        np.array(pitch),
        np.full(len(rows), 80.0),
        np.array(part),
    )


def version(work: str, name: str, corpus: str = "c", n_frames: int = 5) -> Version:
    return Version(work, name, corpus, np.ones((n_frames, 5, 12), dtype=np.uint8))


def test_a_note_sounds_where_it_is_written() -> None:
    roll = roll_from_notes(notes([(1.0, 0.5, 69, MELODY), (2.0, 1.0, 60, CHORDS)]))
    assert roll.shape == (16, 5, 12)  # from the first onset to the last end, at 8 Hz
    melody = roll[:, MELODY]
    assert (melody[:4, 0] == 60).all()  # A is pitch class 0
    assert melody.sum() == 4 * 60
    assert (roll[8:16, CHORDS, 3] == 60).all()  # C is pitch class 3
    assert roll[:, BASS].sum() == 0


def test_a_very_short_note_is_not_lost() -> None:
    assert roll_from_notes(notes([(0, 1, 60, 0), (0.5, 0.001, 62, 0)]))[4, MELODY, 5] == 60


def test_the_pad_smears_the_chords() -> None:
    rows = [(i * 0.5, 0.25, 60 + 12 * (i % 2), CHORDS) for i in range(20)]
    pad = roll_from_notes(notes(rows))[:, PAD, 3].astype(int)
    inside = pad[8:-8]
    assert inside.min() > 0.8 * inside.max() > 0


def test_moving_average_against_a_loop() -> None:
    x = np.random.default_rng(0).random((17, 3))
    for width in (1, 2, 5):
        padded = np.pad(x, [(width // 2, width - 1 - width // 2), (0, 0)], mode="edge")
        expected = [padded[i : i + width].mean(axis=0) for i in range(17)]
        np.testing.assert_allclose(moving_average(x, width), expected, atol=1e-12)


def test_the_lowest_notes_of_a_piano_are_its_bass() -> None:
    split = split_bass(notes([(0, 1, 40, 2), (0.05, 1, 47, 2), (0.1, 1, 64, 2), (1, 1, 60, 2)]))
    assert split.part.tolist() == [BASS, CHORDS, CHORDS, CHORDS]


def test_no_notes_is_an_error() -> None:
    empty = np.zeros(0)
    with pytest.raises(ValueError, match="no notes"):
        roll_from_notes(Notes(empty, empty, empty.astype(int), empty, empty.astype(int)))


def test_a_chart_is_block_chords_over_a_bass() -> None:
    roll = roll_from_chart([[4.0, 4.0, 0, [0, 4, 7]], [8.0, 4.0, 7, [7, 11, 2]]])
    assert roll.shape[0] == round(8 * NOMINAL_BEAT * ROLL_RATE)
    half = roll.shape[0] // 2
    assert set(np.flatnonzero(roll[2, CHORDS])) == {3, 7, 10}  # C E G from A
    assert set(np.flatnonzero(roll[half + 2, CHORDS])) == {10, 2, 5}
    assert roll[0, BASS].argmax() == 3
    assert roll[half + 1, BASS].argmax() == 10


def test_a_corpus_knows_where_everything_lies() -> None:
    versions = [version("b", "1", n_frames=3), version("a", "2"), version("b", "3", n_frames=7)]
    corpus = RollCorpus.from_versions(versions)
    assert corpus.work_ids == ("a", "b")
    assert corpus.rolls.shape == (15, 60)
    assert corpus.first.tolist() == [0, 3, 8]
    assert [v.tolist() for v in corpus.versions_by_work()] == [[1], [0, 2]]


def test_works_are_left_out_by_title() -> None:
    ids = [
        "coco_TheBeatles_Yesterday_1965",
        "jazz_yesterday",
        "jazz_yesterdayonce",
        "coco_A_True_1983.varms",
    ]
    kept = leave_out([version(w, w) for w in ids], ["Yesterday", "true"])
    assert [v.work_id for v in kept] == ["jazz_yesterdayonce"]


def test_held_out_works_have_several_versions_and_are_gone() -> None:
    versions = [version(f"w{i}", str(k)) for i in range(6) for k in range(1 + i % 2)]
    kept, held = hold_out(versions, corpus="c", n_works=2, seed=1)
    assert {v.work_id for v in held} <= {"w1", "w3", "w5"}
    assert len({v.work_id for v in held}) == 2
    assert not {v.work_id for v in held} & {v.work_id for v in kept}
    assert len(held) + len(kept) == len(versions)
    with pytest.raises(TrainingError, match="only 3"):
        hold_out(versions, corpus="c", n_works=4, seed=1)


def test_a_held_out_work_is_trained_on_under_no_other_id() -> None:
    versions = [version(w, f"{w}.{k}") for w in ("jazz_unit7", "jazz_oleo") for k in range(2)]
    others = [
        version("coco_X_Oleo_1999", "1", corpus="songs"),
        version("jazz_unitseven", "1", corpus="other charts"),
        version("jazz_stardust", "1", corpus="other charts"),
    ]
    kept, held = hold_out(versions + others, corpus="c", n_works=2, seed=1)
    assert held == versions
    assert kept == others[2:]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("coco_SimonAndGarfunkel_TheSoundsOfSilence_1965", "coco_X_TheSoundsOfSilence_1965.varms"),
        ("coco_DinahWashington_Unforgettable_1959", "jazz_unforgettable"),
        ("asap_Schumann/Toccata", "asap_Schumann/Toccata_repeat"),
        ("jazz_unit7", "jazz_unitseven"),
        ("coco_X_ColdSweatPart1_1967.varms", "coco_Y_ColdSweatPartI_1968"),
        ("coco_BBKing_TheThrillIsGone_1970", "jazz_thrillisgone"),
    ],
)
def test_editions_of_a_song_have_one_key(one: str, other: str) -> None:
    assert title_key(one) == title_key(other)


def test_titles_of_any_script_are_left_out() -> None:
    works = [version(w, w) for w in ("mine_上を向いて歩こう", "mine_Déjà Vu", "mine_Yesterday")]
    kept = leave_out(works, ["上を向いて歩こう", "Deja vu"])
    assert [v.work_id for v in kept] == ["mine_Yesterday"]


def test_numbers_of_four_digits_tell_works_of_ones_own_apart() -> None:
    ids = [f"mymidi_song_{i:04d}" for i in range(8)]  # of mymidi/song_0000.mid and so on
    assert WorkSampler(ids, ["mymidi"] * 8).n_groups == 8


def test_a_batch_never_holds_two_entries_of_a_song() -> None:
    ids = [f"coco_A_Song{i}_1970" for i in range(8)] + [f"jazz_song{i}" for i in range(8)]
    sampler = WorkSampler(ids, ["coco"] * 8 + ["jazz"] * 8, seed=3)
    drawn = set()
    for step in range(40):
        works = sampler.works(step, 8)
        assert len({title_key(ids[w]) for w in works}) == 8
        drawn.update(works.tolist())
    assert drawn == set(range(16))  # both entries have their turns
    np.testing.assert_array_equal(sampler.works(7, 5), sampler.works(7, 5))


def test_tunes_over_one_harmony_never_share_a_batch_and_all_have_their_turns() -> None:
    same = ["jazz_howhighthemoon", "jazz_ornithology", "coco_X_Satellite_1999"]
    ids = [*same, "jazz_oleo", "jazz_dexterity", "jazz_stardust", "pop909_001", "pop909_002"]
    sampler = WorkSampler(ids, [i.partition("_")[0] for i in ids], seed=1)
    assert sampler.n_groups == 5
    alone = np.zeros(len(ids))
    for step in range(300):
        works = sampler.works(step, 5)
        assert len(set(works.tolist())) == 5
        assert len({0, 1, 2} & set(works.tolist())) == len({3, 4} & set(works.tolist())) == 1
        alone[sampler.works(step, 1)] += 1
    assert (alone > 15).all()  # each as often as any other: 37 times, give or take 6
    with pytest.raises(ValueError, match="there are 5"):
        sampler.works(0, 6)


def test_a_work_of_weight_zero_is_not_drawn_for_its_namesake() -> None:
    sampler = WorkSampler(
        ["coco_X_Song_1970", "jazz_song", "jazz_b"], ["coco", "jazz", "jazz"], weights={"coco": 0.0}
    )
    assert {int(w) for step in range(20) for w in sampler.works(step, 2)} == {1, 2}


def test_a_collection_of_weight_zero_is_never_drawn() -> None:
    sampler = WorkSampler(["a_1", "a_2", "b_3"], ["a", "a", "b"], weights={"b": 0.0})
    assert {int(w) for step in range(20) for w in sampler.works(step, 2)} == {0, 1}
    with pytest.raises(ValueError, match="there are 2"):
        sampler.works(0, 3)


def test_tables_are_read_by_their_columns(tmp_path: Path) -> None:
    table = {
        "work_id": ["w"], "version_id": ["1"], "onset_ms": [[0, 500]], "duration_ms": [[500, 500]],
        "midi_pitch": [[69, 71]], "velocity": [[80, 80]], "part": [[0, 0]],
    }  # fmt: skip
    chart = {
        "work_id": ["t"], "source": ["book"], "version_id": ["1"], "title": ["T"],
        "chords_json": [json.dumps([[0, 4, 0, [0, 4, 7]]])],
    }  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "tunes.parquet")
    pq.write_table(pa.table(chart), tmp_path / "charts.parquet")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    found = read_seeds([tmp_path / "tunes.parquet", tmp_path / "charts.parquet"])
    assert [(v.work_id, v.corpus, v.cyclic) for v in found] == [
        ("w", "tunes", False),
        ("jazz_t", "charts", True),
    ]
    assert found[0].roll[:, MELODY].any(axis=0).nonzero()[0].tolist() == [0, 2]
    with pytest.raises(TrainingError, match="chords_json"):
        read_seeds([tmp_path / "other.parquet"])
    with pytest.raises(NotFoundError, match="no seeds"):
        read_seeds([tmp_path / "missing.parquet"])


NOTES = {
    "work_id": "w", "version_id": "1", "onset_ms": [0, 500], "duration_ms": [500, 500],
    "midi_pitch": [69, 71], "velocity": [80, 80], "part": [0, 0],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"part": [0, 4]}, "row 2: part goes from 0 to 4"),
        ({"part": [-1, 0]}, "part goes from -1"),
        ({"midi_pitch": [None, 71]}, "midi_pitch holds something that is no number"),
        ({"onset_ms": [0.0, float("nan")]}, "onset_ms holds"),
        ({"velocity": None}, "velocity is None"),
        ({"duration_ms": [500]}, "different lengths"),
        ({"onset_ms": [0, 10**15]}, "hours"),
        ({"work_id": None}, "work_id is None"),
    ],
)
def test_a_row_that_is_no_version_is_named(
    changed: dict[str, object], said: str, tmp_path: Path
) -> None:
    pq.write_table(pa.Table.from_pylist([NOTES, {**NOTES, **changed}]), tmp_path / "mine.parquet")
    with pytest.raises(TrainingError, match=said):
        read_seeds([tmp_path / "mine.parquet"])


def test_a_table_that_lacks_something_is_refused(tmp_path: Path) -> None:
    lacking = {name: value for name, value in NOTES.items() if name != "part"}
    pq.write_table(pa.Table.from_pylist([lacking]), tmp_path / "mine.parquet")
    with pytest.raises(TrainingError, match="no column part"):
        read_seeds([tmp_path / "mine.parquet"])
    numbered = {**NOTES, "work_id": 7}
    pq.write_table(pa.Table.from_pylist([numbered]), tmp_path / "mine.parquet")
    with pytest.raises(TrainingError, match="work_id is 7; give text"):
        read_seeds([tmp_path / "mine.parquet"])
    (tmp_path / "mine.parquet").write_text("onset_ms", encoding="utf-8")
    with pytest.raises(TrainingError, match="cannot be read as Parquet"):
        read_seeds([tmp_path / "mine.parquet"])


@pytest.mark.parametrize(
    "chords",
    [
        "[[0, 4, 0]]", "[[600, 4, 0, [0]]]", "{", "[1]", None, "[" * 100_000,
        "[[0, 1e7, 0, [0]]]", "[[0, Infinity, 0, [0]]]", "[[-1e6, 4, 0, [0]], [0, 4, 0, [0]]]",
    ],
)  # fmt: skip
def test_a_chart_that_is_none_is_named(chords: str | None, tmp_path: Path) -> None:
    chart = {"work_id": "t", "source": "book", "version_id": "1", "chords_json": chords}
    good = {**chart, "chords_json": "[[0, 4, 0, [0, 4, 7]]]"}
    pq.write_table(pa.Table.from_pylist([good, chart]), tmp_path / "charts.parquet")
    with pytest.raises(TrainingError, match="row 2"):
        read_seeds([tmp_path / "charts.parquet"])


def test_a_chart_is_the_same_in_any_order() -> None:
    chords = [[0, 4, 0, [0, 4, 7]], [4, 4, 7, [7, 11, 2]], [8, 4, 5, [5, 9, 0]]]
    roll = roll_from_chart(chords, seed=1)
    assert np.array_equal(roll_from_chart(chords[::-1], seed=1), roll)
    assert chart_chords(json.dumps(chords[::-1])) == chart_chords(json.dumps(chords))


def test_times_may_be_those_of_a_clock() -> None:
    rows = [(0.0, 1.0, 40, 2), (0.06, 1.0, 64, 2), (1.0, 1.0, 60, 2)]
    clock = 1_700_000_000.1  # seconds; a place for each beat since then would fill the memory
    later = split_bass(notes([(onset + clock, *rest) for onset, *rest in rows]))
    assert later.part.tolist() == [BASS, CHORDS, CHORDS]


def test_an_upbeat_before_zero_has_its_bass() -> None:
    split = split_bass(notes([(-2, 1, 40, 2), (-1.95, 1, 64, 2), (-1, 1, 60, 2)]))
    assert split.part.tolist() == [BASS, CHORDS, CHORDS]


def test_midi_folders_are_works_and_versions(tmp_path: Path) -> None:
    import pretty_midi

    for file, top in (("one/a.mid", 72), ("one/b.mid", 74), ("two.mid", 76)):
        midi = pretty_midi.PrettyMIDI()
        for program, pitches in ((0, [top]), (1, [60, 64, 67]), (33, [36])):
            track = pretty_midi.Instrument(program)
            for pitch in pitches:
                track.notes.append(pretty_midi.Note(80, pitch, 0.0, 1.0))
            midi.instruments.append(track)
        drums = pretty_midi.Instrument(0, is_drum=True)
        drums.notes.append(pretty_midi.Note(80, 38, 0.0, 0.1))
        midi.instruments.append(drums)
        (tmp_path / file).parent.mkdir(exist_ok=True)
        midi.write(str(tmp_path / file))
    found = read_seeds([tmp_path])
    assert [v.version_id for v in found] == ["one/a.mid", "one/b.mid", "two.mid"]
    assert found[0].work_id == found[1].work_id != found[2].work_id
    roll = found[2].roll[0]
    assert [np.flatnonzero(roll[p]).tolist() for p in (MELODY, CHORDS, BASS)] == [
        [7],
        [3, 7, 10],
        [3],
    ]
    (tmp_path / "one" / "._a.mid").write_bytes(b"not music: beside each file, on some disks")
    assert len(read_seeds([tmp_path])) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match=r"no \.mid"):
        read_seeds([tmp_path / "empty"])


def test_midi_of_more_than_a_day_is_refused(tmp_path: Path) -> None:
    import mido

    note = {"note": 60, "velocity": 80}
    track = mido.MidiTrack([
        mido.MetaMessage("set_tempo", tempo=16_000_000), mido.Message("note_on", **note),
        mido.Message("note_off", note=60, time=9_000_000),
    ])  # fmt: skip
    mido.MidiFile(tracks=[track], ticks_per_beat=1).save(str(tmp_path / "endless.mid"))
    with pytest.raises(TrainingError, match=r"endless\.mid lasts 4e\+04 hours"):
        read_seeds([tmp_path])
