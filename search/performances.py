"""The metadata of an index's performances, as an Arrow table in the order of the vectors.

Row i describes vector i, and rows are sorted by performance id (by code point), so that the same
catalogue gives the same index whatever order its files were read in, and a performance is found by
binary search without a table of ids in memory.

Columns
-------
``performance_id`` (string, never null), ``work_id``, ``title``, ``artist``, ``work_title``,
``work_artist`` (string), ``year`` (int32), ``instrumental`` (bool), ``duration`` (float64, in
seconds). All but the first may be null, and are where the catalogue does not say or has text of
nothing but spaces. Further columns of a catalogue follow in its own order.

Metadata goes through JSON: into the log of changes, to the clients of a service. So a column is of
text, whole or finite numbers, truth values, or lists or structs of those. Dates, times and decimals
become text (``2000-01-31 03:04:05Z``, which sorts and compares as it should), categories become
what they stand for, and a number that is none (NaN, as pandas writes "unknown") or is infinite
becomes null, also within lists and structs. Whatever else there is becomes text too, JSON where it
is nested.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .errors import IndexFormatError
from .misfits import misfit
from .row_order import in_order

PERFORMANCE_ID = "performance_id"

#: Fewer ids than these are looked for one by one, however short the catalogue.
ONE_BY_ONE = 16
#: Ids of the catalogue that are gone through in the time of one binary search.
AS_ONE_SEARCH = 2_000

CORE_FIELDS: tuple[Any, ...] = (
    pa.field(PERFORMANCE_ID, pa.string(), nullable=False),
    pa.field("work_id", pa.string()),
    pa.field("title", pa.string()),
    pa.field("artist", pa.string()),
    pa.field("work_title", pa.string()),
    pa.field("work_artist", pa.string()),
    pa.field("year", pa.int32()),
    pa.field("instrumental", pa.bool_()),
    pa.field("duration", pa.float64()),
)
CORE_COLUMNS = tuple(field.name for field in CORE_FIELDS)

_BECOME_TEXT = (
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
    pa.types.is_decimal,
)
#: Bytes that the error shows before and behind one that is no text.
_SHOWN = 20
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_PLAIN = (
    pa.types.is_string,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_null,
)


def normalised(table: pa.Table) -> tuple[pa.Table, NDArray[np.int64]]:
    """Bring a table of performances into an index's form.

    Parameters
    ----------
    table : pyarrow.Table
        One row per performance, with ``performance_id`` and any of the other columns.

    Returns
    -------
    table : pyarrow.Table
        All core columns with their types, then the others, sorted by performance id.
    order : ndarray, shape (n,), int64
        Row i of the result is row ``order[i]`` of the input.

    Raises
    ------
    IndexFormatError
        When ids are missing, empty or listed twice, two columns have one name, text is not UTF-8,
        or a core column has values of another type.
    """
    if PERFORMANCE_ID not in table.column_names:
        raise IndexFormatError(
            f"the table of performances has no column {PERFORMANCE_ID!r}; it has "
            f"{', '.join(table.column_names) or 'none'}"
        )
    twice = [name for name in table.column_names if table.column_names.count(name) > 1]
    if twice:
        raise IndexFormatError(
            f"the table of performances has two columns {twice[0]!r}; rename one, or leave it out"
        )
    columns, fields = [], []
    for field in CORE_FIELDS:
        columns.append(_column_as(table, field))
        fields.append(field)
    for field in table.schema:
        if field.name not in CORE_COLUMNS:
            column = _plain(table.column(field.name), field.name)
            columns.append(column)
            fields.append(pa.field(field.name, column.type))
    whole = pa.table(columns, schema=pa.schema(fields))
    ids = whole.column(PERFORMANCE_ID)
    _check_ids(ids)
    order = pc.sort_indices(ids).to_numpy().astype(np.int64)
    if not np.array_equal(order, np.arange(len(order))):
        whole = in_order(whole, order)
    return whole.combine_chunks(), order


def row_of(ids: Any, performance_id: str) -> int | None:
    """Find a performance by binary search in the sorted Arrow array ``ids``; None if absent."""
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high) // 2
        if ids[middle].as_py() < performance_id:
            low = middle + 1
        else:
            high = middle
    found = low < len(ids) and ids[low].as_py() == performance_id
    return low if found else None


def rows_of(ids: Any, performance_ids: Sequence[str]) -> NDArray[np.int64]:
    """Find many performances in the sorted Arrow array ``ids``; -1 where one is absent.

    Few are looked for one by one. For more, all of ``ids`` is gone through once, and it is the few
    that are hashed and not the catalogue: a million ids take a quarter of a second and 50 MB.

    Returns
    -------
    ndarray, shape (len(performance_ids),), int64
    """
    if len(performance_ids) < max(ONE_BY_ONE, len(ids) // AS_ONE_SEARCH):
        found = (row_of(ids, performance_id) for performance_id in performance_ids)
        return np.fromiter((-1 if row is None else row for row in found), dtype=np.int64)
    names = pa.array(performance_ids, ids.type).dictionary_encode()  # one may be named twice
    places = pc.index_in(ids, value_set=names.dictionary)
    known = np.flatnonzero(pc.is_valid(places).to_numpy(zero_copy_only=False))
    rows = np.full(len(names.dictionary), -1, np.int64)
    rows[places.drop_null().to_numpy()] = known
    each: NDArray[np.int64] = rows[names.indices.to_numpy()]
    return each


def _column_as(table: pa.Table, field: Any) -> Any:
    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    ids = table.column(PERFORMANCE_ID)
    column = _plain(table.column(field.name), field.name)
    column = cast_column(column, field, lambda row: ids[row].as_py())
    if field.name == PERFORMANCE_ID or not pa.types.is_string(field.type):
        return column
    # Or all performances of unknown work would be covers of one another.
    is_blank = pc.equal(pc.utf8_trim_whitespace(column), "")
    return pc.if_else(pc.fill_null(is_blank, False), pa.scalar(None, field.type), column)


def cast_column(column: Any, field: Any, id_of: Callable[[int], Any]) -> Any:
    """Cast a column to the type of a field.

    Parameters
    ----------
    column : Arrow array
    field : pyarrow.Field
        Its name, and the type that it is to have.
    id_of : callable
        The id of a row's performance.

    Raises
    ------
    IndexFormatError
        Naming the column and, where it is a single value that does not fit, its performance; also
        where a struct has values in a field that the type lacks, which Arrow would leave out.
    """
    if column.null_count == len(column):  # whatever type it came in, it says nothing
        return pa.nulls(len(column), field.type)
    lost = _field_beyond(column, field.type)
    if lost is not None:
        raise IndexFormatError(
            f"column {field.name!r} has values in the field {lost!r}, which is none of "
            f"{field.type}; leave that field out, or build the index again with it"
        )
    try:
        return column.cast(field.type)
    except pa.ArrowNotImplementedError:
        raise IndexFormatError(
            f"column {field.name!r} is of type {column.type} and does not become {field.type}; "
            f"give it as {field.type}"
        ) from None
    except pa.ArrowInvalid:
        raise misfit(
            field.name,
            field.type,
            column,
            lambda low, high: column.slice(low, high - low).cast(field.type),
            id_of,
        ) from None


def of_plain_type(column: Any, name: str) -> Any:
    """Bring a column of a type that no index holds to one of a type that it does; see the module.

    What is decided by the values, not by the type, is left as it is: NaN, for one.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
    name : str
        For the error.

    Raises
    ------
    IndexFormatError
        If it has values that Python does not have, such as nanoseconds within a list.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return of_plain_type(column.cast(kind.value_type), name)
    if any(is_of(kind) for is_of in _BECOME_TEXT):
        return column.cast(pa.string())
    if all(_is_plain_type(leaf.type) for leaf in _leaves(column)):
        return column
    if pa.types.is_duration(kind):  # of which Python has microseconds
        column = column.cast(pa.duration("us"), safe=False)
    return _as_text(column, name)


