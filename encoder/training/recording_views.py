"""Views of recordings: what is changed in a real recording each time that it is trained on.

Real covers differ in everything that a simulator imitates, but there are few of them: two
performances of each work of Da-TACOS. So that they are not learnt by heart, each is met

* as an *excerpt* of another length, from another place;
* at another *tempo*, by linear interpolation between frames;
* under *noise*, Gaussian, cut at 0 and 1.

Transposition is left out: a network that is equivariant to it has nothing to learn from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .augmentation import with_noise
from .prepared_tracks import PreparedTracks

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class RecordingViews:
    """How strongly recordings are changed.

    Parameters
    ----------
    shortest, longest : int
        Frames of an excerpt; a track that has fewer is kept whole.
    tempo : float
        Largest factor by which a view is played faster or slower, from 1 (not at all).
    noise : float
        Largest standard deviation of the noise, on the scale of 0 to 1.
    """

    shortest: int
    longest: int
    tempo: float = 1.0
    noise: float = 0.0

    def draw(self, tracks: PreparedTracks, track: int, rng: np.random.Generator) -> Frames:
        """Draw a view of a track: ``(n_frames, 12)`` float32."""
        wanted = int(rng.integers(self.shortest, self.longest + 1))
        factor = float(np.exp(rng.uniform(-1, 1) * np.log(self.tempo)))
        spare = int(tracks.n_frames[track]) - round(wanted * factor)
        start = int(rng.integers(spare + 1)) if spare > 0 else 0
        stop = start + round(wanted * factor) if spare > 0 else None
        values = at_tempo(tracks.frames(track, start, stop), factor)
        if self.noise:
            values = with_noise(values, float(rng.uniform(0, self.noise)), rng)
        return values


def at_tempo(values: Frames, factor: float) -> Frames:
    """Play chroma faster (``factor`` above 1) or slower.

    Parameters
    ----------
    values : numpy.ndarray, shape (n_frames, 12), float32
    factor : float
        Above 0.

    Returns
    -------
    numpy.ndarray, shape (n_frames / factor, 12), float32
        At least one frame, each interpolated between its two neighbours.
    """
    n_frames = max(1, round(len(values) / factor))
    place = np.linspace(0, len(values) - 1, n_frames)
    below = place.astype(np.int64)
    above = np.minimum(below + 1, len(values) - 1)
    share = (place - below).astype(np.float32)[:, None]
    result = values.take(above, axis=0)
    first = values.take(below, axis=0)
    result -= first
    result *= share
    result += first
    return np.asarray(result, dtype=np.float32)
