"""SiMPle: how well each passage of one performance occurs somewhere in the other.

Silva, Yeh, Batista and Keogh (2016, "SiMPle: assessing music similarity using subsequences joins",
ISMIR) join two performances by their *subsequences*, passages of L successive frames of chroma. The
similarity matrix profile of A joined with B holds, for each subsequence of A, the distance to its
nearest subsequence of B::

    profile[i] = min_j || A[i : i + L] - B[j : j + L] ||

The median of the profile is the distance from A to B: half of A's passages may be missing from B
without any effect, and neither order nor repeats count. It is not symmetric.

Chroma is prepared as in the paper in the manner of CENS (Müller, Kurth and Clausen 2005): two
frames per second, smoothed with a Hann window over four frames, each of unit norm; passages of 20
frames (10 seconds). HPCP is already normalised per frame and CENS's quantisation of energies is
left out. The candidate is moved by the optimal transposition index first.

The paper computes the profile by FFT convolution or by updating inner products. At a few hundred
frames the products of all frames are one matrix product, the subsequences' are sums along its
diagonals (:mod:`~coverdex.benchmarks.baselines.delay_embedding`), and the same matrix gives the
profile of A with B (minima of rows) and of B with A (minima of columns).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...encoder.chroma import Chroma
from .all_pairs import upper_rows
from .delay_embedding import squared_distances
from .frame_grid import Aggregation, at_least, at_rate
from .system import Progress, parameters_of, require, require_pairing, require_shared
from .transposition import best_transpositions, global_profile


@dataclass(frozen=True, kw_only=True)
class SiMPle:
    """SiMPle with optimal transposition, for all pairs of a catalogue.

    Parameters
    ----------
    rate : float
        Frames per second, in Hz.
    aggregation : {"mean", "median"}
        What the frames of one such step become.
    smoothing : int
        Frames under the Hann window; 1 or less for none.
    subsequence_length : int
        Frames in a subsequence (L).
    n_transpositions : int
        How many of the best transpositions to try, 1 to 12; the closest counts.
    n_threads : int, optional
        Threads to share the queries; as many as there are cores if not given.

    Raises
    ------
    InvalidParameterError
        If a parameter is out of its range.
    """

    rate: float = 2.0
    aggregation: Aggregation = "mean"
    smoothing: int = 4
    subsequence_length: int = 20
    n_transpositions: int = 1
    n_threads: int | None = None

    name: ClassVar[str] = "SiMPle"
    progress_unit: ClassVar[str] = "pairs"

    def __post_init__(self) -> None:
        require_shared(self)
        require_pairing(self)
        fits = self.subsequence_length >= 1
        require(self, "subsequence_length", fits, "1 frame or more")

    @property
    def parameters(self) -> dict[str, Any]:
        """The fields by name."""
        return parameters_of(self)

    def prepare(self, chroma: Chroma) -> NDArray[np.float32]:
        """Return smoothed unit-norm chroma, (n, 12) float32, at least one subsequence long."""
        frames = smoothed(at_rate(chroma, self.rate, self.aggregation), self.smoothing)
        norms = np.linalg.norm(frames, axis=1, keepdims=True)
        unit = np.divide(frames, norms, out=np.zeros_like(frames), where=norms > 0)
        return at_least(unit, self.subsequence_length)

    def distances(
        self, query: NDArray[np.float32], candidate: NDArray[np.float32]
    ) -> tuple[float, float]:
        """Return the distance from query to candidate, and from candidate to query.

        Parameters
        ----------
        query, candidate : ndarray, shape (n, 12), float32
            From :meth:`prepare`, in the same key.
        """
        squared = squared_distances(query, candidate, self.subsequence_length)
        return (
            float(np.sqrt(np.median(squared.min(axis=1)))),
            float(np.sqrt(np.median(squared.min(axis=0)))),
        )

    def similarity_matrix(
        self, chromas: Sequence[Chroma], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Join all pairs; see :class:`~coverdex.benchmarks.baselines.system.System`.

        Returns
        -------
        ndarray, shape (n, n), float32
            Negative median of the profile of row i joined with column j; not symmetric.
        """
        tracks = [self.prepare(chroma) for chroma in chromas]
        profiles = np.array([global_profile(track) for track in tracks]).reshape(-1, 12)

        def row_of(query: int, candidates: NDArray[np.intp]) -> NDArray[np.float64]:
            shifts = best_transpositions(
                profiles[query], profiles[candidates], self.n_transpositions
            )
            both_ways = [
                [self.distances(tracks[query], np.roll(tracks[c], k, axis=1)) for k in best]
                for c, best in zip(candidates, shifts, strict=True)
            ]
            return np.asarray(np.min(both_ways, axis=1))  # over transpositions: (n_candidates, 2)

        similarities = np.zeros((len(tracks), len(tracks)), dtype=np.float32)
        for query, row in upper_rows(
            len(tracks), row_of, n_threads=self.n_threads, progress=progress
        ):
            similarities[query, query:] = -row[:, 0]
            similarities[query:, query] = -row[:, 1]
        return similarities


def smoothed(frames: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return each pitch class under a running Hann window of ``width`` frames, (n, 12) float32."""
    if width <= 1:
        return frames
    window = np.hanning(width + 2)[1:-1]
    window /= window.sum()
    before = (width - 1) // 2
    padded = np.pad(frames, ((before, width - 1 - before), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)  # (n, 12, width)
    return np.asarray(windows @ window.astype(np.float32))
