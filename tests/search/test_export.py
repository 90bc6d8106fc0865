from __future__ import annotations

import csv
import json
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.search import Index, IndexEditor, IndexExistsError, InvalidQueryError
from coverdex.search import export as exporting
from coverdex.search.export import (
    candidate_table,
    export_embeddings,
    nearest_pairs,
    write_table,
)

from .made_up import ENCODER_ID, MadeUp


@pytest.fixture(params=["as written", "changed", "approximate"])
def any_index(request: pytest.FixtureRequest, catalogue: MadeUp, tmp_path: Path) -> Index:
    factory = "IVF4,SQfp16" if request.param == "approximate" else "Flat"
    catalogue.write(tmp_path / "i", factory=factory)
    if request.param == "changed":
        with IndexEditor(tmp_path / "i") as editor:
            editor.remove(["P_0", "P_50"])
            row = [{"performance_id": "A_0", "title": "Añoranza"}]
            editor.add(row, -catalogue.embeddings[:1], encoder_id=ENCODER_ID)
    return Index.open(tmp_path / "i")


def names_of(index: Index) -> list[str]:
    names: list[str] = index.performances.column("performance_id").to_pylist()
    return names


def test_embeddings_as_parquet(any_index: Index, tmp_path: Path) -> None:
    (path,) = export_embeddings(any_index, tmp_path / "out", file_format="parquet")
    table = pq.read_table(path)
    assert table.schema.metadata[b"coverdex.encoder_id"].decode() == ENCODER_ID
    assert table.column("title").to_pylist() == any_index.performances.column("title").to_pylist()
    # embedding-reader takes each row's list and stacks them.
    stacked = np.stack([row.values.to_numpy() for row in table.column("embedding")])
    assert stacked.dtype == np.float32
    np.testing.assert_array_equal(stacked, any_index.embeddings)
    assert table.column("performance_id").to_pylist() == names_of(any_index)


def test_embeddings_as_numpy(any_index: Index, tmp_path: Path) -> None:
    paths = export_embeddings(any_index, tmp_path / "out", file_format="numpy")
    assert [path.name for path in paths] == ["embeddings.npy", "performance_ids.parquet"]
    np.testing.assert_array_equal(np.load(paths[0]), any_index.embeddings)
    assert pq.read_table(paths[1]).column(0).to_pylist() == names_of(any_index)


def test_embeddings_as_faiss(any_index: Index, tmp_path: Path) -> None:
    paths = export_embeddings(any_index, tmp_path / "out", file_format="faiss")
    raw = faiss.read_index(str(paths[1]))
    names = pq.read_table(paths[0]).column(0).to_pylist()
    query = any_index.embedding("P_7")
    _, rows = raw.search(query[np.newaxis], 5)
    expected = any_index.search(query, limit=5, exact=True)
    assert [names[row] for row in rows[0]] == [found.performance_id for found in expected]


def test_exports_overwrite_nothing_and_leave_nothing_half(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    with pytest.raises(IndexExistsError):
        export_embeddings(index, tmp_path / "mine", file_format="numpy")
    with pytest.raises(InvalidQueryError, match="parquet, numpy, faiss"):
        export_embeddings(index, tmp_path / "out", file_format="pickle")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_write_numpy", full)
    with pytest.raises(OSError, match="No space"):
        export_embeddings(index, tmp_path / "out", file_format="numpy")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_numpy_files_are_as_numpy_writes_them(index: Index, tmp_path: Path) -> None:
    export_embeddings(index, tmp_path / "out", file_format="numpy")
    np.save(tmp_path / "expected.npy", index.embeddings)
    written = (tmp_path / "out" / "embeddings.npy").read_bytes()
    assert written == (tmp_path / "expected.npy").read_bytes()


def test_pairs_are_each_ones_nearest(any_index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "BLOCK", 50)  # so that there are several, the last one short
    blocks = list(nearest_pairs(any_index, limit=3, exact=True))
    assert len(blocks) == 3
    rows = pa.concat_tables(blocks).to_pylist()
    expected = [
        (name, found.rank, found.performance_id, found.work_id, np.float32(found.similarity))
        for name in names_of(any_index)
        for found in any_index.search_by_id(name, limit=3, exact=True)
    ]
    keys = ("query", "rank", "candidate", "candidate_work", "similarity")
    assert [tuple(row[key] for key in keys) for row in rows] == expected
    works = {name: any_index.metadata(name)["work_id"] for name in names_of(any_index)}
    assert all(row["query_work"] == works[row["query"]] for row in rows)


def test_pairs_below_a_similarity_are_left_out(index: Index) -> None:
    everything = pa.concat_tables(nearest_pairs(index, limit=8)).to_pylist()
    near = pa.concat_tables(nearest_pairs(index, limit=8, least_similarity=0.5)).to_pylist()
    assert near == [row for row in everything if row["similarity"] >= 0.5]
    assert 0 < len(near) < len(everything)
    assert pa.concat_tables(nearest_pairs(index, least_similarity=2)).num_rows == 0


def test_tables_in_every_format(index: Index, tmp_path: Path) -> None:
    blocks = list(nearest_pairs(index, limit=2))
    expected = pa.concat_tables(blocks).to_pylist()
    for file_format in ("parquet", "csv", "jsonl"):
        path = tmp_path / f"pairs.{file_format}"
        assert write_table(iter(blocks), path, file_format=file_format) == len(expected)
    assert pq.read_table(tmp_path / "pairs.parquet").to_pylist() == expected
    lines = (tmp_path / "pairs.jsonl").read_text().splitlines()
    assert [json.loads(line)["candidate"] for line in lines] == [r["candidate"] for r in expected]
    with (tmp_path / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["query"] for row in rows] == [row["query"] for row in expected]
    assert float(rows[0]["similarity"]) == pytest.approx(expected[0]["similarity"])
    with pytest.raises(InvalidQueryError):
        write_table(iter(blocks), tmp_path / "x", file_format="xlsx")


def test_a_table_that_fails_midway_leaves_the_old_one(index: Index, tmp_path: Path) -> None:
    def two_blocks_and_a_failure() -> object:
        yield from nearest_pairs(index, limit=1)
        raise OSError(28, "No space left on device")

    path = tmp_path / "pairs.csv"
    path.write_text("old")
    with pytest.raises(OSError, match="No space"):
        write_table(two_blocks_and_a_failure(), path, file_format="csv")  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["pairs.csv"]


def test_candidates_as_a_table(index: Index) -> None:
    answers = index.search_by_ids(["P_1", "P_2"], limit=3)
    table = candidate_table(["P_1", "P_2"], answers)
    assert table.column("query").to_pylist() == ["P_1"] * 3 + ["P_2"] * 3
    assert table.column("rank").to_pylist() == [1, 2, 3] * 2
    found = [candidate.performance_id for answer in answers for candidate in answer]
    assert table.column("performance_id").to_pylist() == found
