"""A catalogue in one Parquet file: one row per performance, metadata and chroma side by side.

The demo catalogue is such a file, and so is anything exported from another system: no folder of
15,000 small files, and every tool that reads Parquet reads it.

Schema (format version 1)
-------------------------
=====================  ====================  =======================================================
column                 type                  meaning
=====================  ====================  =======================================================
``performance_id``     string, not null      unique within the file
``work_id``            string                equal for covers of one another
``title``              string                of the performance
``artist``             string                of the performance
``work_title``         string                of the work
``work_artist``        string                of the work
``year``               int32                 of release
``instrumental``       bool                  nobody sings
any others             any type              carried along as metadata (``collection``, ``key``)
``frame_rate``         float64, not null     frames per second, in Hz
``kind``               string, not null      ``hpcp``, ``crema`` or ``cens``
``n_frames``           int32, not null       number of frames
``chroma``             list of uint8,        ``n_frames x 12`` values, **frames first**: the 12
                       float16 or float32    pitch classes of frame 0 (A first), then of frame 1
=====================  ====================  =======================================================

Integer chroma is fixed-point: the field ``chroma`` carries the metadata ``scale``, and a value is
``code * scale``. The default scale 1/255 covers [0, 1], the range of HPCP and CREMA. Eight bits are
plenty for a feature whose frames are normalised to a maximum of 1: half a step is 0.2% of it.

Only ``performance_id``, ``frame_rate`` and ``chroma`` are required when reading; ``kind`` defaults
to ``hpcp``, ``n_frames`` to what the list holds, and a metadata column that is absent is unknown.
Columns ``duration``, ``embedding`` and ``encoder_id`` are passed over: they are made anew.
The file's key-value metadata is free; the writer (:mod:`.parquet_catalogue_writer`) adds
``coverdex.catalogue``, the format version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..encoder.chroma import N_PITCH_CLASSES, Chroma, ChromaKind
from ..encoder.errors import CoverdexError, InvalidChromaError
from ..search.performances import of_plain_type
from .catalogue import Catalogue, CataloguePart, Reading, file_state
from .parquet_reading import check_text, read_parquet_schema, readable
from .performance import CHROMA_COLUMNS, RECORD_SCHEMA, PerformanceRecord
from .rejection import LISTED_TWICE, NO_ID, OTHER_KIND, WRONG_METADATA, Rejection

FORMAT_VERSION = 1
FORMAT_KEY = b"coverdex.catalogue"

#: Rows whose chroma is unpacked together, so that a row group of any size fits in memory.
_ROWS_AT_A_TIME = 16
_REQUIRED_COLUMNS = ("performance_id", "frame_rate", "chroma")


class ParquetCatalogue(Catalogue):
    """A Parquet file of chroma, opened for reading; see the module for its schema.

    Parameters
    ----------
    path : path-like
    kind : ChromaKind or str, default "hpcp"
        Rows of another kind are rejected: an encoder is trained for one.

    Attributes
    ----------
    performances : list of PerformanceRecord
        Sorted by performance id, rows that are already known to be wrong left out.
    rejections : list of Rejection
        Grows while the catalogue is iterated.

    Raises
    ------
    NotFoundError
        If there is no such file.
    CoverdexError
        If it is no Parquet file or lacks a required column.
    """

    def __init__(self, path: str | Path, *, kind: ChromaKind | str = ChromaKind.HPCP) -> None:
        self.path = Path(path)
        schema = _check_schema(self.path)
        self._metadata_columns = [n for n in schema.names if n not in CHROMA_COLUMNS]
        self._good_rows, rejections = _sort_out_ids(self.path)
        super().__init__(source=str(self.path), kind=ChromaKind(kind), rejections=rejections)
        self.file_metadata = {
            key.decode(errors="replace"): value.decode(errors="replace")
            for key, value in (schema.metadata or {}).items()
            if key != FORMAT_KEY and not key.startswith(b"ARROW")
        }

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._good_rows)

    @cached_property
    def performances(self) -> list[PerformanceRecord]:
        """Records of the rows with an id of their own, sorted by performance id."""
        records = []
        with readable(self.path), pq.ParquetFile(self.path) as file:
            for number, rows in enumerate(self._good_rows):
                table = file.read_row_group(number, columns=self._metadata_columns)
                table = table.take(pa.array(rows, pa.int64()))  # an empty list has no type
                records += [PerformanceRecord.from_row(row) for row in _rows(table, self.path)]
        return sorted(records, key=lambda record: record.performance_id)

    def parts(self) -> list[CataloguePart]:
        """Cut the catalogue into row groups, each of which another process can read."""
        return [
            RowGroup(self.path, number, self.kind, tuple(rows))
            for number, rows in enumerate(self._good_rows)
            if rows
        ]


@dataclass(frozen=True)
class RowGroup:
    """One row group of a Parquet catalogue: what a reading process takes at a time.

    Parameters
    ----------
    path : pathlib.Path
    number : int
        Of the row group.
    kind : ChromaKind
        The kind wanted.
    rows : tuple of int
        Positions in the row group of the rows to read.
    """

    path: Path
    number: int
    kind: ChromaKind
    rows: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        return f"row group {self.number} of {self.path}"

    def fingerprint(self) -> str:
        """Digest of path, size and time of change of the file, and of which rows are read."""
        state = (str(self.path), file_state(self.path), self.number, self.kind, self.rows)
        return hashlib.sha256(repr(state).encode()).hexdigest()

    def contents(self) -> str:
        """Digest of the file's size, and of which rows are read."""
        size, _ = file_state(self.path) or (None, None)
        state = (size, self.number, self.kind, self.rows)
        return hashlib.sha256(repr(state).encode()).hexdigest()

    def read(self) -> Iterator[Reading | Rejection]:
        """Read each row, or say why it is rejected."""
        wanted = set(self.rows)
        position = 0
        with readable(self.path), pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(_ROWS_AT_A_TIME, row_groups=[self.number]):
                chromas = batch.column("chroma")
                scale = _scale_of(batch.schema.field("chroma"), self.path)
                table = pa.Table.from_batches([batch]).drop_columns(["chroma"])
                rows = _rows(table, self.path)
                for row, stored in zip(rows, chromas, strict=True):
                    if position in wanted:
                        yield self._outcome(row, stored, scale)
                    position += 1

    def _outcome(
        self, row: Mapping[str, Any], stored: Any, scale: float | None
    ) -> Reading | Rejection:
        record = PerformanceRecord.from_row(row)
        if misfit := record.misfit():
            message = f"{record.performance_id}: {misfit}"
            return Rejection(str(self.path), record.performance_id, WRONG_METADATA, message)
        try:
            return Reading(record, self._chroma_of(row, stored, scale), self.path)
        except InvalidChromaError as error:
            message = f"{record.performance_id}: {error}"
            return Rejection(str(self.path), record.performance_id, error.reason, message)

    def _chroma_of(self, row: Mapping[str, Any], stored: Any, scale: float | None) -> Chroma:
        kind = row.get("kind") or ChromaKind.HPCP
        if kind != self.kind:
            raise InvalidChromaError(
                f"row holds {kind} chroma and {self.kind} is wanted; choose the other kind, or "
                "leave such rows out",
                reason=OTHER_KIND,
            )
        if not stored.is_valid:
            raise InvalidChromaError("row has no chroma; give it frames", reason="no-frames")
        if stored.values.null_count:
            raise InvalidChromaError(
                f"chroma has {stored.values.null_count} null values; give numbers",
                reason="not-finite",
            )
        flat = stored.values.to_numpy(zero_copy_only=False)
        n_frames = row.get("n_frames")
        if not isinstance(n_frames, (int, float, type(None))):
            raise InvalidChromaError(
                f"n_frames is {n_frames!r}; give a number, or nothing", reason="wrong-shape"
            )
        if n_frames is None and len(flat) % N_PITCH_CLASSES:
            raise InvalidChromaError(
                f"chroma has {len(flat)} values, no multiple of {N_PITCH_CLASSES}; "
                f"give {N_PITCH_CLASSES} values per frame",
                reason="wrong-shape",
            )
        if n_frames is not None and len(flat) != n_frames * N_PITCH_CLASSES:
            raise InvalidChromaError(
                f"chroma has {len(flat)} values and n_frames is {n_frames:g}; "
                f"give n_frames x {N_PITCH_CLASSES} values",
                reason="wrong-shape",
            )
        values = flat.reshape(-1, N_PITCH_CLASSES).astype(np.float32)
        return Chroma(
            values if scale is None else values * np.float32(scale), row["frame_rate"], kind
        )


