"""Embedding shards: Parquet files of embeddings and metadata, the half-way house of a build.

Embedding a large catalogue takes hours, writing its index seconds. Between the two lies a folder of
shards, ``shard-00000.parquet``, ``shard-00001.parquet``, ... (zero-padded, so that names sort as
numbers). Each is complete or absent: it is written under a temporary name, flushed and renamed. So
an interrupted build goes on after the last shard, and machines that embed different shards of one
catalogue need only put them into one folder.

Schema of a shard
-----------------
====================  ========================  ==================================================
column                type                      meaning
====================  ========================  ==================================================
``performance_id``    string, not null          unique over all shards
``work_id`` ...       as in a catalogue         metadata (:mod:`.performance`), extra columns too
``duration``          float64                   seconds
``frame_rate``        float64                   of the chroma, in Hz
``embedding``         fixed-size list of 64     L2-normalised
                      float32
====================  ========================  ==================================================

The schema's key-value metadata says who made the embeddings, ``coverdex.encoder_id`` and
``coverdex.encoder_name``; of which part of a catalogue, ``coverdex.fingerprint`` and
``coverdex.contents``; and what of that part was rejected, ``coverdex.rejections`` (JSON). Beside
the shards, ``plan.json`` says how many there will be and what each is made of, so that neither an
unfinished folder nor one with shards of an earlier state of the catalogue is taken for a whole one.

Shards made elsewhere
---------------------
Any Parquet file with a string ``performance_id`` and an ``embedding`` list of float16, float32 or
float64 is taken, with whatever metadata columns it has. Its encoder id stands in the schema
metadata as above, or in a column ``encoder_id``. This is also the layout of an index's export as
Parquet, so an index can be built again from what it holds. The ``embeddings.parquet`` in the index
itself will do only in need: it has neither metadata nor the changes since
(:mod:`.index_as_source`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..encoder.errors import CoverdexError
from ..search.durability import naming, sync, write_file
from ..search.parts import ENCODER_ID_KEY, ENCODER_NAME_KEY
from .performance import PerformanceRecord, records_schema, records_table
from .rejection import Rejection

FINGERPRINT_KEY = b"coverdex.fingerprint"
CONTENTS_KEY = b"coverdex.contents"
REJECTIONS_KEY = b"coverdex.rejections"

PLAN_NAME = "plan.json"


@dataclass(frozen=True)
class ShardPlan:
    """What a folder of shards will hold once it is complete: its ``plan.json``.

    Parameters
    ----------
    source : str
        The catalogue.
    encoder_id : str
    n_shards : int
    rejections : tuple of Rejection
        What opening the catalogue found; what reading finds is in the shards.
    contents : tuple of str
        Digest of the part of the catalogue that each shard is made of, the same on every machine;
        empty in plans of before it was kept.
    """

    source: str
    encoder_id: str
    n_shards: int
    rejections: tuple[Rejection, ...]
    contents: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write ``plan.json``, the same bytes for the same plan."""
        write_file(folder / PLAN_NAME, (json.dumps(asdict(self), indent=1) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> ShardPlan | None:
        """Read ``plan.json``, None where there is none."""
        path = folder / PLAN_NAME
        try:
            document = json.loads(path.read_bytes())
            rejections = tuple(Rejection(**found) for found in document.pop("rejections"))
            contents = tuple(document.pop("contents", ()))
            plan = cls(rejections=rejections, contents=contents, **document)
            if contents and len(contents) != plan.n_shards:
                raise ValueError(f"contents of {len(contents)} shards, {plan.n_shards} shards")
            return plan
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CoverdexError(f"{path} is damaged ({error}); embed again") from error


@dataclass(frozen=True)
class ShardHeader:
    """What the schema metadata of a shard says.

    Parameters
    ----------
    encoder_id, encoder_name : str or None
    fingerprint : str or None
        Of the part of a catalogue that it was made of: paths, sizes, times and metadata, to go on
        on the same machine.
    contents : str or None
        Of the same part without what differs from machine to machine: sizes and metadata.
    rejections : tuple of Rejection
        What of that part could not be embedded.
    n_rows : int
        Embeddings in the shard.
    """

    encoder_id: str | None
    encoder_name: str | None
    fingerprint: str | None
    contents: str | None
    rejections: tuple[Rejection, ...]
    n_rows: int


def shard_name(number: int) -> str:
    """Return the file name of shard ``number``: ``shard-00012.parquet``."""
    return f"shard-{number:05d}.parquet"


def write_shard(
    path: Path,
    *,
    records: Sequence[PerformanceRecord],
    embeddings: NDArray[np.float32],
    durations: Sequence[float],
    frame_rates: Sequence[float],
    rejections: Iterable[Rejection],
    encoder_id: str,
    encoder_name: str,
    fingerprint: str,
    contents: str,
) -> None:
    """Write one shard, complete or not at all.

    Parameters
    ----------
    path : Path
    records : sequence of PerformanceRecord, length n
    embeddings : ndarray, shape (n, dimension), float32
        In the order of the records.
    durations, frame_rates : sequence of float, length n
        Seconds; Hz.
    rejections : iterable of Rejection
    encoder_id, encoder_name, fingerprint, contents : str
    """
    # An extra column that this shard knows nothing of stays without a type: another shard may.
    metadata = records_table(records, records_schema(records, unknown=pa.null()))
    item = pa.field("item", pa.float32(), nullable=False)
    embedding = pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(embeddings, dtype=np.float32).reshape(-1)),
        type=pa.list_(item, embeddings.shape[1]),
    )
    table = (
        metadata.append_column("duration", pa.array(durations, pa.float64()))
        .append_column("frame_rate", pa.array(frame_rates, pa.float64()))
        .append_column(pa.field("embedding", embedding.type, nullable=False), embedding)
        .replace_schema_metadata(
            {
                ENCODER_ID_KEY: encoder_id,
                ENCODER_NAME_KEY: encoder_name,
                FINGERPRINT_KEY: fingerprint,
                CONTENTS_KEY: contents,
                REJECTIONS_KEY: json.dumps([asdict(r) for r in rejections]),
            }
        )
    )
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with naming(path):
            names = metadata.column_names
            pq.write_table(table, temporary, compression="zstd", use_dictionary=names)
            sync(temporary)
            temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # which would hide what went wrong
            temporary.unlink()
        raise
    sync(path.parent)


def read_shard_header(path: Path) -> ShardHeader:
    """Read what a Parquet file of embeddings says about itself.

    Raises
    ------
    CoverdexError
        If it is no readable Parquet file.
    """
    try:
        with pq.ParquetFile(path) as file:
            known = file.schema_arrow.metadata or {}
            n_rows = file.metadata.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # last: a damaged name
        raise CoverdexError(f"{path} cannot be read as Parquet ({error}); make it again") from error

    def text(key: bytes) -> str | None:
        return known.get(key, b"").decode() or None

    try:
        return ShardHeader(
            encoder_id=text(ENCODER_ID_KEY),
            encoder_name=text(ENCODER_NAME_KEY),
            fingerprint=text(FINGERPRINT_KEY),
            contents=text(CONTENTS_KEY),
            rejections=tuple(
                Rejection(**rejection) for rejection in json.loads(known.get(REJECTIONS_KEY, b"[]"))
            ),
            n_rows=n_rows,
        )
    except (ValueError, TypeError) as error:
        raise CoverdexError(
            f"{path} has schema metadata that cannot be read ({error}); make it again"
        ) from error
