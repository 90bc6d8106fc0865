"""More versions of the works of a corpus: other bands, other harmonies, other singers.

The simulator changes how a version sounds and where its sections go; here versions themselves are
made, from chord charts and from scores with a melody:

* a **chart** is reharmonised (:mod:`.reharmonisation`) and played by another rhythm section
  (:mod:`.accompaniment`), half of the time with a soloist;
* a **score** has its chords written down (:mod:`.chord_recognition`), reharmonised and played by
  another rhythm section, under the melody as another singer has it (:mod:`.melody_variation`); one
  in five bands plays the chords as they stand.

The arrangements of a version depend on its id alone, so a corpus is the same each time that it is
read. They belong to the same work: the two views of an item are then often two arrangements.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .accompaniment import draw_band_style, play_chart
from .chord_recognition import BEAT, recognise_chords
from .corpus import MELODY, ROLL_RATE, Notes, Version, roll_from_notes, split_bass, with_pad
from .corpus_charts import MAX_BEATS, NOMINAL_BEAT
from .corpus_tables import read_notes
from .melody_variation import draw_singing_style, vary_singing
from .reharmonisation import ChartChord, draw_reharmonisation_style, reharmonise


def read_arrangements(
    paths: Sequence[Path], counts: Mapping[str, int], work_ids: Collection[str]
) -> Iterator[Version]:
    """Make arrangements of the versions of some collections.

    Parameters
    ----------
    paths : sequence of Path
        Tables of charts or notes; collections are named by their stems.
    counts : mapping of str to int
        Arrangements to make of each version, by collection.
    work_ids : collection of str
        Works to arrange; others are left out.

    Yields
    ------
    Version
        With ids ``ORIGINAL~1``, ``ORIGINAL~2``, ...
    """
    wanted = set(work_ids)
    for path in paths:
        count = counts.get(path.stem, 0)
        if not count:
            continue
        if "chords_json" in pq.read_schema(path).names:
            yield from _arranged_charts(path, count, wanted)
        else:
            yield from _arranged_scores(path, count, wanted)


def arrange_chart(chart: Sequence[ChartChord], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw another arrangement of one chorus of a chart.

    Returns
    -------
    ndarray, shape (n_frames, N_PARTS, 12), uint8
    """
    changed = reharmonise(chart, draw_reharmonisation_style(rng), rng)
    band = draw_band_style(rng)
    return with_pad(play_chart(changed, band, rng, frames_per_beat=NOMINAL_BEAT * ROLL_RATE))


def arrange_score(
    notes: Notes, chart: Sequence[ChartChord], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw another arrangement of a score with a melody.

    Parameters
    ----------
    notes : Notes
    chart : sequence of ChartChord
        Its chords, in beats of :data:`~.chord_recognition.BEAT` seconds.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n_frames, N_PARTS, 12), uint8
    """
    band = draw_band_style(rng, improvised=0.15)
    if rng.random() >= 0.2:
        chart = reharmonise(chart, draw_reharmonisation_style(rng), rng)
    played = play_chart(chart, band, rng, frames_per_beat=BEAT * ROLL_RATE)
    sung = vary_singing(_from_start(notes), draw_singing_style(rng), rng)
    if sung.onset.size:
        melody = roll_from_notes(sung)[:, MELODY].astype(np.float64)
        first = round(float(sung.onset.min()) * ROLL_RATE)
        n = min(len(melody), len(played) - first)
        if n > 0:
            played[first : first + n, MELODY] += melody[:n]
    return with_pad(played)


def chart_chords(chords_json: str) -> list[ChartChord]:
    """Read a chart in order of its beats; chords past :data:`MAX_BEATS` beats are left out."""
    rows = [c for c in json.loads(chords_json) if c[0] < MAX_BEATS and c[1] > 0 and c[3]]
    rows.sort(key=lambda c: c[0])
    return [
        ChartChord(float(start), float(length), int(bass), tuple(int(t) for t in tones))
        for start, length, bass, tones in rows
    ]


def _arranged_charts(path: Path, count: int, wanted: set[str]) -> Iterator[Version]:
    columns = ["work_id", "source", "version_id", "chords_json"]
    for row in pq.read_table(path, columns=columns).to_pylist():
        work_id = f"jazz_{row['work_id']}"
        chart = chart_chords(row["chords_json"]) if work_id in wanted else []
        version_id = f"{row['source']}/{row['version_id']}"
        for k in range(1, count + 1 if chart else 1):
            roll = arrange_chart(chart, _generator(version_id, k))
            yield Version(work_id, f"{version_id}~{k}", path.stem, roll, cyclic=True)


def _arranged_scores(path: Path, count: int, wanted: set[str]) -> Iterator[Version]:
    for work_id, version_id, notes in read_notes(path):
        if work_id not in wanted:
            continue
        chart = recognise_chords(split_bass(notes))
        for k in range(1, count + 1 if chart else 1):
            roll = arrange_score(notes, chart, _generator(version_id, k))
            yield Version(work_id, f"{version_id}~{k}", path.stem, roll)


def _from_start(notes: Notes) -> Notes:
    onset = notes.onset - notes.onset.min()
    return Notes(onset, notes.duration, notes.pitch, notes.loudness, notes.part)


def _generator(version_id: str, number: int) -> np.random.Generator:
    digest = hashlib.sha256(version_id.encode()).digest()
    return np.random.default_rng([int.from_bytes(digest[:8], "little"), number])