def _rows(table: pa.Table, path: Path) -> list[dict[str, Any]]:
    """Return rows, with metadata in types that an index holds: not all others have Python's."""
    check_text(table, path)
    for position, name in enumerate(table.column_names):
        if name not in CHROMA_COLUMNS and name not in RECORD_SCHEMA.names:
            column = of_plain_type(table.column(position), name)
            table = table.set_column(position, name, column)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _sort_out_ids(path: Path) -> tuple[list[list[int]], list[Rejection]]:
    """Find, for each row group, the rows with an id that no row before them has."""
    seen: set[str] = set()
    good_rows: list[list[int]] = []
    rejections = []
    with readable(path), pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            good_rows.append([])
            table = file.read_row_group(number, columns=["performance_id"])
            check_text(table, path)
            ids = table.column(0).to_pylist()
            for position, performance_id in enumerate(ids):
                where = f"row {position} of row group {number}"
                if not (performance_id and performance_id.strip()):
                    message = f"{where} has no performance_id; give it one"
                    rejections.append(Rejection(str(path), None, NO_ID, message))
                elif performance_id in seen:
                    message = f"{where} repeats {performance_id}; the first row is kept"
                    rejections.append(Rejection(str(path), performance_id, LISTED_TWICE, message))
                else:
                    seen.add(performance_id)
                    good_rows[-1].append(position)
    return good_rows, rejections


