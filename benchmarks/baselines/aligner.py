"""Aligning all pairs of a catalogue by cross recurrence: what Qmax and Dmax share.

Each performance is brought to a few frames per second; each pair into one key
(:mod:`~coverdex.benchmarks.baselines.transposition`); its cross recurrence plot
(:mod:`~coverdex.benchmarks.baselines.cross_recurrence`) is read with the recursion of the method;
the score is divided by the square root of the candidate's number of states, as in Serrà, Serra and
Andrzejak (2009).

The score itself does not depend on which of the two is the query (the recursion is the same along
both axes), so n performances take n (n + 1) / 2 alignments, not n squared.

The work of one pair of n states each, for the compiled engine: 24 n^2 floating point operations for
the products of frames, 9 n^2 for the states, some 2 x 10 n^2 comparisons for the neighbours and
20 n^2 for the recursion: 18 million at n = 500 (four minutes at two frames per second).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ...encoder.chroma import Chroma
from ...encoder.errors import CoverdexError
from .all_pairs import upper_rows
from .cross_recurrence import cross_recurrence
from .delay_embedding import n_states
from .frame_grid import Aggregation, at_least, at_rate
from .system import Progress, parameters_of, require, require_pairing, require_shared
from .transposition import best_transpositions, global_profile

Engine = Literal["auto", "compiled", "numpy"]


@dataclass(frozen=True)
class PreparedTracks:
    """Performances as the aligners take them, one after another in memory.

    Parameters
    ----------
    frames : ndarray, shape (n_total_frames, 12), float32
        All performances at the method's frame rate.
    starts : ndarray, shape (n_performances + 1,), int64
        Where each begins in ``frames``, and the end.
    profiles : ndarray, shape (n_performances, 12), float64
        Global profiles, for the transposition.
    """

    frames: NDArray[np.float32]
    starts: NDArray[np.int64]
    profiles: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.profiles)

    def __getitem__(self, number: int) -> NDArray[np.float32]:
        return self.frames[self.starts[number] : self.starts[number + 1]]


@dataclass(frozen=True, kw_only=True)
class CrossRecurrenceAligner:
    """Base of :class:`Qmax` and :class:`Dmax`.

    Parameters
    ----------
    rate : float
        Frames per second to which the chroma is brought, in Hz.
    aggregation : {"mean", "median"}
        What the frames of one such step become.
    dimension, delay : int
        Frames in a state, and frames between two of them (m and tau in the paper).
    kappa : float
        Fraction of states that count as near.
    onset, extension : float
        What it costs to begin and to prolong a disruption.
    n_transpositions : int
        How many of the best transpositions to try, 1 to 12; the best score counts.
    engine : {"auto", "compiled", "numpy"}
        "compiled" needs numba; "auto" takes it where it is installed. Both give the same scores.
    n_threads : int, optional
        Threads to share the queries; as many as there are cores if not given.

    Raises
    ------
    InvalidParameterError
        If a parameter is out of its range.
    """

    rate: float = 2.0
    aggregation: Aggregation = "median"
    dimension: int = 9
    delay: int = 1
    kappa: float = 0.095
    onset: float = 0.5
    extension: float = 0.5
    n_transpositions: int = 1
    engine: Engine = "auto"
    n_threads: int | None = None

    name: ClassVar[str]
    progress_unit: ClassVar[str] = "pairs"
    long_gaps: ClassVar[bool]

    def __post_init__(self) -> None:
        require_shared(self)
        require_pairing(self)
        require(self, "dimension", self.dimension >= 1, "1 frame or more")
        require(self, "delay", self.delay >= 1, "1 frame or more")
        require(self, "kappa", 0 <= self.kappa <= 1, "a fraction, 0 to 1")
        require(self, "onset", self.onset >= 0, "a cost of 0 or more")
        require(self, "extension", self.extension >= 0, "a cost of 0 or more")
        known = ("auto", "compiled", "numpy")
        require(self, "engine", self.engine in known, "auto, compiled or numpy")

    @property
    def parameters(self) -> dict[str, Any]:
        """The fields by name."""
        return parameters_of(self)

    def paths(self, recurrence: NDArray[Any]) -> NDArray[np.float32]:
        """Return the score of the best path that ends in each cell of a recurrence plot."""
        raise NotImplementedError

    def prepare(self, chromas: Sequence[Chroma]) -> PreparedTracks:
        """Bring performances to the method's frame rate.

        A performance too short for one state has its last frame repeated; it scores 0.
        """
        shortest = (self.dimension - 1) * self.delay + 1
        tracks = [at_least(at_rate(c, self.rate, self.aggregation), shortest) for c in chromas]
        starts = np.concatenate([[0], np.cumsum([len(track) for track in tracks])])
        return PreparedTracks(
            frames=np.concatenate([np.empty((0, 12), np.float32), *tracks]),
            starts=starts.astype(np.int64),
            profiles=np.array([global_profile(track) for track in tracks]).reshape(-1, 12),
        )

    def scores(
        self, tracks: PreparedTracks, query: int, candidates: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Return the raw scores of one query with some candidates, not normalised.

        Parameters
        ----------
        tracks : PreparedTracks
            What :meth:`prepare` returned.
        query : int
            Number of the query.
        candidates : ndarray, shape (n_candidates,), intp
            Numbers of the candidates.

        Returns
        -------
        ndarray, shape (n_candidates,), float32
            Qmax or Dmax: lengths in states.
        """
        shifts = best_transpositions(
            tracks.profiles[query], tracks.profiles[candidates], self.n_transpositions
        )
        if self._compiles():
            from .compiled_alignment import score_candidates

            return np.asarray(
                score_candidates(
                    tracks.frames,
                    tracks.starts,
                    query,
                    candidates.astype(np.int64),
                    shifts.astype(np.int64),
                    self.dimension,
                    self.delay,
                    self.kappa,
                    np.float32(self.onset),
                    np.float32(self.extension),
                    self.long_gaps,
                )
            )
        return np.array(
            [
                max(self._score(tracks[query], np.roll(tracks[c], k, axis=1)) for k in best)
                for c, best in zip(candidates, shifts, strict=True)
            ],
            dtype=np.float32,
        )

    def normaliser(self, tracks: PreparedTracks) -> NDArray[np.float32]:
        """Return by what to divide scores for each candidate: the root of its states, (n,)."""
        lengths = [n_states(int(n), self.dimension, self.delay) for n in np.diff(tracks.starts)]
        return np.sqrt(np.array(lengths, dtype=np.float32))

    def similarity_matrix(
        self, chromas: Sequence[Chroma], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Align all pairs; see :class:`~coverdex.benchmarks.baselines.system.System`.

        Returns
        -------
        ndarray, shape (n, n), float32
            ``score / sqrt(candidate's states)``; not symmetric unless lengths are equal.

        Raises
        ------
        CoverdexError
            When ``engine`` is "compiled" and numba is not installed.
        """
        tracks = self.prepare(chromas)
        n = len(tracks)
        self._compiles()  # says now, not in a thread, what is missing

        def row_of(query: int, candidates: NDArray[np.intp]) -> NDArray[np.float32]:
            return self.scores(tracks, query, candidates)

        scores = np.zeros((n, n), dtype=np.float32)
        for query, row in upper_rows(n, row_of, n_threads=self.n_threads, progress=progress):
            scores[query, query:] = scores[query:, query] = row
        return scores / self.normaliser(tracks)

    def _score(self, query: NDArray[np.float32], candidate: NDArray[np.float32]) -> float:
        recurrence = cross_recurrence(
            query, candidate, dimension=self.dimension, delay=self.delay, kappa=self.kappa
        )
        return float(self.paths(recurrence).max())

    def _compiles(self) -> bool:
        if self.engine == "numpy":
            return False
        if find_spec("numba") is not None:
            return True
        if self.engine == "compiled":
            raise CoverdexError(
                f"the compiled engine of {self.name} needs numba, which is not installed; "
                "install coverdex[baselines], or give engine='numpy'"
            )
        return False
