"""Processes share the pages of an index, whatever FAISS structure it has; nobody shares a place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from coverdex.search import Index

from .made_up import DIMENSION, MadeUp, make_up, unit

N = 40_000
#: Bytes of the codes of one vector, and ids where the lists of an inverted file hold them.
STRUCTURES = {"Flat": 256, "SQ8": 64, "IVF16,SQfp16": 128 + 8, "IVF16,SQ8": 64 + 8}


@pytest.fixture(scope="module")
def large() -> MadeUp:
    vectors = unit(np.random.default_rng(0).standard_normal((N, DIMENSION)))
    table = pa.table(
        {
            "performance_id": [f"P_{i:06}" for i in range(N)],
            "title": [f"A title of some length, number {i}" for i in range(N)],
        }
    )
    return MadeUp(vectors, table)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc/self/smaps")
@pytest.mark.parametrize("factory", STRUCTURES)
def test_a_second_process_holds_no_copy(large: MadeUp, tmp_path: Path, factory: str) -> None:
    parameters = {"nprobe": 16} if factory.startswith("IVF") else {}
    large.write(tmp_path / "i", factory=factory, search_parameters=parameters)
    make_up(9).write(tmp_path / "warm")
    program = [sys.executable, str(Path(__file__).with_name("reader.py"))]
    readers = [
        subprocess.Popen(
            [*program, str(tmp_path / "i"), str(tmp_path / "warm")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]

    def told(reader: subprocess.Popen[str]) -> str:
        assert reader.stdout is not None
        return reader.stdout.readline()

    def tell(reader: subprocess.Popen[str]) -> None:
        assert reader.stdin is not None
        print(file=reader.stdin, flush=True)

    assert [told(reader) for reader in readers] == ["open\n"] * 2
    found: list[dict[str, Any]] = []
    for reader in readers:
        tell(reader)
        found.append(json.loads(told(reader)))
    for reader in readers:
        tell(reader)
        assert reader.wait() == 0
    codes = N * STRUCTURES[factory]
    for memory in found:
        vectors, metadata = memory["vectors.faiss"], memory["performances.arrow"]
        # All of the codes were read, through pages that both processes map and neither copied.
        assert vectors["Rss"] >= codes
        for pages in (vectors, metadata):
            assert pages["Anonymous"] == 0
            assert pages["Private_Clean"] + pages["Private_Dirty"] <= 0.05 * pages["Rss"]
        assert memory["anonymous"] < max(1_500_000, 0.3 * codes)


@pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="needs /proc/self/fdinfo")
def test_reading_moves_no_place_that_threads_and_forks_share(
    catalogue: MadeUp, tmp_path: Path
) -> None:
    catalogue.write(tmp_path / "i", factory="SQfp16")  # so that embeddings are read from Parquet
    opened = Index.open(tmp_path / "i", mmap=False)
    assert np.array_equal(opened.embedding("P_3"), catalogue.embeddings[3])
    assert opened.metadata("P_3")["key"] == "C"
    places = {}
    for link in Path("/proc/self/fd").iterdir():
        if link.is_symlink() and link.readlink().parent == tmp_path / "i":
            said = (Path("/proc/self/fdinfo") / link.name).read_text()
            places[link.readlink().name] = said.split()[:2]
    assert places["embeddings.parquet"] == places["performances.parquet"] == ["pos:", "0"]