def _check_schema(path: Path) -> pa.Schema:
    schema = read_parquet_schema(path)
    missing = [name for name in _REQUIRED_COLUMNS if name not in schema.names]
    if missing:
        raise CoverdexError(
            f"{path} is no catalogue: it lacks the column {missing[0]!r} (it has "
            f"{', '.join(schema.names)}); docs/bulk-indexing.md gives the schema"
        )
    version = (schema.metadata or {}).get(FORMAT_KEY, str(FORMAT_VERSION).encode()).decode()
    if version != str(FORMAT_VERSION):
        raise CoverdexError(
            f"{path} has catalogue format {version} and this Coverdex reads {FORMAT_VERSION}; "
            "upgrade Coverdex"
        )
    _check_ids_are_text(path, schema.field("performance_id").type)
    field = schema.field("chroma")
    if not (pa.types.is_list(field.type) or pa.types.is_large_list(field.type)):
        raise CoverdexError(f"{path}: column chroma is {field.type}; give lists of numbers")
    value_type = field.type.value_type
    if pa.types.is_integer(value_type):
        _scale_of(field, path)
    elif not pa.types.is_floating(value_type):
        raise CoverdexError(f"{path}: column chroma is {field.type}; give lists of numbers")
    return schema


def _check_ids_are_text(path: Path, kind: pa.DataType) -> None:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if not (any(is_of(kind) for is_of in texts) or pa.types.is_null(kind)):
        raise CoverdexError(f"{path}: column performance_id is {kind}; give text")


def _scale_of(field: pa.Field, path: Path) -> float | None:
    """Value of one step of an integer column, None for floats."""
    if not pa.types.is_integer(field.type.value_type):
        return None
    written = (field.metadata or {}).get(b"scale", b"")
    try:
        scale = float(written)
    except ValueError:
        scale = float("nan")
    if not (np.isfinite(scale) and scale > 0):
        raise CoverdexError(
            f"{path}: column chroma holds integers and its field metadata 'scale' is "
            f"{written.decode(errors='replace')!r}; give the value of one step as a decimal "
            f"number, such as {1 / 255} for 1/255"
        )
    return scale
