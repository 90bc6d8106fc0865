"""Verifying an index: every byte of it, and that its parts say the same.

Opening an index compares sizes, counts and the encoder's id, because a service must start quickly.
This reads everything: each file against its SHA-256 in the manifest, the manifest against its own,
each record of the change log against its checksum, then the parts against each other. One flipped
bit anywhere is found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .change_log import log_name, read_log
from .durability import sha256_of
from .errors import IndexFormatError
from .generation import Generation
from .manifest import MANIFEST_NAME, Manifest
from .performances import PERFORMANCE_ID


@dataclass(frozen=True)
class Verification:
    """What verifying an index found.

    Parameters
    ----------
    path : Path
        The index's folder.
    files : list of str
        What was read, relative to the folder.
    n_bytes : int
        How much was read.
    problems : list of str
        What is wrong, one sentence each; empty if the index is whole.
    """

    path: Path
    files: list[str] = field(default_factory=list)
    n_bytes: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_index(path: str | Path) -> Verification:
    """Read an index completely and report everything that is wrong with it.

    Parameters
    ----------
    path : path
        The folder.

    Returns
    -------
    Verification

    Raises
    ------
    NotFoundError
        When there is no such folder. Everything else is a problem in the report.
    """
    folder = Path(path)
    problems: list[str] = []
    try:
        manifest = Manifest.read(folder)
    except IndexFormatError as error:
        return Verification(folder, problems=[str(error)])
    files = [MANIFEST_NAME]
    n_bytes = (folder / MANIFEST_NAME).stat().st_size
    for record in manifest.files.values():
        file = folder / record.path
        files.append(record.path)
        if not file.is_file():
            problems.append(f"{record.path} is missing")
            continue
        n_bytes += file.stat().st_size
        if file.stat().st_size != record.size:
            problems.append(
                f"{record.path} has {file.stat().st_size} bytes, the manifest says {record.size}"
            )
        elif sha256_of(file) != record.sha256:
            problems.append(f"{record.path} does not match its checksum: its content was damaged")
    log = folder / log_name(manifest.generation)
    if log.is_file():
        files.append(log.name)
        n_bytes += log.stat().st_size
        problems += _damage_of_log(log, manifest)
    if not problems:
        problems += _disagreements(folder)
    return Verification(folder, files, n_bytes, problems)


def _damage_of_log(log: Path, manifest: Manifest) -> list[str]:
    try:
        read_log(log, generation=manifest.generation, dimension=manifest.dimension)
    except IndexFormatError as error:
        return [str(error)]
    return []


def _disagreements(folder: Path) -> list[str]:
    """Compare the parts of an index whose files are as they were written."""
    try:
        generation = Generation.open(folder)
    except IndexFormatError as error:
        return [str(error)]
    problems = []
    ids = generation.performance_ids.to_pylist()
    if any(before >= after for before, after in pairwise(ids)):
        problems.append("the performances are not sorted by unique id")
    if not _same(generation.performances, generation.read_performances()):
        problems.append("the two files of metadata differ")
    stored = generation.read_embeddings([PERFORMANCE_ID]).column(PERFORMANCE_ID)
    if stored.to_pylist() != ids:
        problems.append("the embeddings and the performances list different ids")
    exact = generation.vectors.exact
    if exact is not None and not np.array_equal(exact, generation.stored_embeddings()):
        problems.append("the vectors and the embeddings differ")
    return problems


def _same(one: pa.Table, other: pa.Table) -> bool:
    """Compare two tables; NaN, which older indexes may have, is the same as NaN."""
    if not one.schema.equals(other.schema):  # Parquet has a name of its own for items of lists
        return False
    pairs = zip(one.columns, other.columns, strict=True)
    return all(_marked(mine).equals(_marked(theirs)) for mine, theirs in pairs)


def _marked(column: Any) -> Any:
    """Put infinity in the place of NaN."""
    if column.type not in (pa.float32(), pa.float64()):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(np.inf, column.type), column)
