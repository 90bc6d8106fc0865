"""Columns of which nothing is known yet: an index has them as text.

Arrow gives what is null everywhere, or a list that is empty everywhere, a type of its own, null. An
index keeps the types of its columns for good, and a column of that type could never take a value:
the first release that has a tag could not be added to a catalogue without.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa


def with_text_for_unknown(table: pa.Table) -> pa.Table:
    """Make text of what has the type null: columns, items of lists, fields of structs."""
    fields = [field.with_type(_with_text(field.type)) for field in table.schema]
    schema = pa.schema(fields, metadata=table.schema.metadata)
    return table if schema.equals(table.schema) else table.cast(schema)


def _with_text(kind: Any) -> Any:
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_with_text(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_items(kind))
    if pa.types.is_large_list(kind):
        return pa.large_list(_items(kind))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_items(kind), kind.list_size)
    return kind


def _items(kind: Any) -> Any:
    return kind.value_field.with_type(_with_text(kind.value_type))
