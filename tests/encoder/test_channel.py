"""The channel that makes clean chroma like that of recordings: each effect by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from coverdex.encoder import TrainingError
from coverdex.encoder.training.channel import ChannelEffects
from coverdex.encoder.training.config import read_settings
from torch import Tensor


def triads(n: int = 64, n_frames: int = 40) -> Tensor:
    """Tracks of A major triads whose root is loudest, with one silent frame."""
    x = torch.zeros(n, n_frames, 12)
    x[:, :, 0], x[:, :, 4], x[:, :, 7] = 1.0, 0.5, 0.25
    x[:, 7] = 0
    return x


def heard(seed: int = 0, **strengths: Any) -> Tensor:
    return ChannelEffects(**strengths).apply(triads(), np.random.default_rng(seed))


def test_without_strengths_nothing_changes() -> None:
    assert ChannelEffects().is_clean
    assert ChannelEffects(share=0.5).is_clean
    assert not ChannelEffects(floor=0.1).is_clean
    assert torch.allclose(heard(), triads())


@pytest.mark.parametrize(
    "strength",
    [
        {"leakage": 0.4},
        {"fifths": 0.4},
        {"equalisation": 0.3},
        {"floor": 0.4},
        {"flicker": 0.4},
        {"compression": 2.0},
    ],
)
def test_each_effect_keeps_peaks_and_silence(strength: dict[str, float]) -> None:
    clean, x = triads(), heard(**strength)
    assert x.shape == clean.shape
    assert x.dtype == torch.float32
    assert not torch.allclose(x, clean, atol=0.01)
    assert torch.allclose(x.amax(dim=2), clean.amax(dim=2), atol=1e-5)
    assert (x >= 0).all()
    assert not x[:, 7].any()
    assert torch.equal(heard(**strength), x)  # as its generator was seeded
    assert not torch.equal(heard(1, **strength), x)


def test_leakage_goes_to_one_neighbour() -> None:
    x = heard(leakage=0.4)
    above, below = x[:, 0, 1], x[:, 0, 11]  # of the root
    assert ((above == 0) ^ (below == 0)).all()
    assert 0 < (above > 0).sum() < len(x)
    assert (above + below).max() <= 0.4 / 0.6 + 1e-6  # relative to what is left of the root


def test_fifths_are_added_above() -> None:
    x = heard(fifths=0.4)
    assert (x[:, 0, 11] > 0).all()  # a fifth above the third
    assert (x[:, 0, 7] > 0.25).all()  # above the root, which has it already
    assert not x[:, 0, 1].any()


def test_the_floor_stays_and_flicker_does_not() -> None:
    steady, restless = heard(floor=0.4), heard(flicker=0.4)
    silent = [1, 2, 3, 5, 6, 8, 9, 10, 11]
    assert steady[:, 0, silent].mean() > 0.02
    assert steady[:, [0, 1, 2]][:, :, silent].std(dim=1).max() < 1e-5
    assert restless[:, [0, 1, 2]][:, :, silent].std(dim=1).mean() > 0.01


def test_compression_lifts_or_hides_what_is_weak() -> None:
    third = heard(compression=2.0)[:, 0, 4]
    assert 0.5**2 <= third.min() < 0.4
    assert 0.6 < third.max() <= 0.5**0.5


def test_a_share_stays_clean() -> None:
    x = heard(share=0.25, floor=0.5)
    untouched = (x == triads()).all(dim=(1, 2)).sum()
    assert 36 < untouched < 60  # 48 of 64 are expected


def test_strengths_out_of_range_are_refused() -> None:
    for wrong in ({"floor": 1.5}, {"compression": 0.5}, {"leakage": -0.1}, {"leak": 0.1}):
        with pytest.raises(TrainingError, match=next(iter(wrong))):
            read_settings(ChannelEffects, wrong, where="[data.rendered.channel]")
