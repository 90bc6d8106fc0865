"""A catalogue of the versions of a note table, as they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.encoder import Chroma
from coverdex.encoder.training import rendered_notes as rendered
from coverdex.encoder.training.corpus import Notes
from coverdex.indexer import open_catalogue


def write_table(path: Path, versions: dict[str, int]) -> Path:
    """A table of melodies of three notes, a second each, the last half a second late."""
    rows = [
        {
            "work_id": work,
            "version_id": f"{work}.{k}",
            "onset_ms": [500, 1500, 3000],
            "duration_ms": [1000, 1000, 1000],
            "midi_pitch": [60, 62, 64 + k],
            "velocity": [80, 80, 80],
            "part": [0, 0, 0],
        }
        for work, count in versions.items()
        for k in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_verses_follow_one_another(tmp_path: Path) -> None:
    ((_, notes),) = rendered.catalogue_of(write_table(tmp_path / "t.parquet", {"a": 1}))
    assert rendered.length_of(notes) == 3.5
    sung = rendered.in_verses(notes, 3)
    assert sung.onset.tolist() == [0.5, 1.5, 3.0, 4.0, 5.0, 6.5, 7.5, 8.5, 10.0]
    assert sung.pitch.tolist() == [60, 62, 64] * 3
    assert sung.duration.size == sung.loudness.size == sung.part.size == 9
    assert rendered.length_of(sung) == 10.5


def test_every_version_has_ids_of_its_own(tmp_path: Path) -> None:
    named = [p for p, _ in rendered.catalogue_of(write_table(tmp_path / "t.parquet", {"a": 3}))]
    assert [p.work_id for p in named] == ["W_300000"] * 3
    assert [p.performance_id for p in named] == ["P_300000000", "P_300000001", "P_300000002"]
    assert [p.title for p in named] == ["a.0", "a.1", "a.2"]


def test_works_of_too_many_versions_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendered, "_MOST_VERSIONS", 2)
    assert len(rendered.catalogue_of(write_table(tmp_path / "t.parquet", {"a": 2}))) == 2
    with pytest.raises(ValueError, match="a has more than 2 versions; leave some out"):
        rendered.catalogue_of(write_table(tmp_path / "t.parquet", {"a": 3}))


def test_silence_at_the_end_is_left_out() -> None:
    values = np.zeros((6, 12), np.float32)
    values[[1, 3], 4] = 1
    assert rendered.without_silence(Chroma(values, 21.5)).n_frames == 4
    silent = Chroma(np.zeros((6, 12), np.float32), 21.5)
    assert rendered.without_silence(silent).n_frames == 6


def test_a_rendering_that_was_stopped_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = rendered.catalogue_of(write_table(tmp_path / "t.parquet", {"a": 12, "b": 8}))
    played: list[tuple[int, float, float]] = []

    def play(performances: list[tuple[Notes, Any]], soundfont: Path, **how: Any) -> list[Chroma]:
        played.append((len(performances), how["seconds"], how["drums"]))
        values = np.zeros((50, 12), np.float32)
        values[:25, 3] = 1
        return [Chroma(values, 21.5) for _ in performances]

    monkeypatch.setattr(rendered, "render_together", play)
    folder = tmp_path / "out"
    rendered.write_metadata((named for named, _ in catalogue), folder)

    def made() -> Any:
        return rendered.render_catalogue(
            catalogue, [Path("band.sf2")], folder, n_verses=2, seconds=8.0, drums=0.5, seed=1
        )

    first = made()
    assert next(first) == 16
    first.close()
    assert sum(made()) == 20
    assert [(n, drums) for n, _, drums in played] == [(16, 0.5), (4, 0.5)]
    assert all(seconds == 8.0 for _, seconds, _ in played)  # two verses at the slowest: 9.1
    read = list(open_catalogue(folder))
    assert len(read) == 20
    assert {performance.work_id for performance, _ in read} == {"W_300000", "W_300001"}
    assert read[0][1].n_frames == 100
