"""The encoder: unit vectors, the same for the same track, in order, for any stream of tracks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from coverdex.encoder import (
    Checkpoint,
    CheckpointError,
    Chroma,
    ChromaKind,
    Encoder,
    IncompatibleError,
    InvalidChromaError,
)
from coverdex.encoder import encoder as module
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import random_chroma


def test_embedding_is_a_finite_unit_vector(tiny_encoder: Encoder, chroma: Chroma) -> None:
    vector = tiny_encoder.embed(chroma)
    assert vector.shape == (64,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


@pytest.mark.usefixtures("one_thread")
def test_same_chroma_same_bytes(tiny_checkpoint: Checkpoint, chroma: Chroma) -> None:
    first, second = Encoder(tiny_checkpoint), Encoder(tiny_checkpoint)
    vector = first.embed(chroma).tobytes()
    list(first.embed_many([random_chroma(n) for n in (3, 700, 41)]))
    assert first.embed(chroma).tobytes() == vector
    assert second.embed(chroma).tobytes() == vector
    assert second.embed(second.prepare(chroma)).tobytes() == vector


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 400), min_size=0, max_size=30), batch_size=st.integers(1, 9))
def test_batches_change_neither_order_nor_values(
    tiny_checkpoint: Checkpoint, lengths: list[int], batch_size: int
) -> None:
    encoder = Encoder(tiny_checkpoint)
    tracks = [random_chroma(n, seed=i) for i, n in enumerate(lengths)]
    many = list(encoder.embed_many(iter(tracks), batch_size=batch_size))
    assert len(many) == len(tracks)
    for vector, track in zip(many, tracks, strict=True):
        np.testing.assert_allclose(vector, encoder.embed(track), atol=1e-5)


def test_no_more_is_read_ahead_than_a_group(
    tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCHES_PER_GROUP", 2)
    n_read = 0

    def reading() -> Iterator[Chroma]:
        nonlocal n_read
        for i in range(100):
            n_read += 1
            yield random_chroma(40, seed=i)

    embedding = tiny_encoder.embed_many(reading(), batch_size=3)
    next(embedding)
    assert n_read == 6


def test_long_tracks_make_small_groups_and_batches(
    tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FRAMES_PER_GROUP", 120)
    monkeypatch.setattr(module, "MAX_FRAMES_PER_BATCH", 60)
    shapes: list[tuple[int, int]] = []
    network = tiny_encoder.network

    def record(_: object, inputs: tuple[np.ndarray, ...]) -> None:  # type: ignore[type-arg]
        shapes.append(inputs[0].shape[:2])

    network.register_forward_pre_hook(record)  # type: ignore[arg-type]
    tracks = [random_chroma(n, seed=n, frame_rate=5.0) for n in (200, 25, 10, 30, 20, 61, 20)]
    assert len(list(tiny_encoder.embed_many(tracks, batch_size=4))) == 7
    # The first is a group of its own; then 25 10 30 20 61 are one (the limit is reached), then 20.
    assert shapes == [(1, 200), (2, 20), (2, 30), (1, 61), (1, 20)]


def test_one_frame_and_three_hours(tiny_encoder: Encoder) -> None:
    three_hours = np.tile(random_chroma(1000).values, (931, 1))  # at the rate of Da-TACOS
    for chroma in (random_chroma(1), Chroma(three_hours)):
        vector = tiny_encoder.embed(chroma)
        assert np.isfinite(vector).all()
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("values", [np.zeros((50, 12)), np.ones((50, 12)), np.zeros((1, 12))])
def test_silence_and_constants_are_refused(
    tiny_encoder: Encoder,
    values: np.ndarray,  # type: ignore[type-arg]
) -> None:
    nothing = Chroma(values)
    for attempt in (
        lambda: tiny_encoder.embed(nothing),
        lambda: tiny_encoder.prepare(nothing),
        lambda: list(tiny_encoder.embed_many([random_chroma(5), nothing])),
    ):
        with pytest.raises(InvalidChromaError) as caught:
            attempt()
        assert caught.value.reason == "no-energy"


def test_another_kind_is_refused(tiny_encoder: Encoder, chroma: Chroma) -> None:
    crema = Chroma(chroma.values, chroma.frame_rate, ChromaKind.CREMA)
    with pytest.raises(IncompatibleError, match=r"hpcp.*crema"):
        tiny_encoder.embed(crema)


def test_arrays_without_a_frame_rate_are_refused(tiny_encoder: Encoder) -> None:
    with pytest.raises(TypeError, match="ndarray; give a Chroma"):
        tiny_encoder.embed(np.ones((30, 12), np.float32))  # type: ignore[arg-type]


def test_weights_that_are_not_finite_are_refused(tiny_checkpoint: Checkpoint) -> None:
    weights = {name: value.clone() for name, value in tiny_checkpoint.weights.items()}
    name = next(n for n, value in weights.items() if value.is_floating_point())
    weights[name].view(-1)[0] = float("nan")
    with pytest.raises(CheckpointError, match="diverged"):
        Encoder(replace(tiny_checkpoint, weights=weights))


def test_loudness_does_not_matter(tiny_encoder: Encoder, chroma: Chroma) -> None:
    louder = Chroma(chroma.values * 50, chroma.frame_rate)
    np.testing.assert_allclose(tiny_encoder.embed(louder), tiny_encoder.embed(chroma), atol=1e-5)


def test_the_frame_rate_of_the_input_hardly_matters(tiny_encoder: Encoder) -> None:
    values = np.repeat(random_chroma(300).values, 8, axis=0)
    fine, coarse = Chroma(values, 40.0), Chroma(values[::8], 5.0)
    np.testing.assert_allclose(tiny_encoder.embed(fine), tiny_encoder.embed(coarse), atol=1e-5)


def test_saved_encoder_is_the_same(
    tiny_encoder: Encoder, chroma: Chroma, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tiny_encoder.save(tmp_path_factory.mktemp("encoder") / "mine")
    loaded = Encoder.load(folder)
    assert loaded.id == tiny_encoder.id
    assert loaded.embed(chroma).tobytes() == tiny_encoder.embed(chroma).tobytes()


def test_it_says_what_it_is(tiny_checkpoint: Checkpoint) -> None:
    encoder = Encoder(replace(tiny_checkpoint, name="mine"))
    assert (encoder.name, encoder.dimension, encoder.kind) == ("mine", 64, "hpcp")
    convolutions = (12 * 16 * 5 + 16) + (16 * 24 * 5 + 24)
    dense = 48 * 32 + 2 * 32 + (32 * 64 + 64)
    assert encoder.n_parameters == convolutions + dense
    assert encoder.id in repr(encoder)


@pytest.mark.parametrize("raised", [InvalidChromaError, OSError])
def test_what_came_before_a_track_that_fails_is_embedded(
    tiny_encoder: Encoder, raised: type[Exception]
) -> None:
    tracks = [random_chroma(n) for n in (30, 90, 60, 40, 50)]

    def reading() -> Iterator[Chroma]:
        yield from tracks
        if raised is OSError:
            raise OSError("unplugged")
        yield Chroma(np.zeros((100, 12), np.float32), 21.5)

    found: list[np.ndarray] = []
    with pytest.raises(raised):
        found.extend(tiny_encoder.embed_many(reading(), batch_size=2))
    expected = [tiny_encoder.embed(track) for track in tracks]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_batch_size_is_positive(tiny_encoder: Encoder) -> None:
    for wrong in (0, -1, 2.5, "16", None):
        with pytest.raises(ValueError, match=r"batch_size is .*; give a whole number"):
            tiny_encoder.embed_many([], batch_size=wrong)  # type: ignore[arg-type]
