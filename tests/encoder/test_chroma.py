"""Chroma is checked when it is made, and says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from coverdex.encoder import DATACOS_FRAME_RATE, Chroma, ChromaKind, InvalidChromaError

GOOD = np.ones((3, 12))


def test_any_real_numbers_become_float32_frames_first() -> None:
    for values in (GOOD.tolist(), GOOD.astype(np.uint8), np.asfortranarray(GOOD)):
        chroma = Chroma(values)
        assert chroma.values.dtype == np.float32
        assert chroma.values.flags.c_contiguous
        assert chroma.n_frames == 3


def test_default_rate_is_that_of_datacos() -> None:
    assert Chroma(GOOD).frame_rate == DATACOS_FRAME_RATE == 44100 / 512
    assert Chroma(GOOD, 2.0).duration == 1.5


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.ones((12, 3)), "wrong-shape"),
        (np.ones(12), "wrong-shape"),
        ([[1.0] * 12, [1.0] * 11], "wrong-shape"),
        (np.ones((2, 3, 12)), "wrong-shape"),
        (np.ones((0, 12)), "no-frames"),
        ([["a"] * 12], "wrong-dtype"),
        (GOOD * 1j, "wrong-dtype"),
        (GOOD * np.nan, "not-finite"),
        (GOOD * np.inf, "not-finite"),
        (GOOD * 1e300, "not-finite"),  # finite as float64, not as float32
        (-GOOD, "negative"),
    ],
)
def test_wrong_values_are_refused_with_a_reason(values: Any, reason: str) -> None:
    with pytest.raises(InvalidChromaError) as caught:
        Chroma(values)
    assert caught.value.reason == reason


def test_a_turned_array_is_told_to_turn() -> None:
    with pytest.raises(InvalidChromaError, match="transpose it"):
        Chroma(np.ones((12, 3)))


@pytest.mark.parametrize("rate", [0, -1, np.nan, np.inf, 44_100, "fast", None])
def test_wrong_frame_rates_are_refused(rate: Any) -> None:
    with pytest.raises(InvalidChromaError) as caught:
        Chroma(GOOD, rate)
    assert caught.value.reason == "frame-rate"


def test_longer_than_a_day_is_a_mistake_of_units() -> None:
    assert Chroma(np.ones((24, 12)), 24 / 86_400).duration == pytest.approx(86_400)
    with pytest.raises(InvalidChromaError, match="frame rate") as caught:
        Chroma(np.ones((1000, 12)), 1e-6)
    assert caught.value.reason == "too-long"


def test_kind_is_one_of_three() -> None:
    assert Chroma(GOOD, kind="crema").kind is ChromaKind.CREMA  # type: ignore[arg-type]
    with pytest.raises(InvalidChromaError) as caught:
        Chroma(GOOD, kind="mfcc")  # type: ignore[arg-type]
    assert caught.value.reason == "kind"


def test_transposition_rolls_pitch_and_not_time() -> None:
    values = np.zeros((4, 12))
    values[1, 11] = 1  # G sharp in the second frame
    up = Chroma(values).transposed(2)
    assert np.argwhere(up.values).tolist() == [[1, 1]]  # A sharp in the second frame
