"""The band: what plays each view of a batch, and how the score sounds when it does.

A view is played by parts of drawn loudness and spectrum, in one key (:mod:`.instruments`); parts
pause for whole sections, and some views are a melody alone. All that is drawn at once for the views
of a batch, as one matrix per view. The playing itself goes over the rolls of a few views at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..corpus import MELODY, N_PARTS
from .acoustics import normalise_level
from .instruments import (
    InstrumentEffects,
    draw_part_gains,
    draw_section_gains,
    draw_solos,
    draw_spectra,
    mixing_matrices,
)


@dataclass(frozen=True, eq=False)
class Band:
    """Who plays each of ``n`` views.

    Parameters
    ----------
    matrix : Tensor, shape (n, N_PARTS * 12, 12), float32
        From a frame of the roll to a frame of chroma.
    pauses : Tensor, shape (n, n_sections, N_PARTS), float32, or None
        0 where a part is silent for a section, otherwise 1; None if no part ever is.
    """

    matrix: Tensor
    pauses: Tensor | None

    def play(self, rolls: Tensor, index: Tensor, section: Tensor, views: slice) -> Tensor:
        """Play some of the views.

        Parameters
        ----------
        rolls : Tensor, shape (n_roll_frames, N_PARTS * 12), uint8
            The corpus's.
        index : Tensor, shape (k, n_frames), int64
            The frame of the rolls that sounds in each frame.
        section : Tensor, shape (k, n_frames), int64
            The section that it belongs to.
        views : slice
            Which ``k`` of the ``n`` views.

        Returns
        -------
        Tensor, shape (k, n_frames, 12), float32
            Energies; the mean of a view's frames' peaks is 1. Time lies together in memory, which
            is what all that follows runs along.
        """
        k, n_frames = index.shape
        # index_select is ten times as fast as indexing with brackets.
        played = rolls.index_select(0, index.reshape(-1)).to(torch.float32)
        if self.pauses is not None:
            of_frame = torch.arange(k)[:, None], section
            played = played.view(k, n_frames, N_PARTS, 12)
            played *= self.pauses[views][of_frame][..., None]
        played = played.view(k, n_frames, N_PARTS * 12)
        energy = torch.bmm(self.matrix[views].transpose(1, 2), played.transpose(1, 2))
        return normalise_level(energy.transpose(1, 2))


def draw_band(
    has_melody: NDArray[np.bool_],
    inverted: NDArray[np.bool_],
    n_sections: int,
    effects: InstrumentEffects,
    rng: np.random.Generator,
) -> Band:
    """Draw who plays.

    Parameters
    ----------
    has_melody : ndarray, shape (n,), bool
        Whether a view has a melody that is the work's: what a soloist plays over a chart is none.
    inverted : ndarray, shape (n,), bool
        Whether the work is mirrored in pitch.
    n_sections : int
        Greatest number of sections of a view.
    effects : InstrumentEffects
    rng : numpy.random.Generator
    """
    n = has_melody.size
    gains = draw_part_gains(n, effects, rng)
    moved: NDArray[np.int64] = np.asarray(rng.integers(0, 12 if effects.transpose else 1, size=n))
    spectra = draw_spectra(n, effects, rng)
    pauses = draw_section_gains(n, n_sections, effects, rng) if effects.section_drop else None
    solo = draw_solos(has_melody, effects, rng)
    gains[np.ix_(solo, np.arange(N_PARTS) != MELODY)] = 0
    gains[solo, MELODY] = np.maximum(gains[solo, MELODY], 1)  # also where it was dropped
    if pauses is not None:
        pauses[solo] = 1
    matrix = mixing_matrices(gains, spectra, moved, inverted)
    return Band(
        torch.from_numpy(matrix), pauses=None if pauses is None else torch.from_numpy(pauses)
    )
