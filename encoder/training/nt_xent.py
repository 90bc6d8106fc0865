"""NT-Xent: pick the cover out of the batch.

Every track asks the batch for its covers: the *normalised temperature-scaled cross entropy* of
Chen, Kornblith, Norouzi and Hinton (2020, "A simple framework for contrastive learning of visual
representations"), whose negatives are all tracks of other works. With similarities ``s`` (cosines)
and temperature ``t``, track i with cover j costs::

    -log( exp(s_ij / t) / (exp(s_ij / t) + sum over other works' tracks k of exp(s_ik / t)) )

averaged over all ordered pairs of covers in the batch. Where each work has two tracks this is the
original; a work with more has more positives, none of which is another's negative (Khosla et al.
2020, "Supervised contrastive learning").

A low temperature weighs the hardest negatives most, as ranking does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .loss import EmbeddingLoss, LossOutput, register_loss


def nt_xent_loss(similarity: Tensor, work: Tensor, temperature: float) -> Tensor:
    """Give the mean cost of a batch.

    Parameters
    ----------
    similarity : torch.Tensor, shape (n_tracks, n_tracks), float32
        Cosines.
    work : torch.Tensor, shape (n_tracks,), int64
        Equal numbers are covers of one another.
    temperature : float
        Above 0.

    Returns
    -------
    torch.Tensor, scalar, float32
        0 where no two tracks are covers.
    """
    same = work[:, None] == work[None, :]
    covers = same & ~torch.eye(len(work), dtype=torch.bool, device=work.device)
    scaled = similarity / temperature
    others = scaled.masked_fill(same, -math.inf).logsumexp(dim=1, keepdim=True)
    costs = torch.logaddexp(scaled, others) - scaled
    return torch.where(covers, costs, 0.0).sum() / covers.sum().clamp_min(1)


@register_loss("nt-xent")
class NTXentLoss(EmbeddingLoss):
    """NT-Xent over the tracks of a batch.

    Parameters
    ----------
    temperature : float
        Above 0; usual are 0.05 to 0.2.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        if isinstance(temperature, bool) or not 0 < temperature < math.inf:
            raise ValueError(f"temperature is {temperature!r}; give a number above 0")
        self.temperature = float(temperature)

    def of(self, embeddings: Tensor, work: Tensor) -> LossOutput:
        """Judge ``(n_tracks, dimension)`` embeddings with ``(n_tracks,)`` works."""
        similarity = embeddings @ embeddings.T
        loss = nt_xent_loss(similarity, work, self.temperature)
        return LossOutput(loss, {"cover first": cover_first(similarity.detach(), work)})


def cover_first(similarity: Tensor, work: Tensor) -> Tensor:
    """Share of tracks with a cover in the batch whose nearest other track is one.

    Parameters
    ----------
    similarity : torch.Tensor, shape (n_tracks, n_tracks), float32
    work : torch.Tensor, shape (n_tracks,), int64

    Returns
    -------
    torch.Tensor, scalar, float32
    """
    itself = torch.eye(len(work), dtype=torch.bool, device=work.device)
    nearest = similarity.masked_fill(itself, -math.inf).argmax(dim=1)
    asks = ((work[:, None] == work[None, :]) & ~itself).any(dim=1)
    return ((work[nearest] == work) & asks).sum() / asks.sum().clamp_min(1)
