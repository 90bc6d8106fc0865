"""An encoder as a retrieval system, to stand in one table with the baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..encoder.errors import InvalidChromaError
from .baselines.system import Progress

if TYPE_CHECKING:
    from ..encoder import Chroma, Encoder, PreparedChroma

#: Inner products of unit vectors are above this: where a performance without embedding is ranked.
_LAST = -2.0


@dataclass(frozen=True)
class EncoderSystem:
    """Embeds every performance and compares by inner product.

    Parameters
    ----------
    encoder : Encoder
        A loaded checkpoint.
    """

    encoder: Encoder

    @property
    def name(self) -> str:
        """Name of the checkpoint."""
        return self.encoder.name

    @property
    def parameters(self) -> dict[str, Any]:
        """Which checkpoint, by its content, and its dimension."""
        return {"encoder_id": self.encoder.id, "dimension": self.encoder.dimension}

    def similarity_matrix(
        self, chromas: Sequence[Chroma], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Compare all pairs; see :class:`~coverdex.benchmarks.baselines.system.System`.

        Returns
        -------
        ndarray, shape (n, n), float32
            Inner products; symmetric. A performance that cannot be embedded (silence) is not left
            out: all others come before it, and as a query it ranks nothing (all are tied).
        """
        embeddings, usable = embed_usable(self.encoder, chromas, progress=progress)
        return similarities_of(embeddings, usable, embeddings, usable)


def embed_usable(
    encoder: Encoder, chromas: Sequence[Chroma], *, progress: Progress | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Embed what can be embedded.

    Parameters
    ----------
    encoder : Encoder
    chromas : sequence of n Chroma
    progress : callable, optional
        ``progress(done, n)``.

    Returns
    -------
    embeddings : ndarray, shape (n, dimension), float32
        Zeros where there is none.
    usable : ndarray, shape (n,), bool
        False for silence.
    """
    embeddings = np.zeros((len(chromas), encoder.dimension), dtype=np.float32)
    places: list[int] = []

    def prepared() -> Iterator[PreparedChroma]:
        for i, chroma in enumerate(chromas):
            try:
                ready = encoder.prepare(chroma)
            except InvalidChromaError:
                continue
            places.append(i)
            yield ready

    for done, vector in enumerate(encoder.embed_many(prepared())):
        embeddings[places[done]] = vector
        if progress is not None:
            progress(places[done] + 1, len(chromas))
    usable = np.zeros(len(chromas), dtype=bool)
    usable[places] = True
    return embeddings, usable


def similarities_of(
    queries: NDArray[np.float32],
    usable_queries: NDArray[np.bool_],
    candidates: NDArray[np.float32],
    usable_candidates: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Compare queries with candidates by inner product, those without embedding last.

    Returns
    -------
    ndarray, shape (n_queries, n_candidates), float32
        A candidate without embedding comes after all others; a query without one ranks nothing.
    """
    similarities = queries @ candidates.T
    similarities[:, ~usable_candidates] = _LAST
    similarities[~usable_queries] = _LAST
    return np.asarray(similarities)
