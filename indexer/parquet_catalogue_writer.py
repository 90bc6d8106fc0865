"""Writing a catalogue as one Parquet file, row by row; :mod:`.parquet_catalogue` has the schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..encoder.chroma import Chroma
from ..encoder.errors import CoverdexError, InvalidChromaError
from ..search.durability import naming
from .parquet_catalogue import FORMAT_KEY, FORMAT_VERSION
from .performance import CHROMA_COLUMNS, PerformanceRecord, records_schema, records_table

DEFAULT_SCALE = 1 / 255

_STORAGE_TYPES = {"uint8": pa.uint8(), "float16": pa.float16(), "float32": pa.float32()}
#: A row group is written when it holds this many values or rows: it is what a reader takes at a
#: time, about 10 MB of uint8 (some 30 tracks of 5 minutes at the Da-TACOS frame rate).
_ROW_GROUP_VALUES = 10_000_000
_ROW_GROUP_ROWS = 256


def write_parquet_catalogue(
    path: str | Path,
    performances: Iterable[tuple[PerformanceRecord, Chroma]],
    *,
    storage: str = "uint8",
    scale: float = DEFAULT_SCALE,
    file_metadata: Mapping[str, str] | None = None,
) -> int:
    """Write performances as a Parquet catalogue and return how many.

    Parameters
    ----------
    path : path-like
        The file to write; replaced only once the new one is complete.
    performances : iterable of (PerformanceRecord, Chroma)
        Taken one by one, never held all at once.
    storage : {"uint8", "float16", "float32"}, default "uint8"
        How a chroma value is stored.
    scale : float, default 1/255
        The value of one step of ``"uint8"``; 255 steps must reach the largest chroma value.
    file_metadata : mapping of str to str, optional
        Free key-value metadata of the file: who made it, with what.

    Raises
    ------
    CoverdexError
        If a performance id comes twice, or metadata does not fit the columns that the first row
        group set.
    InvalidChromaError
        If a value does not fit the storage (``reason="out-of-range"``).
    """
    with ParquetCatalogueWriter(
        path, storage=storage, scale=scale, file_metadata=file_metadata
    ) as writer:
        for record, chroma in performances:
            writer.add(record, chroma)
    return writer.count


class ParquetCatalogueWriter:
    """Writes a Parquet catalogue row by row; used as a context manager.

    The file appears under its name when the ``with`` block ends well and not at all when it
    raises. Parameters as for :func:`write_parquet_catalogue`. Columns (with the extra ones) are
    those of the records in the first row group, 256 rows at most; ``extra_columns`` names further
    ones that only come later.

    >>> with ParquetCatalogueWriter("releases.parquet") as writer:   # doctest: +SKIP
    ...     writer.add(PerformanceRecord("P_22", "W_14"), chroma)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        storage: str = "uint8",
        scale: float = DEFAULT_SCALE,
        extra_columns: pa.Schema | None = None,
        file_metadata: Mapping[str, str] | None = None,
    ) -> None:
        if storage not in _STORAGE_TYPES:
            raise CoverdexError(f"storage is {storage!r}; give one of {', '.join(_STORAGE_TYPES)}")
        if not (np.isfinite(scale) and scale > 0):
            raise CoverdexError(f"scale is {scale!r}; give a positive number, such as 1/255")
        self.path = Path(path)
        self.count = 0
        self._storage = storage
        self._scale = float(scale)
        self._extra_columns = extra_columns
        self._file_metadata = dict(file_metadata or {})
        self._temporary = self.path.with_name(f".{self.path.name}.tmp")
        self._writer: pq.ParquetWriter | None = None
        self._records: list[PerformanceRecord] = []
        self._chromas: list[tuple[float, str, NDArray[Any]]] = []
        self._seen: set[str] = set()

    def add(self, record: PerformanceRecord, chroma: Chroma) -> None:
        """Add one performance."""
        if record.performance_id in self._seen:
            raise CoverdexError(
                f"performance {record.performance_id!r} is added twice; ids are unique"
            )
        self._seen.add(record.performance_id)
        codes = _encode_values(chroma.values, self._storage, self._scale, record.performance_id)
        self._records.append(record)
        self._chromas.append((chroma.frame_rate, str(chroma.kind), codes))
        self.count += 1
        if (
            len(self._records) >= _ROW_GROUP_ROWS
            or sum(codes.size for _, _, codes in self._chromas) >= _ROW_GROUP_VALUES
        ):
            self._write_row_group()

    def __enter__(self) -> ParquetCatalogueWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None and (self._records or self._writer is None):
                self._write_row_group()
        finally:
            if self._writer is not None:
                self._writer.close()
        if error is None:
            with naming(self.path):
                self._temporary.replace(self.path)
        else:
            self._temporary.unlink(missing_ok=True)

    def _write_row_group(self) -> None:
        if self._writer is None:
            schema = self._full_schema()
            with naming(self.path):
                self._writer = pq.ParquetWriter(
                    self._temporary, schema, compression="zstd", write_statistics=False
                )
        schema = self._writer.schema
        metadata_schema = pa.schema([f for f in schema if f.name not in CHROMA_COLUMNS])
        unknown = {n for r in self._records for n in r.extra} - set(metadata_schema.names)
        if unknown:
            raise CoverdexError(
                f"extra column {min(unknown)!r} first comes after the columns were set; "
                "name it in extra_columns"
            )
        table = records_table(self._records, metadata_schema)
        flat = [codes.ravel() for _, _, codes in self._chromas]
        offsets = np.cumsum([0, *(len(codes) for codes in flat)], dtype=np.int32)
        values = np.concatenate(flat) if flat else np.empty(0, np.dtype(self._storage))
        chroma_type = schema.field("chroma").type
        columns = [
            pa.array([rate for rate, _, _ in self._chromas], pa.float64()),
            pa.array([kind for _, kind, _ in self._chromas], pa.string()),
            pa.array([len(codes) for _, _, codes in self._chromas], pa.int32()),
            pa.ListArray.from_arrays(offsets, pa.array(values, chroma_type.value_type)),
        ]
        self._writer.write_table(
            pa.Table.from_arrays(
                [*(c.combine_chunks() for c in table.columns), *columns], schema=schema
            )
        )
        self._records, self._chromas = [], []

    def _full_schema(self) -> pa.Schema:
        schema = records_schema(self._records)
        for field in self._extra_columns or ():
            index = schema.get_field_index(field.name)
            schema = schema.append(field) if index < 0 else schema.set(index, field)
        scale = {"scale": repr(self._scale)} if self._storage == "uint8" else None
        chroma = pa.field(
            "chroma", pa.list_(_STORAGE_TYPES[self._storage]), nullable=False, metadata=scale
        )
        return pa.schema(
            [
                *schema,
                pa.field("frame_rate", pa.float64(), nullable=False),
                pa.field("kind", pa.string(), nullable=False),
                pa.field("n_frames", pa.int32(), nullable=False),
                chroma,
            ],
            metadata={**self._file_metadata, FORMAT_KEY.decode(): str(FORMAT_VERSION)},
        )


def _encode_values(
    values: NDArray[np.float32], storage: str, scale: float, performance_id: str
) -> NDArray[Any]:
    """Turn ``(n_frames, 12)`` float32 into what is stored, refusing what would not survive."""
    limit = {"uint8": 255.5 * scale, "float16": 65504.0, "float32": np.inf}[storage]
    largest = float(values.max())
    if largest >= limit:
        raise InvalidChromaError(
            f"chroma of {performance_id!r} reaches {largest:g}, more than {storage} holds"
            + (f" at scale {scale:g}" if storage == "uint8" else "")
            + "; give a larger scale, or storage='float32'",
            reason="out-of-range",
        )
    if storage == "uint8":
        values = np.rint(values / scale)
    stored: NDArray[Any] = values.astype(storage)
    return stored
