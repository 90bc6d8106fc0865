"""Statistics of chroma, and the MIDI that seeds are rendered from."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from coverdex.encoder import Chroma
from coverdex.encoder.training import calibration, rendering
from coverdex.encoder.training.calibration import (
    EDGES,
    LAGS,
    ChromaStatistics,
    draw,
    over_tracks,
    simulated_tracks,
    through_channels,
)
from coverdex.encoder.training.channel import ChannelEffects
from coverdex.encoder.training.corpus import Notes
from coverdex.encoder.training.simulator import SimulatorConfig


def scale(n_notes: int = 120) -> Notes:
    k = np.arange(n_notes)
    return Notes(k * 0.5, np.full(n_notes, 0.5), 60 + k % 12, np.full(n_notes, 80.0), k % 4)


def test_statistics_of_a_known_track() -> None:
    """Bins that alternate every frame: correlation -1 at lag 1, +1 at lag 2."""
    frames = np.zeros((200, 12))
    frames[::2, ::2] = 1  # even bins in even frames, odd bins in odd ones
    frames[1::2, 1::2] = 1
    found = ChromaStatistics.of(frames)
    np.testing.assert_allclose(found.autocorrelation[:3], [-1, 1, 1], atol=0.02)
    np.testing.assert_allclose(found.bins, [-1, 1, -1, 1, -1, 1], atol=1e-6)
    assert found.values[0] == found.values[-1] == 0.5
    where = np.flatnonzero(found.entropy)
    assert where.size == 1  # every frame has six equal bins: log2(6) bits
    assert found.entropy[where[0]] == 1


def test_means_and_deviations_are_over_tracks() -> None:
    rng = np.random.default_rng(0)
    tracks = [ChromaStatistics.of(rng.random((150, 12)) ** k) for k in (1, 3)]
    mean, deviation = over_tracks(tracks)
    np.testing.assert_allclose(mean.values, (tracks[0].values + tracks[1].values) / 2)
    np.testing.assert_allclose(
        deviation.values, np.abs(tracks[0].values - tracks[1].values) / 2, atol=1e-12
    )
    assert mean.values.shape == (EDGES.size - 1,)
    assert mean.autocorrelation.shape == (len(LAGS),)


def test_simulated_tracks_are_drawn_beside_others(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    seeds = [("a", "1", scale()), ("b", "1", scale(100))]
    tracks = simulated_tracks(seeds, SimulatorConfig(), seconds=40, seed=1)
    assert [t.shape[1] for t in tracks] == [12, 12]
    statistics = [ChromaStatistics.of(t) for t in tracks if len(t) > 2 * max(LAGS)]
    assert statistics
    draw({"simulated": statistics, "again": statistics}, 4.0, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_rendered_tracks_go_through_channels_of_their_own_length() -> None:
    rng = np.random.default_rng(0)
    tracks = [rng.random((n, 12), dtype=np.float32) ** 4 for n in (150, 90)]
    heard = through_channels(tracks, ChannelEffects(floor=0.5), seed=1)
    assert [track.shape for track in heard] == [(150, 12), (90, 12)]
    for before, after in zip(tracks, heard, strict=True):
        assert after.min() == 0
        assert after.max() == pytest.approx(1)
        assert ChromaStatistics.of(after).entropy @ np.arange(20) > (
            ChromaStatistics.of(before).entropy @ np.arange(20)
        )
    clean = through_channels(tracks, ChannelEffects(), seed=1)
    np.testing.assert_allclose(
        clean[0], (tracks[0] - tracks[0].min()) / np.ptp(tracks[0]), atol=1e-6
    )


def test_what_is_kept_is_of_the_same_seed_length_and_soundfonts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[tuple[int, float]] = []

    def play(notes: Notes, soundfont: Path, rng: object, *, seconds: float) -> Chroma:
        played.append((notes.onset.size, seconds))
        return Chroma(np.full((10, 12), notes.onset.size, dtype=np.float32), 21.5)

    monkeypatch.setattr(rendering, "render", play)
    options = Namespace(cache=tmp_path, seed=0, seconds=60.0, soundfont=[Path("a.sf2")])
    first = [("a", "1", scale(10))]
    for _ in range(2):
        assert [values[0, 0] for values, _ in calibration._rendered(first, options)] == [10]
    assert played == [(10, 60.0)]
    other = [("b", "1", scale(20))]
    assert [values[0, 0] for values, _ in calibration._rendered(other, options)] == [20]
    for change in ({"seconds": 30.0}, {"soundfont": [Path("b.sf2")]}):
        list(calibration._rendered(first, Namespace(**{**vars(options), **change})))
    assert len(played) == 4


def test_a_band_is_written_as_midi(tmp_path: Path) -> None:
    mido = pytest.importorskip("mido")
    from coverdex.encoder.training.rendering import write_midi

    write_midi(scale(), tmp_path / "a.mid", np.random.default_rng(1), seconds=10)
    midi = mido.MidiFile(tmp_path / "a.mid")
    assert 9 < midi.length < 12
    struck = [m for m in midi if m.type == "note_on" and m.channel != 9]
    pitches = [m.note for m in struck]
    assert 14 <= len(pitches) <= 27  # 20 notes at 0.78 to 1.28 times their tempo
    np.testing.assert_array_equal(np.diff(pitches)[:10], np.ones(10))  # one shift for all
    assert {m.channel for m in struck} == {0, 1, 2, 3}
