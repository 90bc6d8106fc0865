"""HPCP of a recording, by essentia, with the parameters of Da-TACOS.

Gómez (2006): the peaks of the spectrum between 100 and 3,500 Hz, whitened, each counting for the
pitch classes of which it may be one of the first eight harmonics, the greatest bin of a frame
scaled to 1. Yesiler et al. (2019, "Da-TACOS: a dataset for cover song identification and
understanding") list the parameters; their published files start at bin 0 = A.

essentia (Bogdanov et al. 2013) comes with the extra ``coverdex[audio]``; its licence is AGPL-3.0.
It decodes what its ffmpeg does: WAV, FLAC, MP3, Ogg, AAC.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .chroma import DATACOS_HOP_LENGTH, DATACOS_SAMPLE_RATE, Chroma
from .errors import CoverdexError, NotFoundError

FRAME_SIZE = 4_096
MAX_PEAKS = 100
LOWEST_HZ, HIGHEST_HZ = 100, 3_500
HARMONICS = 8


def extract_hpcp(audio: str | os.PathLike[str] | NDArray[np.float32]) -> Chroma:
    """Extract HPCP as Da-TACOS has it: 86.13 frames per second, bin 0 = A.

    Parameters
    ----------
    audio : path, or array of float, shape (n_samples,)
        A sound file of any sample rate, whose channels are mixed; or mono samples at 44,100 Hz.

    Returns
    -------
    Chroma
        One frame each 512 samples, greatest value of a frame 1 (silence: all 0). Embedding
        averages frames to the encoder's own rate.

    Raises
    ------
    NotFoundError
        No such file.
    CoverdexError
        The file is no sound that can be decoded, the samples are not of that shape or not
        finite, or essentia is not installed.
    """
    es = load_essentia()
    samples = _samples(audio) if isinstance(audio, np.ndarray) else _load(Path(audio), es)
    window = es.Windowing(type="blackmanharris62")
    spectrum = es.Spectrum()
    bounds = {
        "minFrequency": LOWEST_HZ,
        "maxFrequency": HIGHEST_HZ,
        "sampleRate": DATACOS_SAMPLE_RATE,
    }
    peaks = es.SpectralPeaks(
        orderBy="frequency", magnitudeThreshold=0, maxPeaks=MAX_PEAKS, **bounds
    )
    whitening = es.SpectralWhitening(maxFrequency=HIGHEST_HZ, sampleRate=DATACOS_SAMPLE_RATE)
    hpcp = es.HPCP(
        size=12,
        harmonics=HARMONICS,
        referenceFrequency=440,
        nonLinear=False,
        normalized="unitMax",
        **bounds,
    )
    frames = []
    for frame in es.FrameGenerator(samples, frameSize=FRAME_SIZE, hopSize=DATACOS_HOP_LENGTH):
        magnitudes = spectrum(window(frame))
        frequencies, heights = peaks(magnitudes)
        frames.append(hpcp(frequencies, whitening(magnitudes, frequencies, heights)))
    return Chroma(np.asarray(frames, dtype=np.float32))


@dataclass(frozen=True)
class SoundTags:
    """What the tags of a sound file say; None where they say nothing.

    Parameters
    ----------
    title, artist : str or None
    year : int or None
        Of the date, from 1 to 9999.
    """

    title: str | None = None
    artist: str | None = None
    year: int | None = None


def read_tags(path: str | os.PathLike[str]) -> SoundTags:
    """Read title, artist and year of a sound file (ID3, Vorbis comments, MP4).

    Tags are no reason to refuse a file: what cannot be read is not known.

    Raises
    ------
    CoverdexError
        essentia is not installed.
    """
    es = load_essentia()
    try:
        read = es.MetadataReader(filename=os.fspath(path), failOnError=False)()
    except (RuntimeError, UnicodeError):
        return SoundTags()
    title, artist, date = (read[i].strip() or None for i in (0, 1, 6))
    year = re.search(r"(?<!\d)\d{4}(?!\d)", date or "")
    return SoundTags(title, artist, (year and int(year[0])) or None)


def load_essentia() -> Any:
    """Import essentia, quietly, and give its module of algorithms.

    Raises
    ------
    CoverdexError
        It is not installed.
    """
    try:
        import essentia

        essentia.log.infoActive = False  # says something on being imported
        essentia.log.warningActive = False  # of each file with tags or a picture of the cover
        import essentia.standard
    except ImportError:
        raise CoverdexError(
            "essentia is not installed; HPCP of sound needs it: pip install 'coverdex[audio]'"
        ) from None
    return essentia.standard


def _samples(audio: NDArray[Any]) -> NDArray[np.float32]:
    if audio.ndim != 1 or not audio.size or not np.issubdtype(audio.dtype, np.floating):
        raise CoverdexError(
            f"samples are {audio.dtype} of shape {audio.shape}; give mono floats, (n_samples,), at "
            f"{DATACOS_SAMPLE_RATE:,} Hz, or the path of a sound file"
        )
    with np.errstate(over="ignore"):  # what float32 has no number for becomes infinite
        samples = np.ascontiguousarray(audio, np.float32)
    if not np.isfinite(samples).all():
        raise CoverdexError("samples are not all finite; leave out NaN and infinities")
    return samples


def _load(path: Path, es: Any) -> NDArray[np.float32]:
    if not path.is_file():
        raise NotFoundError(f"no file {path}; give an existing sound file")
    try:
        loader = es.MonoLoader(filename=str(path), sampleRate=DATACOS_SAMPLE_RATE)
        samples: NDArray[np.float32] = loader()
    except RuntimeError as error:
        said = " ".join(str(error).split())
        raise CoverdexError(f"{path} cannot be decoded as sound ({said})") from None
    if not len(samples):
        raise CoverdexError(f"{path} holds no sound; give a file with at least one sample")
    if not np.isfinite(samples).all():  # of a file of floats; essentia would never come to an end
        raise CoverdexError(f"{path} has samples that are NaN or infinite; write it again")
    return samples
