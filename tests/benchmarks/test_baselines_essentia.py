"""Qmax and Dmax against essentia's ChromaCrossSimilarity and CoverSongSimilarity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coverdex.benchmarks.baselines import Dmax, Qmax
from coverdex.benchmarks.baselines.aligner import CrossRecurrenceAligner, PreparedTracks
from coverdex.benchmarks.baselines.cross_recurrence import cross_recurrence
from coverdex.benchmarks.baselines.transposition import best_transpositions
from coverdex.encoder import read_chroma

from .baselines_songs import chord_progression, performance

pytest.importorskip("essentia")

ALIGNMENTS = {Qmax: "serra09", Dmax: "chen17"}


def essentia_plot(query: np.ndarray, candidate: np.ndarray) -> Any:
    """Essentia's cross recurrence plot of all states.

    It makes one state fewer than there are; a frame of silence at the end, which the transposition
    does not notice, gives it back.
    """
    from essentia.standard import ChromaCrossSimilarity

    silence = np.zeros((1, 12), dtype=np.float32)
    plot = ChromaCrossSimilarity(frameStackSize=9, frameStackStride=1, binarizePercentile=0.095)
    return plot(np.vstack([query, silence]), np.vstack([candidate, silence]))


def assert_agrees(tracks: PreparedTracks, query: int, candidate: int) -> None:
    from essentia.standard import CoverSongSimilarity

    a, b = tracks[query], tracks[candidate]
    theirs = essentia_plot(a, b)
    shift = best_transpositions(tracks.profiles[query], tracks.profiles[[candidate]])[0, 0]
    ours = cross_recurrence(a, np.roll(b, shift, axis=1))
    # Both round distances in float32: one that lies on a limit may fall on either side.
    assert ours.shape == np.shape(theirs)
    assert np.mean(ours != np.asarray(theirs, dtype=bool)) < 2e-5
    system: CrossRecurrenceAligner
    for system in (Qmax(), Dmax()):
        align = CoverSongSimilarity(
            alignmentType=ALIGNMENTS[type(system)], distanceType="symmetric"
        )
        their_paths, their_score = align(theirs)
        np.testing.assert_array_equal(system.paths(theirs), their_paths)
        score = system.scores(tracks, query, np.array([candidate]))[0]
        assert score == pytest.approx(their_score, abs=1.0)
        if np.array_equal(ours, theirs):
            assert score == their_score


def test_made_up_songs() -> None:
    song = chord_progression(0, 70)
    tracks = Qmax().prepare(
        [
            performance(song, noise=0.3),
            performance(song, seed=1, tempo=1.3, semitones=4, noise=0.3),
            performance(chord_progression(1, 60), seed=2, noise=0.3),
        ]
    )
    for query, candidate in [(0, 1), (1, 0), (0, 2), (2, 1)]:
        assert_agrees(tracks, query, candidate)


@pytest.mark.shared
def test_real_recordings(covers80_dev: Path) -> None:
    files = sorted(covers80_dev.glob("*_hpcp/W_80[01]_hpcp/P_*.h5"))
    assert len(files) == 5
    tracks = Qmax().prepare([read_chroma(file).chroma for file in files])
    for query, candidate in [(0, 1), (0, 3), (3, 4), (4, 2)]:
        assert_agrees(tracks, query, candidate)
