"""Rejections: what a catalogue holds that could not be indexed, and why.

Of 15,000 feature files a few are always wrong: a download that stopped, a file in the wrong
folder, a track of pure silence. One of them must not stop the other 14,999, and must not vanish
either. Each becomes one :class:`Rejection`; together they are the *rejection report*,
``rejected.parquet``, which lies **beside** the index as ``<index>.rejected.parquet``.

Beside and not inside, because the two have different lives: the report describes one run over one
catalogue, whereas the index folder goes on to be served, changed, compacted and copied, and each
of its files carries a checksum in its manifest. A report is also written when ``strict`` makes the
build fail and there is no index folder at all, which is when it is needed most. It is always
written, empty when all went well, so that an old report never passes for a new one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..search.durability import naming, sync

REJECTION_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("performance", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
    ]
)

#: Reasons that catalogues give; the encoder's reasons (``missing-key``, ``wrong-shape``,
#: ``not-finite``, ``no-energy``, ...) come from its errors and are passed on as they are.
LISTED_TWICE = "listed-twice"
NO_FEATURE_FILE = "no-feature-file"
UNREADABLE = "unreadable"
NO_METADATA = "no-metadata"
METADATA_DISAGREES = "metadata-disagrees"
UNRECOGNISED_FILE = "unrecognised-file"
WRONG_METADATA = "wrong-metadata"
OTHER_KIND = "other-kind"
NO_ID = "no-id"


@dataclass(frozen=True)
class Rejection:
    """One thing of a catalogue that was not indexed.

    Parameters
    ----------
    path : str
        The file at fault; for a missing feature file, the metadata file that names it.
    performance : str or None
        Its performance id, where one could be told.
    reason : str
        A short stable code for tables and tests, such as ``"missing-key"``.
    message : str
        What came, what was wanted, what to do.
    """

    path: str
    performance: str | None
    reason: str
    message: str


def rejection_report_path(index: str | Path) -> Path:
    """Return where the report of the index ``index`` lies: ``my.index.rejected.parquet``."""
    index = Path(index)
    return index.with_name(index.name + ".rejected.parquet")


def write_rejections(path: str | Path, rejections: Iterable[Rejection]) -> Path:
    """Write a rejection report, sorted by path, performance and reason; replaces an older one."""
    path = Path(path)
    ordered = sorted(rejections, key=lambda r: (r.path, r.performance or "", r.reason))
    table = pa.Table.from_pylist([asdict(r) for r in ordered], schema=REJECTION_SCHEMA)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with naming(path):
            pq.write_table(table, temporary)
            sync(temporary)
            temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # which would hide what went wrong
            temporary.unlink()
        raise
    return path


def read_rejections(path: str | Path) -> list[Rejection]:
    """Read a rejection report."""
    return [Rejection(**row) for row in pq.read_table(path).to_pylist()]


def summarise_rejections(rejections: Sequence[Rejection]) -> str:
    """Say in one line how many were rejected and why, most frequent reason first."""
    if not rejections:
        return "nothing rejected"
    counts = Counter(r.reason for r in rejections)
    reasons = ", ".join(
        f"{count} {reason}" for reason, count in sorted(counts.items(), key=lambda c: (-c[1], c[0]))
    )
    return f"{len(rejections)} rejected ({reasons})"
