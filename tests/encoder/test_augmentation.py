"""Augmentation does what it says along the axis that it says."""

from __future__ import annotations

import numpy as np
import pytest
from coverdex.encoder import TrainingError
from coverdex.encoder.training.augmentation import (
    Augmentation,
    excerpt,
    transposed,
    with_noise,
    with_silence,
)
from hypothesis import given, settings
from hypothesis import strategies as st

VALUES = np.random.default_rng(0).random((80, 12), dtype=np.float32)


def test_transposition_rolls_pitch() -> None:
    moved = transposed(VALUES, 5)
    np.testing.assert_array_equal(moved[:, 5], VALUES[:, 0])
    np.testing.assert_array_equal(moved.max(axis=1), VALUES.max(axis=1))  # frames stay in place


def test_noise_has_mean_zero_and_the_given_deviation() -> None:
    middle = np.full((5000, 12), 0.5, dtype=np.float32)
    noise = with_noise(middle, 0.05, np.random.default_rng(0)) - middle
    # 60,000 draws: the standard error of the mean is 0.0002, of the deviation 0.00014.
    assert abs(noise.mean()) < 0.001
    assert noise.std() == pytest.approx(0.05, abs=0.001)
    assert noise.dtype == np.float32


def test_noise_leaves_chroma() -> None:
    noisy = with_noise(VALUES, 1.0, np.random.default_rng(0))
    assert noisy.min() == 0
    assert noisy.max() == 1


def test_silence_goes_before_and_after() -> None:
    padded = with_silence(VALUES, 3, 2)
    assert not padded[:3].any()
    assert not padded[-2:].any()
    np.testing.assert_array_equal(padded[3:-2], VALUES)


def test_excerpts_are_stretches_from_anywhere() -> None:
    rng = np.random.default_rng(0)
    starts = set()
    for _ in range(200):
        part = excerpt(VALUES, 78, rng)
        (start,) = [i for i in range(3) if np.array_equal(part, VALUES[i : i + 78])]
        starts.add(start)
    assert starts == {0, 1, 2}
    assert excerpt(VALUES, 80, rng) is VALUES
    assert excerpt(VALUES, 1000, rng) is VALUES


@settings(max_examples=40, deadline=None)
@given(
    transpose=st.booleans(),
    noise=st.floats(0, 0.5),
    padding=st.floats(0, 1),
    frames=st.none() | st.integers(1, 100),
    seed=st.integers(0, 9),
)
def test_all_together_give_chroma_by_the_seed_alone(
    transpose: bool, noise: float, padding: float, frames: int | None, seed: int
) -> None:
    augmentation = Augmentation(transpose, noise, padding, frames)
    out = augmentation.apply(VALUES, np.random.default_rng(seed))
    again = augmentation.apply(VALUES, np.random.default_rng(seed))
    np.testing.assert_array_equal(out, again)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    length = min(80, frames or 80)
    assert length <= len(out) <= length + 2 * int(padding * length)
    assert out.min() >= 0
    assert out.max() <= 1


def test_nothing_switched_on_changes_nothing() -> None:
    off = Augmentation(transpose=False, noise=0.0, padding=0.0)
    np.testing.assert_array_equal(off.apply(VALUES, np.random.default_rng(0)), VALUES)


def test_all_twelve_keys_are_met() -> None:
    rng = np.random.default_rng(0)
    only_keys = Augmentation(transpose=True, noise=0.0, padding=0.0)
    note = np.eye(12, dtype=np.float32)[:1]
    assert {int(only_keys.apply(note, rng).argmax()) for _ in range(300)} == set(range(12))


@pytest.mark.parametrize(
    "options", [{"noise": -0.1}, {"noise": 2.0}, {"padding": -1.0}, {"excerpt_frames": 0}]
)
def test_settings_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(TrainingError, match=next(iter(options))):
        Augmentation(**options)  # type: ignore[arg-type]
