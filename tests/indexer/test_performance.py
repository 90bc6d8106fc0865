"""Records as tables: every column of its type, and whose value does not fit."""

from __future__ import annotations

import pyarrow as pa
import pytest
from coverdex.encoder import CoverdexError
from coverdex.indexer.performance import RECORD_SCHEMA, PerformanceRecord, records_table


def test_a_table_of_records() -> None:
    records = [PerformanceRecord("P_2", year=1983, extra={"key": "Am"}), PerformanceRecord("P_1")]
    table = records_table(records)
    assert table.schema.names == [*RECORD_SCHEMA.names, "key"]
    assert table.column("key").to_pylist() == ["Am", None]
    assert table.column("year").to_pylist() == [1983, None]
    assert records_table([]).num_rows == 0


@pytest.mark.parametrize("value", ["C", "\ud800", 2**70])
def test_a_value_that_does_not_fit_is_named(value: object) -> None:
    schema = pa.schema([*RECORD_SCHEMA, pa.field("key", pa.int64())])
    wrong = PerformanceRecord("P_2", extra={"key": value})
    records = [PerformanceRecord("P_1", extra={"key": 1}), wrong, PerformanceRecord("P_3")]
    with pytest.raises(CoverdexError, match=r"performance 'P_2' has .* in the column 'key', which"):
        records_table(records, schema)
