"""Augmentation of recorded chroma: what the twin network meets beside the recordings themselves.

Each function takes preprocessed chroma ``(n_frames, 12)`` float32 in 0..1 and a generator, and
returns the same kind of array:

* *transposition*: a roll along the pitch axis (rolling the time axis, as the original did, only
  moves the beginning);
* *noise*: Gaussian with mean zero, cut at 0 and 1 so that it remains chroma;
* *padding*: silence at the front, at the back or at both, as recordings have it;
* *excerpt*: a stretch of the track, so that a batch holds tracks of like length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..chroma import N_PITCH_CLASSES
from ..errors import TrainingError

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """How strongly recordings are changed.

    Parameters
    ----------
    transpose : bool
        Roll by 0 to 11 semitones, each as likely.
    noise : float
        Standard deviation of the noise, on the scale of 0 to 1.
    padding : float
        Most silence that is added at either end, as a share of the length.
    excerpt_frames : int or None
        Longest stretch that is kept, in frames; None keeps all.
    """

    transpose: bool = True
    noise: float = 0.02
    padding: float = 0.1
    excerpt_frames: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.noise <= 1:
            raise TrainingError(f"noise is {self.noise!r}; give a deviation from 0 to 1")
        if not 0 <= self.padding <= 1:
            raise TrainingError(f"padding is {self.padding!r}; give a share from 0 to 1")
        if self.excerpt_frames is not None and self.excerpt_frames < 1:
            raise TrainingError(f"excerpt_frames is {self.excerpt_frames!r}; give 1 or more")

    def apply(self, values: Frames, rng: np.random.Generator) -> Frames:
        """Change one track: ``(n_frames, 12)`` in, ``(n_frames', 12)`` out."""
        if self.excerpt_frames is not None:
            values = excerpt(values, self.excerpt_frames, rng)
        if self.transpose:
            values = transposed(values, int(rng.integers(N_PITCH_CLASSES)))
        if self.noise:
            values = with_noise(values, self.noise, rng)
        if self.padding:
            longest = int(self.padding * len(values))
            front, back = rng.integers(0, longest + 1, 2).tolist()
            values = with_silence(values, front, back)
        return np.ascontiguousarray(values)


def transposed(values: Frames, semitones: int) -> Frames:
    """Roll along the pitch axis, circularly."""
    return np.roll(values, semitones, axis=1)


def with_noise(values: Frames, deviation: float, rng: np.random.Generator) -> Frames:
    """Add Gaussian noise of mean zero and cut at 0 and 1."""
    noisy = rng.standard_normal(values.shape, dtype=np.float32)
    noisy *= np.float32(deviation)
    noisy += values
    return np.clip(noisy, 0, 1, out=noisy)


def with_silence(values: Frames, front: int, back: int) -> Frames:
    """Put zero frames before and after."""
    return np.pad(values, ((front, back), (0, 0)))


def excerpt(values: Frames, n_frames: int, rng: np.random.Generator) -> Frames:
    """Keep ``n_frames`` in a row, from anywhere; a shorter track is kept whole."""
    spare = len(values) - n_frames
    if spare <= 0:
        return values
    start = int(rng.integers(spare + 1))
    return values[start : start + n_frames]
