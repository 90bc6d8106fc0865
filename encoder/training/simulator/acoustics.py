"""Room, drums, noise and the extractor: from energy per pitch class to what HPCP shows.

Every transform takes a batch ``(n, n_frames, 12)`` float32 of non-negative energies and returns one
of the same shape; strengths are tensors of shape ``(n,)`` unless they say otherwise, so that each
view of a batch has its own. Randomness comes from the generator that is given. A strength of zero
leaves the input as it is. All is done on the CPU.

Batches must be made faster than a GPU learns from them, so noise is drawn in 16 bits. Transforms
are quickest where time lies together in memory, as :meth:`.band.Band.play` leaves it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

#: Smallest peak of a frame that still counts as sound; the mean of a view's frames' peaks is 1.
SILENCE = 1e-4


def normalise_frames(x: Tensor, *, floor: float = SILENCE) -> Tensor:
    """Divide each frame by its greatest bin, as HPCP does; silent frames stay zero.

    Parameters
    ----------
    x : Tensor, shape (n, n_frames, 12)
    floor : float
        Frames whose peak is below it become zero.
    """
    peak = x.amax(dim=2, keepdim=True)
    return torch.where(peak > floor, x / peak.clamp_min(floor), torch.zeros((), dtype=x.dtype))


def normalise_level(x: Tensor) -> Tensor:
    """Divide each view by the mean of its frames' peaks, so that levels below are relative."""
    return x / x.amax(dim=2).mean(dim=1).clamp_min(1e-9)[:, None, None]


def reverberate(x: Tensor, decay: Tensor, doublings: int = 3) -> Tensor:
    """Let every frame ring on in the next ones.

    Parameters
    ----------
    x : Tensor, shape (n, n_frames, 12)
    decay : Tensor, shape (n,)
        What is left of a sound after one frame, 0 to below 1. A reverberation time T60 in seconds
        at ``f`` frames/s is ``10 ** (-6 / (f * T60))`` in energy.
    doublings : int
        The tail is cut after ``2 ** doublings`` frames. Each doubling lets what has rung so far
        ring again.
    """
    wet = x
    for lag in (2**k for k in range(doublings)):
        dry, wet = wet, wet.clone()
        wet[:, lag:].addcmul_((decay**lag)[:, None, None], dry[:, :-lag])
    return wet


def add_noise_floor(
    x: Tensor, level: Tensor, colour: Tensor, flicker: Tensor, rng: np.random.Generator
) -> Tensor:
    """Add a steady floor per bin and a random one per bin and frame.

    Parameters
    ----------
    x : Tensor, shape (n, n_frames, 12)
    level : Tensor, shape (n,)
        Floor relative to a mean frame's peak.
    colour : Tensor, shape (n, 12)
        Share of the floor in each bin (about 1).
    flicker : Tensor, shape (n,)
        Amplitude of the part that changes from frame to frame, in the same unit as ``level``.
    """
    n, n_frames, width = x.shape
    noise = _uniform(n * width * n_frames, rng).view(n, width, n_frames).transpose(1, 2)
    noise = noise.square_().mul_(flicker[:, None, None])
    return noise.add_((level[:, None] * colour)[:, None]).add_(x)


def add_percussion(
    x: Tensor, level: Tensor, period: Tensor, phase: Tensor, rng: np.random.Generator
) -> Tensor:
    """Add broadband strokes at a steady pulse.

    Parameters
    ----------
    x : Tensor, shape (n, n_frames, 12)
    level : Tensor, shape (n,)
        Energy of a stroke relative to a mean frame's peak; every stroke has its own spectrum.
    period : Tensor, shape (n,)
        Frames between strokes (not whole).
    phase : Tensor, shape (n,)
        0 to 1, of a period.
    """
    n, n_frames, width = x.shape
    beat = torch.arange(n_frames)[None] / period[:, None] + phase[:, None]
    first = beat - beat.floor() < 1.0 / period[:, None]  # the first frame of a beat
    stroke = _uniform(n * width * n_frames, rng).view(n, width, n_frames).transpose(1, 2)
    return stroke.mul_((level[:, None] * first)[:, :, None]).add_(x)


def drop_frames(x: Tensor, probability: Tensor, rng: np.random.Generator) -> Tensor:
    """Replace frames by noise alone, half as loud as the view is on average: consonants, clicks.

    Parameters
    ----------
    probability : Tensor, shape (n,)
        Of each frame.
    """
    lost = torch.from_numpy(rng.random(x.shape[:2], dtype=np.float32)) < probability[:, None]
    view, frame = torch.nonzero(lost, as_tuple=True)
    noise = torch.from_numpy(rng.random((len(view), x.shape[2]), dtype=np.float32))
    broken = x.clone()
    broken[view, frame] = noise * x.mean(dim=(1, 2))[view, None]
    return broken


def compress(x: Tensor, exponent: Tensor) -> Tensor:
    """Raise to a power: below 1 lifts weak bins (whitening, limiting), above 1 hides them.

    Parameters
    ----------
    exponent : Tensor, shape (n,)
        Above 0.
    """
    # A power by way of logarithms, which is the faster; zero stays zero.
    return x.log2().mul_(exponent[:, None, None]).exp2_()


def pool_frames(x: Tensor, factor: int) -> Tensor:
    """Average ``factor`` neighbouring frames: (n, n_frames, 12) to (n, n_frames // factor, 12)."""
    kept = x.shape[1] // factor * factor
    # Whole slices are added faster than neighbours are averaged.
    return sum((x[:, k:kept:factor] for k in range(1, factor)), x[:, :kept:factor]) / factor


def _uniform(n: int, rng: np.random.Generator) -> Tensor:
    """Draw ``n`` numbers from 0 to below 1, four from each number that the generator makes."""
    quarters = rng.integers(0, 2**64, -(-n // 4), dtype=np.uint64).view(np.uint16)[:n]
    return torch.from_numpy(quarters.astype(np.float32)).mul_(2.0**-16)
