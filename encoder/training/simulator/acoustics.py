"""Room, drums, noise and the extractor: from energy per pitch class to what HPCP shows.

Every transform takes a batch ``(n, n_frames, 12)`` float32 of non-negative energies and returns one
of the same shape; strengths are tensors of shape ``(n,)`` unless they say otherwise, so that each
view of a batch has its own. Randomness comes from the generator that is given. A strength of zero
leaves the input as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Smallest peak of a frame that still counts as sound, relative to a track's loudest (1).
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


def reverberate(x: Tensor, decay: Tensor, taps: int = 8) -> Tensor:
    """Let every frame ring on in the next ones.

    Parameters
    ----------
    x : Tensor, shape (n, n_frames, 12)
    decay : Tensor, shape (n,)
        What is left of a sound after one frame, 0 to below 1. A reverberation time T60 in seconds
        at ``f`` frames/s is ``10 ** (-6 / (f * T60))`` in energy.
    taps : int
        Frames after which the tail is cut.
    """
    wet = x.clone()
    gain = torch.ones_like(decay)
    for lag in range(1, min(taps, x.shape[1])):
        gain = gain * decay
        wet[:, lag:] += gain[:, None, None] * x[:, :-lag]
    return wet


def add_noise_floor(
    x: Tensor, level: Tensor, colour: Tensor, flicker: Tensor, generator: torch.Generator
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
    random = torch.rand(x.shape, generator=generator, device=x.device)
    return x + (level[:, None] * colour)[:, None] + flicker[:, None, None] * random * random


def add_percussion(
    x: Tensor, level: Tensor, period: Tensor, phase: Tensor, generator: torch.Generator
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
    n, n_frames, _ = x.shape
    beat = torch.arange(n_frames, device=x.device)[None] / period[:, None] + phase[:, None]
    near = (beat - beat.floor() < 1.0 / period[:, None]).to(x.dtype)  # the first frame of a beat
    stroke = torch.rand((n, n_frames, 12), generator=generator, device=x.device)
    return x + (level[:, None] * near)[:, :, None] * stroke


def drop_frames(x: Tensor, probability: Tensor, generator: torch.Generator) -> Tensor:
    """Replace frames by noise alone: consonants, clicks, breaks of the extractor.

    Parameters
    ----------
    probability : Tensor, shape (n,)
        Of each frame.
    """
    n, n_frames, _ = x.shape
    lost = torch.rand((n, n_frames, 1), generator=generator, device=x.device)
    noise = torch.rand(x.shape, generator=generator, device=x.device)
    return torch.where(lost < probability[:, None, None], noise * x.mean(), x)


def compress(x: Tensor, exponent: Tensor) -> Tensor:
    """Raise to a power: below 1 lifts weak bins (whitening, limiting), above 1 hides them.

    Parameters
    ----------
    exponent : Tensor, shape (n,)
    """
    return torch.where(x > 0, x.clamp_min(1e-9).pow(exponent[:, None, None]), 0.0)


def pool_frames(x: Tensor, factor: int) -> Tensor:
    """Average ``factor`` neighbouring frames: (n, n_frames, 12) to (n, n_frames // factor, 12)."""
    n, n_frames, width = x.shape
    kept = n_frames // factor * factor
    return x[:, :kept].reshape(n, kept // factor, factor, width).mean(dim=2)
