"""Arrangements of charts, and which charts are held out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from coverdex.encoder.training.corpus import BASS, CHORDS
from coverdex.encoder.training.rendered_charts import arrange, charts_in_pairs
from coverdex.encoder.training.seeds import hold_out, leave_out, read_seeds

CHART = [[0, 4, 0, [0, 4, 7]], [4, 4, 7, [7, 11, 2, 5]]]


def test_a_band_plays_the_chart_round_and_round() -> None:
    for seed in range(6):  # all styles
        notes = arrange(CHART, np.random.default_rng(seed), seconds=30)
        assert (notes.onset + notes.duration).max() > 28
        assert (notes.duration > 0).all()
        chords, bass = notes.part == CHORDS, notes.part == BASS
        assert set(notes.pitch[chords] % 12) == {0, 4, 7, 11, 2, 5}
        assert set(notes.pitch[bass] % 12) <= {0, 4, 7, 11, 2, 5}
        assert notes.pitch[bass].max() < notes.pitch[chords].min()
        first = notes.pitch[bass][np.argmin(notes.onset[bass])]
        assert first % 12 == 0


def test_the_works_are_those_that_training_holds_out(tmp_path: Path) -> None:
    rows = [
        {
            "work_id": f"w{i}",
            "source": source,
            "version_id": f"{i}.{k}",
            "title": f"W {i}",
            "chords_json": json.dumps(CHART),
        }
        for i in range(12)
        for k, source in enumerate(("book", "book", "web")[: 1 + i % 3])
    ]
    path = tmp_path / "charts.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    data = {
        "leave_out_titles": ["w4"],
        "held_out_corpus": "charts",
        "held_out_works": 4,
        "held_out_seed": 7,
    }
    found = charts_in_pairs(path, data)
    _, held = hold_out(leave_out(read_seeds([path]), ["w4"]), corpus="charts", n_works=4, seed=7)
    assert {f"jazz_{charts[0]['work_id']}" for charts in found} == {v.work_id for v in held}
    seen = charts_in_pairs(path, data, training=True)
    works = {charts[0]["work_id"] for charts in seen}
    assert len(works) == len(seen) == 3  # of eight with two charts one is left out, four are held
    assert works.isdisjoint({"w4", *(charts[0]["work_id"] for charts in found)})
    for charts in found + seen:
        assert len(charts) == 2
        assert charts[0]["work_id"] == charts[1]["work_id"] != "w4"
        if charts[0]["work_id"] in ("w2", "w5", "w8", "w11"):
            assert {charts[0]["source"], charts[1]["source"]} == {"book", "web"}
