"""2DFTM and SiMPle: invariances, loops as oracles, covers found."""

from __future__ import annotations

import numpy as np
import pytest
from coverdex.benchmarks.baselines import SiMPle, System, TwoDFTM
from coverdex.benchmarks.baselines.simple_profile import smoothed
from coverdex.benchmarks.baselines.two_d_ftm import expand, patch_magnitudes, principal_components
from coverdex.encoder.chroma import Chroma
from hypothesis import given, settings
from hypothesis import strategies as st

from .baselines_songs import catalogue_of_covers, performance, share_of_covers_found_first

few = settings(max_examples=25, deadline=None)
fixed = TwoDFTM(grid="fixed", patch_length=30)


@few
@given(st.integers(2, 16), st.integers(0, 5), st.integers(0, 2**31))
def test_half_of_the_plane_keeps_all_distances(length: int, more: int, seed: int) -> None:
    frames = np.random.default_rng(seed).random((length + more, 12), dtype=np.float32)
    magnitudes = patch_magnitudes(frames, length)
    whole = np.array([np.abs(np.fft.fft2(frames[i : i + length])).ravel() for i in range(more + 1)])
    np.testing.assert_allclose(
        np.linalg.norm(magnitudes[0] - magnitudes[-1]),
        np.linalg.norm(whole[0] - whole[-1]),
        rtol=1e-3,
        atol=1e-4,
    )
    np.testing.assert_allclose(
        np.linalg.norm(magnitudes, axis=1), np.linalg.norm(whole, axis=1), rtol=1e-4
    )


@few
@given(st.integers(1, 11), st.sampled_from(["beats", "fixed"]), st.integers(0, 2**31))
def test_2dftm_does_not_know_the_key(semitones: int, grid: str, seed: int) -> None:
    chroma = Chroma(np.random.default_rng(seed).random((900, 12)), frame_rate=20.0)
    system = TwoDFTM(grid=grid, patch_length=20)
    np.testing.assert_allclose(
        system.descriptor(chroma), system.descriptor(chroma.transposed(semitones)), atol=1e-5
    )


def test_expansion_by_hand() -> None:
    frames = np.zeros((2, 12), dtype=np.float32)
    frames[0, :2] = [3, 4]
    powered = expand(frames, 2.0)
    # (9, 16) scaled to the norm 5 of (3, 4)
    np.testing.assert_allclose(powered[0, :2], 5 * np.array([9, 16]) / np.hypot(9, 16), rtol=1e-6)
    assert not powered[1].any()


def test_median_over_patches_forgets_a_short_intrusion() -> None:
    rng = np.random.default_rng(0)
    song = np.tile(rng.random((10, 12)), (40, 1))
    disturbed = song.copy()
    disturbed[50:60] = 10 * rng.random((10, 12))
    system = TwoDFTM(grid="fixed", rate=2.0, patch_length=10)
    one, other = (system.descriptor(Chroma(v, frame_rate=2.0)) for v in (song, disturbed))
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_principal_components_keep_distances_and_order_variance() -> None:
    vectors = np.random.default_rng(0).random((8, 30), dtype=np.float32)
    projected = principal_components(vectors, 50)
    assert projected.shape == (8, 7)

    def distances(x: np.ndarray) -> np.ndarray:
        return np.linalg.norm(x[:, None] - x[None], axis=2)

    np.testing.assert_allclose(distances(projected), distances(vectors), atol=1e-4)
    variances = projected.var(axis=0)
    assert (np.diff(variances) <= 1e-9).all()
    two = principal_components(vectors, 2)
    np.testing.assert_allclose(np.abs(two), np.abs(projected[:, :2]), atol=1e-4)


def test_2dftm_matrix_is_negative_distance() -> None:
    chromas = catalogue_of_covers()[:4]
    descriptors = np.array([fixed.descriptor(chroma) for chroma in chromas])
    similarities = fixed.similarity_matrix(chromas)
    assert similarities.dtype == np.float32
    np.testing.assert_allclose(
        -similarities,
        np.linalg.norm(descriptors[:, None] - descriptors[None], axis=2),
        atol=1e-5,
    )
    assert (similarities == similarities.T).all()


