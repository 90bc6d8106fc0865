"""The contrastive loss on the cosine distance of pairs.

For a pair of embeddings a, b of length 1 the distance is d = 1 - cos(a, b), from 0 (same direction)
to 2 (opposite). With y = 0 for covers and y = 1 for others the loss of the pair is::

    (1 - y) d^2 + y max(margin - d, 0)^2

so covers are drawn together and others pushed apart until they are ``margin`` away (Hadsell, Chopra
and LeCun 2006, "Dimensionality reduction by learning an invariant mapping"). A pair is judged to be
covers where d is below a threshold of 0.5; the share of right judgements is the *pair accuracy*.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .loss import EmbeddingLoss, LossOutput, register_loss

#: Pairs closer than this (cosine distance) are judged to be covers.
COVER_THRESHOLD = 0.5


def contrastive_loss(distance: Tensor, different: Tensor, margin: float) -> Tensor:
    """Give the loss of each pair.

    Parameters
    ----------
    distance : torch.Tensor, shape (n_pairs,), float32
        Cosine distance, 0 to 2.
    different : torch.Tensor, shape (n_pairs,), bool
        False for covers (y = 0), true for others (y = 1).
    margin : float
        Distance from which on others cost nothing.

    Returns
    -------
    torch.Tensor, shape (n_pairs,), float32
    """
    return torch.where(different, (margin - distance).clamp_min(0).square(), distance.square())


@register_loss("contrastive")
class ContrastiveLoss(EmbeddingLoss):
    """The contrastive loss over the pairs of a batch.

    Parameters
    ----------
    margin : float
        Cosine distance from which on two works cost nothing, above 0 to 2.
    pairs : {"given", "all"}
        ``"given"``: rows 2i and 2i + 1 of a batch are a pair, as :mod:`.pair_batches` makes them.
        ``"all"``: every two rows are a pair, covers and others weighing the same in total; for
        sources whose batches hold two or more rows of each work.
    """

    def __init__(self, margin: float = 1.0, pairs: str = "given") -> None:
        super().__init__()
        if isinstance(margin, bool) or not 0 < margin <= 2:
            raise ValueError(f"margin is {margin!r}; give a cosine distance above 0, at most 2")
        if pairs not in ("given", "all"):
            raise ValueError(f"pairs is {pairs!r}; give 'given' or 'all'")
        self.margin = margin
        self.pairs = pairs

    def of(self, embeddings: Tensor, work: Tensor) -> LossOutput:
        """Judge ``(n_tracks, dimension)`` embeddings with ``(n_tracks,)`` works."""
        if self.pairs == "given":
            if len(work) % 2:
                raise ValueError(f"a batch of pairs has {len(work)} rows; give an even number")
            left, right = torch.arange(0, len(work), 2), torch.arange(1, len(work), 2)
        else:
            left, right = torch.triu_indices(len(work), len(work), offset=1)
        left, right = left.to(work.device), right.to(work.device)
        distance = 1 - (embeddings[left] * embeddings[right]).sum(dim=1)
        different = work[left] != work[right]
        losses = contrastive_loss(distance, different, self.margin)
        right_of = ((distance >= COVER_THRESHOLD) == different).float()
        if self.pairs == "given":
            return LossOutput(losses.mean(), {"pair accuracy": right_of.mean()})
        return LossOutput(
            _balanced_mean(losses, different),
            {"pair accuracy": _balanced_mean(right_of, different)},
        )


def _balanced_mean(values: Tensor, different: Tensor) -> Tensor:
    """Mean of the mean over covers and the mean over others; 0 for a side that is empty."""
    means = [(values * side).sum() / side.sum().clamp_min(1) for side in (~different, different)]
    return (means[0] + means[1]) / 2
