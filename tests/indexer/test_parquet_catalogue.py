"""Parquet of chroma: what is written is read, and rows that are wrong are told one by one."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.encoder import Chroma, CoverdexError, Encoder, InvalidChromaError, NotFoundError
from coverdex.indexer import (
    ParquetCatalogueWriter,
    PerformanceRecord,
    Rejection,
    add_catalogue,
    build_index,
    open_catalogue,
    write_parquet_catalogue,
)
from coverdex.indexer.parquet_catalogue import ParquetCatalogue
from coverdex.search import Index, IndexEditor
from hypothesis import given, settings
from hypothesis import strategies as st

from .datacos_folder import made_up_chroma

RECORDS = [
    PerformanceRecord("P_2", "W_1", "Tune", "Band", "Tune", None, 1901, True, {"key": "D"}),
    PerformanceRecord("P_1", "W_1", extra={"key": None}),
    PerformanceRecord("P_3", None, "Ανάθεμά σε", extra={"key": "Gm"}),
]


def chromas() -> list[Chroma]:
    return [Chroma(made_up_chroma(i, 40 + i), 10.0 + i) for i in range(len(RECORDS))]


@pytest.mark.parametrize(
    ("storage", "step"), [("uint8", 1 / 255), ("float16", 2**-10), ("float32", 0.0)]
)
def test_reads_what_was_written(tmp_path: Path, storage: str, step: float) -> None:
    path = tmp_path / "catalogue.parquet"
    written = list(zip(RECORDS, chromas(), strict=True))
    assert write_parquet_catalogue(path, written, storage=storage, file_metadata={"by": "us"}) == 3
    catalogue = open_catalogue(path)
    read = list(catalogue)
    assert [record for record, _ in read] == RECORDS
    for (_, before), (_, after) in zip(written, read, strict=True):
        assert after.frame_rate == before.frame_rate
        assert after.values.shape == before.values.shape
        assert np.abs(after.values - before.values).max() <= step / 2 + 1e-7
    assert catalogue.rejections == []
    assert isinstance(catalogue, ParquetCatalogue)
    assert catalogue.file_metadata == {"by": "us"}
    assert len(catalogue) == 3
    assert [record.performance_id for record in catalogue.performances] == ["P_1", "P_2", "P_3"]


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=12), rows=st.integers(1, 5))
def test_row_groups_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], rows: int
) -> None:
    folder = tmp_path_factory.mktemp("groups")
    performances = [
        (PerformanceRecord(f"P_{i}"), Chroma(made_up_chroma(i, n), 10.0))
        for i, n in enumerate(lengths)
    ]
    write_parquet_catalogue(folder / "whole.parquet", performances)
    table = pq.read_table(folder / "whole.parquet")
    pq.write_table(table, folder / "cut.parquet", row_group_size=rows)
    cut = open_catalogue(folder / "cut.parquet")
    assert len(cut.parts()) == -(-len(lengths) // rows)
    for (one, whole), (other, piece) in zip(
        open_catalogue(folder / "whole.parquet"), cut, strict=True
    ):
        assert one == other
        assert np.array_equal(whole.values, piece.values)


def test_parts_can_be_sent_to_another_process(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.parquet"
    write_parquet_catalogue(path, zip(RECORDS, chromas(), strict=True))
    (part,) = pickle.loads(pickle.dumps(open_catalogue(path).parts()))
    assert [r.record for r in part.read() if not isinstance(r, Rejection)] == RECORDS


def test_an_empty_catalogue_has_no_performances(tmp_path: Path) -> None:
    write_parquet_catalogue(tmp_path / "empty.parquet", [])
    catalogue = open_catalogue(tmp_path / "empty.parquet")
    assert (catalogue.performances, catalogue.parts(), list(catalogue)) == ([], [], [])


def test_fingerprint_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.parquet"
    write_parquet_catalogue(path, zip(RECORDS, chromas(), strict=True))
    (part,) = open_catalogue(path).parts()
    before = part.fingerprint()
    assert part.fingerprint() == before
    write_parquet_catalogue(path, zip(RECORDS[:2], chromas(), strict=False))
    (part,) = open_catalogue(path).parts()
    assert part.fingerprint() != before


def good_row(performance_id: str, **changes: Any) -> dict[str, Any]:
    row = {
        "performance_id": performance_id,
        "frame_rate": 10.0,
        "kind": "hpcp",
        "n_frames": 5,
        "chroma": made_up_chroma(1, 5).ravel().tolist(),
    }
    return row | changes


WRONG_ROWS = {
    "wrong-shape": {"n_frames": 6},
    "not-finite": {"chroma": [float("nan")] * 60},
    "negative": {"chroma": [-1.0] * 60},
    "no-frames": {"chroma": [], "n_frames": 0},
    "frame-rate": {"frame_rate": 0.0},
    "other-kind": {"kind": "crema"},
    "kind": {"kind": "spectrogram"},
}


def test_each_wrong_row_is_rejected_and_the_rest_read(tmp_path: Path) -> None:
    rows = [good_row("good_1"), *(good_row(why, **row) for why, row in WRONG_ROWS.items())]
    rows += [good_row("good_1"), good_row(""), good_row("  ")]
    rows += [good_row("part-of-a-frame", chroma=[0.5] * 30, n_frames=None)]
    rows += [good_row("null-values", chroma=[None] * 60), good_row("no-list", chroma=None)]
    rows += [good_row("good_2", n_frames=None, kind=None)]
    path = tmp_path / "wrong.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    catalogue = open_catalogue(path)
    assert [record.performance_id for record, _ in catalogue] == ["good_1", "good_2"]
    found = {r.performance: r.reason for r in catalogue.rejections}
    expected = {why: ("other-kind" if why == "kind" else why) for why in WRONG_ROWS}
    expected |= {"good_1": "listed-twice", "null-values": "not-finite", "no-list": "no-frames"}
    expected |= {"part-of-a-frame": "wrong-shape"}
    assert found == {None: "no-id", **expected}
    assert sum(r.performance is None for r in catalogue.rejections) == 2
    assert all(str(path) == r.path for r in catalogue.rejections)
    n_rejections = len(catalogue.rejections)
    assert len(list(catalogue)) == 2  # and iterating again does not count them twice
    assert len(catalogue.rejections) == n_rejections


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("year", [2**40, 2000]),
        ("year", [1e12, float("nan")]),
        ("year", ["soon", None]),
        ("title", [1, None]),
        ("instrumental", ["yes", None]),
    ],
)
def test_metadata_of_another_type_is_rejected(
    tmp_path: Path, tiny_encoder: Encoder, column: str, values: list[Any]
) -> None:
    rows = [good_row("a", chroma=made_up_chroma(1, 90).ravel().tolist(), n_frames=None)]
    rows.append(rows[0] | {"performance_id": "b"})
    table = pa.Table.from_pylist(rows).append_column(column, pa.array(values))
    pq.write_table(table, tmp_path / "x.parquet")
    report = build_index(tmp_path / "x.parquet", tmp_path / "x.index", encoder=tiny_encoder)
    assert [(r.performance, r.reason) for r in report.rejections] == [("a", "wrong-metadata")]
    assert f"a: {column} is {values[0]!r}; give " in report.rejections[0].message
    assert report.n_indexed == 1
    with IndexEditor(report.index) as editor:
        editor.remove(["b"])
        added = add_catalogue(editor, open_catalogue(tmp_path / "x.parquet"), encoder=tiny_encoder)
    assert added.added == ["b"]
    assert [r.reason for r in added.rejections] == ["wrong-metadata"]


@pytest.mark.parametrize("column", ["performance_id", "frame_rate", "chroma"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    row = good_row("P_1")
    del row[column]
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "x.parquet")
    with pytest.raises(CoverdexError, match=column):
        open_catalogue(tmp_path / "x.parquet")


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([good_row("P_1")])
    path = tmp_path / "x.parquet"
    for name in ("title", "performance_id"):
        twice = pa.table([*table.columns, ["a"], ["b"]], [*table.column_names, name, name])
        pq.write_table(twice, path)
        with pytest.raises(CoverdexError, match=f"{path} has two columns '{name}'; rename one"):
            open_catalogue(path)


def test_a_damaged_page_is_told_with_the_name_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist([good_row("P_1")]), path, use_dictionary=False)
    pages = pq.ParquetFile(path).metadata.row_group(0)
    names = [pages.column(i).path_in_schema for i in range(pages.num_columns)]
    whole = path.read_bytes()
    for column in ("performance_id", "chroma.list.element"):
        start = pages.column(names.index(column)).data_page_offset
        path.write_bytes(whole[:start] + b"\xff" * 12 + whole[start + 12 :])
        with pytest.raises(CoverdexError, match=f"{path} cannot be read as Parquet"):
            list(open_catalogue(path))


def test_damaged_names_in_the_schema_are_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_parquet_catalogue(path, zip(RECORDS, chromas(), strict=True), file_metadata={"made": "1"})
    whole = path.read_bytes()
    refusals = []
    for text in (b"instrumental", b"n_frames", b"made", b"key"):
        for found in re.finditer(text, whole):
            damaged = bytearray(whole)
            damaged[found.start()] ^= 1 << 7
            path.write_bytes(damaged)
            try:
                list(open_catalogue(path))
            except CoverdexError as error:
                refusals.append(str(error))
    assert refusals
    assert all(str(path) in said for said in refusals)


@pytest.mark.parametrize("column", ["performance_id", "title", "key"])
def test_text_that_is_not_utf_8_is_told_with_its_file_and_column(
    tmp_path: Path, column: str
) -> None:
    path = tmp_path / "c.parquet"
    write_parquet_catalogue(path, zip(RECORDS, chromas(), strict=True))
    table = pq.read_table(path)
    latin = pa.array([b"a", "café".encode("latin-1"), None], pa.binary()).view(pa.string())
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, pa.field(column, pa.string()), latin), path)
    message = rf"c\.parquet has text that is not UTF-8 in its column '{column}', 'caf\\xe9'"
    with pytest.raises(CoverdexError, match=message):
        list(open_catalogue(path))
    with pytest.raises(CoverdexError, match=message):
        _ = open_catalogue(path).performances


def test_numbers_of_frames_that_are_text_are_rejected(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([good_row("P_1", n_frames="5")]), tmp_path / "x.parquet")
    catalogue = open_catalogue(tmp_path / "x.parquet")
    assert list(catalogue) == []
    (rejection,) = catalogue.rejections
    assert rejection.reason == "wrong-shape"
    assert "n_frames is '5'; give a number" in rejection.message


@pytest.mark.parametrize(
    ("column", "held"),
    [
        (pa.array([1], pa.timestamp("ns")), "1970-01-01 00:00:00.000000001"),
        (pa.array([1_500], pa.duration("ns")), "0:00:00.000001"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), '[["k", 1]]'),
        (pa.array([2**64 - 1], pa.uint64()), 2**64 - 1),
        (pa.array([b"\xff"]), "ff"),
        (pa.array([[1.5, 2.5]]), [1.5, 2.5]),
    ],
)
def test_metadata_of_types_that_python_lacks(
    tmp_path: Path, tiny_encoder: Encoder, column: Any, held: object
) -> None:
    table = pa.Table.from_pylist([good_row("P_1")]).append_column("x", column)
    pq.write_table(table, tmp_path / "x.parquet")
    build_index(tmp_path / "x.parquet", tmp_path / "my.index", encoder=tiny_encoder)
    assert Index.open(tmp_path / "my.index").metadata("P_1")["x"] == held
    with IndexEditor(tmp_path / "my.index") as editor:
        catalogue = open_catalogue(tmp_path / "x.parquet")
        add_catalogue(editor, catalogue, encoder=tiny_encoder, update=True)
        assert editor.index.metadata("P_1")["x"] == held


def test_metadata_that_nothing_can_carry_is_named(tmp_path: Path) -> None:
    nested = pa.array([[1]], pa.list_(pa.timestamp("ns")))
    table = pa.Table.from_pylist([good_row("P_1")]).append_column("x", nested)
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(CoverdexError, match=r"column 'x' is of type list.*give them as text"):
        list(open_catalogue(tmp_path / "x.parquet"))


def test_ids_are_text(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([good_row("a"), good_row("b")])
    texts = table.column("performance_id").combine_chunks()
    for ids in (texts.dictionary_encode(), texts.cast(pa.large_string())):
        pq.write_table(table.set_column(0, "performance_id", ids), tmp_path / "x.parquet")
        assert len(list(open_catalogue(tmp_path / "x.parquet"))) == 2
    pq.write_table(table.set_column(0, "performance_id", pa.array([1, 2])), tmp_path / "x.parquet")
    with pytest.raises(CoverdexError, match="performance_id is int64; give text"):
        open_catalogue(tmp_path / "x.parquet")


def test_integers_need_a_scale(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([good_row("P_1", chroma=[1] * 60)])
    path = tmp_path / "x.parquet"
    at = table.schema.get_field_index("chroma")

    def with_scale(scale: str) -> pa.Table:
        return table.cast(
            table.schema.set(at, table.schema.field(at).with_metadata({"scale": scale}))
        )

    for without in (table, with_scale("1/255"), with_scale("0")):
        pq.write_table(without, path)
        with pytest.raises(CoverdexError, match=r"x\.parquet: .*decimal number, such as 0\.0039"):
            open_catalogue(path)
    pq.write_table(with_scale("0.00392156862745098"), path)
    assert len(open_catalogue(path)) == 1


def test_what_is_no_catalogue_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.parquet").write_text("not Parquet")
    with pytest.raises(CoverdexError, match=r"notes\.parquet"):
        open_catalogue(tmp_path / "notes.parquet")
    with pytest.raises(NotFoundError, match="nowhere"):
        open_catalogue(tmp_path / "nowhere")
    with pytest.raises(CoverdexError, match="hpcp, crema, cens"):
        open_catalogue(tmp_path / "notes.parquet", kind="mfcc")


def test_writer_refuses_what_would_not_survive(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    loud = Chroma(np.full((3, 12), 1.5), 10.0)
    with pytest.raises(InvalidChromaError, match="larger scale"):
        write_parquet_catalogue(path, [(RECORDS[0], loud)])
    assert write_parquet_catalogue(path, [(RECORDS[0], loud)], scale=1 / 100) == 1
    (_, read), *_ = open_catalogue(path)
    assert read.values == pytest.approx(np.full((3, 12), 1.5))
    with pytest.raises(CoverdexError, match="twice"):
        write_parquet_catalogue(path, [(RECORDS[0], chromas()[0])] * 2)


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_parquet_catalogue(path, [(RECORDS[0], chromas()[0])])
    before = path.read_bytes()

    def performances() -> Iterator[tuple[PerformanceRecord, Chroma]]:
        yield RECORDS[1], chromas()[1]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_parquet_catalogue(path, performances())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]


def test_a_late_column_must_be_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coverdex.indexer.parquet_catalogue_writer._ROW_GROUP_ROWS", 1)
    late = [PerformanceRecord("P_1"), PerformanceRecord("P_2", extra={"key": "D"})]
    with pytest.raises(CoverdexError, match="extra_columns"):
        write_parquet_catalogue(tmp_path / "x.parquet", zip(late, chromas(), strict=False))
    announced = pa.schema([("key", pa.string())])
    with ParquetCatalogueWriter(tmp_path / "x.parquet", extra_columns=announced) as writer:
        for record, chroma in zip(late, chromas(), strict=False):
            writer.add(record, chroma)
    records = open_catalogue(tmp_path / "x.parquet").performances
    assert [record.extra["key"] for record in records] == [None, "D"]


def test_records_keep_names_that_have_a_meaning(tmp_path: Path) -> None:
    with pytest.raises(CoverdexError, match="duration"):
        PerformanceRecord("P_1", extra={"duration": 3.0})
    with pytest.raises(CoverdexError, match="empty"):
        PerformanceRecord("")


def test_a_file_of_something_else_is_no_damaged_parquet(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("a list of tracks")
    with pytest.raises(
        CoverdexError, match=r"notes\.txt is no Parquet file; give a Da-TACOS folder"
    ):
        open_catalogue(path)
    damaged = path.rename(tmp_path / "notes.parquet")
    with pytest.raises(CoverdexError, match="cannot be read as Parquet"):
        open_catalogue(damaged)
