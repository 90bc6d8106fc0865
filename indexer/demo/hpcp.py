"""HPCP of a recording by essentia, with the parameters of Da-TACOS.

Gómez (2006): the peaks of the spectrum between 100 and 3,500 Hz, whitened, each counting for the
pitch classes of which it may be one of the first eight harmonics, the greatest bin of a frame
scaled to 1. Yesiler et al. (2019) list the parameters; their published files start at bin 0 = A.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FRAME_SIZE = 4_096
HOP_LENGTH = 512
MAX_PEAKS = 100
LOWEST_HZ, HIGHEST_HZ = 100, 3_500
HARMONICS = 8


def extract_hpcp(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Extract HPCP frame by frame.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_samples,)
        Mono.
    sample_rate : int
        In Hz.

    Returns
    -------
    ndarray of float32, shape (n_frames, 12)
        One frame each 512 samples, bin 0 = A, greatest value of a frame 1 (silence: all 0).
    """
    import essentia.standard as es

    window = es.Windowing(type="blackmanharris62")
    spectrum = es.Spectrum()
    peaks = es.SpectralPeaks(
        orderBy="frequency",
        magnitudeThreshold=0,
        maxPeaks=MAX_PEAKS,
        minFrequency=LOWEST_HZ,
        maxFrequency=HIGHEST_HZ,
        sampleRate=sample_rate,
    )
    whitening = es.SpectralWhitening(maxFrequency=HIGHEST_HZ, sampleRate=sample_rate)
    hpcp = es.HPCP(
        size=12,
        harmonics=HARMONICS,
        referenceFrequency=440,
        minFrequency=LOWEST_HZ,
        maxFrequency=HIGHEST_HZ,
        nonLinear=False,
        normalized="unitMax",
        sampleRate=sample_rate,
    )
    frames = []
    for frame in es.FrameGenerator(samples, frameSize=FRAME_SIZE, hopSize=HOP_LENGTH):
        magnitudes = spectrum(window(frame))
        frequencies, heights = peaks(magnitudes)
        frames.append(hpcp(frequencies, whitening(magnitudes, frequencies, heights)))
    return np.asarray(frames, dtype=np.float32)


def averaged(chroma: NDArray[np.float32], group: int) -> NDArray[np.float32]:
    """Average groups of frames; frames left over at the end are dropped.

    Parameters
    ----------
    chroma : ndarray, shape (n_frames, 12)
    group : int
        Frames to average.

    Returns
    -------
    ndarray of float32, shape (n_frames // group, 12)
    """
    n = len(chroma) // group
    means: NDArray[np.float32] = chroma[: n * group].reshape(n, group, 12).mean(axis=1)
    return means
