"""Reading embedding shards, our own or made elsewhere, into what an index is written from.

:mod:`.embedding_shards` describes them. Everything is checked here, once: that one encoder made
them all, that each embedding is finite and of length 1, and that no performance comes twice. Rows
that are wrong become rejections; a folder that is not complete is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..encoder.encoder import Encoder
from ..encoder.errors import CoverdexError, IncompatibleError, NotFoundError
from ..search.parts import ENCODER_ID_KEY
from ..search.performances import with_nulls_allowed
from ..search.row_order import in_order
from .embedding_shards import (
    PLAN_NAME,
    ShardHeader,
    ShardPlan,
    read_shard_header,
    shard_name,
)
from .file_names import check_is_text
from .index_as_source import check_is_no_index
from .parquet_reading import check_text, read_parquet_schema, readable
from .rejection import LISTED_TWICE, NO_ID, Rejection, summarise_rejections
from .shipped_encoder import shipped_encoder

#: How far from 1 the length of an embedding may be; float16 copies of unit vectors stay within.
LENGTH_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class ShardContents:
    """Everything that a set of shards holds, checked.

    Parameters
    ----------
    embeddings : ndarray, shape (n, dimension), float32
        L2-normalised.
    performances : pyarrow.Table
        Metadata, one row per embedding.
    encoder_id, encoder_name : str
        Who made the embeddings; the name is the id where nobody knows it.
    rejections : list of Rejection
        Those that the shards carry, and rows that are wrong.
    """

    embeddings: NDArray[np.float32]
    performances: pa.Table
    encoder_id: str
    encoder_name: str
    rejections: list[Rejection]


def holds_shards(path: str | Path) -> bool:
    """Tell whether ``path``, a folder or one file, is of embeddings rather than of chroma.

    A file of chroma may have a column ``embedding`` beside it, which is made anew.
    """
    path = Path(path)
    if path.is_dir():
        return (path / PLAN_NAME).is_file() or any(map(_has_embeddings, _visible_parquet(path)))
    return path.is_file() and _has_embeddings(path) and "chroma" not in _columns(path)


def find_shards(path: str | Path) -> list[Path]:
    """Return the Parquet files of embeddings at ``path``, a folder or one file, sorted by name.

    Raises
    ------
    NotFoundError
        If there is nothing at ``path``.
    CoverdexError
        If the folder's plan says that shards are missing or of something else, if it is an index
        (:mod:`.index_as_source`), or if a name is not UTF-8.
    """
    path = Path(path)
    check_is_text(path)
    if not path.exists():
        raise NotFoundError(f"no shards at {path}; give a folder or a Parquet file of embeddings")
    check_is_no_index(path)
    if not path.is_dir():
        return [path]
    plan = ShardPlan.read(path)
    if plan is None:
        found = _visible_parquet(path)
        for shard in found:
            check_is_text(shard)
        return found
    shards = [path / shard_name(number) for number in range(plan.n_shards)]
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise CoverdexError(
            f"{path} lacks {len(missing)} of {plan.n_shards} shards ({missing[0]} first); "
            "run coverdex embed again, it goes on where it stopped"
        )
    _refuse_stale(path, shards, plan)
    return shards


def _visible_parquet(folder: Path) -> list[Path]:
    """Return the Parquet files of a folder, sorted; hidden ones, as macOS leaves them, are none."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def _refuse_stale(folder: Path, shards: Sequence[Path], plan: ShardPlan) -> None:
    """Refuse shards that were made of something else than the plan says."""
    stale = [
        shard.name
        for shard, contents in zip(shards, plan.contents, strict=False)  # old plans have none
        if read_shard_header(shard).contents not in (contents, None)
    ]
    if stale:
        raise CoverdexError(
            f"{len(stale)} of {plan.n_shards} shards in {folder} are not of the catalogue as the "
            f"plan has it ({', '.join(stale[:5])}{', ...' if len(stale) > 5 else ''}): its files, "
            "metadata or encoder were others; run coverdex embed again, every "
            f"share of it, or remove {PLAN_NAME} to take all shards in the folder as they are"
        )


