"""What the shipped encoder promises of any input: a finite unit vector, or an error that says why.

The same vector in any key, in any company and on every call.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coverdex.encoder import (
    Chroma,
    Encoder,
    InvalidChromaError,
    PreparedChroma,
    read_chroma,
    write_chroma,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from .conftest import random_chroma


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load()


def note(n_frames: int, level: float = 1.0) -> NDArray[np.float32]:
    values = np.zeros((n_frames, 12), dtype=np.float32)
    values[:, 3] = level
    return values


def one_click(n_frames: int) -> NDArray[np.float32]:
    values = np.zeros((n_frames, 12), dtype=np.float32)
    values[n_frames // 2, 7] = 1.0
    return values


#: Unusual, and yet there is something to embed.
UNUSUAL = {
    "one frame": Chroma(note(1)),
    "one frame of a chord": random_chroma(1),
    "two frames": random_chroma(2),
    "a drone": Chroma(note(5000)),
    "one click in silence": Chroma(one_click(20_000)),
    "silence but for the last frame": Chroma(np.vstack([np.zeros((900, 12)), note(1)])),
    "the least values there are": Chroma(note(500, level=1e-44)),
    "nearly the largest values there are": Chroma(note(500, level=3e38)),
    "a frame each ten seconds": Chroma(random_chroma(50).values, 0.1),
    "a thousand frames per second": Chroma(random_chroma(3000).values, 1000.0),
    "three hours": Chroma(np.tile(random_chroma(1000).values, (931, 1))),
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_unusual_chroma_has_a_finite_unit_vector(encoder: Encoder, what: str) -> None:
    vector = encoder.embed(UNUSUAL[what])
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_unusual_chroma_embeds_the_same_in_company(encoder: Encoder) -> None:
    vectors = list(encoder.embed_many(iter(UNUSUAL.values()), batch_size=4))
    for what, vector in zip(UNUSUAL, vectors, strict=True):
        np.testing.assert_allclose(vector, encoder.embed(UNUSUAL[what]), atol=1e-5, err_msg=what)


@pytest.mark.parametrize(
    "values", [np.zeros((900, 12)), np.zeros((1, 12)), np.full((900, 12), 0.3), np.ones((1, 12))]
)
def test_what_has_no_content_is_refused_and_the_rest_can_go_on(
    encoder: Encoder, values: NDArray[Any]
) -> None:
    nothing, good = Chroma(values), random_chroma(300)
    with pytest.raises(InvalidChromaError, match=r"silent|constant") as caught:
        encoder.embed(nothing)
    assert caught.value.reason == "no-energy"
    with pytest.raises(InvalidChromaError, match=r"silent|constant"):
        list(encoder.embed_many([good, nothing, good]))

    def usable() -> Any:
        for chroma in (good, nothing, good):
            try:
                yield encoder.prepare(chroma)
            except InvalidChromaError:
                continue

    assert len(list(encoder.embed_many(usable()))) == 2


def test_other_threads_and_processes_get_the_same_vectors(encoder: Encoder) -> None:
    chroma = random_chroma(700)
    vector = encoder.embed(chroma).tobytes()
    with ThreadPoolExecutor(4) as pool:
        assert {v.tobytes() for v in pool.map(encoder.embed, [chroma] * 12)} == {vector}
    sent = pickle.loads(pickle.dumps(encoder))  # as to a process of a pool
    assert sent.id == encoder.id
    assert sent.embed(chroma).tobytes() == vector


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_break_after_the_check_are_found(encoder: Encoder, bad: float) -> None:
    prepared = encoder.prepare(random_chroma(300)).values.copy()
    prepared[17, 4] = bad
    for attempt in (
        lambda: encoder.embed(PreparedChroma(prepared)),
        lambda: list(encoder.embed_many([random_chroma(40), PreparedChroma(prepared)])),
    ):
        with pytest.raises(InvalidChromaError, match="NaN or infinite") as caught:
            attempt()
        assert caught.value.reason == "not-finite"


def test_a_track_that_breaks_after_the_check_is_found_after_those_before_it(
    encoder: Encoder,
) -> None:
    prepared = encoder.prepare(random_chroma(20)).values.copy()  # the shortest, so embedded first
    prepared[0, 4] = np.nan
    tracks = [random_chroma(300), random_chroma(700), PreparedChroma(prepared), random_chroma(400)]
    vectors = encoder.embed_many(tracks)
    for track in tracks[:2]:
        np.testing.assert_allclose(next(vectors), encoder.embed(track), atol=1e-5)
    with pytest.raises(InvalidChromaError, match="NaN or infinite"):
        next(vectors)


@pytest.fixture
def doubles_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", ["coverdex-64", "siamese-cnn"])
def test_what_the_caller_computes_in_half_precision_changes_nothing(name: str) -> None:
    encoder, chroma = Encoder.load(name), random_chroma(700)
    vector = encoder.embed(chroma)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert encoder.embed(chroma).tobytes() == vector.tobytes()
        (in_company,) = encoder.embed_many([chroma])
    assert in_company.tobytes() == vector.tobytes()


@pytest.mark.usefixtures("doubles_by_default")
@pytest.mark.parametrize("name", ["coverdex-64", "siamese-cnn"])
def test_what_type_torch_takes_by_default_changes_nothing(name: str) -> None:
    chroma = random_chroma(700)
    loaded_meanwhile = Encoder.load(name).embed(chroma)
    torch.set_default_dtype(torch.float32)
    encoder = Encoder.load(name)
    vector = encoder.embed(chroma)
    torch.set_default_dtype(torch.float64)
    for found in (loaded_meanwhile, encoder.embed(chroma)):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, vector, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "reason"), [((0, 12), "no-frames"), ((12, 30), "wrong-shape"), ((12,), "wrong-shape")]
)
def test_prepared_chroma_has_a_shape(shape: tuple[int, ...], reason: str) -> None:
    with pytest.raises(InvalidChromaError) as caught:
        PreparedChroma(np.zeros(shape, dtype=np.float32))
    assert caught.value.reason == reason


@settings(max_examples=40, deadline=None)
@given(
    semitones=st.integers(-24, 24),
    n_frames=st.integers(1, 3000),
    frame_rate=st.sampled_from([2.0, 10.0, 44_100 / 512]),
    seed=st.integers(0, 2**16),
)
def test_any_key_gives_the_same_vector(
    encoder: Encoder, semitones: int, n_frames: int, frame_rate: float, seed: int
) -> None:
    chroma = random_chroma(n_frames, seed, frame_rate)
    np.testing.assert_allclose(
        encoder.embed(chroma.transposed(semitones)), encoder.embed(chroma), atol=1e-5
    )


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 2500), min_size=1, max_size=20),
    batch_size=st.integers(1, 20),
    seed=st.integers(0, 2**16),
)
def test_any_company_gives_the_same_vectors_in_order(
    encoder: Encoder, lengths: list[int], batch_size: int, seed: int
) -> None:
    tracks = [random_chroma(n, seed + i) for i, n in enumerate(lengths)]
    many = list(encoder.embed_many(iter(tracks), batch_size=batch_size))
    assert len(many) == len(tracks)
    for vector, track in zip(many, tracks, strict=True):
        np.testing.assert_allclose(vector, encoder.embed(track), atol=1e-5)


@pytest.mark.usefixtures("one_thread")
def test_the_same_file_gives_the_same_bytes(encoder: Encoder, tmp_path: Path) -> None:
    """On every call, whatever was embedded before it, and in another process."""
    path = tmp_path / "P_1_hpcp.h5"
    write_chroma(path, random_chroma(4000))
    code = (
        "import sys, hashlib, torch; torch.set_num_threads(1)\n"
        "from coverdex.encoder import Encoder, read_chroma\n"
        "vector = Encoder.load().embed(read_chroma(sys.argv[1]).chroma)\n"
        "print(hashlib.sha256(vector.tobytes()).hexdigest())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ).stdout.strip()
    for n_frames in (3, 900, 2500):
        encoder.embed(random_chroma(n_frames))
        vector = encoder.embed(read_chroma(path).chroma)
        assert hashlib.sha256(vector.tobytes()).hexdigest() == elsewhere


@pytest.mark.shared
def test_real_recordings_keep_the_promises(encoder: Encoder, covers80_dev: Path) -> None:
    paths = sorted(covers80_dev.rglob("*_hpcp.h5"))[:6]
    chromas = [read_chroma(path).chroma for path in paths]
    alone = np.array([encoder.embed(chroma) for chroma in chromas])
    np.testing.assert_allclose(list(encoder.embed_many(chromas)), alone, atol=1e-5)
    for k in range(1, 12):
        rolled = [chroma.transposed(k) for chroma in chromas]
        np.testing.assert_allclose(list(encoder.embed_many(rolled)), alone, atol=1e-5)
