"""What the system says against a temporary file is told of the file that was asked for.

A name as long as a file system takes has no room for what a temporary name adds. It is refused to
everybody, where a folder that may not be written is open to root.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from coverdex.encoder import Chroma, Encoder, write_chroma
from coverdex.indexer.parquet_catalogue_writer import ParquetCatalogueWriter
from coverdex.indexer.performance import PerformanceRecord
from coverdex.indexer.rejection import write_rejections
from coverdex.search.durability import folder_in_the_making, naming, write_file
from coverdex.search.table_files import write_table

CHROMA = Chroma(np.ones((20, 12), np.float32))


def make_folder(path: Path) -> None:
    with folder_in_the_making(path):
        pass


def write_catalogue(path: Path) -> None:
    with ParquetCatalogueWriter(path) as writer:
        writer.add(PerformanceRecord("P_1", "W_1"), CHROMA)


WRITERS: dict[str, Callable[[Path], object]] = {
    "manifest.json": lambda path: write_file(path, b"{}"),
    "found.csv": lambda path: write_table([pa.table({"n": [1]})], path, file_format="csv"),
    "pairs.parquet": lambda path: write_table([pa.table({"n": [1]})], path, file_format="parquet"),
    "rejected.parquet": lambda path: write_rejections(path, []),
    "catalogue.parquet": write_catalogue,
    "my.index": make_folder,
    "hpcp.h5": lambda path: write_chroma(path, CHROMA),
}


def refused(write: Callable[[Path], object], path: Path) -> OSError:
    with pytest.raises(OSError, match="File name too long") as caught:
        write(path)
    assert not list(path.parent.iterdir())
    return caught.value


@pytest.mark.parametrize("name", WRITERS)
def test_a_refusal_names_what_was_asked_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name.rjust(255, "x")
    error = refused(WRITERS[name], path)
    assert (error.errno, error.filename) == (errno.ENAMETOOLONG, str(path))


def test_a_refused_checkpoint_names_its_folder(tmp_path: Path, tiny_encoder: Encoder) -> None:
    path = tmp_path / "checkpoint".rjust(255, "x")
    assert refused(tiny_encoder.save, path).filename == str(path)


def test_a_file_of_another_name_is_not_renamed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, naming(tmp_path / "a"):
        (tmp_path / ".ab.tmp").read_bytes()
    assert caught.value.filename == str(tmp_path / ".ab.tmp")
