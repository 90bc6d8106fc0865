"""The method's own network: unit vectors, any length, and nothing of the padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from coverdex.encoder import CheckpointError, EncoderNetwork, build_architecture
from coverdex.encoder.architectures import architecture_names, register_architecture
from coverdex.encoder.siamese_cnn import SiameseCNN, frame_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor


@pytest.fixture(scope="module")
def network() -> EncoderNetwork:
    torch.manual_seed(0)
    return SiameseCNN(channels=(16, 24, 24), hidden=32).eval()


def track(n_frames: int, seed: int = 0) -> Tensor:
    return torch.rand(1, n_frames, 12, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def embed(network: EncoderNetwork, x: Tensor, *n_valid: int) -> Tensor:
    return network(x, torch.tensor(n_valid))


@settings(max_examples=40, deadline=None)
@given(n_frames=st.integers(1, 70), extra=st.integers(1, 40), junk=st.booleans())
def test_padding_does_not_count(
    network: EncoderNetwork, n_frames: int, extra: int, junk: bool
) -> None:
    x = track(n_frames, seed=n_frames)
    after = torch.full((1, extra, 12), 9.0 if junk else 0.0)
    alone = embed(network, x, n_frames)
    beside = embed(network, torch.cat([x, after], dim=1), n_frames)
    torch.testing.assert_close(beside, alone, atol=1e-6, rtol=0)


def test_a_track_is_the_same_in_any_batch(network: EncoderNetwork) -> None:
    lengths = [1, 2, 7, 64, 33]
    x = torch.zeros(len(lengths), 64, 12)
    for i, n in enumerate(lengths):
        x[i, :n] = track(n, seed=i)[0]
    together = embed(network, x, *lengths)
    for i, n in enumerate(lengths):
        alone = embed(network, x[i : i + 1, :n], n)
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-6, rtol=0)


def test_vectors_have_length_one_and_use_both_signs(network: EncoderNetwork) -> None:
    vectors = torch.cat([embed(network, track(50, seed), 50) for seed in range(20)])
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(20))
    assert vectors.shape == (20, 64)
    # No ReLU before the cosine: distances above 1 are possible only with both signs.
    assert (vectors < 0).any()
    assert (vectors > 0).any()


def test_the_order_of_frames_matters_within_a_kernel(network: EncoderNetwork) -> None:
    x = track(60)
    assert (embed(network, x, 60) - embed(network, x.flip(1), 60)).abs().max() > 1e-4


def test_every_weight_learns(network: EncoderNetwork) -> None:
    learner = SiameseCNN(channels=(8, 8), hidden=8)
    learner(torch.rand(4, 30, 12), torch.tensor([30, 20, 10, 1]))[:, 0].sum().backward()
    still = [name for name, p in learner.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    learner = SiameseCNN(channels=(8,), hidden=8, dropout=0.5)
    x, n_valid = torch.cat([track(30, 0), track(30, 1)]), torch.tensor([30, 20])
    assert not torch.equal(learner(x, n_valid), learner(x, n_valid))
    learner.eval()
    assert torch.equal(learner(x, n_valid), learner(x, n_valid))


def test_frame_mask() -> None:
    mask = frame_mask(torch.tensor([1, 3]), 3)
    assert mask.tolist() == [[[True, False, False]], [[True, True, True]]]


def test_it_is_built_by_name() -> None:
    built = build_architecture({"name": "siamese-cnn", "channels": [4, 4], "dimension": 10})
    assert isinstance(built, SiameseCNN)
    assert built.dimension == 10
    assert "siamese-cnn" in architecture_names()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"name": "resnet"},
        {"name": "siamese-cnn", "depth": 3},
        {"name": "siamese-cnn", "kernel": 4},
        {"name": "siamese-cnn", "channels": []},
        {"name": "siamese-cnn", "channels": 5},
        {"name": "siamese-cnn", "dropout": 1.0},
        {"name": "siamese-cnn", "hidden": -1},
        {"name": "siamese-cnn", "dimension": 0},
        {"name": "equivariant-cnn", "strides": [4, 2, 2, 1, 0]},
        {"name": "equivariant-cnn", "channels": [], "widths": [], "strides": []},
    ],
)
def test_what_cannot_be_built_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="architecture"):
        build_architecture(config)


def test_a_name_belongs_to_one_class() -> None:
    with pytest.raises(ValueError, match="siamese-cnn"):

        @register_architecture("siamese-cnn")
        class Impostor(EncoderNetwork):
            pass
