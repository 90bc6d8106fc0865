"""From rolls to a band's notes: the form that a version is played in, and the octaves of its tones.

A roll says which pitch classes sound in which part (:mod:`.corpus`). What samplers play
(:mod:`.rendered_seeds`) needs notes: so a form is drawn as for a simulated cover
(:mod:`.simulator.timeline`), some parts pause in some sections (:mod:`.simulator.instruments`), and
pitch classes are put into octaves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import TrainingError
from .corpus import BASS, CHORDS, INNER, MELODY, NOTE_LOUDNESS, PAD, ROLL_RATE, Notes, RollCorpus
from .simulator import InstrumentEffects, TimelineEffects
from .simulator.instruments import draw_part_gains, draw_section_gains
from .simulator.timeline import Source, draw_timeline

#: Range (MIDI) of each part's lowest possible note; its notes lie in the octave above.
_LOWEST = {MELODY: (57, 67), INNER: (50, 62), CHORDS: (45, 58), BASS: (28, 36)}
#: The band draws its tempo, too, so the form keeps most of it.
_TIMELINE = TimelineEffects(tempo_spread=0.15)
_INSTRUMENTS = InstrumentEffects(part_drop=0.1, section_drop=0.06)


def notes_from_roll(
    played: NDArray[np.float32], rng: np.random.Generator, *, rate: float = ROLL_RATE
) -> Notes:
    """Put a roll's pitch classes into octaves.

    A note begins where a pitch class of a part begins or grows louder, and lasts until it ends or
    begins anew. Each part keeps to one octave, drawn; some chord tones are an octave higher.

    Parameters
    ----------
    played : ndarray, shape (n_frames, N_PARTS, 12)
        Loudness; pitch classes count from A. The part ``pad`` is left out.
    rng : numpy.random.Generator
    rate : float
        Frames per second.

    Returns
    -------
    coverdex.encoder.training.corpus.Notes
        In order of part, pitch class and time; none where the roll is silent.
    """
    onset, duration, pitch, loudness, parts = [], [], [], [], []
    for part, (low, high) in _LOWEST.items():
        lowest = int(rng.integers(low, high + 1))
        voice = np.concatenate([np.zeros((1, 12)), played[:, part], np.zeros((1, 12))])
        begins = (voice[1:] > 1.05 * voice[:-1]) & (voice[1:] > 0)
        ends = (voice[1:] == 0) & (voice[:-1] > 0)
        for tone in range(12):
            starts = np.flatnonzero(begins[:, tone])
            if not starts.size:
                continue
            stops = np.append(np.flatnonzero(ends[:, tone]), len(voice))
            until = np.minimum(
                np.append(starts[1:], len(voice)), stops[np.searchsorted(stops, starts, "right")]
            )
            height = np.full(starts.size, lowest + (69 + tone - lowest) % 12)
            if part == CHORDS:
                height += 12 * (rng.random(starts.size) < 0.15)
            onset.append(starts / rate)
            duration.append((until - starts) / rate)
            pitch.append(height)
            loudness.append(80.0 * (voice[starts + 1, tone] / NOTE_LOUDNESS) ** 2)
            parts.append(np.full(starts.size, part))
    if not onset:
        empty, none = np.zeros(0), np.zeros(0, dtype=np.int64)
        return Notes(empty, empty, none, empty, none)
    loud = np.clip(np.concatenate(loudness), 20, 120)
    return Notes(
        np.concatenate(onset),
        np.concatenate(duration),
        np.concatenate(pitch).astype(np.int64),
        loud,
        np.concatenate(parts).astype(np.int64),
    )


def perform(corpus: RollCorpus, version: int, rng: np.random.Generator, *, seconds: float) -> Notes:
    """Draw a performance of a version: its form and who plays where.

    Parameters
    ----------
    corpus : RollCorpus
    version : int
    rng : numpy.random.Generator
    seconds : float
        Greatest length; a score that ends before may end.

    Returns
    -------
    coverdex.encoder.training.corpus.Notes
        At least one note.

    Raises
    ------
    TrainingError
        Ten draws in a row were silent.
    """
    source = Source(
        int(corpus.first[version]), int(corpus.n_frames[version]), bool(corpus.cyclic[version])
    )
    others = (corpus.first, corpus.n_frames)
    for _ in range(10):
        n_out = round(seconds * ROLL_RATE)
        index, n_valid, section = draw_timeline(source, n_out, ROLL_RATE, _TIMELINE, rng, others)
        rows = corpus.rolls[index[:n_valid]].reshape(n_valid, -1, 12).astype(np.float32)
        plays = draw_part_gains(1, _INSTRUMENTS, rng)[0] > 0
        plays[CHORDS] |= not plays[[MELODY, INNER, BASS]].any() or plays[PAD]
        pauses = draw_section_gains(1, int(section.max()) + 1, _INSTRUMENTS, rng)[0]
        notes = notes_from_roll(rows * (plays * pauses[section[:n_valid]])[..., None], rng)
        if notes.onset.size:
            return notes
    raise TrainingError(f"version {corpus.version_ids[version]} is silent; leave it out")
