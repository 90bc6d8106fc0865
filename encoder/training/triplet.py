"""The triplet loss with the hardest examples of the batch.

For each track with a cover in the batch, its *farthest* cover must be nearer than the *nearest*
track of another work by a margin (Hermans, Beyer and Leibe 2017, "In defense of the triplet
loss")::

    max(d(track, farthest cover) - d(track, nearest other) + margin, 0)

with the cosine distance d = 1 - cos. Embeddings of version identification are usually trained so
(MOVE: Yesiler, Serrà and Gómez 2020).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .loss import EmbeddingLoss, LossOutput, register_loss
from .nt_xent import cover_first


def hardest_triplet_loss(similarity: Tensor, work: Tensor, margin: float) -> Tensor:
    """Give the mean cost over the tracks that have a cover and another work in the batch.

    Parameters
    ----------
    similarity : torch.Tensor, shape (n_tracks, n_tracks), float32
        Cosines.
    work : torch.Tensor, shape (n_tracks,), int64
        Equal numbers are covers of one another.
    margin : float
        Cosine distance.

    Returns
    -------
    torch.Tensor, scalar, float32
        0 where there is no such track.
    """
    same = work[:, None] == work[None, :]
    covers = same & ~torch.eye(len(work), dtype=torch.bool, device=work.device)
    farthest_cover = similarity.masked_fill(~covers, math.inf).amin(dim=1)
    nearest_other = similarity.masked_fill(same, -math.inf).amax(dim=1)
    asks = covers.any(dim=1) & (~same).any(dim=1)
    costs = (nearest_other - farthest_cover + margin).clamp_min(0)
    return torch.where(asks, costs, 0.0).sum() / asks.sum().clamp_min(1)


@register_loss("triplet")
class TripletLoss(EmbeddingLoss):
    """Triplets of each track, its farthest cover and the nearest other work of the batch.

    Parameters
    ----------
    margin : float
        Cosine distance, above 0 to 2.
    """

    def __init__(self, margin: float = 0.3) -> None:
        super().__init__()
        if isinstance(margin, bool) or not 0 < margin <= 2:
            raise ValueError(f"margin is {margin!r}; give a cosine distance above 0, at most 2")
        self.margin = margin

    def of(self, embeddings: Tensor, work: Tensor) -> LossOutput:
        """Judge ``(n_tracks, dimension)`` embeddings with ``(n_tracks,)`` works."""
        similarity = embeddings @ embeddings.T
        loss = hardest_triplet_loss(similarity, work, self.margin)
        return LossOutput(loss, {"cover first": cover_first(similarity.detach(), work)})
