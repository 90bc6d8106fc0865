"""hnswlib and usearch: graphs in which a query walks from neighbour to neighbour.

Both build a hierarchical navigable small world graph (Malkov and Yashunin 2018, IEEE TPAMI 42).
Degree and effort of building are those that their authors' documentation gives for high recall.

usearch adds ten million vectors in some hours on one thread. Its build is written down on the way
and goes on from there when it was ended; the seconds of both parts count.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contender import Contender, Ladder, bytes_of

#: Efforts of building and edges per node, the same for both.
_DEGREE = 16
_BUILD_EFFORT = 200
#: Vectors added between two looks at the time.
_TOGETHER = 50_000
#: Vectors added between two times that usearch's graph is written down.
_WRITTEN_EVERY = 500_000
_PART = "part.json"


class Hnswlib(Contender):
    """hnswlib, by the algorithm's authors."""

    name = "hnswlib"
    needs = ("hnswlib",)
    most_vectors = 2_000_000
    settings = f"M {_DEGREE}, ef_construction {_BUILD_EFFORT}, float32"

    def build(self, vectors: NDArray[np.float32], folder: Path) -> None:
        """Add all vectors on one thread."""
        import hnswlib

        index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        index.init_index(len(vectors), M=_DEGREE, ef_construction=_BUILD_EFFORT)
        for start in range(0, len(vectors), _TOGETHER):
            block = np.asarray(vectors[start : start + _TOGETHER])
            index.add_items(block, np.arange(start, start + len(block)), num_threads=1)
        index.save_index(str(folder / "hnswlib.bin"))

    def n_bytes(self, folder: Path) -> int:
        """Count the file, which is its memory written down."""
        return bytes_of(folder)

    def open(self, folder: Path, n: int) -> None:
        """Read the graph."""
        import hnswlib

        self._index = hnswlib.Index(space="ip", dim=64)
        self._index.load_index(str(folder / "hnswlib.bin"), max_elements=n)

    def ladders(self, n: int) -> Sequence[Ladder]:
        """Sweep the length of the candidate list."""
        return [Ladder("ef", 10, min(n, 4_000))]

    def search(
        self, queries: NDArray[np.float32], limit: int, setting: Mapping[str, Any]
    ) -> NDArray[np.int64]:
        """Ask all at once on one thread."""
        self._index.set_ef(setting["ef"])
        rows, _ = self._index.knn_query(queries, k=limit, num_threads=1)
        return np.asarray(rows, np.int64)


class Usearch(Contender):
    """usearch, whose float16 vectors take half the memory."""

    name = "usearch"
    needs = ("usearch",)
    most_vectors = 2_000_000
    settings = f"connectivity {_DEGREE}, expansion_add {_BUILD_EFFORT}, float16"

    def __init__(self) -> None:
        self._earlier_seconds = 0.0

    def other_cpu_seconds(self) -> float:
        """Give the seconds of processes that were ended while they built."""
        return self._earlier_seconds

    def build(self, vectors: NDArray[np.float32], folder: Path) -> None:
        """Add all vectors on one thread, from where an earlier process was ended."""
        before = time.process_time()
        index = self._empty(vectors.shape[1])
        part = _read_part(folder)
        if part:
            index.load(str(folder / part["graph"]))
            self._earlier_seconds = part["cpu_seconds"]
        for start in range(part.get("rows", 0), len(vectors), _TOGETHER):
            block = np.asarray(vectors[start : start + _TOGETHER])
            index.add(np.arange(start, start + len(block)), block, threads=1)
            rows = start + len(block)
            if rows % _WRITTEN_EVERY == 0 and rows < len(vectors):
                seconds = self._earlier_seconds + time.process_time() - before
                _write_part(index, folder, rows, seconds)
        index.save(str(folder / "graph.usearch"))
        for path in (*folder.glob("*.part"), folder / _PART):
            path.unlink(missing_ok=True)

    def n_bytes(self, folder: Path) -> int:
        """Count the file, which is its memory written down."""
        return bytes_of(folder)

    def open(self, folder: Path, n: int) -> None:
        """Read the graph into memory."""
        del n
        self._index = self._empty(64)
        self._index.load(str(folder / "graph.usearch"))

    def ladders(self, n: int) -> Sequence[Ladder]:
        """Sweep the length of the candidate list."""
        return [Ladder("expansion_search", 10, min(n, 4_000))]

    def search(
        self, queries: NDArray[np.float32], limit: int, setting: Mapping[str, Any]
    ) -> NDArray[np.int64]:
        """Ask all at once on one thread."""
        self._index.expansion_search = setting["expansion_search"]
        found = self._index.search(queries, limit, threads=1)
        return np.asarray(found.keys, np.int64).reshape(len(queries), limit)

    def _empty(self, dimension: int) -> Any:
        from usearch.index import Index

        return Index(
            ndim=dimension,
            metric="ip",
            dtype="f16",
            connectivity=_DEGREE,
            expansion_add=_BUILD_EFFORT,
        )


def _read_part(folder: Path) -> dict[str, Any]:
    """Return what an ended process has left behind; nothing if there is nothing whole."""
    path = folder / _PART
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _write_part(index: Any, folder: Path, rows: int, cpu_seconds: float) -> None:
    """Write a graph of the first ``rows`` vectors; the one before it stays until this is whole."""
    graph = f"{rows}.part"
    index.save(str(folder / graph))
    record = {"graph": graph, "rows": rows, "cpu_seconds": cpu_seconds}
    (folder / "part.new").write_text(json.dumps(record), encoding="utf-8")
    (folder / "part.new").replace(folder / _PART)
    for path in folder.glob("*.part"):
        if path.name != graph:
            path.unlink()