def text_not_utf8(column: Any) -> str | None:
    """Show the first text in a column that is not UTF-8; None if all is.

    Arrow takes the bytes of a Parquet file for UTF-8 as they are, and Python cannot read them then.
    """
    for leaf in _leaves(column):
        kind = leaf.type.value_type if pa.types.is_dictionary(leaf.type) else leaf.type
        if not any(is_of(kind) for is_of in _TEXTS):
            continue
        try:
            leaf.validate(full=True)
        except pa.ArrowInvalid:
            for value in leaf.cast(pa.binary()).to_pylist():
                try:
                    (value or b"").decode()
                except UnicodeDecodeError as error:
                    return repr(value[max(0, error.start - _SHOWN) : error.start + _SHOWN])[1:]
    return None


def _plain(column: Any, name: str) -> Any:
    """Bring a column to a type that an index holds, and its values to what JSON holds."""
    damaged = text_not_utf8(column)
    if damaged is not None:
        raise IndexFormatError(
            f"column {name!r} has text that is not UTF-8, {damaged}; give it as UTF-8"
        )
    column = of_plain_type(column, name)
    kind = column.type
    if pa.types.is_floating(kind):
        numbers = column.cast(pa.float32()) if pa.types.is_float16(kind) else column
        return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, numbers.type))
    leaves = list(_leaves(column))
    if any(pa.types.is_float16(leaf.type) for leaf in leaves):
        return _as_text(column, name)
    column = with_nulls_allowed(column)
    if all(map(_is_finite, leaves)):
        return column
    values = [_with_finite_numbers(value) for value in column.to_pylist()]
    return pa.chunked_array([pa.array(values, column.type)])