@pytest.mark.parametrize("length", [1, 2, 30, 75])
@pytest.mark.parametrize("compression", [None, 1.0, 100.0])
def test_2dftm_distances_are_those_of_the_whole_plane(
    length: int, compression: float | None
) -> None:
    def unit(rows: np.ndarray) -> np.ndarray:
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    def whole_plane(chroma: Chroma) -> np.ndarray:
        frames = expand(chroma.values, 1.96)
        planes = []
        for first in range(len(frames) - length + 1):
            plane = np.abs(np.fft.fft2(frames[first : first + length].astype(float))).ravel()
            planes.append(plane if compression is None else np.log1p(compression * unit(plane)))
        return unit(np.median(planes, axis=0))

    rng = np.random.default_rng(0)
    chromas = [Chroma(rng.random((90, 12)), frame_rate=2.0) for _ in range(2)]
    system = TwoDFTM(grid="fixed", patch_length=length, log_compression=compression)
    ours, theirs = system.descriptor(chromas[0]), system.descriptor(chromas[1])
    expected = np.linalg.norm(whole_plane(chromas[0]) - whole_plane(chromas[1]))
    assert np.linalg.norm(ours - theirs) == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("compression", [None, 5.0])
def test_2dftm_finds_transposed_covers(compression: float | None) -> None:
    system = TwoDFTM(grid="fixed", patch_length=30, log_compression=compression, n_components=8)
    similarities = system.similarity_matrix(catalogue_of_covers(semitones=5))
    assert share_of_covers_found_first(similarities) == 1.0


def test_2dftm_on_short_and_silent_chroma_is_finite() -> None:
    chromas = [Chroma(np.ones((1, 12))), Chroma(np.zeros((500, 12))), catalogue_of_covers()[0]]
    assert np.isfinite(TwoDFTM().similarity_matrix(chromas)).all()
    assert TwoDFTM().similarity_matrix(chromas[:1]).shape == (1, 1)
    assert TwoDFTM().similarity_matrix([]).shape == (0, 0)


@few
@given(st.integers(0, 2**31), st.integers(2, 8))
def test_simple_profile_against_a_loop(seed: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.random((20, 12), dtype=np.float32)
    b = rng.random((25, 12), dtype=np.float32)

    def median_profile(x: np.ndarray, y: np.ndarray) -> float:
        profile = [
            min(
                float(np.linalg.norm(x[i : i + length] - y[j : j + length]))
                for j in range(len(y) - length + 1)
            )
            for i in range(len(x) - length + 1)
        ]
        return float(np.median(np.square(profile))) ** 0.5

    expected = median_profile(a, b), median_profile(b, a)
    assert SiMPle(subsequence_length=length).distances(a, b) == pytest.approx(expected, abs=1e-3)


def test_smoothing_by_hand() -> None:
    frames = np.zeros((5, 12), dtype=np.float32)
    frames[2, 0] = 1
    # Hann over three frames: 1/4, 1/2, 1/4
    np.testing.assert_allclose(smoothed(frames, 3)[:, 0], [0, 0.25, 0.5, 0.25, 0])
    assert smoothed(frames, 1) is frames
    assert smoothed(frames, 4).shape == frames.shape


@pytest.mark.parametrize(
    "changes", [{"semitones": 5}, {"tempo": 1.15}], ids=["transposed", "faster"]
)
def test_simple_finds_covers(changes: dict[str, float]) -> None:
    similarities = SiMPle(subsequence_length=10).similarity_matrix(catalogue_of_covers(**changes))
    assert share_of_covers_found_first(similarities) == 1.0


def test_simple_rows_are_the_queries() -> None:
    whole = catalogue_of_covers()[0]
    # The second half of the longer one is something else: its passages are not in the shorter.
    longer = Chroma(
        np.vstack([whole.values, catalogue_of_covers()[1].values, catalogue_of_covers()[2].values]),
        frame_rate=whole.frame_rate,
    )
    similarities = SiMPle(n_transpositions=12).similarity_matrix([whole, longer])
    assert similarities[0, 1] == pytest.approx(0, abs=0.15)  # all of it occurs in the longer
    assert similarities[1, 0] < -0.5


def test_simple_on_short_and_silent_chroma_is_finite() -> None:
    chromas = [Chroma(np.ones((1, 12))), Chroma(np.zeros((500, 12))), performance([(0, 4, 7)] * 9)]
    assert np.isfinite(SiMPle().similarity_matrix(chromas)).all()
    assert SiMPle().similarity_matrix([]).shape == (0, 0)


@pytest.mark.parametrize("system", [TwoDFTM(n_components=7), SiMPle(rate=1.0)])
def test_are_systems_with_parameters(system: TwoDFTM | SiMPle) -> None:
    assert isinstance(system, System)
    assert system.name in {"2DFTM", "SiMPle"}
    assert {"n_components", "rate"} & system.parameters.keys()
