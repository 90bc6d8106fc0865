"""hnswlib and usearch: graphs in which a query walks from neighbour to neighbour.

Both build a hierarchical navigable small world graph (Malkov and Yashunin 2018, IEEE TPAMI 42).
Degree and effort of building are those that their authors' documentation gives for high recall.
"""

from __future__ import annotations

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

    def build(self, vectors: NDArray[np.float32], folder: Path) -> None:
        """Add all vectors on one thread."""
        index = self._empty(vectors.shape[1])
        for start in range(0, len(vectors), _TOGETHER):
            block = np.asarray(vectors[start : start + _TOGETHER])
            index.add(np.arange(start, start + len(block)), block, threads=1)
        index.save(str(folder / "graph.usearch"))

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