def with_nulls_allowed(column: Any) -> Any:
    """Let the items of lists and the fields of structs be null, as another performance's may."""
    kind = _with_nulls(column.type)
    return column if column.type.equals(kind) else column.cast(kind)


def _with_nulls(kind: Any) -> Any:
    if pa.types.is_struct(kind):
        return pa.struct([_nullable(field) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_nullable(kind.value_field))
    if pa.types.is_large_list(kind):
        return pa.large_list(_nullable(kind.value_field))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_nullable(kind.value_field), kind.list_size)
    return kind


def _nullable(field: Any) -> Any:
    return field.with_type(_with_nulls(field.type)).with_nullable(True)


def _as_text(column: Any, name: str) -> Any:
    try:
        texts = [None if value is None else _text(value) for value in column.to_pylist()]
    except (ValueError, OverflowError) as error:
        raise IndexFormatError(
            f"column {name!r} is of type {column.type} and has values that cannot be carried along "
            f"({error}); give them as text"
        ) from error
    return pa.chunked_array([pa.array(texts, pa.string())])


def _is_plain_type(kind: Any) -> bool:
    return pa.types.is_floating(kind) or any(is_of(kind) for is_of in _PLAIN)


def _is_finite(leaf: Any) -> bool:
    is_number = pa.types.is_floating(leaf.type)
    return not is_number or pc.all(pc.is_finite(leaf)).as_py() is not False


def _with_finite_numbers(value: Any) -> Any:
    """Put None in the place of numbers within a value that JSON does not have."""
    if isinstance(value, list):
        return [_with_finite_numbers(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_finite_numbers(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    nested = isinstance(value, (list, dict))
    return json.dumps(value, ensure_ascii=False, default=_text) if nested else str(value)


def _leaves(column: Any) -> Iterator[Any]:
    """Give the values of a column, of the lists in it, or of each field of its structs."""
    kind = column.type
    if _is_list(kind):
        yield from _leaves(pc.list_flatten(column))
    elif pa.types.is_struct(kind):
        for position in range(kind.num_fields):
            yield from _leaves(pc.struct_field(column, [position]))
    else:
        yield column


def _field_beyond(column: Any, wanted: Any) -> str | None:
    """Name a field of the structs in a column that has values and that a type lacks."""
    kind = column.type
    if _is_list(kind) and _is_list(wanted):
        return _field_beyond(pc.list_flatten(column), wanted.value_type)
    if not (pa.types.is_struct(kind) and pa.types.is_struct(wanted)):
        return None
    known = {field.name: field.type for field in wanted}
    for position, field in enumerate(kind):
        values = pc.struct_field(column, [position])
        if field.name in known:
            beyond = _field_beyond(values, known[field.name])
            if beyond is not None:
                return f"{field.name}.{beyond}"
        elif values.null_count < len(values):
            return str(field.name)
    return None


def _is_list(kind: Any) -> bool:
    return any(is_of(kind) for is_of in _LISTS)


def _check_ids(ids: Any) -> None:
    if ids.null_count or pc.any(pc.equal(ids, "")).as_py():
        raise IndexFormatError("a performance has no id; every row needs its performance_id")
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = pc.value_counts(ids)
    twice = [entry["values"] for entry in counts.to_pylist() if entry["counts"] > 1]
    raise IndexFormatError(
        f"{len(twice)} performance(s) listed more than once, such as {twice[0]!r}; an id is unique"
    )
