"""Several networks as one: their embeddings side by side, projected onto fewer dimensions.

Networks that learnt apart make different mistakes, and what they agree on is more often right
(Hansen and Salamon 1990, "Neural network ensembles", IEEE TPAMI 12). For vectors that are compared
by their inner product the mean of the members' similarities is the inner product of their
embeddings laid end to end. That is as many times longer as there are members, and mostly redundant:
a projection onto the directions in which such vectors are greatest keeps almost all of it in the
dimension of one member (:mod:`coverdex.encoder.training.ensemble` finds them). So an ensemble costs
its members' time when a performance is embedded, and nothing more when it is searched.

What every member's embedding does not see, such as transposition, the ensemble's does not see
either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from .architectures import (
    EncoderNetwork,
    TrackEmbedder,
    build_architecture,
    register_architecture,
)
from .equivariant_inference import EquivariantInference
from .side_by_side import Piece, side_by_side


@register_architecture("ensemble")
class Ensemble(EncoderNetwork):
    """Networks side by side, their embeddings projected together.

    Parameters
    ----------
    members : sequence of mapping
        The ``architecture`` table of each; at least one.
    dimension : int, default 64
        Of the embedding; at most the sum of the members'.

    Notes
    -----
    ``projection`` has the shape (sum of the members' dimensions, dimension). A fresh one has
    orthonormal columns.
    """

    def __init__(self, members: Sequence[Mapping[str, Any]], dimension: int = 64) -> None:
        super().__init__()
        if not members:
            raise ValueError("an ensemble has no members; give the architecture of one or more")
        networks = [build_architecture(each) for each in members]
        n_joint = sum(network.dimension for network in networks)
        if not 1 <= dimension <= n_joint:
            raise ValueError(
                f"dimension is {dimension}; give 1 to {n_joint}, which the members have together"
            )
        self.members = nn.ModuleList(networks)
        self.projection = nn.Parameter(torch.empty(n_joint, dimension))
        nn.init.orthogonal_(self.projection)
        self.dimension = dimension

    def forward(self, x: Tensor, n_valid: Tensor) -> Tensor:
        """Embed a batch.

        Parameters
        ----------
        x : Tensor, shape (batch, n_frames, 12), float32
            Preprocessed chroma; frames from ``n_valid`` on are ignored.
        n_valid : Tensor, shape (batch,), int64

        Returns
        -------
        Tensor, shape (batch, dimension), float32
            Of length 1.
        """
        joint = self.joint(x, n_valid)
        # As in the members: three digits are too few to rank by.
        with torch.autocast(x.device.type, enabled=False):
            return self.project(joint.to(self.projection.dtype))

    def joint(self, x: Tensor, n_valid: Tensor) -> Tensor:
        """Map a batch to the members' embeddings side by side, (batch, n_joint)."""
        return torch.cat([member(x, n_valid) for member in self.members], dim=1)

    def project(self, joint: Tensor) -> Tensor:
        """Map (batch, n_joint) to (batch, dimension), of length 1."""
        return functional.normalize(joint @ self.projection, dim=1)

    def for_inference(self) -> TrackEmbedder | None:
        """Return the members arranged for a CPU, to run at once; None if one has no such form."""
        arranged = [member.for_inference() for member in self._networks()]
        embedders = [each for each in arranged if each is not None]
        if len(embedders) < len(arranged):
            return None

        def embed(tracks: Sequence[NDArray[np.float32]]) -> Tensor:
            pieces = [_pieces(embedder, tracks) for embedder in embedders]
            rows = iter(side_by_side(list(chain.from_iterable(pieces))))
            with torch.inference_mode():
                joint = torch.cat([torch.cat([next(rows) for _ in each]) for each in pieces], dim=1)
            # A piece too, so that its sums are those of one thread.
            return side_by_side([Piece(partial(self.project, joint))])[0]

        return embed

    def _networks(self) -> list[EncoderNetwork]:
        return [member for member in self.members if isinstance(member, EncoderNetwork)]


def _pieces(embedder: TrackEmbedder, tracks: Sequence[NDArray[np.float32]]) -> list[Piece]:
    if isinstance(embedder, EquivariantInference):
        return embedder.pieces(tracks)
    return [Piece(partial(embedder, tracks))]
