"""2DFTM: the magnitudes of the two-dimensional Fourier transform of chroma patches.

Bertin-Mahieux and Ellis (2012, "Large-scale cover song recognition using the 2D Fourier transform
magnitude", ISMIR) turn a performance of any length into one short vector:

1. chroma, one frame per beat;
2. each frame raised to a power (1.96) with its norm kept, so that its main pitch classes stand out;
3. all patches of 75 successive beats, each a 12 x 75 image;
4. of each image the magnitude of its 2D Fourier transform. A shift of the image changes phases
   only, so the magnitude neither knows the key (a circular shift along pitch, exactly) nor where
   the patch begins (a shift along time, nearly);
5. the median over all patches;
6. the first principal components over a collection; Euclidean distance.

Humphrey, Nieto and Bello (2013) compress the magnitudes of each unit-norm patch, ``log(1 + C x)``:
``log_compression``, off as in the paper. The magnitudes of a real image come in equal pairs; only
one of each pair is kept, times sqrt(2), which leaves all distances as they were.

No catalogue of chroma carries beats: ``grid="beats"`` estimates them from the chroma
(:mod:`~coverdex.benchmarks.baselines.beat_grid`), ``grid="fixed"`` takes ``rate`` frames per
second, and is then not invariant to tempo. The components are fitted, without labels, on the
catalogue itself; the paper fits them on other music.

Shapes: patches ``(n_patches, 75, 12)``, descriptors ``(n, 456)``, float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ...encoder.chroma import N_PITCH_CLASSES, Chroma
from .beat_grid import beat_grid
from .frame_grid import Aggregation, aggregate, fixed_grid
from .system import Progress, parameters_of, require, require_shared


@dataclass(frozen=True, kw_only=True)
class TwoDFTM:
    """2DFTM with principal components, for all pairs of a catalogue.

    Parameters
    ----------
    n_components : int, optional
        Principal components to keep, 50 in the paper; at most n - 1 exist for n performances.
        ``None`` compares the descriptors themselves.
    grid : {"beats", "fixed"}
        One frame per estimated beat, or ``rate`` frames per second.
    rate : float
        Frames per second of the fixed grid, in Hz.
    aggregation : {"mean", "median"}
        What the frames between two beats become.
    patch_length : int
        Beats in a patch.
    power : float
        Exponent of the expansion.
    log_compression : float, optional
        The factor C of ``log(1 + C x)``; none as in the paper.

    Raises
    ------
    InvalidParameterError
        If a parameter is out of its range.
    """

    n_components: int | None = 50
    grid: Literal["beats", "fixed"] = "beats"
    rate: float = 2.0
    aggregation: Aggregation = "median"
    patch_length: int = 75
    power: float = 1.96
    log_compression: float | None = None

    name: ClassVar[str] = "2DFTM"

    def __post_init__(self) -> None:
        require_shared(self)
        kept, factor = self.n_components, self.log_compression
        require(self, "n_components", kept is None or kept >= 1, "1 or more, or None")
        require(self, "grid", self.grid in ("beats", "fixed"), "beats or fixed")
        require(self, "patch_length", self.patch_length >= 1, "1 beat or more")
        require(self, "power", self.power > 0, "an exponent above 0")
        fits = factor is None or factor > 0
        require(self, "log_compression", fits, "a factor above 0, or None")

    @property
    def parameters(self) -> dict[str, Any]:
        """The fields by name."""
        return parameters_of(self)

    def descriptor(self, chroma: Chroma) -> NDArray[np.float32]:
        """Return the descriptor of one performance, before principal components.

        Returns
        -------
        ndarray, shape (12 * (patch_length // 2 + 1),), float32
            Unit norm; zero for silence. A performance shorter than one patch is padded with
            silence to one.
        """
        if self.grid == "beats":
            grid = beat_grid(chroma)
        else:
            grid = fixed_grid(chroma.n_frames, chroma.frame_rate, self.rate)
        frames = expand(aggregate(chroma.values, grid, self.aggregation), self.power)
        short = self.patch_length - len(frames)
        if short > 0:
            frames = np.pad(frames, ((0, short), (0, 0)))
        magnitudes = patch_magnitudes(frames, self.patch_length)
        if self.log_compression is not None:
            # What is compressed are the magnitudes themselves, not yet counted for their twins.
            weights = twin_weights(self.patch_length)
            magnitudes = _unit_rows(magnitudes) / weights
            magnitudes = np.log1p(self.log_compression * magnitudes) * weights
        median = _unit_rows(np.median(magnitudes, axis=0, keepdims=True))[0]
        return np.asarray(median, dtype=np.float32)

    def embeddings(
        self, chromas: Sequence[Chroma], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Return one vector per performance, compared by Euclidean distance.

        Returns
        -------
        ndarray, shape (n, n_components or fewer), float32
        """
        size = 12 * (self.patch_length // 2 + 1)
        descriptors = np.zeros((len(chromas), size), dtype=np.float32)
        for i, chroma in enumerate(chromas):
            descriptors[i] = self.descriptor(chroma)
            if progress is not None:
                progress(i + 1, len(chromas))
        if self.n_components is None:
            return descriptors
        return principal_components(descriptors, self.n_components)

    def similarity_matrix(
        self, chromas: Sequence[Chroma], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Compare all pairs; see :class:`~coverdex.benchmarks.baselines.system.System`.

        Returns
        -------
        ndarray, shape (n, n), float32
            Negative Euclidean distances; symmetric.
        """
        vectors = self.embeddings(chromas, progress=progress).astype(np.float64)
        energies = np.einsum("nd,nd->n", vectors, vectors)
        squared = energies[:, None] + energies - 2 * vectors @ vectors.T
        return np.asarray(-np.sqrt(np.maximum(squared, 0)), dtype=np.float32)


def expand(frames: NDArray[np.float32], power: float) -> NDArray[np.float32]:
    """Raise each frame to a power and give it back its norm.

    Parameters
    ----------
    frames : ndarray, shape (n, 12), float32
        Chroma; silent frames stay silent.
    power : float
        Above 1, main pitch classes gain on the rest.

    Returns
    -------
    ndarray, shape (n, 12), float32
    """
    norms = np.linalg.norm(frames, axis=1, keepdims=True)
    return np.asarray(_unit_rows(_unit_rows(frames) ** power) * norms)


def patch_magnitudes(frames: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Return the Fourier magnitudes of all patches.

    Parameters
    ----------
    frames : ndarray, shape (n, 12), float32
        Chroma on a grid, ``n >= length``.
    length : int
        Frames in a patch.

    Returns
    -------
    ndarray, shape (n - length + 1, 12 * (length // 2 + 1)), float32
        Row i for the patch that begins at frame i; Euclidean norms are those of the full plane.
    """
    patches = np.lib.stride_tricks.sliding_window_view(frames, length, axis=0)  # (k, 12, length)
    magnitudes = np.abs(np.fft.rfft2(patches)).astype(np.float32)
    return magnitudes.reshape(len(patches), -1) * twin_weights(length)


def twin_weights(length: int) -> NDArray[np.float32]:
    """Return by what to multiply each magnitude so that norms are those of the full plane.

    Parameters
    ----------
    length : int
        Frames in a patch.

    Returns
    -------
    ndarray, shape (12 * (length // 2 + 1),), float32
        sqrt(2) where the equal magnitude of the negative frequency in time is left out, else 1.
    """
    weights = np.ones((N_PITCH_CLASSES, length // 2 + 1), dtype=np.float32)
    weights[:, 1 : (length + 1) // 2] = np.sqrt(2)
    return weights.reshape(-1)


def principal_components(vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Project vectors on the directions in which they vary most.

    Parameters
    ----------
    vectors : ndarray, shape (n, d), float32
    count : int
        Directions to keep; fewer come back where n - 1 or d is smaller.

    Returns
    -------
    ndarray, shape (n, min(count, n - 1, d)), float32
        Coordinates about the mean, the largest variance first.
    """
    centred = vectors.astype(np.float64)
    centred -= centred.sum(axis=0) / max(1, len(vectors))
    kept = max(0, min(count, len(vectors) - 1, vectors.shape[1]))
    _, directions = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ directions[:, ::-1][:, :kept], dtype=np.float32)


def _unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0))
