"""Coverdex itself as contenders: the whole of ``Index.search``, and its structure asked alone.

*Coverdex* is an index as ``write_index`` plans it, metadata included, asked as a user asks it: the
candidates' ids come back as rows. *Its structure* is the same file, asked at an effort that is
swept as the others' are. A bare FAISS graph stands beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...search import QueryVectors
from .contender import AS_PLANNED, Contender, Ladder
from .measured_index import ENCODER_ID, made_up_performances, row_of

_INDEX = "index"
_K_FACTORS = (4, 8, 12, 16, 24, 32)
#: An effort is a whole number.
_GAP = "gap in thousandths"


class Coverdex(Contender):
    """An index as it is planned and measured, by ``Index.search``."""

    name = "Coverdex, Index.search"
    settings = "as planned, recall .99"

    @property
    def folder_name(self) -> str:
        """Both ways of asking share one index."""
        return "coverdex"

    def build(self, vectors: NDArray[np.float32], folder: Path) -> None:
        """Write an index: planned, trained, filled, measured, with metadata."""
        from ...search import write_index
        from ...search.vectors import faiss

        faiss.omp_set_num_threads(1)
        write_index(
            folder / _INDEX,
            embeddings=np.array(vectors),
            performances=made_up_performances(0, len(vectors)),
            encoder_id=ENCODER_ID,
            encoder_name=ENCODER_ID,
            source="made for a measurement",
        )

    def n_bytes(self, folder: Path) -> int:
        """Count the file of the structure; metadata is left out, as for the others."""
        return (folder / _INDEX / "vectors.faiss").stat().st_size

    def open(self, folder: Path, n: int) -> None:
        """Open the index."""
        from ...search import Index
        from ...search.vectors import faiss

        faiss.omp_set_num_threads(1)
        del n
        self._index = Index.open(folder / _INDEX)
        manifest = self._index.manifest
        self.settings = f"{manifest.factory}, {_named(manifest.search_parameters)}"

    def ladders(self, n: int) -> Sequence[Ladder]:
        """Ask it as the manifest says."""
        del n
        return [Ladder(AS_PLANNED, 1, 1)]

    def search(
        self, queries: NDArray[np.float32], limit: int, setting: Mapping[str, Any]
    ) -> NDArray[np.int64]:
        """Ask all at once, and read the rows off the ids."""
        del setting
        found = np.full((len(queries), limit), -1, np.int64)
        batch: QueryVectors = queries.reshape(len(queries), -1)
        answers = self._index.search(batch, limit=limit)
        for place, candidates in zip(found, answers, strict=True):
            place[: len(candidates)] = [row_of(c.performance_id) for c in candidates]
        return found


class CoverdexStructure(Coverdex):
    """The FAISS structure of the same index, at the least effort that reaches the recall."""

    name = "Coverdex, its structure alone"

    def open(self, folder: Path, n: int) -> None:
        """Open the file of vectors."""
        from ...search.vectors import Vectors

        super().open(folder, n)
        self._vectors = Vectors.open(
            folder / _INDEX / "vectors.faiss", self._index.manifest.search_parameters, mmap=True
        )
        self._asked_with: Mapping[str, Any] | None = None

    def ladders(self, n: int) -> Sequence[Ladder]:
        """Sweep the lists, where they hold codes at several depths of refinement."""
        del n
        most = max(1, self._vectors.n_lists)
        if "k_factor" not in self._index.manifest.search_parameters:
            return [Ladder("nprobe", 1, most)]
        if "gap" in self._index.manifest.search_parameters:
            return [Ladder(_GAP, 1, 1_000, {"k_factor": k}) for k in _K_FACTORS]
        return [Ladder("nprobe", 1, most, {"k_factor": k}) for k in _K_FACTORS]

    def search(
        self, queries: NDArray[np.float32], limit: int, setting: Mapping[str, Any]
    ) -> NDArray[np.int64]:
        """Ask all at once."""
        if setting != self._asked_with:  # an open index knows how it is asked
            parameters = dict(setting)
            if _GAP in parameters:
                parameters["gap"] = parameters.pop(_GAP) / 1_000
            self._asked, self._asked_with = self._vectors.with_parameters(parameters), setting
        return self._asked.search(queries, limit)[1]


class FaissGraph(Contender):
    """FAISS's own graph, of float16 vectors: what the inverted file is measured against."""

    name = "FAISS HNSW"
    most_vectors = 2_000_000
    settings = "HNSW16, efConstruction 200, float16"

    def build(self, vectors: NDArray[np.float32], folder: Path) -> None:
        """Add all vectors on one thread."""
        from ...search.vectors import faiss

        faiss.omp_set_num_threads(1)
        index = faiss.index_factory(vectors.shape[1], "HNSW16,SQfp16", faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 200
        index.train(np.array(vectors[:1_000]))
        index.add(np.array(vectors))
        faiss.write_index(index, str(folder / "graph.faiss"))

    def n_bytes(self, folder: Path) -> int:
        """Count the file."""
        return (folder / "graph.faiss").stat().st_size

    def open(self, folder: Path, n: int) -> None:
        """Read the graph."""
        from ...search.vectors import faiss

        del n
        faiss.omp_set_num_threads(1)
        self._graph: Any = faiss.read_index(str(folder / "graph.faiss"))

    def ladders(self, n: int) -> Sequence[Ladder]:
        """Sweep the length of the candidate list."""
        return [Ladder("efSearch", 10, min(n, 4_000))]

    def search(
        self, queries: NDArray[np.float32], limit: int, setting: Mapping[str, Any]
    ) -> NDArray[np.int64]:
        """Ask all at once."""
        from ...search.vectors import faiss

        parameters = faiss.SearchParametersHNSW(efSearch=setting["efSearch"])
        return np.asarray(self._graph.search(queries, limit, params=parameters)[1], np.int64)


def _named(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items()) or "no parameters"
