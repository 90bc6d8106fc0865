"""Preprocessing keeps what matters (rotation, energy, length) and refuses what has no content."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from coverdex.encoder import CheckpointError, Chroma, InvalidChromaError, Preprocessing
from coverdex.encoder import preprocessing as module
from coverdex.encoder.preprocessing import resampled
from hypothesis import given, settings
from hypothesis import strategies as st

SETTINGS = [
    Preprocessing(4.0),
    Preprocessing(4.0, scaling="max"),
    Preprocessing(7.3, exponent=0.5, max_frames=9),
]


def random_values(n_frames: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).random((n_frames, 12)).astype(np.float32)


def slow_resampled(values: Any, n_new: int) -> list[list[Fraction]]:
    """Mean of each span by adding up overlaps in exact fractions, as a reader would define it."""
    n = len(values)
    rows = []
    for i in range(n_new):
        begin, end = Fraction(i * n, n_new), Fraction((i + 1) * n, n_new)
        row = []
        for pitch in range(12):
            total = Fraction(0)
            for k in range(n):
                overlap = min(end, Fraction(k + 1)) - max(begin, Fraction(k))
                if overlap > 0:
                    total += overlap * Fraction(float(values[k, pitch]))
            row.append(total / (end - begin))
        rows.append(row)
    return rows


@settings(max_examples=15, deadline=None)
@given(n_frames=st.integers(1, 12), ratio=st.sampled_from([0.1, 0.3, 0.5, 0.999, 1.0, 1.7, 3.0]))
def test_resampling_is_the_mean_over_each_span(n_frames: int, ratio: float) -> None:
    values = random_values(n_frames, seed=n_frames)
    got = resampled(values, 10.0, 10.0 * ratio)
    assert len(got) == max(1, round(n_frames * ratio))
    wanted = np.array(slow_resampled(values, len(got)), dtype=float)
    np.testing.assert_allclose(got, wanted, atol=1e-12)


@pytest.mark.parametrize("ratio", [0.0464, 0.3, 0.999, 1.7])
@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_resampling_piece_by_piece_changes_nothing(
    ratio: float, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = random_values(500)
    whole = resampled(values, 10.0, 10.0 * ratio)
    monkeypatch.setattr(module, "SPANS_AT_ONCE", at_once)
    np.testing.assert_array_equal(resampled(values, 10.0, 10.0 * ratio), whole)


@settings(max_examples=50, deadline=None)
@given(
    n_frames=st.integers(1, 300),
    semitones=st.integers(-12, 12),
    settings_=st.sampled_from(SETTINGS),
)
def test_commutes_with_transposition_exactly(
    n_frames: int, semitones: int, settings_: Preprocessing
) -> None:
    chroma = Chroma(random_values(n_frames), 17.0)
    np.testing.assert_array_equal(
        settings_.apply(chroma.transposed(semitones)),
        np.roll(settings_.apply(chroma), semitones, axis=1),
    )


@settings(max_examples=50, deadline=None)
@given(loudness=st.floats(1e-30, 1e30), settings_=st.sampled_from(SETTINGS))
def test_loudness_does_not_matter(loudness: float, settings_: Preprocessing) -> None:
    values = random_values(100).astype(np.float64)
    np.testing.assert_allclose(
        settings_.apply(Chroma(values * loudness)), settings_.apply(Chroma(values)), atol=1e-5
    )


@settings(max_examples=50, deadline=None)
@given(
    n_frames=st.integers(1, 500),
    rate=st.floats(0.5, 200),
    settings_=st.sampled_from(SETTINGS),
)
def test_output_is_float32_in_0_to_1(n_frames: int, rate: float, settings_: Preprocessing) -> None:
    out = settings_.apply(Chroma(random_values(n_frames), rate))
    assert out.dtype == np.float32
    assert out.shape[1] == 12
    assert len(out) >= 1
    assert out.min() >= 0
    assert out.max() <= 1


def test_scaling_is_by_track_and_not_by_pitch_class() -> None:
    values = np.zeros((8, 12))
    values[:, 0], values[0, 0] = 1.0, 0.5  # a loud pitch class
    values[:, 5] = 0.1  # a faint one: scaled by itself it would come out as loud
    out = Preprocessing(4.0).apply(Chroma(values, 4.0))
    assert out[:, 5].max() == pytest.approx(0.1)


def test_max_scaling_leaves_the_floor_where_it_is() -> None:
    values = np.full((4, 12), 0.5)
    values[0, 0] = 2.0
    assert Preprocessing(4.0, scaling="max").apply(Chroma(values, 4.0)).min() == 0.25
    assert Preprocessing(4.0, scaling="min-max").apply(Chroma(values, 4.0)).min() == 0


def test_exponent_compresses_after_scaling() -> None:
    values = random_values(10)
    plain = Preprocessing(4.0).apply(Chroma(values, 4.0))
    root = Preprocessing(4.0, exponent=0.5).apply(Chroma(values, 4.0))
    np.testing.assert_allclose(root, np.sqrt(plain), rtol=1e-6)


def test_max_frames_keeps_the_beginning() -> None:
    values = random_values(100)
    whole = Preprocessing(4.0, scaling="max").apply(Chroma(values, 4.0))
    cut = Preprocessing(4.0, scaling="max", max_frames=30).apply(Chroma(values, 4.0))
    assert len(cut) == 30
    np.testing.assert_allclose(cut * values[:30].max(), whole[:30] * values.max(), rtol=1e-5)


@pytest.mark.parametrize("level", [0.0, 1.0, 1e-20, 1e30])
@pytest.mark.parametrize("n_frames", [1, 1000])
@pytest.mark.parametrize("preprocessing", SETTINGS)
def test_silence_and_constants_have_no_content(
    level: float, n_frames: int, preprocessing: Preprocessing
) -> None:
    with pytest.raises(InvalidChromaError) as caught:
        preprocessing.apply(Chroma(np.full((n_frames, 12), level)))
    assert caught.value.reason == "no-energy"
    assert ("silent" in str(caught.value)) == (level == 0)


def test_rounding_around_a_constant_is_not_music() -> None:
    values = np.full((50, 12), 0.7, dtype=np.float32)
    values[3, 4] = np.nextafter(np.float32(0.7), np.float32(1))
    with pytest.raises(InvalidChromaError, match="constant"):
        Preprocessing(4.0).apply(Chroma(values))


def test_one_frame_with_one_note_is_enough() -> None:
    values = np.zeros((1, 12))
    values[0, 3] = 1e-12
    np.testing.assert_array_equal(Preprocessing(4.0).apply(Chroma(values)), np.eye(12)[[3]])


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"frame_rate": 0},
        {"frame_rate": "4"},
        {"frame_rate": True},
        {"frame_rate": 5000},
        {"frame_rate": 4.0, "scaling": "z-score"},
        {"frame_rate": 4.0, "exponent": 0},
        {"frame_rate": 4.0, "max_frames": 0},
        {"frame_rate": 4.0, "max_frames": 1.5},
        {"frame_rate": 4.0, "hop": 512},
    ],
)
def test_wrong_settings_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="preprocessing"):
        Preprocessing.from_config(config)


def test_settings_survive_a_config() -> None:
    for preprocessing in SETTINGS:
        assert Preprocessing.from_config(preprocessing.to_config()) == preprocessing
