"""Who plays: the balance of the parts, and what each instrument's spectrum does to pitch classes.

A note of pitch class ``p`` reaches HPCP through its harmonics: the third and sixth sound a fifth
above (``p + 7``), the fifth a major third (``p + 4``), the seventh a minor seventh (``p + 10``),
the ninth a second. The extractor in turn lets each peak count for the fundamentals of which it may
be a harmonic, which puts energy a fifth and a third *below* (``p + 5``, ``p + 8``). Mistuning and
vibrato spill into the neighbouring bins. All of it is linear, so that one matrix per view,
``(N_PARTS * 12, 12)``, takes a frame of the roll to a frame of chroma, transposed as wanted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..corpus import BASS, CHORDS, INNER, MELODY, N_PARTS, PAD


@dataclass(frozen=True)
class InstrumentEffects:
    """Strengths of the changes of instrumentation; a zero switches an effect off.

    Parameters
    ----------
    balance_spread : float
        Standard deviation, in natural log units of gain, of each part's loudness.
    part_drop : float
        Probability for each part to be missing from a view. Of chords and pad one always plays;
        chords that the score does not have leave a view silent where nothing else is left.
    section_drop : float
        Probability for each part to be silent in each section.
    solo : float
        Probability that a view of a version with a melody is that melody alone, from end to end. A
        soloist over a chord chart is no melody.
    pad_share : float
        Probability that the view has sustained chords (the ``pad`` part) at all.
    harmonics : float
        Greatest share of a note's energy in the fifth above it; the third, seventh and second get
        smaller random shares. see docs/simulator-calibration.md.
    subharmonics : float
        Greatest share a fifth below; the third below gets about half of it.
    detuning : float
        Greatest share that a view's tuning puts into one neighbouring semitone; vibrato puts up to
        half as much into both.
    transpose : bool
        Whether each view is moved by any number of semitones.
    """

    balance_spread: float = 0.6
    part_drop: float = 0.12
    section_drop: float = 0.1
    solo: float = 0.0
    pad_share: float = 0.5
    harmonics: float = 0.7
    subharmonics: float = 0.5
    detuning: float = 0.25
    transpose: bool = True


def draw_part_gains(
    n: int, effects: InstrumentEffects, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw how loud each part is in each of ``n`` views.

    Returns
    -------
    ndarray, shape (n, N_PARTS), float32
        Gains; a dropped part has 0, and one of chords and pad has more.
    """
    usual = np.ones(N_PARTS)
    usual[[MELODY, INNER, CHORDS, BASS, PAD]] = [1.2, 0.8, 0.7, 1.0, 0.7]
    gains = usual * np.exp(effects.balance_spread * rng.standard_normal((n, N_PARTS)))
    dropped = rng.random((n, N_PARTS)) < effects.part_drop
    dropped[:, PAD] = rng.random(n) >= effects.pad_share
    # A view that is one melody or one bass line alone is rare in recordings: keep some harmony.
    bare = dropped[:, CHORDS] & dropped[:, PAD]
    dropped[bare, PAD] = False
    result: NDArray[np.float32] = np.where(dropped, 0.0, gains).astype(np.float32)
    return result


def draw_solos(
    has_melody: NDArray[np.bool_], effects: InstrumentEffects, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw which views are their melody alone.

    Parameters
    ----------
    has_melody : ndarray, shape (n,), bool
        Whether a view's version has one to play.
    effects : InstrumentEffects
    rng : numpy.random.Generator
        Not asked where there are no solos.

    Returns
    -------
    ndarray, shape (n,), bool
    """
    if not effects.solo:
        return np.zeros_like(has_melody)
    return has_melody & (rng.random(has_melody.size) < effects.solo)


def draw_section_gains(
    n: int, n_sections: int, effects: InstrumentEffects, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw which parts pause in which sections.

    Returns
    -------
    ndarray, shape (n, n_sections, N_PARTS), float32
        1, or 0 where a part is silent; one of chords and pad always plays on.
    """
    silent = rng.random((n, n_sections, N_PARTS)) < effects.section_drop
    silent[..., PAD] &= ~silent[..., CHORDS]
    return (~silent).astype(np.float32)


def draw_spectra(
    n: int, effects: InstrumentEffects, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw each part's spread of a note's energy over the 12 intervals above it.

    Returns
    -------
    ndarray, shape (n, N_PARTS, 12), float32
        Share at each interval in semitones; the note itself has 1.
    """
    e = effects
    shape = (n, N_PARTS)
    spectra = np.zeros((*shape, 12))
    spectra[..., 0] = 1.0
    above = e.harmonics * rng.random(shape)
    spectra[..., 7] += above
    spectra[..., 4] += above * rng.uniform(0, 0.8, shape)
    spectra[..., 10] += above * rng.uniform(0, 0.4, shape)
    spectra[..., 2] += above * rng.uniform(0, 0.4, shape)
    below = e.subharmonics * rng.random(shape)
    spectra[..., 5] += below
    spectra[..., 8] += below * rng.uniform(0, 0.8, shape)
    # One tuning per view, vibrato per part.
    tuning = e.detuning * rng.uniform(-1, 1, (n, 1)) ** 3
    vibrato = 0.5 * e.detuning * rng.random(shape) ** 2
    up, down = np.maximum(tuning, 0) + vibrato, np.maximum(-tuning, 0) + vibrato
    return (
        spectra
        + up[..., None] * np.roll(spectra, 1, -1)
        + down[..., None] * np.roll(spectra, -1, -1)
    ).astype(np.float32)


def mixing_matrices(
    gains: NDArray[np.float32],
    spectra: NDArray[np.float32],
    transposition: NDArray[np.int64],
    inverted: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Turn gains, spectra and transposition into one matrix per view.

    Parameters
    ----------
    gains : ndarray, shape (n, N_PARTS)
    spectra : ndarray, shape (n, N_PARTS, 12)
    transposition : ndarray, shape (n,), int64
        Semitones upwards.
    inverted : ndarray, shape (n,), bool
        Whether the work is mirrored in pitch (pitch class p sounds as -p): another work of a
        related style, for items whose two views are mirrored alike.

    Returns
    -------
    ndarray, shape (n, N_PARTS * 12, 12), float32
        ``frame_of_roll @ matrix`` is a frame of chroma.
    """
    n = gains.shape[0]
    p = np.arange(12)
    sign = np.where(inverted, -1, 1)[:, None]
    sounded = (sign * p + transposition[:, None]) % 12  # (n, 12): pitch class that p becomes
    interval = (p[None, None, :] - sounded[:, :, None]) % 12  # (n, 12, 12)
    view = np.arange(n)[:, None, None, None]
    part = np.arange(N_PARTS)[None, :, None, None]
    matrix = spectra[view, part, interval[:, None]] * gains[:, :, None, None]
    result: NDArray[np.float32] = matrix.reshape(n, N_PARTS * 12, 12).astype(np.float32)
    return result
