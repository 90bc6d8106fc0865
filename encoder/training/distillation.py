"""Distillation: learn from a wide teacher which tracks of a batch lie near which.

Sixty-four numbers per performance are what an index holds, not what training must be content with:
a network with 512 outputs ranks better and can teach. The student cannot copy its vectors, which
have other axes, but it can copy their *neighbourhoods*. For each track i of a batch, the teacher's
similarities to all other tracks, at a temperature t, are a distribution over these::

    p_ij = exp(s_ij / t) / sum over k other than i of exp(s_ik / t)

and so are the student's, q_ij. What is added to the loss is the mean over i of the Kullback-Leibler
divergence of q_i from p_i, times a weight. Labels say that all other works are equally far; the
teacher says which of them sound alike, and how sure it is of a cover.

Sources: Hinton, Vinyals and Dean (2015), "Distilling the knowledge in a neural network"; for
similarities instead of classes Passalis and Tefas (2018), "Learning deep representations with
probabilistic knowledge transfer", ECCV, and Fang et al. (2021), "SEED: self-supervised distillation
for visual representation", ICLR.

The teacher reads the student's input, so both need the same preprocessing; its weights never
change. What it has learnt from counts as seen by the student too
(:func:`.start.lists_joined`).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..architectures import EncoderNetwork, build_architecture
from ..chroma import ChromaKind
from ..errors import TrainingError
from ..preprocessing import Preprocessing
from .batch import Batch
from .config import DistillationSettings
from .loss import EmbeddingLoss, Loss, LossOutput
from .start import checkpoint_at


def neighbourhood_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Say how far the student's neighbourhoods are from the teacher's.

    Parameters
    ----------
    student, teacher : torch.Tensor, shape (n_tracks, n_tracks), float32
        Cosines of the same tracks; the diagonal is ignored.
    temperature : float
        Above 0, for both.

    Returns
    -------
    torch.Tensor, scalar, float32
        Mean Kullback-Leibler divergence in nats; 0 where both agree, or for fewer than two tracks.
    """
    if len(student) < 2:
        return student.sum() * 0.0
    itself = torch.eye(len(student), dtype=torch.bool, device=student.device)
    log_q, log_p = (
        # The least number, not minus infinity, whose product with zero is none.
        (similarity / temperature)
        .masked_fill(itself, torch.finfo(similarity.dtype).min)
        .log_softmax(dim=1)
        for similarity in (student, teacher)
    )
    return functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


class DistilledLoss(Loss):
    """A loss of embeddings and, added to it, what a teacher says of the same batch.

    Parameters
    ----------
    loss : EmbeddingLoss
    teacher : EncoderNetwork
        Not a part of this module: it is neither trained nor saved with a run's state.
    weight : float
        Of the divergence, beside the loss.
    temperature : float
    """

    def __init__(
        self, loss: EmbeddingLoss, teacher: EncoderNetwork, weight: float, temperature: float
    ) -> None:
        super().__init__()
        self.loss = loss
        self.weight = weight
        self.temperature = temperature
        self._teacher = (teacher.eval().requires_grad_(False),)  # in a tuple: not a submodule

    def forward(self, network: nn.Module, batch: Batch) -> LossOutput:
        """Judge the batch by works and by the teacher."""
        embeddings = network(batch.x, batch.n_valid)
        with torch.no_grad():
            told = self._teacher[0](batch.x, batch.n_valid).float()
        with torch.autocast(embeddings.device.type, enabled=False):
            own = self.loss.of(embeddings.float(), batch.work)
            student = embeddings.float() @ embeddings.float().T
            divergence = neighbourhood_divergence(student, told @ told.T, self.temperature)
        measures = {**own.measures, "from the teacher": divergence.detach()}
        return LossOutput(own.loss + self.weight * divergence, measures)


class StudentInput(NamedTuple):
    """What the student reads, and the teacher must read too.

    Parameters
    ----------
    kind : ChromaKind
    preprocessing : Preprocessing
    """

    kind: ChromaKind
    preprocessing: Preprocessing


def with_teacher(
    loss: Loss,
    settings: DistillationSettings,
    base: Path,
    reads: StudentInput,
    device: torch.device,
) -> DistilledLoss:
    """Add a teacher to a loss.

    Parameters
    ----------
    loss : Loss
        Of embeddings alone.
    settings : DistillationSettings
    base : Path
        From which the teacher's path counts.
    reads : StudentInput
    device : torch.device
        Of the batches.

    Raises
    ------
    TrainingError
        The loss reads more than embeddings, or the teacher reads another input than the student.
    CheckpointError, NotFoundError
        There is no such teacher, or it is damaged.
    """
    if not isinstance(loss, EmbeddingLoss):
        raise TrainingError(
            f"{type(loss).__name__} is no loss of embeddings alone; leave [distillation] out"
        )
    checkpoint = checkpoint_at(settings.teacher, base)
    if checkpoint.kind is not reads.kind:
        raise TrainingError(
            f"the teacher {checkpoint.id} reads {checkpoint.kind} chroma, but kind is "
            f"{reads.kind}; give a teacher of that kind"
        )
    if checkpoint.preprocessing != reads.preprocessing:
        raise TrainingError(
            f"the teacher {checkpoint.id} reads {checkpoint.preprocessing}, the student "
            f"{reads.preprocessing}; give a teacher with the same preprocessing"
        )
    teacher = build_architecture(checkpoint.architecture)
    teacher.load_state_dict(dict(checkpoint.weights))
    return DistilledLoss(loss, teacher.to(device), settings.weight, settings.temperature)
