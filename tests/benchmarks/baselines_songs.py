"""Made-up songs for the baselines: a chord every second, rendered at any tempo and in any key."""

from __future__ import annotations

import numpy as np
from coverdex.encoder.chroma import Chroma

FRAME_RATE = 20.0


def chord_progression(seed: int, n_chords: int = 60) -> list[tuple[int, ...]]:
    """Triads on random roots, no chord twice in a row."""
    rng = np.random.default_rng(seed)
    roots = np.cumsum(rng.integers(1, 12, n_chords)) % 12
    thirds = rng.integers(3, 5, n_chords)
    return [
        (int(r), int((r + t) % 12), int((r + 7) % 12)) for r, t in zip(roots, thirds, strict=True)
    ]


def performance(
    chords: list[tuple[int, ...]],
    *,
    seed: int = 0,
    tempo: float = 1.0,
    semitones: int = 0,
    noise: float = 0.15,
) -> Chroma:
    """Each chord for a second at tempo 1, with noise in every bin of every frame."""
    rng = np.random.default_rng(seed)
    n_frames = int(len(chords) * FRAME_RATE / tempo)
    at = (np.arange(n_frames) * tempo / FRAME_RATE).astype(int)
    ideal = np.zeros((len(chords), 12))
    for i, chord in enumerate(chords):
        ideal[i, list(chord)] = 1.0
    values = ideal[at] + noise * rng.random((n_frames, 12))
    return Chroma(np.roll(values, semitones, axis=1), frame_rate=FRAME_RATE)


def catalogue_of_covers(**changes: float | int) -> list[Chroma]:
    """Five songs, then a changed cover of each: song i is covered by performance i + 5."""
    songs = [chord_progression(seed) for seed in range(5)]
    originals = [performance(song, seed=10 + i) for i, song in enumerate(songs)]
    covers = [performance(song, seed=20 + i, **changes) for i, song in enumerate(songs)]
    return originals + covers


def share_of_covers_found_first(similarities: np.ndarray) -> float:
    """Of the ten performances of :func:`catalogue_of_covers`, how many rank their cover first."""
    similarities = similarities.copy()
    np.fill_diagonal(similarities, -np.inf)
    return float(np.mean(similarities.argmax(axis=1) == (np.arange(10) + 5) % 10))
