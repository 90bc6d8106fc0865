"""A catalogue with known structure and planted covers: for measuring the evaluator itself.

Each work has a random direction; its performances are that direction with noise, brought to length
1. The more noise, the harder the retrieval. With the clique sizes of a benchmark it costs and ranks
like the real one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from .cover_ranks import Cliques

#: Clique sizes of the benchmark subset of Da-TACOS: 1,000 works of 13 performances, 2,000 of one.
DATACOS_SIZES = (13,) * 1000 + (1,) * 2000


def works_of_sizes(sizes: Sequence[int] = DATACOS_SIZES) -> list[str]:
    """Name the work of every performance, works in order, shape (sum of sizes,)."""
    return [f"W_{work}" for work, size in enumerate(sizes) for _ in range(size)]


def planted_embeddings(
    works: Sequence[Hashable | None], *, dimension: int = 64, noise: float = 1.5, seed: int = 0
) -> NDArray[np.float32]:
    """Give a vector of length 1 per performance, close to the others of its work.

    Parameters
    ----------
    works : sequence of n hashables
        Work of each performance.
    dimension : int
    noise : float
        Length of the noise, where the work's direction has length 1.
    seed : int

    Returns
    -------
    ndarray, shape (n, dimension), float32
    """
    rng = np.random.default_rng(seed)
    cliques = Cliques.of(works)
    directions = _unit(rng.standard_normal((len(cliques.members), dimension)))
    noisy = directions[cliques.work_of] + noise * _unit(
        rng.standard_normal((len(works), dimension))
    )
    return _unit(noisy).astype(np.float32)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float64)
