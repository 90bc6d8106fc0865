"""Preprocessing: what is done to chroma before a network sees it.

Three steps, all per track and none of them aware of other tracks:

1. *Resampling* in time to the network's frame rate. Each output frame is the mean of the input over
   the time that it covers, so nothing aliases and any input rate does. Where the input is slower
   than the network, frames are held.
2. *Scaling* of the whole track: ``min-max`` maps the least value to 0 and the largest to 1, ``max``
   only divides by the largest. One minimum and one maximum for all twelve pitch classes: scaling
   each pitch class by its own would make a transposed track more than a rotation of the original,
   and lift a pitch class that never sounds to the level of the tonic.
3. *Compression*: values to the power ``exponent`` (1 leaves them).

Every step commutes with a rotation of the pitch classes, so a transposition is still a roll
afterwards. The settings are part of a checkpoint: weights mean nothing without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .chroma import MAX_FRAME_RATE, N_PITCH_CLASSES, Chroma
from .errors import CheckpointError, InvalidChromaError

Scaling = Literal["min-max", "max"]

#: A track whose values differ by less than this share of the largest is constant: what is left is
#: rounding, and scaling would blow it up to look like music.
CONSTANT_TOLERANCE = 1e-6

#: Frames of the new rate that are averaged at once: 1 MB of input from Da-TACOS for 4 Hz.
SPANS_AT_ONCE = 1024


@dataclass(frozen=True)
class Preprocessing:
    """Settings that turn a :class:`~coverdex.encoder.Chroma` into a network's input.

    Parameters
    ----------
    frame_rate : float
        Frames per second that the network reads, in Hz.
    scaling : {"min-max", "max"}, default "min-max"
        How the track is brought to 0..1; see the module's text.
    exponent : float, default 1
        Power that compresses the scaled values; 0.5 is a square root.
    max_frames : int, optional
        At most so many frames (after resampling) are read, from the start of the track; None reads
        all of them.

    Raises
    ------
    CheckpointError
        A setting out of its range, in the words of a checkpoint's ``config.json``.
    """

    frame_rate: float
    scaling: Scaling = "min-max"
    exponent: float = 1.0
    max_frames: int | None = None

    def __post_init__(self) -> None:
        if not _is_number(self.frame_rate) or not 0 < self.frame_rate <= MAX_FRAME_RATE:
            raise _setting("frame_rate", self.frame_rate, f"Hz, above 0, at most {MAX_FRAME_RATE}")
        if self.scaling not in get_args(Scaling):
            raise _setting("scaling", self.scaling, f"one of {', '.join(get_args(Scaling))}")
        if not _is_number(self.exponent) or not 0 < self.exponent <= 4:
            raise _setting("exponent", self.exponent, "a number above 0, at most 4")
        whole = isinstance(self.max_frames, int) and not isinstance(self.max_frames, bool)
        if self.max_frames is not None and not (whole and self.max_frames >= 1):
            raise _setting("max_frames", self.max_frames, "a whole number from 1, or nothing")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Preprocessing:
        """Read the ``preprocessing`` table of a checkpoint or a training configuration."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(config) - known):
            raise CheckpointError(
                f"preprocessing has unknown settings {', '.join(unknown)}; "
                f"known are {', '.join(sorted(known))}"
            )
        if "frame_rate" not in config:
            raise CheckpointError("preprocessing names no frame_rate; give it in Hz")
        return cls(**config)

    def to_config(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON."""
        return asdict(self)

    def apply(self, chroma: Chroma) -> NDArray[np.float32]:
        """Resample, scale and compress one track.

        Parameters
        ----------
        chroma : Chroma
            Any length and frame rate.

        Returns
        -------
        numpy.ndarray, shape (n_frames, 12), float32
            Values from 0 to 1 at ``self.frame_rate``; at least one frame.

        Raises
        ------
        InvalidChromaError
            ``reason="no-energy"``: all values are the same (silence, or a constant), so that there
            is nothing to scale and nothing to tell this track from another.
        """
        values = resampled(chroma.values, chroma.frame_rate, self.frame_rate)
        if self.max_frames is not None:
            values = values[: self.max_frames]
        low, high = float(values.min()), float(values.max())
        if high - low <= CONSTANT_TOLERANCE * high:
            raise InvalidChromaError(
                f"chroma is {'silent' if high == 0 else 'constant'} (every value is {high:g}), so "
                "there is no pitch content to embed; leave the track out or extract it again",
                reason="no-energy",
            )
        floor = low if self.scaling == "min-max" else 0.0
        values = (values - floor) / (high - floor)
        if self.exponent != 1.0:
            values = values**self.exponent
        return np.ascontiguousarray(values, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class PreparedChroma:
    """Chroma after preprocessing: what a network reads.

    Parameters
    ----------
    values : numpy.ndarray, shape (n_frames, 12), float32
        Preprocessed chroma, at least one frame.

    Raises
    ------
    InvalidChromaError
        ``reason="wrong-shape"`` or ``"no-frames"``.
    """

    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != N_PITCH_CLASSES:
            raise InvalidChromaError(
                f"prepared chroma has shape {self.values.shape}; give (n_frames, "
                f"{N_PITCH_CLASSES}) as Encoder.prepare makes it",
                reason="wrong-shape",
            )
        if not len(self.values):
            raise InvalidChromaError(
                "prepared chroma has no frames; give at least one", reason="no-frames"
            )


def resampled(
    values: NDArray[np.float32], frame_rate: float, new_frame_rate: float
) -> NDArray[np.float64]:
    """Average frames over the spans of a new frame rate.

    Parameters
    ----------
    values : numpy.ndarray, shape (n_frames, 12)
        Chroma at ``frame_rate``.
    frame_rate, new_frame_rate : float
        Frames per second before and after, in Hz.

    Returns
    -------
    numpy.ndarray, shape (max(1, round(n_frames * new_frame_rate / frame_rate)), 12), float64
        Frame i is the mean of the input, held constant within each of its frames, over the time
        from i to i + 1 new frames. The spans are stretched by less than half a new frame in total
        so that they end exactly where the track does.
    """
    n_frames = values.shape[0]
    n_new = max(1, round(n_frames * new_frame_rate / frame_rate))
    if n_new == n_frames:
        return values.astype(np.float64)
    # Each span is the frames that begin in it, less the part of the first that lies before it, plus
    # the part of the next one that lies in it.
    edges = np.arange(n_new + 1) * (n_frames / n_new)
    whole = np.minimum(edges.astype(np.int64), n_frames - 1)
    cut = (edges - whole)[:, None] * values[whole]
    sums = np.empty((n_new, values.shape[1]))
    for i in range(0, n_new, SPANS_AT_ONCE):  # NumPy makes a float64 copy of all that it adds up
        some = whole[i : i + SPANS_AT_ONCE + 1]
        frames = values[some[0] : some[-1] + 1]
        sums[i : i + SPANS_AT_ONCE] = np.add.reduceat(
            frames, some - some[0], axis=0, dtype=np.float64
        )[:-1]
    sums[whole[1:] == whole[:-1]] = 0.0  # no frame begins there, and reduceat gives the one before
    means: NDArray[np.float64] = (sums + np.diff(cut, axis=0)) * (n_new / n_frames)
    np.maximum(means, 0.0, out=means)  # differences of sums may round to just below zero
    return means


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _setting(name: str, came: object, wanted: str) -> CheckpointError:
    return CheckpointError(f"preprocessing.{name} is {came!r}; give {wanted}")
