"""The network arranged for inference gives what its forward pass gives, for any shape and batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from coverdex.encoder import Encoder
from coverdex.encoder.architectures import build_architecture
from coverdex.encoder.encoder import padded
from coverdex.encoder.ensemble import Ensemble
from coverdex.encoder.equivariant_cnn import EquivariantCNN
from coverdex.encoder.equivariant_inference import EquivariantInference, Places
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

#: Small networks that use each thing a stage can have.
SHAPES: dict[str, dict[str, Any]] = {
    "as shipped, narrow": {
        "channels": (4, 8, 8, 12, 12),
        "widths": (9, 5, 3, 3, 3),
        "strides": (4, 2, 2, 1, 2),
        "heads": 4,
        "read_out": 8,
    },
    "shortcuts and dilation": {
        "channels": (1, 6, 6, 6),
        "widths": (3, 5, 3, 3),
        "strides": (1, 3, 1, 1),
        "dilations": (1, 1, 2, 5),
        "heads": 3,
        "read_out": 4,
    },
    "one wide stage": {
        "channels": (6,),
        "widths": (21,),
        "strides": (2,),
        "heads": 2,
        "read_out": 4,
    },
    "one frame wide": {
        "channels": (4, 4),
        "widths": (1, 1),
        "strides": (3, 1),
        "heads": 2,
        "read_out": 4,
    },
}


def trained(shape: dict[str, Any]) -> EquivariantCNN:
    """A network whose normalisations have statistics and weights that matter."""
    torch.manual_seed(5)
    made = EquivariantCNN(**shape)
    for name, parameter in made.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    torch.nn.init.normal_(made.pooling.score.weight)
    for _ in range(4):
        made(torch.rand((6, 80, 12)) ** 3, torch.tensor([80, 80, 71, 64, 33, 5]))
    return made.eval().requires_grad_(False)


NETWORKS = {name: trained(shape) for name, shape in SHAPES.items()}


def tracks_of(lengths: list[int], seed: int) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [(rng.random((n, 12)) ** 3).astype(np.float32) for n in lengths]


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 150), min_size=1, max_size=8),
    frames_per_block=st.sampled_from([1, 100, 8192]),
    seed=st.integers(0, 2**16),
)
def test_it_gives_what_the_network_gives(
    shape: str, lengths: list[int], frames_per_block: int, seed: int
) -> None:
    network, tracks = NETWORKS[shape], tracks_of(lengths, seed)
    inference = EquivariantInference(network, frames_per_block=frames_per_block)
    expected = network(*padded(tracks))
    np.testing.assert_allclose(inference(tracks), expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(1, 300),
    others=st.lists(st.integers(1, 300), max_size=6),
    place=st.integers(0, 6),
    level=st.sampled_from([1e-20, 1.0, 1e6]),
)
def test_companions_do_not_matter(length: int, others: list[int], place: int, level: float) -> None:
    """Not their number, lengths, order or loudness: silence between tracks holds them apart."""
    inference = EquivariantInference(NETWORKS["as shipped, narrow"])
    (track,) = tracks_of([length], seed=1)
    companions = [other * np.float32(level) for other in tracks_of(others, seed=2)]
    place = min(place, len(others))
    together = inference([*companions[:place], track, *companions[place:]])
    np.testing.assert_allclose(together[place], inference([track])[0], atol=1e-5)


def test_later_changes_of_the_weights_are_not_seen() -> None:
    network = trained(SHAPES["one wide stage"])
    tracks = tracks_of([40], seed=0)
    inference = EquivariantInference(network)
    before = inference(tracks).numpy().copy()
    stage = network.stages[0]
    torch.nn.init.uniform_(stage.convolution.real)  # type: ignore[union-attr, arg-type]
    np.testing.assert_array_equal(inference(tracks), before)
    assert np.abs(network(*padded(tracks)).numpy() - before).max() > 1e-3


def test_places_keep_tracks_apart_and_aligned() -> None:
    places = Places.end_to_end([5, 32, 1], alignment=4, silence=8)
    assert places.starts.tolist() == [8, 24, 64]
    assert places.n_frames == 76
    assert set(range(76)) - set(places.silent().tolist()) == {
        *range(8, 13),
        *range(24, 56),
        64,
    }
    halved = places.strided(2)
    assert (halved.starts.tolist(), halved.lengths.tolist()) == ([4, 12, 32], [3, 16, 1])
    assert halved.n_frames == 38


def test_the_shipped_encoder_runs_it() -> None:
    encoder = Encoder.load("coverdex-64")
    tracks = tracks_of([900, 1, 333], seed=3)
    expected = encoder.network(*padded(tracks))
    assert isinstance(encoder.network, Ensemble)
    for member in encoder.network.members:
        assert isinstance(member, EquivariantCNN)
        assert isinstance(member.for_inference(), EquivariantInference)
    inference = encoder.network.for_inference()
    assert inference is not None
    np.testing.assert_allclose(inference(tracks), expected, atol=1e-5)
    np.testing.assert_array_equal(encoder._embed_batch(tracks), inference(tracks))


def test_a_network_without_a_faster_form_says_so() -> None:
    assert build_architecture({"name": "siamese-cnn"}).for_inference() is None
