"""Embeddings that another program made: what is read, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.encoder import CoverdexError, Encoder, IncompatibleError, NotFoundError
from coverdex.indexer import (
    read_shards,
)
from coverdex.indexer.shard_reading import find_shards, holds_shards


def unit(n: int, dimension: int = 64, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((n, dimension))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def foreign(
    path: Path, vectors: np.ndarray, *, encoder_id: str | None = "theirs-1", **columns: Any
) -> Path:
    """A Parquet file of embeddings as another program would write it."""
    table = pa.table(
        {
            "performance_id": [f"{path.stem}_{i}" for i in range(len(vectors))],
            "embedding": pa.array(vectors.tolist(), pa.list_(pa.from_numpy_dtype(vectors.dtype))),
            **columns,
        }
    )
    if encoder_id is not None:
        table = table.replace_schema_metadata({"coverdex.encoder_id": encoder_id})
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_embeddings_made_elsewhere(tmp_path: Path, dtype: str) -> None:
    vectors = unit(5).astype(dtype)
    foreign(tmp_path / "x" / "a.parquet", vectors, work_id=["W_1"] * 5, label=["jazz"] * 5)
    foreign(tmp_path / "x" / "b.parquet", vectors, tempo=[120, 90, None, 80, 70])
    assert holds_shards(tmp_path / "x")
    contents = read_shards(find_shards(tmp_path / "x"))
    assert contents.embeddings == pytest.approx(np.vstack([vectors, vectors]).astype(np.float32))
    assert contents.encoder_id == "theirs-1"
    rows = contents.performances.to_pylist()
    assert rows[0] == {
        "performance_id": "a_0", "work_id": "W_1", "label": "jazz", "tempo": None
    }  # fmt: skip
    assert (rows[6]["tempo"], rows[6]["label"]) == (90, None)


@pytest.mark.parametrize("column", ["title", "performance_id", "tags"])
def test_text_that_is_not_utf_8_is_told_with_its_file_and_column(
    tmp_path: Path, column: str
) -> None:
    path = foreign(tmp_path / "a.parquet", unit(2), title=["x", "y"], tags=[["x"], None])
    latin = pa.array([b"a", "café".encode("latin-1")], pa.binary()).view(pa.string())
    if column == "tags":
        latin = pa.ListArray.from_arrays(pa.array([0, 2, 2], pa.int32()), latin)
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(column), column, latin), path)
    message = rf"a\.parquet has text that is not UTF-8 in its column '{column}', 'caf\\xe9'"
    with pytest.raises(CoverdexError, match=message):
        read_shards([path])


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array([0, 17]), ["0", "17"]),
        (pa.array(["", "b"]), ["b"]),
        (pa.array([None, None]), []),
    ],
    ids=lambda value: str(getattr(value, "type", "")).split("<")[0] or None,
)
def test_ids_made_elsewhere_are_text_or_whole_numbers(
    tmp_path: Path, ids: pa.Array, expected: list[str]
) -> None:
    path = foreign(tmp_path / "a.parquet", unit(2))
    pq.write_table(pq.read_table(path).set_column(0, "performance_id", ids), path)
    assert pq.read_schema(path).names[0] == "performance_id"
    contents = read_shards([path])
    assert contents.performances.column("performance_id").to_pylist() == expected
    assert contents.performances.schema.field("performance_id").type == pa.string()
    assert [r.reason for r in contents.rejections] == ["no-id"] * (2 - len(expected))


def test_shards_may_differ_in_what_can_be_null(tmp_path: Path) -> None:
    strict = pa.struct([pa.field("a", pa.int64(), nullable=False)])
    never = pa.array([[{"a": 1}], []], pa.list_(pa.field("x", strict, nullable=False)))
    other = pa.array([[{"b": "z"}, None], None])
    paths = [
        foreign(tmp_path / "a.parquet", unit(2), x=never),
        foreign(tmp_path / "b.parquet", unit(2), x=pa.array([[None], None], pa.list_(pa.null()))),
        foreign(tmp_path / "c.parquet", unit(2), x=other),
    ]
    assert not pq.read_schema(paths[0]).field("x").type.value_field.nullable
    held = read_shards(paths).performances.column("x").to_pylist()
    assert held[:4] == [[{"a": 1, "b": None}], [], [None], None]
    assert held[4:] == [[{"a": None, "b": "z"}, None], None]


@pytest.mark.parametrize("name", ["a.pq", "a.PARQUET", "a"])
def test_a_file_of_embeddings_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = foreign(tmp_path / name, unit(2))
    assert holds_shards(path)
    assert len(read_shards(find_shards(path)).embeddings) == 2


def test_ids_of_another_type_are_refused(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.parquet", unit(2))
    pq.write_table(pq.read_table(path).set_column(0, "performance_id", pa.array([0.5, 1])), path)
    with pytest.raises(CoverdexError, match="performance_id is double; give text"):
        read_shards([path])


def test_an_empty_file_among_others_adds_nothing(tmp_path: Path) -> None:
    full = foreign(tmp_path / "b.parquet", unit(2))
    empty = tmp_path / "a.parquet"
    columns = {"performance_id": pa.string(), "embedding": pa.list_(pa.float32())}
    pq.write_table(pa.schema(columns).empty_table(), empty)
    assert len(read_shards([empty, full]).embeddings) == 2
    assert len(read_shards([empty], encoder_id="theirs-1").embeddings) == 0


def test_wrong_rows_made_elsewhere_are_rejected(tmp_path: Path) -> None:
    vectors = unit(5)
    vectors[1] *= 2
    vectors[2, 5] = np.nan
    vectors[3] = 0
    path = foreign(tmp_path / "a.parquet", vectors)
    contents = read_shards([path, foreign(tmp_path / "copy" / "a.parquet", unit(1))])
    assert contents.performances.column("performance_id").to_pylist() == ["a_0", "a_4"]
    assert len(contents.embeddings) == 2
    assert [(r.performance, r.reason) for r in contents.rejections] == [
        ("a_1", "not-normalised"),
        ("a_2", "not-finite"),
        ("a_3", "not-normalised"),
        ("a_0", "listed-twice"),
    ]
    assert contents.rejections[-1].path == str(tmp_path / "copy" / "a.parquet")
    assert str(path) in contents.rejections[-1].message


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float32(), 64)])
def test_rows_without_an_embedding_are_rejected(tmp_path: Path, kind: pa.DataType) -> None:
    vectors = unit(3).astype(np.float32)
    path = foreign(tmp_path / "a.parquet", vectors)
    for given, kept in (([None, vectors[1].tolist(), None], ["a_1"]), ([None] * 3, [])):
        table = pq.read_table(path)
        pq.write_table(table.set_column(1, "embedding", pa.array(given, kind)), path)
        contents = read_shards([path])
        assert contents.performances.column("performance_id").to_pylist() == kept
        assert np.array_equal(contents.embeddings.reshape(-1, 64), vectors[1 : 1 + len(kept)])
        assert {r.reason for r in contents.rejections} == {"not-finite"}
        assert len(contents.rejections) == 3 - len(kept)


def test_who_made_them_must_be_known_and_one(tmp_path: Path) -> None:
    unknown = foreign(tmp_path / "a.parquet", unit(2), encoder_id=None)
    with pytest.raises(CoverdexError, match="which encoder made it"):
        read_shards([unknown])
    assert read_shards([unknown], encoder_id="ours-2").encoder_id == "ours-2"
    column = foreign(tmp_path / "b.parquet", unit(2), encoder_id=None, encoder_id_=[1, 2])
    named = pq.read_table(column).append_column("encoder_id", pa.array(["ours-2"] * 2))
    pq.write_table(named, column)
    assert read_shards([column]).encoder_id == "ours-2"
    theirs = foreign(tmp_path / "c.parquet", unit(2))
    with pytest.raises(IncompatibleError, match=r"theirs-1.*ours-2"):
        read_shards([column, theirs])
    with pytest.raises(IncompatibleError, match=r"theirs-1.*other"):
        read_shards([theirs], encoder_id="other")


@pytest.mark.parametrize("other", [pa.string(), pa.large_string()])
def test_shards_may_differ_in_the_type_of_text(tmp_path: Path, other: pa.DataType) -> None:
    paths = [
        foreign(tmp_path / "a.parquet", unit(1), title=pa.array(["x"], pa.string_view())),
        foreign(tmp_path / "b.parquet", unit(1), title=pa.array(["y"], other)),
    ]
    assert read_shards(paths).performances.column("title").to_pylist() == ["x", "y"]


@pytest.mark.parametrize("encoder_ids", [[5, 5], [b"theirs-1", b"theirs-1"]])
def test_ids_of_encoders_are_text(tmp_path: Path, encoder_ids: list[Any]) -> None:
    path = foreign(tmp_path / "a.parquet", unit(2), encoder_id=None, ids=encoder_ids)
    table = pq.read_table(path)
    pq.write_table(table.rename_columns([*table.column_names[:-1], "encoder_id"]), path)
    with pytest.raises(CoverdexError, match=r"a\.parquet: column encoder_id holds .*as text"):
        read_shards([path])


def test_an_empty_id_of_an_encoder_says_nothing(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.parquet", unit(2), encoder_id="")
    with pytest.raises(CoverdexError, match="does not say which encoder"):
        read_shards([path])
    assert read_shards([path], encoder_id="theirs-1").encoder_id == "theirs-1"


@pytest.mark.parametrize(
    "metadata",
    [
        {b"coverdex.encoder_id": b"\xff"},
        {"coverdex.rejections": '{"a": 1}'},
        {"coverdex.rejections": '[{"a": 1}]'},
        {"coverdex.rejections": "1"},
    ],
)
def test_schema_metadata_that_cannot_be_read_is_told(tmp_path: Path, metadata: Any) -> None:
    path = foreign(tmp_path / "a.parquet", unit(2))
    pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)
    with pytest.raises(CoverdexError, match=r"a\.parquet has schema metadata that cannot be read"):
        read_shards([path])


def test_what_holds_no_embeddings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no shards"):
        read_shards([])
    other = foreign(tmp_path / "a.parquet", unit(2, 32))
    with pytest.raises(CoverdexError, match=r"\[32, 64\]"):
        read_shards([other, foreign(tmp_path / "b.parquet", unit(2))])
    table = pa.table({"performance_id": ["P_1"], "embedding": ["text"]})
    pq.write_table(table, tmp_path / "c.parquet")
    with pytest.raises(CoverdexError, match="lists of float32"):
        read_shards([tmp_path / "c.parquet"])
    pq.write_table(table.drop_columns(["embedding"]), tmp_path / "d.parquet")
    with pytest.raises(CoverdexError, match="'embedding'"):
        read_shards([tmp_path / "d.parquet"])


def test_a_file_with_columns_of_one_name_or_damaged_pages_is_named(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.parquet", unit(2))
    table = pq.read_table(path)
    twice = pa.table([*table.columns, ["a", "b"], ["c", "d"]], [*table.column_names, "x", "x"])
    pq.write_table(twice, path)
    with pytest.raises(CoverdexError, match=f"{path} has two columns 'x'; rename one"):
        read_shards([path])
    pq.write_table(table, path, use_dictionary=False)
    start = pq.ParquetFile(path).metadata.row_group(0).column(0).data_page_offset
    whole = path.read_bytes()
    path.write_bytes(whole[:start] + b"\xff" * 12 + whole[start + 12 :])
    with pytest.raises(CoverdexError, match=f"{path} cannot be read as Parquet"):
        read_shards([path])


def test_the_name_of_a_shipped_encoder_is_found_by_its_id(tmp_path: Path) -> None:
    shipped = Encoder.load()
    path = foreign(tmp_path / "a.parquet", unit(2), encoder_id=shipped.id)
    contents = read_shards([path])
    assert (contents.encoder_id, contents.encoder_name) == (shipped.id, shipped.name)
    named = pq.read_table(path).replace_schema_metadata(
        {"coverdex.encoder_id": shipped.id, "coverdex.encoder_name": shipped.id}
    )
    pq.write_table(named, path)  # of an index that was imported when nobody looked
    assert read_shards([path]).encoder_name == shipped.name
    for stranger in ("theirs-1", f"{shipped.name}-000000000000"):
        path = foreign(tmp_path / "b.parquet", unit(2), encoder_id=stranger)
        assert read_shards([path]).encoder_name == stranger


def test_a_shipped_encoder_makes_embeddings_of_one_dimension(tmp_path: Path) -> None:
    shipped = Encoder.load()
    path = foreign(tmp_path / "a.parquet", unit(2, 32), encoder_id=shipped.id)
    with pytest.raises(IncompatibleError, match=r"a\.parquet holds embeddings of dimension 32"):
        read_shards([path])
    assert read_shards([foreign(path, unit(2, 32))]).embeddings.shape == (2, 32)
