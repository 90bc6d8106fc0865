"""From clean chroma to that of a recording: what lies between a band and its HPCP.

What samplers play (:mod:`.rendered_seeds`) is cleaner than what people record: no voices, no room,
no mix, no noise. Its chroma is sparse, and its frames have less entropy
(docs/simulator-calibration.md). A network that hears the same few thousand renderings again and
again learns how they sound. So each time that one is drawn it goes through a channel of its own:

* *leakage*: a part of every pitch class is heard in a neighbour (detuning, vibrato, glides);
* *fifths*: a part is heard a fifth higher (the third harmonic, distortion);
* *equalisation*: pitch classes are louder or softer throughout (instruments, rooms, filters);
* *floor* and *flicker*: noise that stays, bin by bin, and noise that changes from frame to frame;
* *compression*: a power of the values, below 1 lifting the weak ones, above 1 hiding them.

Each is drawn between nothing and its strength, and a strength of zero leaves it out. The peak of
every frame stays what it was, because HPCP is divided by it ("unitMax"). Chroma is
``(n, n_frames, 12)`` float32 in 0..1, before and after; its least value is no longer zero.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from .config import SettingsTable
from .simulator import acoustics

Strength = Annotated[float, Field(ge=0, le=1)]
_FIFTH = 7  # semitones


class ChannelEffects(SettingsTable):
    """Strengths of a channel; see the module's text."""

    share: Strength = 1.0
    """Share of the tracks that go through one; the others stay clean."""
    leakage: Strength = 0.0
    """Largest share of a pitch class that goes to its neighbour above or below."""
    fifths: Strength = 0.0
    """Largest share that is added a fifth above."""
    equalisation: Strength = 0.0
    """Standard deviation of the natural logarithm of a pitch class's gain."""
    floor: Strength = 0.0
    """Largest steady noise, on the scale of 0 to 1; pitch classes have different shares of it."""
    flicker: Strength = 0.0
    """Largest noise that changes from frame to frame, likewise."""
    compression: Annotated[float, Field(ge=1, le=4)] = 1.0
    """Largest exponent; as much below 1 as above it."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing is changed."""
        return self.share == 0 or self == ChannelEffects(share=self.share)

    def apply(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """Send tracks through channels of their own.

        Parameters
        ----------
        x : Tensor, shape (n, n_frames, 12), float32
            Values from 0 to 1.
        rng : numpy.random.Generator

        Returns
        -------
        Tensor, shape (n, n_frames, 12), float32
            Values from 0 to 1; silent frames stay silent.
        """
        changed = torch.from_numpy(np.flatnonzero(rng.random(x.shape[0]) < self.share))
        result = x.clone()
        result[changed] = self._heard(x[changed], rng)
        return result

    def _heard(self, clean: Tensor, rng: np.random.Generator) -> Tensor:
        """Send all of some tracks through channels: ``(n, n_frames, 12)``."""
        n = clean.shape[0]
        x = clean @ torch.from_numpy(self._mixing(n, rng))
        if self.floor or self.flicker:
            colour = torch.from_numpy(rng.gamma(2.0, 0.5, (n, 12)).astype(np.float32))
            floor, flicker = (self._draw(each, n, rng) for each in (self.floor, self.flicker))
            x = acoustics.add_noise_floor(x, floor, colour, flicker, rng)
        if self.compression > 1:
            exponent = np.exp(rng.uniform(-1, 1, n) * np.log(self.compression))
            x = acoustics.compress(x, torch.from_numpy(exponent.astype(np.float32)))
        return x * (clean.amax(dim=2, keepdim=True) / x.amax(dim=2, keepdim=True).clamp_min(1e-6))

    def _mixing(self, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw which pitch class is heard where: ``(n, 12, 12)``, from rows to columns."""
        leaked = rng.uniform(0, self.leakage, (n, 1, 1))
        side = rng.choice([-1, 1], n)
        fifths = rng.uniform(0, self.fifths, (n, 1, 1))
        gain = np.exp(self.equalisation * rng.standard_normal((n, 1, 12)))
        own = np.eye(12)
        neighbour = (
            np.stack([np.roll(own, s, axis=1) for s in side]) if n else np.zeros((0, 12, 12))
        )
        heard = (1 - leaked) * own + leaked * neighbour
        return ((heard + fifths * np.roll(own, _FIFTH, axis=1)) * gain).astype(np.float32)

    @staticmethod
    def _draw(strength: float, n: int, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(rng.uniform(0, strength, n).astype(np.float32))
