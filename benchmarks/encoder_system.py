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
        embeddings = np.zeros((len(chromas), self.encoder.dimension), dtype=np.float32)
        usable: list[int] = []

        def prepared() -> Iterator[PreparedChroma]:
            for i, chroma in enumerate(chromas):
                try:
                    ready = self.encoder.prepare(chroma)
                except InvalidChromaError:
                    continue
                usable.append(i)
                yield ready

        for done, vector in enumerate(self.encoder.embed_many(prepared())):
            embeddings[usable[done]] = vector
            if progress is not None:
                progress(usable[done] + 1, len(chromas))
        similarities = embeddings @ embeddings.T
        unusable = np.setdiff1d(np.arange(len(chromas)), usable)
        similarities[unusable] = similarities[:, unusable] = _LAST
        return np.asarray(similarities)
