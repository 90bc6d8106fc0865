"""The cover simulator: two performances of one work, from its score.

Order of events, as in a recording: the arrangement (:mod:`.timeline`), the band (:mod:`.band`), and
room, drums, noise and the extractor (:mod:`.recording`): compression, each frame divided by its
greatest bin, frames averaged down to the encoder's rate.
Everything is drawn from one seed per call, so a batch is reproducible from ``(seed, step)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..corpus import MELODY, ROLL_RATE, RollCorpus
from .band import draw_band
from .instruments import InstrumentEffects
from .recording import AcousticEffects, draw_recording
from .timeline import Source, TimelineEffects, draw_timeline

#: Views that are played and recorded together, whose rolls take some 0.15 MB each.
_TOGETHER = 32


@dataclass(frozen=True)
class SimulatorConfig:
    """Everything that the simulator may do.

    Parameters
    ----------
    frame_rate : float
        Frames per second of the views; :data:`ROLL_RATE` must be a multiple of it.
    timeline, instruments, acoustics
        Strengths of the effects.
    anchor : float
        Probability that an item starts in the midst of its score, both views at the same place.
    same_version : float
        Probability that both views of an item are drawn from one version even where its work has
        several; otherwise they are drawn from two.
    reverse, invert : float
        Probability that an item is its work played backwards, or mirrored in pitch, in both views.

    Raises
    ------
    ValueError
        The rolls cannot be averaged down to the rate.
    """

    frame_rate: float = 4.0
    timeline: TimelineEffects = field(default_factory=TimelineEffects)
    instruments: InstrumentEffects = field(default_factory=InstrumentEffects)
    acoustics: AcousticEffects = field(default_factory=AcousticEffects)
    anchor: float = 0.3
    same_version: float = 0.0
    reverse: float = 0.0
    invert: float = 0.0

    def __post_init__(self) -> None:
        if abs(self.oversampling * self.frame_rate - ROLL_RATE) > 1e-9:
            raise ValueError(
                f"frame_rate {self.frame_rate:g} does not divide the rolls' {ROLL_RATE:g} Hz; give "
                f"{ROLL_RATE:g} by a whole number, such as {ROLL_RATE / 2:g}"
            )

    @property
    def oversampling(self) -> int:
        """Frames of the rolls that become one."""
        return round(ROLL_RATE / self.frame_rate)


class CoverSimulator:
    """Draws simulated covers of the works of a corpus.

    Parameters
    ----------
    corpus : RollCorpus
    config : SimulatorConfig, optional
    """

    def __init__(self, corpus: RollCorpus, config: SimulatorConfig | None = None) -> None:
        self.corpus = corpus
        self.config = config or SimulatorConfig()
        self.oversampling = self.config.oversampling
        self._rolls = torch.from_numpy(corpus.rolls)
        melody = corpus.rolls[:, 12 * MELODY : 12 * (MELODY + 1)]
        self._sings = np.asarray(melody.any(axis=1), dtype=np.bool_)
        self._versions = corpus.versions_by_work()
        self._others = (corpus.first, corpus.n_frames)

    def pairs(
        self, works: Sequence[int] | NDArray[np.int64], n_frames: int, seed: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Draw two covers of each work.

        Parameters
        ----------
        works : sequence of int
            Indices into the corpus's works, ``n`` of them.
        n_frames : int
            Length of a view at the configured rate.
        seed : sequence of int
            For instance ``(seed, step)``.

        Returns
        -------
        views : Tensor, shape (2 * n, n_frames, 12), float32
            First views of all works, then second views, each frame-wise normalised, in 0-1; zero
            from ``n_valid`` on.
        n_valid : Tensor, shape (2 * n,), int64
        """
        rng = np.random.default_rng(list(seed))
        versions, anchors, flags = self.items(np.asarray(works), rng)
        return self.views(versions, n_frames, rng, anchors=anchors, flags=flags)

    def items(
        self, works: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
        """Draw what two covers of each work are made from.

        Parameters
        ----------
        works : ndarray, shape (n,), int64
        rng : numpy.random.Generator

        Returns
        -------
        versions : ndarray, shape (2 * n,), int64
            First views of all works, then second views, as in all that follows.
        anchors : ndarray, shape (2 * n,), float64
            Share of the score at which each starts.
        flags : ndarray, shape (2, 2 * n), bool
            Played backwards; mirrored in pitch.
        """
        n = works.size
        chosen = np.empty((2, n), dtype=np.int64)
        for i, w in enumerate(works):
            of_work = self._versions[w]
            same = of_work.size < 2 or (
                self.config.same_version > 0 and rng.random() < self.config.same_version
            )
            chosen[:, i] = rng.choice(of_work, 1 if same else 2, replace=False)
        anchored = rng.random(n) < self.config.anchor
        anchor = np.where(anchored, rng.uniform(0, 0.6, n), 0.0)
        reverse = rng.random(n) < self.config.reverse
        invert = rng.random(n) < self.config.invert
        flags = np.stack([reverse, invert])
        return chosen.reshape(-1), np.tile(anchor, 2), np.tile(flags, 2)

    def views(
        self,
        versions: NDArray[np.int64],
        n_frames: int,
        rng: np.random.Generator,
        *,
        anchors: NDArray[np.float64] | None = None,
        flags: NDArray[np.bool_] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw one cover of each of the given versions.

        Parameters
        ----------
        versions : ndarray, shape (n,), int64
            Indices into the corpus's versions.
        n_frames : int
        rng : numpy.random.Generator
        anchors : ndarray, shape (n,), optional
            Share of the score at which each starts.
        flags : ndarray, shape (2, n), bool, optional
            Played backwards; mirrored in pitch.

        Returns
        -------
        views : Tensor, shape (n, n_frames, 12), float32
        n_valid : Tensor, shape (n,), int64
        """
        c = self.corpus
        n = versions.size
        anchors = np.zeros(n) if anchors is None else anchors
        flags = np.zeros((2, n), dtype=bool) if flags is None else flags
        n_fine = n_frames * self.oversampling
        index = np.empty((n, n_fine), dtype=np.int64)
        section = np.empty((n, n_fine), dtype=np.int64)
        n_valid = np.empty(n, dtype=np.int64)
        for i, v in enumerate(versions):
            source = Source(
                int(c.first[v]), int(c.n_frames[v]), bool(c.cyclic[v]), anchors[i], flags[0, i]
            )
            index[i], n_valid[i], section[i] = draw_timeline(
                source, n_fine, ROLL_RATE, self.config.timeline, rng, self._others
            )
        has_melody = ~c.cyclic[versions] & self._sings[index].any(axis=1)
        band = draw_band(has_melody, flags[1], int(section.max()) + 1, self.config.instruments, rng)
        recording = draw_recording(n, self.config.acoustics, rng)
        chroma = torch.empty(n, n_frames, 12)
        for first in range(0, n, _TOGETHER):
            part = slice(first, first + _TOGETHER)
            lines = torch.from_numpy(index[part]), torch.from_numpy(section[part])
            energy = band.play(self._rolls, *lines, part)
            chroma[part] = recording.hear(energy, part, self.oversampling, rng)
        length = torch.from_numpy(np.maximum(1, n_valid // self.oversampling))
        return mask_frames(chroma, length), length


def mask_frames(x: Tensor, n_valid: Tensor) -> Tensor:
    """Zero the frames from ``n_valid`` on: x is (n, n_frames, 12), n_valid (n,)."""
    inside = torch.arange(x.shape[1], device=x.device)[None] < n_valid[:, None]
    return x * inside[..., None].to(x.dtype)