def read_shards(
    paths: Sequence[Path], *, encoder_id: str | None = None, encoder_name: str | None = None
) -> ShardContents:
    """Read shards into memory: about 256 bytes per performance, plus its metadata.

    Parameters
    ----------
    paths : sequence of Path
        Of one encoder; earlier files win where an id comes twice.
    encoder_id, encoder_name : str, optional
        For shards that do not say; must agree with those that do.

    Raises
    ------
    NotFoundError
        If there are no shards.
    IncompatibleError
        If they are of several encoders, or bear the id of a shipped encoder, without its name, and
        are of another dimension than it makes.
    CoverdexError
        If one is damaged, or none says which encoder made it, or dimensions differ.
    """
    if not paths:
        raise NotFoundError("no shards to read; give a folder with Parquet files of embeddings")
    blocks, tables, rejections = [], [], []
    for path in paths:
        shard = _read_shard(path)
        encoder_id = _same(encoder_id, shard.header.encoder_id, path)
        encoder_name = encoder_name or shard.header.encoder_name
        rejections += [*shard.header.rejections, *shard.rejections]
        blocks.append(shard.embeddings)
        tables.append(shard.performances)
    if encoder_id is None:
        raise CoverdexError(
            f"{paths[0]} does not say which encoder made it; write its id into the schema metadata "
            f"under {ENCODER_ID_KEY.decode()!r}, or give --encoder-id"
        )
    dimensions = {block.shape[1] for block in blocks if len(block)}
    if len(dimensions) > 1:
        raise CoverdexError(f"shards hold embeddings of dimensions {sorted(dimensions)}; give one")
    if encoder_name in (None, encoder_id):  # of who has a name it is known already
        shipped = shipped_encoder(encoder_id)
        if shipped is not None:
            _check_dimension(dimensions, shipped, paths[0])
            encoder_name = shipped.name
    embeddings = np.concatenate([b for b in blocks if len(b)] or blocks[:1])
    performances = _joined(tables)
    keep = _first_of_each_id(performances, tables, paths, rejections)
    if keep is not None:
        embeddings, performances = embeddings[keep], in_order(performances, keep)
    return ShardContents(
        embeddings, performances, encoder_id, encoder_name or encoder_id, rejections
    )


def _check_dimension(dimensions: set[int], encoder: Encoder, path: Path) -> None:
    for dimension in dimensions - {encoder.dimension}:
        raise IncompatibleError(
            f"{path} holds embeddings of dimension {dimension} under the id {encoder.id}, and that "
            f"encoder makes {encoder.dimension} of them; give embeddings as it makes them, or the "
            "id of who made these"
        )


def read_shards_at(
    path: str | Path, *, encoder_id: str | None = None, encoder_name: str | None = None
) -> ShardContents:
    """Read a folder or file of shards, with what its ``plan.json`` says was rejected.

    Raises
    ------
    NotFoundError, IncompatibleError, CoverdexError
        As :func:`find_shards` and :func:`read_shards`.
    """
    shards, plan = find_shards(path), ShardPlan.read(Path(path))
    if plan is not None and not plan.n_shards:
        raise CoverdexError(
            f"{path} holds no embeddings: the catalogue {plan.source} that was embedded has none "
            f"to give ({summarise_rejections(plan.rejections)}); embed another"
        )
    contents = read_shards(shards, encoder_id=encoder_id, encoder_name=encoder_name)
    if plan is not None:
        contents.rejections[:0] = plan.rejections
    return contents


@dataclass(frozen=True, eq=False)
class _Shard:
    header: ShardHeader
    embeddings: NDArray[np.float32]
    performances: pa.Table
    rejections: list[Rejection]


def _has_embeddings(path: Path) -> bool:
    return "embedding" in _columns(path)


def _columns(path: Path) -> list[str]:
    """Name the columns of a Parquet file; none where it is no such file."""
    try:
        names: list[str] = pq.read_schema(path).names
    except (pa.ArrowException, OSError, UnicodeError):  # Arrow knows no odd names of files, columns
        return []
    return names


def _read_shard(path: Path) -> _Shard:
    header = read_shard_header(path)
    read_parquet_schema(path)  # which refuses columns of one name
    with readable(path):
        table = pq.read_table(path).replace_schema_metadata(None)
    check_text(table, path)
    missing = [name for name in ("performance_id", "embedding") if name not in table.column_names]
    if missing:
        raise CoverdexError(f"{path} lacks the column {missing[0]!r}; give embeddings by id")
    if "encoder_id" in table.column_names:
        # In a shard of our own the header says who made it, and the column, of an earlier release,
        # came from the catalogue and means something else.
        ours = header.fingerprint is not None
        for encoder_id in [] if ours else _encoders_in(table, path):
            header = _with_encoder(header, encoder_id, path)
        table = table.drop_columns(["encoder_id"])
    vectors = _vectors(table.column("embedding"), path)
    table = table.drop_columns(["embedding"])
    table = table.set_column(
        table.column_names.index("performance_id"), "performance_id", _ids(table, path)
    )
    for position, name in enumerate(table.column_names):
        # Another shard may have nulls there, plain text instead of categories, or text of another
        # of Arrow's types for it.
        column = with_nulls_allowed(table.column(position))
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        table = table.set_column(position, name, column)
    ids = table.column("performance_id").to_pylist()
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    wrong = ~(np.abs(lengths - 1) <= LENGTH_TOLERANCE)  # also true for NaN
    nameless = np.array([not performance_id for performance_id in ids], dtype=bool)
    rejections = [
        _wrong_row(path, int(row), ids[row], lengths[row])
        for row in np.flatnonzero(wrong | nameless)
    ]
    if rejections:
        good = np.flatnonzero(~(wrong | nameless))
        vectors, table = vectors[good], in_order(table, good)
    return _Shard(header, vectors, table, rejections)


