"""ScaNN: an inverted file with 4-bit codes that are compared in the processor's registers.

Guo et al. (2020), "Accelerating Large-Scale Inference with Anisotropic Vector Quantization", ICML.
Settings after the authors' own advice: about the square root of the number of vectors as leaves,
two dimensions per code, anisotropic threshold 0.2, and float32 vectors for the last reordering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contender import Contender, Ladder, bytes_of, list_count

_DEEPEST = 400


class Scann(Contender):
    """ScaNN on one thread."""

    name = "ScaNN"
    needs = ("scann",)
    settings = "tree, 2 dimensions per 4-bit code, anisotropic 0.2, float32 reordering"

    def build(self, vectors: NDArray[np.float32], folder: Path) -> None:
        """Train the tree on a sample, as many vectors per leaf as ours, and encode all."""
        import scann

        n = len(vectors)
        leaves = list_count(n) // 2
        builder = (
            scann.scann_ops_pybind.builder(np.array(vectors), 10, "dot_product")
            .set_n_training_threads(1)
            .tree(leaves, 1, training_sample_size=min(n, 64 * leaves))
            .score_ah(2, anisotropic_quantization_threshold=0.2)
            .reorder(_DEEPEST)
        )
        builder.build().serialize(str(folder.resolve()))

    def n_bytes(self, folder: Path) -> int:
        """Count its files, the float32 vectors among them."""
        return bytes_of(folder)

    def open(self, folder: Path, n: int) -> None:
        """Read codes and vectors."""
        import scann

        del n
        self._searcher = scann.scann_ops_pybind.load_searcher(str(folder.resolve()))

    def ladders(self, n: int) -> Sequence[Ladder]:
        """Sweep the leaves, at several depths of reordering."""
        leaves = list_count(n) // 2
        return [
            Ladder("leaves_to_search", 1, leaves, {"pre_reorder_num_neighbors": depth})
            for depth in (30, 50, 80, 120, 200, 400, 800)
        ]

    def search(
        self, queries: NDArray[np.float32], limit: int, setting: Mapping[str, Any]
    ) -> NDArray[np.int64]:
        """Ask all at once; ``search_batched`` uses one thread."""
        rows, _ = self._searcher.search_batched(
            queries, final_num_neighbors=limit, **dict[str, Any](setting)
        )
        return np.asarray(rows, np.int64)
