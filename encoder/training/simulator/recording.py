"""The recording: room, noise, drums and extractor of each view, drawn for a batch at once.

The transforms themselves are in :mod:`.acoustics`; here are their strengths and their order, which
is that of a recording: the room, the noise in it, drums, frames that are lost, and the extractor's
normalisation, compression and averaging.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..corpus import ROLL_RATE
from . import acoustics


@dataclass(frozen=True)
class AcousticEffects:
    """Ranges of room, drums, noise and extractor; ``(low, high)``, each view draws its own.

    Parameters
    ----------
    reverberation : (float, float)
        T60 in seconds.
    noise_floor, flicker : (float, float)
        Steady floor and frame-wise noise, relative to a mean frame's peak.
    percussion : (float, float)
        Energy of a stroke relative to a mean frame's peak.
    percussion_share : float
        Probability that a view has drums.
    stroke_period : (float, float)
        Seconds between strokes.
    lost_frames : (float, float)
        Probability of a frame of noise alone.
    compression : (float, float)
        Exponent.
    """

    reverberation: tuple[float, float] = (0.1, 1.8)
    noise_floor: tuple[float, float] = (0.0, 0.2)
    flicker: tuple[float, float] = (0.0, 0.7)
    percussion: tuple[float, float] = (0.1, 1.5)
    percussion_share: float = 0.6
    stroke_period: tuple[float, float] = (0.25, 1.2)
    lost_frames: tuple[float, float] = (0.0, 0.1)
    compression: tuple[float, float] = (0.9, 1.7)


@dataclass(frozen=True, eq=False)
class Recording:
    """How each of ``n`` views is recorded; an effect that no view has is None.

    Parameters
    ----------
    decay : Tensor, shape (n,), float32, or None
        What is left of a sound after a frame.
    floor, flicker : Tensor, shape (n,), float32, or None
    colour : Tensor, shape (n, 12), float32, or None
        Share of the floor in each pitch class.
    stroke, period, phase : Tensor, shape (n,), float32, or None
        Strength of the drums, frames between strokes, and where in a period they begin.
    lost : Tensor, shape (n,), float32, or None
        Probability of each frame.
    exponent : Tensor, shape (n,), float32
    """

    decay: Tensor | None
    floor: Tensor | None
    flicker: Tensor | None
    colour: Tensor | None
    stroke: Tensor | None
    period: Tensor | None
    phase: Tensor | None
    lost: Tensor | None
    exponent: Tensor

    def hear(
        self, energy: Tensor, views: slice, oversampling: int, rng: np.random.Generator
    ) -> Tensor:
        """Record some of the views.

        Parameters
        ----------
        energy : Tensor, shape (k, n_frames, 12), float32
            What was played; the mean of a view's frames' peaks is 1.
        views : slice
            Which ``k`` of the ``n`` views.
        oversampling : int
            Frames that become one.
        rng : numpy.random.Generator

        Returns
        -------
        Tensor, shape (k, n_frames // oversampling, 12), float32
            In 0-1.
        """
        x = energy
        if self.decay is not None:
            x = acoustics.normalise_level(acoustics.reverberate(x, self.decay[views]))
        if self.floor is not None and self.colour is not None and self.flicker is not None:
            x = acoustics.add_noise_floor(
                x, self.floor[views], self.colour[views], self.flicker[views], rng
            )
        if self.stroke is not None and self.period is not None and self.phase is not None:
            x = acoustics.add_percussion(
                x, self.stroke[views], self.period[views], self.phase[views], rng
            )
        if self.lost is not None:
            x = acoustics.drop_frames(x, self.lost[views], rng)
        x = acoustics.compress(acoustics.normalise_frames(x), self.exponent[views])
        return acoustics.pool_frames(x, oversampling)


def draw_recording(n: int, effects: AcousticEffects, rng: np.random.Generator) -> Recording:
    """Draw how each of ``n`` views is recorded."""
    e = effects

    def draw(low_high: tuple[float, float]) -> Tensor:
        return torch.from_numpy(rng.uniform(*low_high, n).astype(np.float32))

    decay = floor = flicker = colour = stroke = period = phase = lost = None
    t60 = draw(e.reverberation)
    if e.reverberation[1] > 0:
        decay = 10.0 ** (-6.0 / (ROLL_RATE * t60.clamp_min(1e-2)))
    if e.noise_floor[1] > 0 or e.flicker[1] > 0:
        colour = torch.from_numpy(rng.gamma(2.0, 0.5, (n, 12)).astype(np.float32))
        floor, flicker = draw(e.noise_floor), draw(e.flicker)
    if e.percussion[1] > 0:
        drums = torch.from_numpy((rng.random(n) < e.percussion_share).astype(np.float32))
        stroke = draw(e.percussion) * drums
        period, phase = draw(e.stroke_period) * ROLL_RATE, draw((0, 1))
    if e.lost_frames[1] > 0:
        lost = draw(e.lost_frames)
    return Recording(
        decay, floor, flicker, colour, stroke, period, phase, lost, draw(e.compression)
    )
