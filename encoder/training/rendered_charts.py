r"""A catalogue of jazz standards, held-out ones as a rule, played from two charts each.

What training holds out as charts (:mod:`.seeds`), a sampler plays and the extractor hears: for each
held-out work two charts of different collections are arranged for a small band, each with its own
tempo, style of accompaniment, walking bass, sometimes an improvised line, instruments and drums,
and rendered (:mod:`.rendering`). The result is a folder in the layout of Da-TACOS, on which any
encoder can be evaluated::

    python -m coverdex.encoder.training.rendered_charts --charts jazz_charts.parquet \
        --config encoder/training/configs/coverdex-64-network.toml \
        --soundfont FluidR3_GM.sf2 TimGM6mb.sf2 --out rendered-jazz
    coverdex encoder evaluate rendered-jazz

With ``--works training`` the other works are played, those that training sees, to learn from
(:mod:`.rendered_versions`). Ids of the two never meet; the titles of those to learn from are the
ids of the seeds.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from .corpus import BASS, CHORDS, MELODY, N_PARTS, Notes, Version
from .corpus_charts import MAX_BEATS
from .rendered_catalogue import RenderedPerformance, write_metadata
from .rendering import check_soundfonts, render
from .seeds import hold_out, leave_out

#: Works that training sees are numbered from here.
_FIRST_OF_TRAINING = 100_000
#: Styles of accompaniment: one chord as long as it lasts, on every beat, on half beats at random.
STYLES = ("held", "beats", "syncopated")


def arrange(chords: Sequence[Any], rng: np.random.Generator, *, seconds: float) -> Notes:
    """Arrange a chart for a band that plays it round and round.

    Parameters
    ----------
    chords : sequence of [start_beat, length_beats, bass, pitch_classes]
        C = 0, as in :mod:`.corpus_charts`.
    rng : numpy.random.Generator
        Draws tempo (80 to 180 beats per minute), style, bass, and whether somebody improvises.
    seconds : float
        Length.
    """
    kept = [c for c in chords if c[0] < MAX_BEATS and c[1] > 0 and c[3]]
    if not kept:
        raise ValueError("a chart has no chords; leave it out")
    beat = rng.uniform(0.33, 0.75)
    style = STYLES[int(rng.integers(len(STYLES)))]
    improvised = rng.random() < 0.5
    origin, form = kept[0][0], max(c[0] + c[1] for c in kept) - kept[0][0]
    rows: list[tuple[float, float, int, float, int]] = []
    for chorus in range(int(np.ceil(seconds / (form * beat)))):
        for start, length, bass, tones in kept:
            at = start - origin + chorus * form
            rows += _comping(at, length, tones, style, rng)
            rows += _bass_line(at, length, bass, tones, rng)
            if improvised:
                rows += _improvised_line(at, length, tones, rng)
    onset, duration, pitch, loudness, part = (np.array(v) for v in zip(*rows, strict=True))
    return Notes(onset * beat, duration * beat, pitch.astype(np.int64), loudness * 1.0, part)


Row = tuple[float, float, int, float, int]


def _comping(
    at: float, length: float, tones: Sequence[int], style: str, rng: np.random.Generator
) -> Iterator[Row]:
    if style == "held":
        hits = [(0.0, length)]
    elif style == "beats":
        hits = [(float(q), 0.8) for q in np.arange(0, length, 1.0)]
    else:
        halves = np.arange(0, length, 0.5)
        hits = [(float(q), rng.uniform(0.3, 1.2)) for q in halves if rng.random() < 0.4]
    for later, lasts in hits or [(0.0, 0.9 * length)]:
        for tone in tones:
            octave = 12 if rng.random() < 0.2 else 0
            height = 52 + (int(tone) - 4) % 12 + octave
            yield at + later, lasts, height, rng.uniform(50, 90), CHORDS


def _bass_line(
    at: float, length: float, bass: int, tones: Sequence[int], rng: np.random.Generator
) -> Iterator[Row]:
    walks = rng.random() < 0.7
    for q in range(int(np.ceil(length))):
        if walks or q % 2 == 0:
            tone = int(rng.choice(list(tones))) if q and walks else int(bass)
            lasts = 0.9 * min(1.0, length - q)
            yield at + q, lasts, 33 + (tone - 9) % 12, rng.uniform(70, 105), BASS


def _improvised_line(
    at: float, length: float, tones: Sequence[int], rng: np.random.Generator
) -> Iterator[Row]:
    for q in np.arange(0, length, 0.5):
        if rng.random() < 0.7:
            inside = rng.random() < 0.75
            tone = int(rng.choice(list(tones)) if inside else rng.integers(12))
            yield at + float(q), 0.5, 64 + (tone - 4) % 12, rng.uniform(60, 100), MELODY


def charts_in_pairs(
    path: Path, data: Mapping[str, Any], *, training: bool = False
) -> list[list[dict[str, Any]]]:
    """Find the works that training holds out, two charts each, or those that it sees.

    Parameters
    ----------
    path : Path
        Table of charts.
    data : mapping
        The ``[data]`` table of the training configuration, of which ``leave_out_titles``,
        ``held_out_corpus``, ``held_out_works`` and ``held_out_seed`` count.
    training : bool, default False
        The works that training sees, as far as they have two charts, in an order drawn with the
        same seed.

    Returns
    -------
    list of list of dict
        Rows of the table by work, of two collections where the work has them.
    """
    charts: dict[str, list[dict[str, Any]]] = {}
    for row in pq.read_table(path).to_pylist():
        if json.loads(row["chords_json"]):
            charts.setdefault(f"jazz_{row['work_id']}", []).append(row)
    silent = np.zeros((1, N_PARTS, 12), dtype=np.uint8)
    versions = [
        Version(work, row["version_id"], data["held_out_corpus"], silent)
        for work, rows in charts.items()
        for row in rows
    ]
    kept, held = hold_out(
        leave_out(versions, data["leave_out_titles"]),
        corpus=data["held_out_corpus"],
        n_works=data["held_out_works"],
        seed=data["held_out_seed"],
    )
    works = sorted({v.work_id for v in held})
    if training:
        several = sorted({v.work_id for v in kept if len(charts[v.work_id]) > 1})
        order = np.random.default_rng(data["held_out_seed"]).permutation(len(several))
        works = [several[i] for i in order]
    found = []
    for work in works:
        by_source = {row["source"]: row for row in charts[work]}
        found.append((list(by_source.values()) if len(by_source) > 1 else charts[work])[:2])
    return found


def main() -> None:
    """Arrange, render, write; see the module's text."""
    parser = argparse.ArgumentParser(description="Render jazz charts as a catalogue")
    parser.add_argument("--charts", type=Path, required=True, help="table of chord charts")
    parser.add_argument("--soundfont", type=Path, nargs="+", required=True, help="SF2 files")
    parser.add_argument("--out", type=Path, required=True, help="folder of the catalogue")
    parser.add_argument("--config", type=Path, required=True, help="training configuration")
    parser.add_argument("--seconds", type=float, default=90.0, help="of each performance")
    parser.add_argument("--works", choices=("held-out", "training"), default="held-out")
    parser.add_argument("--most", type=int, help="works; default: all")
    options = parser.parse_args()
    check_soundfonts(options.soundfont)
    data = tomllib.loads(options.config.read_text(encoding="utf-8"))["data"]
    training = options.works == "training"
    chosen = charts_in_pairs(options.charts, data, training=training)[: options.most]
    catalogue = [
        (_named(row, number, version, training=training), row, (number, version))
        for number, charts in enumerate(chosen, _FIRST_OF_TRAINING if training else 0)
        for version, row in enumerate(charts)
    ]
    write_metadata((performance for performance, _, _ in catalogue), options.out)
    for performance, row, seed in catalogue:
        if performance.file(options.out).exists():  # a rendering that was interrupted goes on
            continue
        rng = np.random.default_rng(seed)
        notes = arrange(json.loads(row["chords_json"]), rng, seconds=1.3 * options.seconds)
        soundfont = options.soundfont[int(rng.integers(len(options.soundfont)))]
        performance.write(render(notes, soundfont, rng, seconds=options.seconds), options.out)


def _named(
    row: Mapping[str, Any], number: int, version: int, *, training: bool
) -> RenderedPerformance:
    return RenderedPerformance(
        work_id=f"W_{number}",
        performance_id=f"P_{number * 10 + version}",
        work_title=row["title"],
        title=f"jazz_{row['work_id']}" if training else row["title"],
        artist=row["source"],
    )


if __name__ == "__main__":
    main()
