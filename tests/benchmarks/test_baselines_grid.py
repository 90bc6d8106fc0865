"""Frames brought to a grid, beats found in chroma, keys brought together."""

from __future__ import annotations

import numpy as np
import pytest
from coverdex.benchmarks.baselines.beat_grid import beat_grid
from coverdex.benchmarks.baselines.delay_embedding import (
    diagonal_sums,
    n_states,
    squared_distances,
    state_energies,
)
from coverdex.benchmarks.baselines.frame_grid import aggregate, at_least, at_rate, fixed_grid
from coverdex.benchmarks.baselines.transposition import best_transpositions, global_profile
from coverdex.encoder.chroma import Chroma
from hypothesis import given, settings
from hypothesis import strategies as st

few = settings(max_examples=50, deadline=None)


@few
@given(st.integers(1, 2000), st.floats(1.0, 200.0, allow_nan=False), st.floats(0.1, 300.0))
def test_fixed_grid_covers_the_chroma_at_the_rate_asked_for(
    n_frames: int, frame_rate: float, rate: float
) -> None:
    grid = fixed_grid(n_frames, frame_rate, rate)
    step = max(1.0, frame_rate / rate)
    assert grid[0] == 0
    assert (np.diff(grid) >= 1).all()
    assert n_frames - step / 2 - 1 <= grid[-1] <= n_frames or len(grid) == 2
    assert len(grid) - 1 == max(1, round(n_frames / step))


def test_fixed_grid_by_hand() -> None:
    assert fixed_grid(11, 10.0, 2.5).tolist() == [0, 4, 8, 11]  # 3 frames left: most of a segment
    assert fixed_grid(9, 10.0, 2.5).tolist() == [0, 4, 8]  # 1 frame left: dropped
    assert fixed_grid(1, 86.0, 2.0).tolist() == [0, 1]
    assert fixed_grid(3, 2.0, 5.0).tolist() == [0, 1, 2, 3]  # never made finer than it is


def test_mean_and_median_of_segments() -> None:
    values = np.zeros((6, 12), dtype=np.float32)
    values[:, 0] = [0, 0, 9, 1, 2, 3]
    grid = np.array([0, 3, 5])
    assert aggregate(values, grid, "mean")[:, 0].tolist() == [3.0, 1.5]
    assert aggregate(values, grid, "median")[:, 0].tolist() == [0.0, 1.5]


def test_rate_of_the_chroma_does_not_change_the_result() -> None:
    steps = np.random.default_rng(0).random((30, 12)).astype(np.float32)
    slow = Chroma(np.repeat(steps, 10, axis=0), frame_rate=20.0)
    fast = Chroma(np.repeat(steps, 40, axis=0), frame_rate=80.0)
    np.testing.assert_allclose(at_rate(slow, 2.0), at_rate(fast, 2.0), rtol=1e-6)
    np.testing.assert_allclose(at_rate(slow, 2.0, "median"), steps)


def test_short_track_is_filled_with_its_last_frame() -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 12)
    assert at_least(values, 4)[:, 0].tolist() == [0, 12, 12, 12]
    assert at_least(values, 2) is values


def clicks(beats_per_minute: float, seconds: float = 40.0, frame_rate: float = 86.13) -> Chroma:
    """A new chord on every beat, which then dies away."""
    rng = np.random.default_rng(1)
    time = np.arange(int(seconds * frame_rate)) / frame_rate
    beat = np.floor(time * beats_per_minute / 60).astype(int)
    since = time - beat * 60 / beats_per_minute
    chords = rng.random((beat[-1] + 1, 12)) ** 3
    return Chroma(chords[beat] * np.exp(-2 * since)[:, None], frame_rate=frame_rate)


@pytest.mark.parametrize("tempo", [90, 105, 120, 140])
def test_beats_follow_the_tempo(tempo: int) -> None:
    chroma = clicks(tempo)
    beats = beat_grid(chroma) / chroma.frame_rate
    gaps = np.diff(beats)
    assert np.median(gaps) == pytest.approx(60 / tempo, rel=0.03)
    phase = beats[2:-2] * tempo / 60
    assert np.abs(phase - np.round(phase)).max() < 0.15  # of a beat from the true one


@pytest.mark.parametrize(
    "chroma",
    [
        Chroma(np.zeros((1000, 12)), frame_rate=86.0),
        Chroma(np.ones((1000, 12)), frame_rate=86.0),
        Chroma(np.random.default_rng(0).random((100, 12)), frame_rate=4.0),
        Chroma(np.ones((1, 12)), frame_rate=86.0),
        Chroma(np.eye(12)[:3], frame_rate=86.0),
    ],
    ids=["silence", "constant", "slow", "one frame", "three frames"],
)
def test_where_there_are_no_beats_the_grid_is_fixed(chroma: Chroma) -> None:
    grid = beat_grid(chroma)
    np.testing.assert_array_equal(grid, fixed_grid(chroma.n_frames, chroma.frame_rate, 2.0))


def test_beat_grid_of_noise_is_a_grid() -> None:
    chroma = Chroma(np.random.default_rng(3).random((3000, 12)), frame_rate=86.13)
    grid = beat_grid(chroma)
    assert (np.diff(grid) > 0).all()
    assert grid[0] >= 0
    assert grid[-1] <= chroma.n_frames


@few
@given(st.integers(0, 11), st.integers(0, 2**31))
def test_transposition_is_found(semitones: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((50, 12)) ** 4
    query = global_profile(np.roll(values, semitones, axis=1))
    best = best_transpositions(query, global_profile(values)[None])
    assert best.tolist() == [[semitones]]


def test_transpositions_by_hand() -> None:
    query = np.eye(12)[7]
    candidate = np.array([[1.0, 0, 0, 0, 0.5, 0, 0, 0, 0, 0, 0, 0]])
    assert best_transpositions(query, candidate, 3).tolist() == [
        [7, 3, 0]
    ]  # then ties: least first
    assert global_profile(np.zeros((3, 12))).tolist() == [0.0] * 12


@few
@given(st.integers(1, 12), st.integers(1, 3), st.integers(0, 2**31))
def test_diagonal_sums_against_a_loop(dimension: int, delay: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reach = (dimension - 1) * delay
    matrix = rng.random((reach + rng.integers(1, 8), reach + rng.integers(1, 8)))
    sums = diagonal_sums(matrix, dimension, delay)
    for (i, j), value in np.ndenumerate(sums):
        expected = sum(matrix[i + s * delay, j + s * delay] for s in range(dimension))
        assert value == pytest.approx(expected)
    assert sums.shape == (matrix.shape[0] - reach, matrix.shape[1] - reach)


@few
@given(st.integers(1, 10), st.integers(1, 3), st.integers(0, 2**31))
def test_distances_of_states_against_stacked_vectors(dimension: int, delay: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.random((35, 12), dtype=np.float32)
    b = rng.random((40, 12), dtype=np.float32)

    def stacked(values: np.ndarray) -> np.ndarray:
        count = n_states(len(values), dimension, delay)
        return np.hstack([values[s * delay : s * delay + count] for s in range(dimension)])

    expected = ((stacked(a)[:, None] - stacked(b)[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared_distances(a, b, dimension, delay), expected, atol=2e-5)
    np.testing.assert_allclose(
        state_energies(a, dimension, delay), (stacked(a) ** 2).sum(axis=1), rtol=1e-5
    )


def test_too_few_frames_make_no_state() -> None:
    assert n_states(8, 9) == 0
    assert n_states(9, 9) == 1
    assert n_states(20, 3, 4) == 12
