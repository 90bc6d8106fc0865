"""Chord charts as rolls: what a rhythm section plays from a lead sheet.

A chart is a list of ``[start_beat, length_beats, bass_pitch_class, [pitch_classes]]`` with C = 0,
over one chorus of the form. One roll holds one chorus at a nominal tempo, as block chords with the
bass alternating between the chord's bass note and its other tones (a walking bass, simplified);
the chorus is cyclic: a performance goes round it as often as it likes.

Several collections chart the same tune independently, in other keys, forms and harmonies, which is
the nearest thing to real covers that symbols offer: two views of such a work are drawn from two of
its charts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TrainingError
from .corpus import BASS, CHORDS, NOTE_LOUDNESS, ROLL_RATE, Version, with_pad
from .corpus_tables import read_columns

#: Seconds per beat at which charts are drawn (128 beats per minute).
NOMINAL_BEAT = 0.47

#: Charts longer than this many beats list a whole performance or are broken; they are cut.
MAX_BEATS = 512.0


def roll_from_chart(
    chords: Sequence[Any], *, beat: float = NOMINAL_BEAT, rate: float = ROLL_RATE, seed: int = 0
) -> NDArray[np.uint8]:
    """Draw one chorus of a chart.

    Parameters
    ----------
    chords : sequence of [start_beat, length_beats, bass, pitch_classes]
        As in the module's text, in any order; C = 0.
    beat : float
        Seconds per beat.
    rate : float
        Roll frames per second.
    seed : int
        Of the bass line's choices.

    Returns
    -------
    ndarray, shape (n_frames, N_PARTS, 12), uint8
    """
    rng = np.random.default_rng(seed)
    kept = sorted((c for c in chords if c[0] < MAX_BEATS and c[1] > 0), key=lambda c: c[0])
    if not kept:
        raise ValueError("a chart has no chords; leave it out of the corpus")
    if (most := max(max(abs(c[0]), c[1]) for c in kept)) > MAX_BEATS:
        raise ValueError(f"a chord begins at or lasts {most:g} beats, more than {MAX_BEATS:g}")
    origin = kept[0][0]
    last = max(min(c[0] + c[1], MAX_BEATS) - origin for c in kept)
    frames_per_beat = beat * rate
    n_frames = max(1, round(last * frames_per_beat))
    played = np.zeros((n_frames, 4, 12))
    for start_beat, length, bass, tones in kept:
        start = start_beat - origin
        a, b = (round(t * frames_per_beat) for t in (start, min(start + length, last)))
        from_a = [(int(tone) + 3) % 12 for tone in tones]
        played[a:b, CHORDS, from_a] += NOTE_LOUDNESS
        for k in range(int(np.ceil(length))):
            t0, t1 = (
                round(min(start + u, start + length, last) * frames_per_beat) for u in (k, k + 1)
            )
            root = (int(bass) + 3) % 12
            note = root if k % 2 == 0 or not from_a else int(rng.choice([root, *from_a]))
            played[t0:t1, BASS, note] += NOTE_LOUDNESS
    return with_pad(played, rate)


def read_chart_table(path: Path, *, corpus: str | None = None) -> Iterator[Version]:
    """Read a table of charts (columns ``work_id``, ``source``, ``version_id``, ``chords_json``).

    Yields
    ------
    Version
        Cyclic, one per chart, in the table's order.

    Raises
    ------
    TrainingError
        A column is missing, or a chart is not as :func:`roll_from_chart` reads it.
    """
    columns = ["work_id", "source", "version_id", "chords_json"]
    for number, row in enumerate(read_columns(path, columns).to_pylist(), 1):
        if missing := [name for name in columns if row[name] is None]:
            raise TrainingError(f"{path}, row {number}: no {missing[0]}; leave the chart out")
        version_id = f"{row['source']}/{row['version_id']}"
        seed = int.from_bytes(hashlib.sha256(version_id.encode()).digest()[:4], "little")
        try:
            chords = json.loads(row["chords_json"])
            roll = roll_from_chart(chords, seed=seed) if chords else None
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            raise TrainingError(
                f"{path}, row {number}: chords_json of {version_id} is no chart ({error}); give "
                "[start_beat, length_beats, bass, [pitch classes]] of each chord, C = 0"
            ) from error
        if roll is None:
            continue
        yield Version(
            work_id=f"jazz_{row['work_id']}",
            version_id=version_id,
            corpus=corpus or path.stem,
            roll=roll,
            cyclic=True,
        )