def _with_encoder(header: ShardHeader, encoder_id: str, path: Path) -> ShardHeader:
    return replace(header, encoder_id=_same(header.encoder_id, encoder_id, path))


def _same(known: str | None, found: str | None, path: Path) -> str | None:
    if known is not None and found is not None and known != found:
        raise IncompatibleError(
            f"{path} holds embeddings of encoder {found} and the others are of {known}; their "
            "similarities mean nothing together: embed all with one encoder"
        )
    return known or found


def _encoders_in(table: pa.Table, path: Path) -> list[str]:
    """Return the ids that the column ``encoder_id`` holds; an empty one says nothing."""
    found = table.column("encoder_id").unique().to_pylist()
    for encoder_id in found:
        if not isinstance(encoder_id, (str, type(None))):
            raise CoverdexError(
                f"{path}: column encoder_id holds {encoder_id!r}; give the encoder's id as text"
            )
    return [encoder_id for encoder_id in found if encoder_id]


def _ids(table: pa.Table, path: Path) -> pa.ChunkedArray:
    """Return the ids as text, from whatever holds text or whole numbers."""
    column = table.column("performance_id")
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    fits = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_integer,
        pa.types.is_null,
    )
    if not any(is_of(kind) for is_of in fits):
        raise CoverdexError(f"{path}: column performance_id is {column.type}; give text")
    return column.cast(pa.string())


def _vectors(column: pa.ChunkedArray, path: Path) -> NDArray[np.float32]:
    """Return a list column as an array ``(n, dimension)`` float32, NaN where there is no list."""
    if not (
        pa.types.is_fixed_size_list(column.type)
        or pa.types.is_list(column.type)
        or pa.types.is_large_list(column.type)
    ) or not pa.types.is_floating(column.type.value_type):
        raise CoverdexError(f"{path}: column embedding is {column.type}; give lists of float32")
    if not len(column):
        return np.empty((0, 0), np.float32)
    known = column.drop_null()
    lengths = pc.unique(pc.list_value_length(known)).to_pylist() or [1]
    if len(lengths) > 1:
        raise CoverdexError(f"{path} holds embeddings of lengths {sorted(lengths)}; give one")
    rows = pc.list_flatten(known).to_numpy().reshape(len(known), lengths[0])
    array: NDArray[np.float32] = np.ascontiguousarray(rows, np.float32)
    if column.null_count:
        array = np.full((len(column), lengths[0]), np.nan, np.float32)
        array[column.is_valid().to_numpy()] = rows
    return array


def _wrong_row(path: Path, row: int, performance_id: str | None, length: float) -> Rejection:
    where = f"{path}, row {row}"
    if not performance_id:
        return Rejection(str(path), None, NO_ID, f"{where}: no performance_id; give it one")
    if not np.isfinite(length):
        message = f"{where}: no embedding, or one with NaN or infinite values; embed it again"
        return Rejection(str(path), performance_id, "not-finite", message)
    message = f"{where}: the embedding has length {length:g}; divide it by its length"
    return Rejection(str(path), performance_id, "not-normalised", message)


def _joined(tables: list[pa.Table]) -> pa.Table:
    """Put tables of metadata under one another; a column that one lacks is unknown there."""
    try:
        joined = pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise CoverdexError(
            f"shards give one column different types ({error}); give it one type"
        ) from error
    for position, field in enumerate(joined.schema):
        if pa.types.is_null(field.type):  # unknown for every performance
            text = pa.nulls(len(joined), pa.string())
            joined = joined.set_column(position, field.name, text)
    return joined.combine_chunks()


def _first_of_each_id(
    performances: pa.Table, tables: list[pa.Table], paths: Sequence[Path], rejected: list[Rejection]
) -> NDArray[np.int64] | None:
    """Return the rows to keep where ids repeat, None where none does; reject the others."""
    ids = performances.column("performance_id")
    if pc.count_distinct(ids).as_py() == len(ids):
        return None
    ends = np.cumsum([len(table) for table in tables])
    seen: dict[str, int] = {}
    keep = []
    for row, performance_id in enumerate(_strings(ids)):
        if performance_id in seen:
            here, there = (
                paths[int(np.searchsorted(ends, r, side="right"))]
                for r in (row, seen[performance_id])
            )
            message = f"{performance_id} already comes from {there}; leave one of the two out"
            rejected.append(Rejection(str(here), performance_id, LISTED_TWICE, message))
        else:
            seen[performance_id] = row
            keep.append(row)
    return np.array(keep, dtype=np.int64)


def _strings(column: pa.ChunkedArray) -> Iterator[Any]:
    for chunk in column.chunks:
        yield from chunk.to_pylist()
