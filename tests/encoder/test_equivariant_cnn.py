"""The network of coverdex-64: transposition, padding, lengths, gradients."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from coverdex.encoder.architectures import build_architecture
from coverdex.encoder.equivariant_cnn import (
    CircularPitchConv,
    EquivariantCNN,
    pitch_fourier_basis,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SMALL = {"channels": (8, 12), "widths": (5, 3), "strides": (2, 2), "heads": 4, "read_out": 8}


@pytest.fixture(scope="module")
def network() -> EquivariantCNN:
    """A small network whose normalisation has seen data, in inference mode."""
    torch.manual_seed(3)
    made = EquivariantCNN(**SMALL)
    generator = torch.Generator().manual_seed(4)
    for _ in range(3):
        x = torch.rand((6, 50, 12), generator=generator)
        made(x, torch.full((6,), 50))
    return made.eval()


def chroma(n_tracks: int, n_frames: int, seed: int) -> torch.Tensor:
    return torch.rand((n_tracks, n_frames, 12), generator=torch.Generator().manual_seed(seed))


def test_the_basis_is_orthonormal() -> None:
    basis = pitch_fourier_basis().double()
    np.testing.assert_allclose(basis @ basis.T, np.eye(12), atol=1e-6)


def test_the_layer_is_a_circular_convolution() -> None:
    """Against a sum over intervals and frames, written out."""
    torch.manual_seed(0)
    layer = CircularPitchConv(2, 3, width=3).double()
    layer.basis = layer.basis.double()
    impulse = torch.zeros((2, 12, 2, 5), dtype=torch.float64)
    impulse[0, 0, 0, 2] = impulse[1, 0, 1, 2] = 1.0
    kernel = layer(impulse).detach()  # (input channel, interval, output channel, lag + 2)
    x = torch.rand((1, 12, 2, 7), dtype=torch.float64)
    expected = torch.zeros((12, 3, 7), dtype=torch.float64)
    for p in range(12):
        for q in range(12):
            for t in range(7):
                for lag in (-1, 0, 1):
                    if 0 <= t - lag < 7:
                        for c in range(2):
                            expected[p, :, t] += (
                                kernel[c, (p - q) % 12, :, 2 + lag] * x[0, q, c, t - lag]
                            )
    np.testing.assert_allclose(layer(x)[0].detach(), expected, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(shift=st.integers(-30, 30), n_frames=st.integers(1, 90), seed=st.integers(0, 2**16))
def test_transposition_changes_nothing(
    network: EquivariantCNN, shift: int, n_frames: int, seed: int
) -> None:
    x = chroma(1, n_frames, seed)
    n_valid = torch.tensor([n_frames])
    with torch.no_grad():
        np.testing.assert_allclose(
            network(x.roll(shift, dims=2), n_valid), network(x, n_valid), atol=1e-5
        )


def test_reversing_pitch_or_time_changes_the_vector(network: EquivariantCNN) -> None:
    """Invariant to transposition, not to everything."""
    x = chroma(1, 60, 1)
    n_valid = torch.tensor([60])
    with torch.no_grad():
        vector = network(x, n_valid)
        assert float((network(x.flip(2), n_valid) * vector).sum()) < 0.9999
        assert float((network(x.flip(1), n_valid) * vector).sum()) < 0.9999


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 70), min_size=2, max_size=5), seed=st.integers(0, 2**16))
def test_a_batch_changes_nothing(network: EquivariantCNN, lengths: list[int], seed: int) -> None:
    longest = max(lengths)
    x = chroma(len(lengths), longest, seed)
    n_valid = torch.tensor(lengths)
    with torch.no_grad():
        together = network(x, n_valid)  # what lies after the end is noise here, and must not count
        for i, n in enumerate(lengths):
            alone = network(x[i : i + 1, :n], n_valid[i : i + 1])
            np.testing.assert_allclose(alone[0], together[i], atol=1e-5)


def test_vectors_have_length_one_and_gradients_are_finite() -> None:
    torch.manual_seed(0)
    network = EquivariantCNN(**SMALL)
    x = chroma(4, 40, 2)
    x[0] = 0  # silence
    x[1] = 0.5  # a constant
    vectors = network(x, torch.tensor([40, 40, 13, 1]))
    np.testing.assert_allclose(vectors.detach().norm(dim=1), 1.0, atol=1e-5)
    (vectors[0] - vectors[2]).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_under_mixed_precision_the_read_out_stays_in_float32(network: EquivariantCNN) -> None:
    x, n_valid = chroma(4, 40, 5), torch.full((4,), 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = network(x, n_valid)
    assert mixed.dtype == torch.float32
    np.testing.assert_allclose(mixed.detach().norm(dim=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(mixed.detach(), network(x, n_valid).detach(), atol=0.05)


@pytest.mark.parametrize(("precision", "within"), [(torch.float64, 1e-5), (torch.bfloat16, 0.05)])
def test_weights_may_have_another_precision(
    network: EquivariantCNN, precision: torch.dtype, within: float
) -> None:
    x, n_valid = chroma(4, 40, 5), torch.tensor([40, 30, 40, 11])
    other = copy.deepcopy(network).to(precision)(x.to(precision), n_valid)
    assert other.dtype == precision
    np.testing.assert_allclose(other.detach().float(), network(x, n_valid).detach(), atol=within)


def test_it_is_built_by_name() -> None:
    config = {
        "name": "equivariant-cnn",
        **{k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()},
    }
    assert isinstance(build_architecture(config), EquivariantCNN)


@pytest.mark.parametrize(
    "bad",
    [
        {"strides": (2,)}, {"widths": (4, 3)}, {"heads": 5}, {"heads": 0}, {"strides": (0, 1)},
        {"dimension": 0}, {"read_out": 0}, {"channels": (), "widths": (), "strides": ()},
    ],
    ids=["lengths", "even", "heads", "no-heads", "no-stride", "no-size", "no-read-out", "none"],
)  # fmt: skip
def test_bad_shapes_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"give|divide"):
        EquivariantCNN(**{**SMALL, **bad})  # type: ignore[arg-type]
