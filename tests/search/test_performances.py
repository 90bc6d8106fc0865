"""Metadata of every kind: what an index holds of it goes through JSON and comes back."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from coverdex.search import Index, IndexEditor, IndexFormatError, verify_index, write_index
from coverdex.search.commands import query
from coverdex.search.performances import rows_of

from .made_up import ENCODER_ID, MadeUp

MAP = pa.map_(pa.string(), pa.binary())
STRICT = pa.struct([pa.field("a", pa.int64(), nullable=False)])
INSTANT = datetime(2000, 1, 31, 3, 4, 5, tzinfo=UTC)
KINDS: dict[str, tuple[Any, Any, str | None]] = {
    # column, what the index holds of its first value, a filter that finds it
    "date": (pa.array([date(2000, 1, 31)] * 4), "2000-01-31", "x>=2000-01-01"),
    "instant": (
        pa.array([INSTANT] * 4, pa.timestamp("s", "UTC")),
        "2000-01-31 03:04:05Z",
        "x<2000-02-01",
    ),
    "time": (pa.array([time(3, 4)] * 4), "03:04:00.000000", "x<04:00"),
    "decimal": (pa.array([Decimal("1.50")] * 4), "1.50", "x=1.50"),
    "category": (pa.array(["a", "b"] * 2).dictionary_encode(), "a", "x in a,b"),
    "view": (pa.array(["a", "b"] * 2, pa.string_view()), "a", "x!=b"),
    "large": (pa.array(["a", "b"] * 2, pa.large_string()), "a", "x=a"),
    "not a number": (pa.array([float("nan"), 1.5] * 2), None, "x=null"),
    "infinite": (pa.array([float("-inf"), 1.5] * 2), None, "x=null"),
    "half": (pa.array([1.5] * 4, pa.float16()), 1.5, "x>1"),
    "whole": (pa.array([2**60 + 1] * 4), 2**60 + 1, "x>5"),
    "list": (pa.array([["a", "é"], None] * 2), ["a", "é"], "x!=null"),
    "struct": (pa.array([{"a": [1.5]}] * 4), {"a": [1.5]}, None),
    "list of structs": (
        pa.array([[{"a": 1, "b": "é"}, {"a": None, "b": "c"}, None], None] * 2),
        [{"a": 1, "b": "é"}, {"a": None, "b": "c"}, None],
        "x!=null",
    ),
    "list without nulls": (
        pa.array([[{"a": 1}]] * 4, pa.list_(pa.field("x", STRICT, nullable=False))),
        [{"a": 1}],
        None,
    ),
    "list with NaN": (pa.array([[float("nan"), 1.5]] * 4), [None, 1.5], "x!=null"),
    "infinite in structs": (
        pa.array([[{"a": [float("inf")], "b": "é"}]] * 4),
        [{"a": [None], "b": "é"}],
        "x!=null",
    ),
    "list of halves": (pa.array([[1.5]] * 4, pa.list_(pa.float16())), "[1.5]", "x!=null"),
    "map": (pa.array([[("k", b"\xff")]] * 4, MAP), '[["k", "ff"]]', None),
    "bytes": (pa.array([b"\xff"] * 4), "ff", "x=ff"),
    "span": (pa.array([timedelta(hours=1)] * 4), "1:00:00", None),
    "nanoseconds": (
        pa.array([1] * 4, pa.timestamp("ns")),
        "1970-01-01 00:00:00.000000001",
        "x<1971",
    ),
    "span of nanoseconds": (pa.array([1_500] * 4, pa.duration("ns")), "0:00:00.000001", None),
    "large whole": (pa.array([2**64 - 1] * 4, pa.uint64()), 2**64 - 1, "x>5"),
    "nothing": (pa.nulls(4), None, "x=null"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_of_every_kind(
    kind: str, catalogue: MadeUp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    column, held, condition = KINDS[kind]
    table = pa.table({"performance_id": ["P_1", "P_2", "P_3", "P_4"], "x": column})
    folder = tmp_path / "i"
    write_index(
        folder,
        embeddings=catalogue.embeddings[:2],
        performances=table.slice(0, 2),
        encoder_id=ENCODER_ID,
        encoder_name="made-up",
        source="here",
    )
    with IndexEditor(folder) as editor:
        editor.add(table.slice(2), catalogue.embeddings[2:4], encoder_id=ENCODER_ID)
        values = [editor.index.metadata(name)["x"] for name in ("P_1", "P_3")]
        editor.compact()
    opened = Index.open(folder)
    values += [opened.metadata(name)["x"] for name in ("P_1", "P_3")]
    assert values == [held] * 4
    assert verify_index(folder).problems == []
    query(folder, performance="P_2", as_json=True)
    candidates = json.loads(capsys.readouterr().out)["candidates"]
    assert {c["performance_id"]: c["metadata"]["x"] for c in candidates}["P_3"] == held
    if condition is not None:
        found = opened.search(catalogue.embeddings[0], where=condition)
        assert {"P_1", "P_3"} <= {candidate.performance_id for candidate in found}
    query(folder, performance="P_2", out=tmp_path / "found.csv")
    with (tmp_path / "found.csv").open(encoding="utf-8") as file:
        rows = {row["performance_id"]: row["x"] for row in csv.DictReader(file)}
    if isinstance(held, (list, dict)):
        assert json.loads(rows["P_3"]) == held
    else:
        assert rows["P_3"] == ("" if held is None else str(held))


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64(), 2)])
def test_numbers_that_are_none_are_added_to_lists_of_numbers(
    kind: pa.DataType, catalogue: MadeUp, tmp_path: Path
) -> None:
    table = pa.table({"performance_id": ["P_1"], "x": pa.array([[0.5, 1.5]], kind)})
    write_index(
        tmp_path / "i",
        embeddings=catalogue.embeddings[:1],
        performances=table,
        encoder_id=ENCODER_ID,
        encoder_name="made-up",
        source="here",
    )
    with IndexEditor(tmp_path / "i") as editor:
        rows = [{"performance_id": "P_2", "x": [0.5, float("nan")]}]
        editor.add(rows, catalogue.embeddings[1:2], encoder_id=ENCODER_ID)
        assert editor.index.metadata("P_2")["x"] == [0.5, None]
        editor.compact()
        assert editor.index.schema.field("x").type == kind


@pytest.mark.parametrize("column", ["performance_id", "title", "key"])
def test_text_that_is_not_utf_8_is_refused(
    column: str, catalogue: MadeUp, folder: Path, tmp_path: Path
) -> None:
    latin = pa.array([b"a", "café".encode("latin-1")], pa.binary()).view(pa.string())
    table = pa.table({"performance_id": ["P_n", "P_m"], column: latin})
    message = rf"column '{column}' has text that is not UTF-8, 'caf\\xe9'"
    with pytest.raises(IndexFormatError, match=message):
        MadeUp(catalogue.embeddings[:2], table).write(tmp_path / "new")
    with (
        IndexEditor(folder) as editor,
        pytest.raises(IndexFormatError, match=message),
    ):
        editor.add(table, catalogue.embeddings[:2], encoder_id=ENCODER_ID)
    assert len(Index.open(folder)) == len(catalogue.ids)


def test_years_as_pandas_writes_them(catalogue: MadeUp, tmp_path: Path) -> None:
    write_index(
        tmp_path / "i",
        embeddings=catalogue.embeddings[:2],
        performances=pa.table({"performance_id": ["P_1", "P_2"], "year": [1969.0, float("nan")]}),
        encoder_id=ENCODER_ID,
        encoder_name="made-up",
        source="here",
    )
    opened = Index.open(tmp_path / "i")
    assert [opened.metadata(name)["year"] for name in ("P_1", "P_2")] == [1969, None]


@pytest.mark.parametrize(
    ("held", "given", "lost"),
    [
        ([{"a": 1}], [{"b": 2}], "b"),
        ([{"a": 1}], [{"a": 2, "b": "x"}, None], "b"),
        ({"a": {"k": 1}}, {"a": {"k": 1, "l": 2}}, "a.l"),
    ],
)
def test_fields_that_the_index_does_not_have_are_refused(
    held: Any, given: Any, lost: str, catalogue: MadeUp, tmp_path: Path
) -> None:
    write_index(
        tmp_path / "i",
        embeddings=catalogue.embeddings[:1],
        performances=pa.table({"performance_id": ["P_1"], "x": [held]}),
        encoder_id=ENCODER_ID,
        encoder_name="made-up",
        source="here",
    )
    rows = [{"performance_id": "P_2", "x": given}]
    with IndexEditor(tmp_path / "i") as editor:
        for performances in (rows, pa.Table.from_pylist(rows)):
            with pytest.raises(IndexFormatError, match=f"'x' has values in the field '{lost}'"):
                editor.add(performances, catalogue.embeddings[1:2], encoder_id=ENCODER_ID)
        assert len(editor.index) == 1
        # Null in a field that the index lacks says nothing, and is what the lack of it says.
        fits = pa.Table.from_pylist([{"performance_id": "P_2", "x": held}])
        kind = fits.schema.field("x").type
        inner = kind.value_type if pa.types.is_list(kind) else kind
        wider = pa.struct([*inner, pa.field("unknown", pa.int64())])
        column = pa.array([held], pa.list_(wider) if pa.types.is_list(kind) else wider)
        table = fits.set_column(1, "x", column)
        editor.add(table, catalogue.embeddings[1:2], encoder_id=ENCODER_ID)
        assert editor.index.metadata("P_2")["x"] == held


def test_what_was_never_null_may_be_later(catalogue: MadeUp, tmp_path: Path) -> None:
    strict = pa.list_(pa.field("x", STRICT, nullable=False))
    write_index(
        tmp_path / "i",
        embeddings=catalogue.embeddings[:1],
        performances=pa.table({"performance_id": ["P_1"], "x": pa.array([[{"a": 1}]], strict)}),
        encoder_id=ENCODER_ID,
        encoder_name="made-up",
        source="here",
    )
    with IndexEditor(tmp_path / "i") as editor:
        rows = [{"performance_id": "P_2", "x": [{"a": None}, None]}]
        editor.add(rows, catalogue.embeddings[1:2], encoder_id=ENCODER_ID)
        editor.compact()
        assert editor.index.metadata("P_2")["x"] == [{"a": None}, None]


@pytest.mark.parametrize(
    ("unknown", "known"),
    [
        (pa.nulls(2), "US-1"),
        (pa.array([[], None], pa.list_(pa.null())), ["live"]),
        (pa.array([[], None], pa.large_list(pa.null())), ["live"]),
        (pa.array([[None], None], pa.list_(pa.null(), 1)), ["live"]),
        (pa.array([{"k": None}, None]), {"k": "v"}),
        (pa.array([[{"k": []}], []]), [{"k": ["v"]}]),
    ],
)
def test_what_is_unknown_everywhere_may_be_known_later(
    catalogue: MadeUp, tmp_path: Path, unknown: pa.Array, known: object
) -> None:
    write_index(
        tmp_path / "i",
        embeddings=catalogue.embeddings[:2],
        performances=pa.table({"performance_id": ["P_1", "P_2"], "x": unknown}),
        encoder_id=ENCODER_ID,
        encoder_name="made-up",
        source="here",
    )
    assert verify_index(tmp_path / "i").problems == []
    with IndexEditor(tmp_path / "i") as editor:
        assert editor.index.performances["x"].to_pylist() == unknown.to_pylist()
        rows = [{"performance_id": "P_3", "x": known}]
        editor.add(rows, catalogue.embeddings[2:3], encoder_id=ENCODER_ID)
        editor.compact()
        assert editor.index.metadata("P_3")["x"] == known


@pytest.mark.parametrize("n_asked", [5, 15, 16, 300, 5_000])
@pytest.mark.parametrize("n_chunks", [1, 2])
def test_many_ids_are_found_as_one_is(n_asked: int, n_chunks: int) -> None:
    known = sorted(f"P_{i}" for i in range(0, 3_000, 3))
    half = len(known) // n_chunks
    ids = pa.chunked_array([known[i * half : (i + 1) * half] for i in range(n_chunks)])
    drawn = np.random.default_rng(0).integers(0, 3_000, n_asked)
    asked = [f"P_{i}" for i in drawn]  # some twice, two of three unknown
    row_of = {name: row for row, name in enumerate(known)}
    found = rows_of(ids if n_chunks > 1 else ids.chunk(0), asked)
    assert found.tolist() == [row_of.get(name, -1) for name in asked]


def test_looking_for_many_ids_hashes_them_and_not_the_catalogue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashed = []
    index_in = pc.index_in

    def spied(values: Any, value_set: Any) -> Any:
        hashed.append(len(value_set))
        return index_in(values, value_set=value_set)

    monkeypatch.setattr(pc, "index_in", spied)
    names = sorted(f"P_{i}" for i in range(4_000))
    rows_of(pa.array(names), names[::10])
    assert hashed == [400]
