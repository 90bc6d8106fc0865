"""Which chords a score's accompaniment plays, so that another band can play them.

A template matcher in the classical manner (Fujishima 1999; Bello and Pickens 2005), on notes
instead of audio: each half second of the accompaniment is a histogram of pitch classes, each of 60
chords (major, minor, dominant, minor and major seventh on 12 roots) is scored by how much of it the
chord's tones cover, how evenly, and whether its root is in the bass, and the best path through the
scores with a cost for each change is found by Viterbi's algorithm. The chart only has to be one
that a musician could have written down; it is a source of arrangements, not of labels.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .corpus import BASS, CHORDS, INNER, MELODY, Notes
from .reharmonisation import ChartChord

#: Seconds of one beat of the charts that are made here.
BEAT = 0.5

#: Intervals of the chords that are told apart.
QUALITIES: tuple[tuple[int, ...], ...] = (
    (0, 4, 7),
    (0, 3, 7),
    (0, 4, 7, 10),
    (0, 3, 7, 10),
    (0, 4, 7, 11),
)

#: Cost of a change of chord, in units of the share of a beat that a chord covers (0-1).
CHANGE = 0.5

#: How much each part says about the harmony.
_WEIGHTS = {MELODY: 0.15, INNER: 0.5, CHORDS: 1.0, BASS: 1.0}


def recognise_chords(notes: Notes) -> list[ChartChord]:
    """Write down the chords of a score.

    Parameters
    ----------
    notes : Notes
        With some accompaniment in the parts chords, inner or bass.

    Returns
    -------
    list of ChartChord
        In beats of :data:`BEAT` seconds from the first note on, without gaps; empty where nothing
        but the melody plays.
    """
    histogram, bass = beat_histograms(notes)
    if not histogram.any():
        return []
    path = _best_path(chord_scores(histogram, bass))
    chart: list[ChartChord] = []
    edges = np.flatnonzero(np.diff(path, prepend=-1, append=-1))
    for first, last in pairwise(edges):
        root, quality = divmod(int(path[first]), len(QUALITIES))
        tones = tuple((root + interval) % 12 for interval in QUALITIES[quality])
        chart.append(ChartChord(float(first), float(last - first), root, tones))
    return chart


def beat_histograms(notes: Notes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count what sounds in each beat.

    Returns
    -------
    histogram, bass : ndarray, shape (n_beats, 12), float64
        Seconds that each pitch class sounds (C = 0), all parts weighted, and the bass alone.
    """
    onset = (notes.onset - notes.onset.min()) / BEAT
    end = onset + np.maximum(notes.duration / BEAT, 0.1)
    n_beats = int(np.ceil(end.max()))
    weight = np.array([_WEIGHTS.get(int(p), 0.0) for p in notes.part])
    both = np.zeros((2, n_beats, 12))
    for note in range(notes.onset.size):
        beats = np.arange(int(onset[note]), min(n_beats, int(np.ceil(end[note]))))
        overlap = np.minimum(end[note], beats + 1) - np.maximum(onset[note], beats)
        pitch = int(notes.pitch[note]) % 12
        both[0, beats, pitch] += weight[note] * overlap
        if notes.part[note] == BASS:
            both[1, beats, pitch] += overlap
    return both[0], both[1]


def chord_scores(histogram: NDArray[np.float64], bass: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score each chord in each beat.

    Parameters
    ----------
    histogram, bass : ndarray, shape (n_beats, 12)

    Returns
    -------
    ndarray, shape (n_beats, 60), float64
        Column ``root * 5 + quality``; silent beats score zero throughout.
    """
    share = histogram / np.maximum(histogram.sum(axis=1, keepdims=True), 1e-9)
    low = bass / np.maximum(bass.sum(axis=1, keepdims=True), 1e-9)
    templates = np.zeros((12, len(QUALITIES), 12))
    for root in range(12):
        for quality, intervals in enumerate(QUALITIES):
            templates[root, quality, [(root + i) % 12 for i in intervals]] = 1.0
    flat = templates.reshape(-1, 12)
    covered = share @ flat.T
    present = np.minimum(share * 6.0, 1.0) @ flat.T / flat.sum(axis=1)
    root_below = np.repeat(low, len(QUALITIES), axis=1)
    scores = covered + 0.5 * present + 0.3 * root_below
    result: NDArray[np.float64] = np.where(histogram.sum(axis=1, keepdims=True) > 0, scores, 0.0)
    return result


def _best_path(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the path with the greatest sum of scores less :data:`CHANGE` for each change."""
    n_beats, n_chords = scores.shape
    came_from = np.empty((n_beats, n_chords), dtype=np.int64)
    total = scores[0]
    itself = np.arange(n_chords)
    for beat in range(1, n_beats):
        best = int(total.argmax())
        moved = total[best] - CHANGE
        came_from[beat] = np.where(total >= moved, itself, best)
        total = np.maximum(total, moved) + scores[beat]
    path = np.empty(n_beats, dtype=np.int64)
    path[-1] = int(total.argmax())
    for beat in range(n_beats - 1, 0, -1):
        path[beat - 1] = came_from[beat, path[beat]]
    return path
