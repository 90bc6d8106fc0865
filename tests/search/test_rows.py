from __future__ import annotations

import pickle
from typing import Any

import pyarrow as pa
import pytest
from coverdex.search.rows import RowMetadata, Rows
from hypothesis import given
from hypothesis import strategies as st


def table(ids: Any) -> pa.Table:
    return pa.table({"performance_id": ids, "year": pa.array(range(len(ids)), pa.int32())})


@given(st.lists(st.text(max_size=9), min_size=1, max_size=12), st.data())
def test_ids_are_those_of_the_table(ids: list[str], data: st.DataObject) -> None:
    whole = table(pa.array(ids, pa.string()))
    start = data.draw(st.integers(0, len(ids) - 1))
    part = whole.slice(start, data.draw(st.integers(0, len(ids) - start)))
    added = [{"performance_id": "P_new", "year": None}]
    rows = Rows(part, added)
    expected = [*part.column("performance_id").to_pylist(), "P_new"]
    assert [rows.performance_id(row) for row in range(len(expected))] == expected
    with pytest.raises(IndexError):
        rows.performance_id(len(expected))


@pytest.mark.parametrize(
    "ids",
    [
        pa.chunked_array([["P_1", "P_2"], ["P_3"]]),
        pa.array(["P_1", "P_2", "P_3"], pa.large_string()),
        pa.array(["P_1", None, "P_3"]),
        pa.array(["", "", ""]),
    ],
)
def test_ids_that_arrow_keeps_otherwise_are_read_as_well(ids: Any) -> None:
    rows = Rows(table(ids))
    assert [rows.performance_id(row) for row in range(3)] == ids.to_pylist()


def test_metadata_is_read_by_name() -> None:
    rows = Rows(table(pa.array(["P_1", "P_2"])), [{"performance_id": "P_3", "year": 1964}])
    assert dict(RowMetadata(rows, 1)) == {"performance_id": "P_2", "year": 1}
    assert dict(RowMetadata(rows, 2)) == {"performance_id": "P_3", "year": 1964}
    with pytest.raises(KeyError):
        rows.value(0, "title")


def test_metadata_can_be_sent_to_another_process() -> None:
    rows = Rows(table(pa.array(["P_1", "P_2"])), [{"performance_id": "P_3", "year": 1964}])
    for row in (1, 2):
        metadata = RowMetadata(rows, row)
        arrived = pickle.loads(pickle.dumps(metadata))
        assert arrived == metadata == dict(arrived)
