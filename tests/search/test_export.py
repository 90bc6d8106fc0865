from __future__ import annotations

import csv
import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.indexer.shard_reading import read_shards_at
from coverdex.search import Index, IndexEditor, IndexExistsError, InvalidQueryError
from coverdex.search import export as exporting
from coverdex.search.export import (
    candidate_table,
    export_embeddings,
    nearest_pairs,
    write_table,
)
from coverdex.search.generation import Generation

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


def test_pairs_tell_how_many_have_asked(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "BLOCK", 50)
    told: list[tuple[int, int]] = []
    for _ in nearest_pairs(index, limit=1, progress=lambda *far: told.append(far)):
        pass
    assert told == [(done, len(index)) for done in (0, 50, 100, len(index))]


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


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_a_table_that_fails_midway_leaves_the_old_one(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    def two_blocks_and_a_failure() -> Iterator[pa.Table]:
        yield from nearest_pairs(index, limit=1)
        raise OSError(28, "No space left on device")

    path = tmp_path / "pairs.table"
    path.write_text("old")
    with pytest.raises(OSError, match="No space"):
        write_table(two_blocks_and_a_failure(), path, file_format=file_format)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["pairs.table"]
    gc.collect()
    assert not unraisable  # what a writer says that is left to Python to close


def test_candidates_as_a_table(index: Index) -> None:
    answers = index.search_by_ids(["P_1", "P_2"], limit=3)
    table = candidate_table(["P_1", "P_2"], answers, schema=index.schema)
    assert table.column("query").to_pylist() == ["P_1"] * 3 + ["P_2"] * 3
    assert table.column("rank").to_pylist() == [1, 2, 3] * 2
    found = [candidate.performance_id for answer in answers for candidate in answer]
    assert table.column("performance_id").to_pylist() == found


@pytest.mark.parametrize("file_format", ["parquet", "csv", "jsonl"])
def test_an_answer_without_candidates_has_its_columns(
    index: Index, tmp_path: Path, file_format: str
) -> None:
    nothing = index.search_by_id("P_1", where="artist=nobody")
    assert nothing == []
    table = candidate_table(["P_1"], [nothing], schema=index.schema)
    some = candidate_table(["P_1"], [index.search_by_id("P_1")], schema=index.schema)
    assert table.schema == some.schema
    path = tmp_path / "found"
    assert write_table([table], path, file_format=file_format) == 0
    names = ["query", "rank", "similarity", *index.performances.column_names]
    if file_format == "parquet":
        assert pq.read_table(path).column_names == names
    elif file_format == "csv":
        assert list(csv.reader(path.open())) == [names]
    else:
        assert path.read_text() == ""


def with_columns(catalogue: MadeUp, **columns: pa.Array) -> pa.Table:
    table = catalogue.performances
    for name, values in columns.items():
        table = table.append_column(name, values)
    return table


def test_columns_of_the_catalogue_are_kept_beside_those_of_the_answer(
    catalogue: MadeUp, tmp_path: Path
) -> None:
    texts = {name: pa.array([f"{name} {i}" for i in range(120)]) for name in ("rank", "embedding")}
    large = pa.array([2**64 - 1 - i for i in range(120)], pa.uint64())
    table = with_columns(
        catalogue, **texts, query=large, similarity=large, metadata_rank=texts["rank"]
    )
    catalogue.write(tmp_path / "i", performances=table)
    index = Index.open(tmp_path / "i")
    answer = index.search_by_id("P_1", limit=4)
    rows = candidate_table(["P_1"], [answer], schema=index.schema).to_pylist()
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    assert [row["similarity"] for row in rows] == [found.similarity for found in answer]
    assert {row["query"] for row in rows} == {"P_1"}
    for row, found in zip(rows, answer, strict=True):
        number = int(found.performance_id.removeprefix("P_"))
        assert row["metadata_query"] == row["metadata_similarity"] == 2**64 - 1 - number
        assert row["metadata_metadata_rank"] == row["metadata_rank"] == f"rank {number}"
    (path,) = export_embeddings(index, tmp_path / "out", file_format="parquet")
    exported = pq.read_table(path)
    names = exported.column("performance_id").to_pylist()
    assert exported.column("metadata_embedding").to_pylist() == [
        f"embedding {name.removeprefix('P_')}" for name in names
    ]
    assert len(exported.column("embedding")[0]) == 64


def test_pairs_of_an_empty_index_have_their_columns(catalogue: MadeUp, tmp_path: Path) -> None:
    catalogue.write(tmp_path / "i")
    with IndexEditor(tmp_path / "i") as editor:
        editor.remove(catalogue.ids)
    index = Index.open(tmp_path / "i")
    path = tmp_path / "pairs.parquet"
    assert write_table(nearest_pairs(index), path, file_format="parquet") == 0
    assert pq.read_table(path).schema == exporting.PAIRS_SCHEMA
    with pytest.raises(InvalidQueryError, match="no table"):
        write_table([], tmp_path / "none.csv", file_format="csv")
    assert not (tmp_path / "none.csv").exists()


def test_processes_that_write_one_table_do_not_mix(index: Index, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    other = (
        "import sys, pyarrow as pa; from coverdex.search.export import write_table; "
        "write_table([pa.table({'x': [1]})], sys.argv[1], file_format='csv')"
    )
    (block,) = nearest_pairs(index)

    def meanwhile_another_writes() -> Iterator[pa.Table]:
        yield block
        subprocess.run([sys.executable, "-c", other, path], check=True)
        assert path.read_text() == '"x"\n1\n'
        yield block

    n_rows = write_table(meanwhile_another_writes(), path, file_format="csv")
    assert n_rows == 2 * len(block)
    assert len(path.read_text().splitlines()) == 1 + n_rows
    assert [found.name for found in tmp_path.glob(".pairs*")] == []


def test_a_table_makes_the_folders_above_it_and_replaces_none(index: Index, tmp_path: Path) -> None:
    path = tmp_path / "found" / "today" / "pairs.csv"
    write_table(nearest_pairs(index), path, file_format="csv")
    assert path.read_text().startswith('"query"')
    with pytest.raises(IndexExistsError, match="found is a folder; give the name of a file"):
        write_table(nearest_pairs(index), tmp_path / "found", file_format="csv")
    assert [found.name for found in tmp_path.iterdir()] == ["found"]


def test_a_symbolic_link_to_a_table_stays(index: Index, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "pairs.csv"
    link.symlink_to("elsewhere/today.csv")
    write_table(nearest_pairs(index), link, file_format="CSV")
    assert link.is_symlink()
    assert (tmp_path / "elsewhere" / "today.csv").read_text().startswith('"query"')


@pytest.mark.parametrize("file_format", ["parquet", "numpy", "faiss"])
def test_an_export_says_who_made_the_embeddings(
    index: Index, tmp_path: Path, file_format: str
) -> None:
    paths = export_embeddings(index, tmp_path / "out", file_format=file_format)
    (tables,) = [path for path in paths if path.suffix == ".parquet"]
    for path in (tables, index.path / "embeddings.parquet"):
        metadata = pq.read_schema(path).metadata
        assert metadata[b"coverdex.encoder_id"].decode() == ENCODER_ID
        assert metadata[b"coverdex.encoder_name"].decode() == "made-up"


def test_an_index_that_is_made_of_an_export_finds_its_encoder(index: Index, tmp_path: Path) -> None:
    (exported,) = export_embeddings(index, tmp_path / "out", file_format="parquet")
    for path in (exported, index.path / "embeddings.parquet"):
        contents = read_shards_at(path)
        assert (contents.encoder_id, contents.encoder_name) == (ENCODER_ID, "made-up")


def test_a_table_replaces_no_file_of_an_index(catalogue: MadeUp, tmp_path: Path) -> None:
    folder = tmp_path / "my.index"
    catalogue.write(folder)
    with IndexEditor(folder) as editor:
        editor.remove("P_0")
        reader = Index.open(folder)  # so that the files of before stay
        editor.compact()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 4 + len(reader.manifest.files) + 2  # the manifest and the lock
    for path in files:
        content = path.read_bytes()
        with pytest.raises(IndexExistsError, match=r"is a file of the index my\.index"):
            write_table([pa.table({"n": [1]})], path, file_format="csv")
        assert path.read_bytes() == content


def test_a_table_is_replaced_beside_a_manifest_of_another_program(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "a page"}')
    for n in (1, 2):
        write_table([pa.table({"n": [n]})], tmp_path / "t.csv", file_format="csv")
    assert (tmp_path / "t.csv").read_text().split() == ['"n"', "2"]


def test_long_lists_of_pairs_come_in_small_blocks(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = nearest_pairs(index, limit=10**9)
    monkeypatch.setattr(exporting, "MOST_PAIRS", 1_000)
    blocks = list(nearest_pairs(index, limit=10**9))
    assert max(block.num_rows for block in blocks) <= 1_000
    assert pa.concat_tables(blocks).equals(whole)
    monkeypatch.setattr(exporting, "MOST_PAIRS", 1)  # fewer than one query's own
    assert pa.concat_tables(nearest_pairs(index, limit=10**9)).equals(whole)


@pytest.mark.parametrize("changed", [False, True])
def test_pairs_of_an_approximate_index_do_not_read_all_embeddings_into_memory(
    catalogue: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    monkeypatch.setattr("coverdex.search.parts.ROW_GROUP", 20)  # so that the file has several
    monkeypatch.setattr(exporting, "BLOCK", 40)
    catalogue.write(tmp_path / "i", factory="IVF4,SQfp16", search_parameters={"nprobe": 4})
    if changed:
        with IndexEditor(tmp_path / "i") as editor:
            first, *_, last = sorted(catalogue.ids)
            vector = editor.index.embedding(last)[np.newaxis]
            editor.update([{"performance_id": first}], vector, encoder_id=ENCODER_ID)
            editor.remove([last])
    index = Index.open(tmp_path / "i")
    expected = [
        found.performance_id for name in names_of(index) for found in index.search_by_id(name)
    ]

    def all_are_read(_: Generation) -> None:
        raise AssertionError("all embeddings were read")

    monkeypatch.setattr(Generation, "stored_embeddings", all_are_read)
    pairs = pa.concat_tables(nearest_pairs(index))
    assert pairs.column("candidate").to_pylist() == expected
