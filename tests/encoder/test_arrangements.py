"""Bands, singers and chord recognition, and the arrangements that they make together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.encoder.training.accompaniment import (
    BASS_STYLES,
    CHORD_STYLES,
    BandStyle,
    draw_band_style,
    play_chart,
)
from coverdex.encoder.training.arrangements import arrange_score, chart_chords, read_arrangements
from coverdex.encoder.training.chord_recognition import BEAT, recognise_chords
from coverdex.encoder.training.corpus import BASS, CHORDS, MELODY, N_PARTS, Notes
from coverdex.encoder.training.melody_variation import (
    SingingStyle,
    scale_of,
    step_in_scale,
    vary_singing,
)
from coverdex.encoder.training.reharmonisation import ChartChord

CHART = [
    ChartChord(0.0, 4.0, 0, (0, 4, 7)),
    ChartChord(4.0, 4.0, 5, (5, 9, 0)),
    ChartChord(8.0, 8.0, 7, (7, 11, 2, 5)),
]
SILENT = np.zeros(16, dtype=np.bool_)


def band(chords: str = "held", bass: str = "root", left_out: tuple[int, ...] = ()) -> BandStyle:
    rhythm = SILENT.copy()
    rhythm[[0, 3]] = True
    return BandStyle(chords, bass, rhythm, rhythm, 0.5, frozenset(left_out), improvised=False)


def played(style: BandStyle) -> np.ndarray:
    return play_chart(CHART, style, np.random.default_rng(0), frames_per_beat=4.0)


def from_c(roll: np.ndarray) -> np.ndarray:
    return np.roll(roll, -3, axis=-1)


class TestBand:
    def test_held_chords_sound_throughout_and_nothing_else_does(self) -> None:
        roll = from_c(played(band()))
        assert roll.shape == (64, 4, 12)
        for chord in CHART:
            frames = roll[int(4 * chord.start) : int(4 * (chord.start + chord.length))]
            assert set(np.flatnonzero(frames[:, CHORDS].min(axis=0))) == set(chord.tones)
            assert set(np.flatnonzero(frames[:, CHORDS].max(axis=0))) == set(chord.tones)
            assert set(np.flatnonzero(frames[:, BASS].max(axis=0))) == {chord.bass}
        assert not roll[:, MELODY].any()

    @pytest.mark.parametrize("chords", CHORD_STYLES)
    def test_each_style_plays_tones_of_the_chord_alone(self, chords: str) -> None:
        roll = from_c(played(band(chords)))
        for chord in CHART:
            frames = roll[int(4 * chord.start) : int(4 * (chord.start + chord.length)), CHORDS]
            assert frames.any()
            assert set(np.flatnonzero(frames.max(axis=0))) <= set(chord.tones)

    @pytest.mark.parametrize("style", [s for s in CHORD_STYLES if s != "held"])
    def test_struck_styles_leave_gaps_or_take_turns(self, style: str) -> None:
        held, struck = played(band())[:, CHORDS], played(band(style))[:, CHORDS]
        assert np.count_nonzero(struck) < np.count_nonzero(held)

    @pytest.mark.parametrize("bass", BASS_STYLES)
    def test_every_chord_begins_with_its_bass(self, bass: str) -> None:
        roll = from_c(played(band(bass=bass)))
        for chord in CHART:
            assert roll[int(4 * chord.start), BASS].argmax() == chord.bass

    def test_a_voicing_leaves_tones_out(self) -> None:
        roll = from_c(played(band(left_out=(0,))))
        assert set(np.flatnonzero(roll[:16, CHORDS].max(axis=0))) == {4, 7}

    def test_a_soloist_plays_in_every_chord(self) -> None:
        rng = np.random.default_rng(3)
        style = draw_band_style(rng, improvised=1.0)
        roll = play_chart(CHART, style, rng, frames_per_beat=4.0)
        for chord in CHART:
            assert roll[int(4 * chord.start) : int(4 * (chord.start + chord.length)), MELODY].any()

    def test_an_empty_chart_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no chords"):
            play_chart([], band(), np.random.default_rng(0), frames_per_beat=4.0)


def score(chart: list[ChartChord] = CHART, melody: bool = True) -> Notes:
    rows = []
    for chord in chart:
        start, length = chord.start * BEAT, chord.length * BEAT
        rows += [(start, length, 60 + tone, 80.0, CHORDS) for tone in chord.tones]
        rows.append((start, length, 36 + chord.bass, 80.0, BASS))
        if melody:
            steps = np.arange(start, start + length, 0.25)
            rows += [(t, 0.25, 72 + chord.tones[i % 2], 80.0, MELODY) for i, t in enumerate(steps)]
    onset, duration, pitch, loudness, part = (np.array(c) for c in zip(*rows, strict=True))
    return Notes(onset, duration, pitch.astype(np.int64), loudness, part.astype(np.int64))


class TestChordRecognition:
    def test_the_chords_of_a_score_are_found(self) -> None:
        found = recognise_chords(score())
        assert [(c.start, c.length, c.tones) for c in found] == [
            (c.start, c.length, c.tones) for c in CHART
        ]

    def test_a_passing_note_changes_no_chord(self) -> None:
        notes = score()
        extra = Notes(*(np.append(a, v) for a, v in zip(
            (notes.onset, notes.duration, notes.pitch, notes.loudness, notes.part),
            (1.0, 0.2, 61, 80.0, CHORDS), strict=True,
        )))  # fmt: skip
        assert recognise_chords(extra) == recognise_chords(notes)


class TestSinging:
    def test_without_freedom_the_melody_stays(self) -> None:
        notes = score()
        sung = vary_singing(notes, SingingStyle(), np.random.default_rng(0))
        kept = notes.part == MELODY
        np.testing.assert_array_equal(sung.onset, notes.onset[kept])
        np.testing.assert_array_equal(sung.pitch, notes.pitch[kept])

    def test_everything_can_be_dropped(self) -> None:
        sung = vary_singing(score(), SingingStyle(drop=1.0), np.random.default_rng(0))
        assert sung.onset.size == 0

    def test_slides_take_their_time_from_the_note(self) -> None:
        notes = score()
        sung = vary_singing(notes, SingingStyle(slide=1.0), np.random.default_rng(0))
        kept = notes.part == MELODY
        assert sung.onset.size == 2 * kept.sum()
        assert sung.duration.sum() == pytest.approx(notes.duration[kept].sum())

    def test_neighbours_are_a_step_of_the_scale_away(self) -> None:
        notes = score()
        sung = vary_singing(notes, SingingStyle(neighbour=1.0), np.random.default_rng(0))
        kept = notes.pitch[notes.part == MELODY]
        scale = scale_of(kept, np.ones(kept.size))
        assert scale[sung.pitch % 12].all()
        assert (sung.pitch != kept).all()

    def test_steps_skip_what_is_not_in_the_scale(self) -> None:
        scale = np.isin(np.arange(12), [0, 2, 4, 5, 7, 9, 11])
        moved = step_in_scale(np.array([64, 60]), np.array([True, False]), scale)
        assert moved.tolist() == [65, 59]


def test_a_score_is_arranged_for_another_band() -> None:
    notes = score()
    chart = recognise_chords(notes)
    rolls = [arrange_score(notes, chart, np.random.default_rng(k)) for k in range(4)]
    assert all(r.shape[1:] == (N_PARTS, 12) and r.dtype == np.uint8 for r in rolls)
    assert all(r[:, BASS].any() for r in rolls)
    assert any(not np.array_equal(rolls[0], r) for r in rolls[1:])


def test_arrangements_are_read_from_tables_and_are_always_the_same(tmp_path: Path) -> None:
    chords = [[c.start, c.length, c.bass, list(c.tones)] for c in CHART]
    charts = pa.table({
        "work_id": ["1", "2"], "source": ["a", "a"], "version_id": ["x", "y"],
        "chords_json": [json.dumps(chords)] * 2,
    })  # fmt: skip
    pq.write_table(charts, tmp_path / "charts.parquet")
    notes = score()
    row = {
        "work_id": "s", "version_id": "v",
        "onset_ms": (1000 * notes.onset).astype(int).tolist(),
        "duration_ms": (1000 * notes.duration).astype(int).tolist(),
        "midi_pitch": notes.pitch.tolist(), "velocity": notes.loudness.astype(int).tolist(),
        "part": notes.part.tolist(),
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "songs.parquet")
    paths = [tmp_path / "charts.parquet", tmp_path / "songs.parquet"]
    counts = {"charts": 2, "songs": 1}
    first = list(read_arrangements(paths, counts, {"jazz_1", "s"}))
    assert [v.version_id for v in first] == ["a/x~1", "a/x~2", "v~1"]
    assert [v.cyclic for v in first] == [True, True, False]
    again = list(read_arrangements(paths, counts, {"jazz_1", "s"}))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.roll, two.roll)
    assert not np.array_equal(first[0].roll, first[1].roll)


def test_broken_chords_of_a_table_are_left_out() -> None:
    text = json.dumps([[0, 0, 1, [1]], [0, 4, 0, []], [0, 4, 0, [0, 4, 7]], [600, 4, 0, [0]]])
    assert chart_chords(text) == [ChartChord(0.0, 4.0, 0, (0, 4, 7))]
