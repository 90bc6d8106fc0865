"""Chroma: how much of each of the 12 pitch classes sounds, frame by frame.

A *chroma* (or pitch class profile) folds the spectrum of a short frame of audio onto one octave of
12 bins, so that the same chord gives nearly the same vector on any instrument and in any octave
(Fujishima 1999). Its refinement *HPCP*, the harmonic pitch class profile (Gómez 2006, "Tonal
description of music audio signals"), takes spectral peaks only and lets each one count for the
fundamentals of which it may be a harmonic. Da-TACOS (Yesiler et al. 2019) publishes HPCP with the
parameters that Coverdex takes as its own: 44,100 Hz, frames of 4,096 samples every 512 samples.

Conventions
-----------
* Frames first: ``(n_frames, 12)`` float32, non-negative and finite, at least one frame.
* ``frame_rate`` is in Hz, frames per second: ``sample_rate / hop_length``.
* Bin 0 is the pitch class A, as essentia counts with its reference of 440 Hz; bin 3 is C.
* A transposition by k semitones is ``numpy.roll(values, k, axis=1)``: along pitch, never time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidChromaError

N_PITCH_CLASSES = 12

#: Pitch classes in the order of the bins.
PITCH_CLASSES = ("A", "A#", "B", "C", "C#", "D", "D#", "E", "F", "F#", "G", "G#")

DATACOS_SAMPLE_RATE = 44_100
DATACOS_HOP_LENGTH = 512
#: Frames per second of every Da-TACOS feature (86.13 Hz); no attribute of the files says so.
DATACOS_FRAME_RATE = DATACOS_SAMPLE_RATE / DATACOS_HOP_LENGTH

#: Longest track in seconds, a day. More is a mistake of units, and would take memory to match.
MAX_DURATION = 24 * 3600.0
#: A frame rate above this is a mistake of units (a hop in samples given as a rate, say).
MAX_FRAME_RATE = 1_000.0


class ChromaKind(StrEnum):
    """Which extractor made the chroma; an encoder is trained for one kind."""

    HPCP = "hpcp"
    CREMA = "crema"
    CENS = "cens"


@dataclass(frozen=True, eq=False)
class Chroma:
    """One performance's chroma over time, validated when it is made.

    Parameters
    ----------
    values : array-like, shape (n_frames, 12)
        Energy of each pitch class in each frame; becomes C-contiguous float32. Non-negative,
        finite, at least one frame. Any scale: encoders scale per track.
    frame_rate : float
        Frames per second, in Hz.
    kind : ChromaKind or str, default "hpcp"
        The extractor that made the values.

    Raises
    ------
    InvalidChromaError
        With ``reason`` one of ``"wrong-shape"``, ``"wrong-dtype"``, ``"no-frames"``,
        ``"not-finite"``, ``"negative"``, ``"frame-rate"``, ``"too-long"``, ``"kind"``.
    """

    values: NDArray[np.float32]
    frame_rate: float = DATACOS_FRAME_RATE
    kind: ChromaKind = ChromaKind.HPCP

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _validated(self.values))
        object.__setattr__(self, "frame_rate", _validated_frame_rate(self.frame_rate))
        object.__setattr__(self, "kind", chroma_kind(self.kind))
        if self.duration > MAX_DURATION:
            raise InvalidChromaError(
                f"chroma of {self.n_frames} frames at {self.frame_rate:g} Hz lasts "
                f"{self.duration / 3600:.4g} hours; give at most {MAX_DURATION / 3600:g} (is the "
                "frame rate right?)",
                reason="too-long",
            )

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.values.shape[0])

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.n_frames / self.frame_rate

    def transposed(self, semitones: int) -> Chroma:
        """Return the chroma moved up by ``semitones`` (circular along pitch)."""
        return Chroma(np.roll(self.values, semitones, axis=1), self.frame_rate, self.kind)


def chroma_kind(kind: Any) -> ChromaKind:
    """Return the kind of that name.

    Raises
    ------
    InvalidChromaError
        With ``reason="kind"``: there is none.
    """
    try:
        return ChromaKind(kind)
    except ValueError:
        raise InvalidChromaError(
            f"chroma kind is {kind!r}; give one of {', '.join(ChromaKind)}", reason="kind"
        ) from None


def _validated(values: Any) -> NDArray[np.float32]:
    try:
        array = np.asarray(values)
    except ValueError as error:  # frames of different lengths
        raise InvalidChromaError(
            f"chroma is no array ({error}); give (n_frames, {N_PITCH_CLASSES}), frames first",
            reason="wrong-shape",
        ) from error
    if array.dtype.kind not in "fiu":
        raise InvalidChromaError(
            f"chroma has dtype {array.dtype}; give real numbers, best float32", reason="wrong-dtype"
        )
    if array.ndim != 2 or array.shape[1] != N_PITCH_CLASSES:
        turned = array.ndim == 2 and array.shape[0] == N_PITCH_CLASSES
        raise InvalidChromaError(
            f"chroma has shape {array.shape}; give (n_frames, {N_PITCH_CLASSES}), frames first"
            + (": transpose it" if turned else ""),
            reason="wrong-shape",
        )
    if array.shape[0] == 0:
        raise InvalidChromaError(
            "chroma has no frames; give at least one (was the audio empty?)", reason="no-frames"
        )
    with np.errstate(over="ignore"):  # a float64 too large for float32 becomes inf, caught below
        array = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).any(axis=1).sum())
        raise InvalidChromaError(
            f"chroma has NaN or infinite values in {bad} of {array.shape[0]} frames; "
            "extract it again or leave those frames out",
            reason="not-finite",
        )
    if array.min() < 0:
        raise InvalidChromaError(
            f"chroma has negative values (least {array.min():g}); energies are zero or more",
            reason="negative",
        )
    return array


def _validated_frame_rate(frame_rate: Any) -> float:
    try:
        rate = float(frame_rate)
    except (TypeError, ValueError):
        rate = float("nan")
    if not 0 < rate <= MAX_FRAME_RATE:  # also false for NaN
        raise InvalidChromaError(
            f"frame_rate is {frame_rate!r}; give frames per second in Hz, above 0 and at most "
            f"{MAX_FRAME_RATE:g} (sample_rate / hop_length: Da-TACOS has {DATACOS_FRAME_RATE:.2f})",
            reason="frame-rate",
        )
    return rate
