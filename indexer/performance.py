"""A performance record: what a catalogue knows about one recording, apart from its sound.

A *performance* is one recording of a *work*; the performances of one work are covers of one
another and together form a *clique* (Yesiler et al. 2019, "Da-TACOS: A dataset for cover song
identification and understanding"). Da-TACOS calls them ``P_22`` and ``W_14``; any other strings
will do, as long as no two performances of a catalogue share one.

Everything but the performance id may be unknown, and unknown is ``None``, never an empty string:
a take-down list has only ids, a new release has no work yet, and Da-TACOS itself leaves the year
out here and there. Columns that a catalogue has and Coverdex does not know (``collection``,
``key``) are carried along in ``extra`` and come out beside every candidate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ..encoder.errors import CoverdexError
from ..search.misfits import MISFITS, misfit

#: The columns that every catalogue and every index has, in order, with their types.
RECORD_SCHEMA = pa.schema(
    [
        pa.field("performance_id", pa.string(), nullable=False),
        pa.field("work_id", pa.string()),
        pa.field("title", pa.string()),
        pa.field("artist", pa.string()),
        pa.field("work_title", pa.string()),
        pa.field("work_artist", pa.string()),
        pa.field("year", pa.int32()),
        pa.field("instrumental", pa.bool_()),
    ]
)

#: Columns that describe the chroma, or what an encoder made of it, rather than the recording; no
#: extra column may use their names.
CHROMA_COLUMNS = (
    "frame_rate",
    "kind",
    "n_frames",
    "chroma",
    "duration",
    "embedding",
    "encoder_id",
)


@dataclass(frozen=True)
class PerformanceRecord:
    """What is known about one performance.

    Parameters
    ----------
    performance_id : str
        Unique within a catalogue, such as ``"P_22"``; not empty.
    work_id : str or None
        Equal for performances that are covers of one another; None where nobody knows.
    title, artist : str or None
        Of this performance.
    work_title, work_artist : str or None
        Of the work: usually those of its first or best-known performance.
    year : int or None
        Of release.
    instrumental : bool or None
        Whether nobody sings.
    extra : mapping of str to any scalar, default empty
        Further columns, by name.

    Raises
    ------
    CoverdexError
        If the performance id is empty or an extra column takes a name that has another meaning.
    """

    performance_id: str
    work_id: str | None = None
    title: str | None = None
    artist: str | None = None
    work_title: str | None = None
    work_artist: str | None = None
    year: int | None = None
    instrumental: bool | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.performance_id, str) or not self.performance_id:
            raise CoverdexError(
                f"performance id is {self.performance_id!r}; give a string that is not empty"
            )
        taken = [c for c in self.extra if c in RECORD_SCHEMA.names or c in CHROMA_COLUMNS]
        if taken:
            raise CoverdexError(
                f"extra column {taken[0]!r} of performance {self.performance_id!r} has a meaning "
                "of its own in a catalogue; rename it"
            )

    def misfit(self) -> str | None:
        """Say which known column has a value of another type than it holds, None where all fit."""
        for column in RECORD_SCHEMA:
            value = getattr(self, column.name)
            try:
                pa.scalar(value, column.type)
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
                return f"{column.name} is {value!r}; give {column.type}, or nothing"
        return None

    def as_row(self) -> dict[str, Any]:
        """Return the record as one flat row: the known columns, then the extra ones."""
        known = {name: getattr(self, name) for name in RECORD_SCHEMA.names}
        return {**known, **self.extra}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> PerformanceRecord:
        """Make a record of a flat row; columns about the chroma are left out.

        Empty strings, and NaN as pandas writes it, become None, so that "unknown" has one spelling.

        Raises
        ------
        CoverdexError
            If the row has no performance id.
        """
        cleaned: dict[str, Any] = {
            name: None if _is_unknown(value) else value
            for name, value in row.items()
            if name not in CHROMA_COLUMNS
        }
        known = {name: cleaned.pop(name, None) for name in RECORD_SCHEMA.names}
        return cls(**known, extra=cleaned)


def _is_unknown(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return isinstance(value, str) and not value.strip()


def records_schema(
    records: Iterable[PerformanceRecord], *, unknown: pa.DataType | None = None
) -> pa.Schema:
    """Return the known columns followed by the extra ones of ``records``, types inferred.

    An extra column that is unknown for every record gets the type ``unknown``, by default string.
    """
    unknown = pa.string() if unknown is None else unknown
    values: dict[str, list[Any]] = {}
    for record in records:
        for name, value in record.extra.items():
            values.setdefault(name, []).append(value)
    extra = []
    for name, column in values.items():
        try:
            inferred = pa.array(column).type
        except OverflowError:  # whole numbers beyond those that Arrow takes them for
            inferred = pa.uint64()
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise CoverdexError(
                f"extra column {name!r} mixes types; give it one type, or write it as text"
            ) from None
        extra.append(pa.field(name, unknown if pa.types.is_null(inferred) else inferred))
    return pa.schema([*RECORD_SCHEMA, *extra])


def records_table(
    records: Iterable[PerformanceRecord], schema: pa.Schema | None = None
) -> pa.Table:
    """Lay records out as a table, one row each, in their order.

    Parameters
    ----------
    records : iterable of PerformanceRecord
    schema : pyarrow.Schema, optional
        The columns; inferred from the records when left out.

    Raises
    ------
    IndexFormatError
        If a value does not fit its column.
    """
    listed = list(records)
    schema = records_schema(listed) if schema is None else schema
    rows = [record.as_row() for record in listed]
    columns = [_column(rows, field) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(rows: Sequence[Mapping[str, Any]], field: pa.Field) -> pa.Array:
    values = [row.get(field.name) for row in rows]

    def take(first: int, last: int) -> pa.Array:
        return pa.array(values[first:last], field.type)

    try:
        return take(0, len(values))
    except MISFITS:
        id_of = [row["performance_id"] for row in rows].__getitem__
        raise misfit(field.name, field.type, values, take, id_of) from None
