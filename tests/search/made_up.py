"""A small catalogue that never was: unit vectors in cliques, and their metadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from coverdex.search import Manifest, write_index
from numpy.typing import NDArray

ENCODER_ID = "made-up-0123456789ab"
DIMENSION = 64


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


@dataclass
class MadeUp:
    """Ids in the order given, `embeddings` (n, 64) and `performances` row for row."""

    embeddings: NDArray[np.float32]
    performances: pa.Table

    @property
    def ids(self) -> list[str]:
        return self.performances.column("performance_id").to_pylist()

    def shuffled(self, seed: int) -> MadeUp:
        order = np.random.default_rng(seed).permutation(len(self.embeddings))
        return MadeUp(self.embeddings[order], self.performances.take(pa.array(order)))

    def write(self, folder: Path, **options: Any) -> Manifest:
        return write_index(
            folder,
            **{
                "embeddings": self.embeddings,
                "performances": self.performances,
                "encoder_id": ENCODER_ID,
                "encoder_name": "made-up",
                "source": "nowhere",
                **options,
            },
        )

    def ranking(self, query: NDArray[np.float32], leave_out: set[str] = frozenset()) -> list[str]:
        """All ids by descending similarity, then by id: the slow, obvious way."""
        similarities = (self.embeddings.astype(np.float64) @ query.astype(np.float64)).round(6)
        pairs = sorted(zip(-similarities, self.ids, strict=True))
        return [name for _, name in pairs if name not in leave_out]


def make_up(n: int, *, seed: int = 0, versions: int = 3) -> MadeUp:
    rng = np.random.default_rng(seed)
    works = np.arange(n) // versions
    centres = rng.standard_normal((works.max() + 1, DIMENSION))
    embeddings = unit(centres[works] + 0.5 * rng.standard_normal((n, DIMENSION)))
    table = pa.table(
        {
            "performance_id": [f"P_{i}" for i in range(n)],
            "work_id": [f"W_{work}" for work in works],
            "title": [f"Tune {work}" if i % 5 else None for i, work in enumerate(works)],
            "artist": [f"Artist {i % 7}" for i in range(n)],
            "year": pa.array([1900 + i % 50 if i % 4 else None for i in range(n)], pa.int32()),
            "instrumental": [i % 2 == 0 for i in range(n)],
            "key": [["C", "G", "Am"][i % 3] for i in range(n)],
        }
    )
    return MadeUp(embeddings, table)
