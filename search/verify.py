"""Verifying an index: every byte of it, and that its parts say the same.

Opening an index compares sizes, counts and the encoder's id, because a service must start quickly.
This reads everything: each file against its SHA-256 in the manifest, the manifest against its own,
each record of the change log against its checksum, then the parts against each other. One flipped
bit anywhere is found.

That takes long, and an index may be changed and compacted meanwhile. The generation that is read is
marked as read, so that a compaction leaves its files; and if another has taken its place in the
end, all begins anew, because what was found says nothing about the present one.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .change_log import log_name, read_log
from .durability import sha256_of
from .errors import IndexFormatError, NotFoundError
from .following import LOG_ATTEMPTS
from .generation import ATTEMPTS, Generation
from .locks import mark_as_read
from .manifest import MANIFEST_NAME, VECTORS, FileRecord, Manifest
from .parts import FILE_NAMES
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
        When there is no such folder.
    IndexFormatError
        When it is no index: it holds no part of one. Everything else is a problem in the report.
    """
    folder = Path(path)
    for _ in range(ATTEMPTS):
        try:
            manifest = Manifest.read(folder)
        except IndexFormatError as error:
            if not _holds_parts(folder):
                raise
            return Verification(folder, problems=[str(error)])
        found = _verified(folder, manifest)
        if _is_present(folder, manifest):
            return found
    problem = f"{folder} is replaced again and again while it is read; verify it when it rests"
    return Verification(folder, problems=[problem])


def _holds_parts(folder: Path) -> bool:
    """Say whether there is something that an index consists of, be it damaged or not all of it."""
    parts = (MANIFEST_NAME, *FILE_NAMES.values(), "changes-*.log", "generation-*")
    return any(any(folder.glob(name)) for name in parts)


def _verified(folder: Path, manifest: Manifest) -> Verification:
    """Verify the generation of ``manifest``; without meaning if that is replaced meanwhile."""
    files = [MANIFEST_NAME, *(record.path for record in manifest.files.values())]
    problems = []
    with ExitStack() as marks:
        with suppress(OSError):  # a missing file is said below
            vectors = (folder / manifest.files[VECTORS].path).open("rb")
            mark_as_read(marks.enter_context(vectors))
        for record in manifest.files.values():
            problems += _damage_of_file(folder, record)
        log = folder / log_name(manifest.generation)
        if log.is_file():
            files.append(log.name)
            problems += _damage_of_log(log, manifest)
        if not problems:
            problems += _disagreements(folder)
    n_bytes = sum(_size(folder / name) for name in files)
    return Verification(folder, files, n_bytes, problems)


def _is_present(folder: Path, manifest: Manifest) -> bool:
    try:
        return Manifest.read(folder) == manifest
    except (IndexFormatError, NotFoundError):
        return False  # the next attempt says why


def _damage_of_file(folder: Path, record: FileRecord) -> list[str]:
    try:
        with (folder / record.path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != record.size:
                return [f"{record.path} has {size} bytes, the manifest says {record.size}"]
            if sha256_of(file) != record.sha256:
                return [f"{record.path} does not match its checksum: its content was damaged"]
    except (FileNotFoundError, IsADirectoryError):
        return [f"{record.path} is missing"]
    except OSError as error:
        return [f"{record.path} cannot be read: {error.strerror}"]
    return []


def _damage_of_log(log: Path, manifest: Manifest) -> list[str]:
    found: list[str] = []
    # A reading can mix a record that is taken back with the one in its place; damage stays.
    for _ in range(LOG_ATTEMPTS):
        try:
            read_log(log, generation=manifest.generation, dimension=manifest.dimension)
        except IndexFormatError as error:
            found = [str(error)]
        except OSError as error:
            return [f"{log.name} cannot be read: {error.strerror}"]
        else:
            return []
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


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
