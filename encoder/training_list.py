"""Training lists: the performances and works that the weights of a checkpoint have learnt from.

Figures on a work that was trained on say nothing about other works, so a checkpoint carries the
list of all that it has seen, in ``training.parquet`` beside its weights, and an evaluation compares
it with its catalogue (:mod:`coverdex.benchmarks.leakage`).

==================  ================  =============================================================
column              type              meaning
==================  ================  =============================================================
``work_id``         string            the work, under the id that training knew it by
``performance_id``  string, nullable  a recording, or a version in symbols as ``collection/version``
``title``           string, nullable  of the performance, where it is known
==================  ================  =============================================================

One row per performance, sorted, none twice. A checkpoint that went on from another one has seen
what that one saw: the lists are joined. Where the earlier one has no list, the joined list is
marked as not complete (``complete`` in the file's metadata): it was trained on, and so was more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import CheckpointError

#: Name of the file in a checkpoint's folder.
TRAINING_LIST_FILE = "training.parquet"

TRAINING_LIST_SCHEMA = pa.schema(
    [
        pa.field("work_id", pa.string(), nullable=False),
        pa.field("performance_id", pa.string()),
        pa.field("title", pa.string()),
    ]
)

_COMPLETE = b"complete"


class TrainedPerformance(NamedTuple):
    """One row: a performance, the work that it is of, its title where it is known."""

    work_id: str
    performance_id: str | None = None
    title: str | None = None


@dataclass(frozen=True)
class TrainingList:
    """What was trained on.

    Parameters
    ----------
    performances : tuple of TrainedPerformance
        Sorted, none twice; :meth:`of` makes it so.
    complete : bool
        False where more was trained on than is known.
    """

    performances: tuple[TrainedPerformance, ...]
    complete: bool = True

    @classmethod
    def of(
        cls, performances: Iterable[TrainedPerformance], *, complete: bool = True
    ) -> TrainingList:
        """Sort performances and keep each once."""
        ordered = sorted(set(performances), key=lambda p: (p.work_id, p[1] or "", p[2] or ""))
        return cls(tuple(ordered), complete)

    def __len__(self) -> int:
        """Return the number of performances."""
        return len(self.performances)

    @property
    def n_works(self) -> int:
        """Number of works."""
        return len({performance.work_id for performance in self.performances})

    def after(self, earlier: TrainingList | None) -> TrainingList:
        """Join with the list of the checkpoint that training went on from; None if it has none."""
        if earlier is None:
            return TrainingList(self.performances, complete=False)
        joined = self.performances + earlier.performances
        return TrainingList.of(joined, complete=self.complete and earlier.complete)

    def write(self, path: Path) -> None:
        """Write the list as Parquet."""
        columns = list(zip(*self.performances, strict=True)) or [(), (), ()]
        table = pa.table(
            [pa.array(column, pa.string()) for column in columns], schema=TRAINING_LIST_SCHEMA
        )
        complete = b"true" if self.complete else b"false"
        table = table.replace_schema_metadata({_COMPLETE: complete})
        pq.write_table(table, path, compression="zstd", compression_level=19)


def read_training_list(path: Path) -> TrainingList:
    """Read the list of a checkpoint.

    Parameters
    ----------
    path : pathlib.Path
        A file as described above.

    Raises
    ------
    CheckpointError
        It is no Parquet file, or not one with these columns.
    """
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        rows = table.select(TRAINING_LIST_SCHEMA.names).cast(TRAINING_LIST_SCHEMA).to_pydict()
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise CheckpointError(
            f"{path} cannot be read as a list of what was trained on ({error}); get the checkpoint "
            "again, or remove this file: the encoder works without it, but then nobody knows what "
            "it was trained on"
        ) from error
    performances = map(TrainedPerformance._make, zip(*rows.values(), strict=True))
    return TrainingList.of(performances, complete=metadata.get(_COMPLETE) == b"true")
