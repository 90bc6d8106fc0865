"""The vectors that all parts measure on: embeddings of simulated covers, extended where need be.

Made once into the work folder: the embeddings block by block (:mod:`.simulated_embeddings`), each
larger catalogue by extension (:mod:`.extended_embeddings`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .extended_embeddings import extend, neighbours_of
from .simulated_embeddings import RealEmbeddings, demo_embeddings, simulated_embeddings

if TYPE_CHECKING:
    from ...encoder import Encoder

#: Where symbolic music for simulated covers lies beside a checkout.
USUAL_SEEDS = Path(__file__).resolve().parents[3] / "shared" / "data" / "seeds"


def real_embeddings(
    seeds: Path | None, work: Path, *, n: int, n_queries: int, encoder: Encoder | None = None
) -> RealEmbeddings:
    """Embed simulated covers, or the demo catalogue where there is no symbolic music.

    Parameters
    ----------
    seeds : Path, optional
        A folder of Parquet tables.
    work : Path
        Keeps the embeddings.
    n, n_queries : int
    encoder : Encoder, optional
        The default one if not given.
    """
    from ...encoder import Encoder as Encoders

    encoder = encoder or Encoders.load()
    tables = sorted(seeds.glob("*.parquet")) if seeds is not None else []
    if not tables:
        print("no symbolic music given: the demo catalogue stands in", file=sys.stderr)
        return demo_embeddings(encoder, n_queries=n_queries)

    def tell(done: int, total: int) -> None:
        print(f"embedding simulated covers: {done:,} of {total:,}", file=sys.stderr)

    return simulated_embeddings(
        tables, work, n=n, n_queries=n_queries, encoder=encoder, progress=tell
    )


def extended_path(real: RealEmbeddings, n: int, work: Path) -> Path:
    """Return the ``.npy`` file of the first ``n`` vectors, made if it is not there."""
    path = work / f"extended-{n}.npy"
    if not path.exists():
        extend(real.base, n, path, neighbours=_neighbours(real.base, n, work))
    return path


def extended_vectors(real: RealEmbeddings, n: int, work: Path) -> NDArray[np.float32]:
    """Return the first ``n`` vectors, shape (n, dimension), float32, in memory."""
    if n <= len(real.base):
        return real.base[:n]
    vectors: NDArray[np.float32] = np.load(extended_path(real, n, work))
    return vectors


def described(real: RealEmbeddings, sizes: Sequence[int]) -> str:
    """Say in one line what the vectors of some sizes are."""
    if max(sizes, default=0) <= len(real.base):
        return real.source
    return f"{real.source}, and beyond these drawn from between them"


def _neighbours(base: NDArray[np.float32], n: int, work: Path) -> NDArray[np.int64] | None:
    if n <= len(base):
        return None
    kept = work / f"neighbours-{len(base)}.npy"
    if not kept.exists():
        np.save(kept, neighbours_of(base))
    found: NDArray[np.int64] = np.load(kept)
    return found
