"""The contrastive loss against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from coverdex.encoder import TrainingError
from coverdex.encoder.training.contrastive import ContrastiveLoss, contrastive_loss
from coverdex.encoder.training.loss import build_loss


def unit(*degrees: float) -> torch.Tensor:
    """Unit vectors in the plane at the given angles."""
    angles = torch.tensor(degrees) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin()], dim=1)


@pytest.mark.parametrize(
    ("distance", "different", "margin", "expected"),
    [
        (0.0, False, 1.0, 0.0),
        (0.5, False, 1.0, 0.25),
        (2.0, False, 1.0, 4.0),
        (0.0, True, 1.0, 1.0),
        (0.25, True, 1.0, 0.5625),
        (1.0, True, 1.0, 0.0),
        (1.7, True, 1.0, 0.0),
        (0.5, True, 2.0, 2.25),
    ],
)
def test_loss_of_a_pair(distance: float, different: bool, margin: float, expected: float) -> None:
    loss = contrastive_loss(torch.tensor([distance]), torch.tensor([different]), margin)
    assert loss.item() == pytest.approx(expected)


def test_given_pairs_are_neighbouring_rows() -> None:
    # Covers at 60 degrees (d = 0.5) and different works at 90 degrees (d = 1).
    embeddings = unit(0, 60, 0, 90)
    out = ContrastiveLoss(margin=1.5).of(embeddings, torch.tensor([7, 7, 1, 2]))
    assert out.loss.item() == pytest.approx((0.25 + 0.25) / 2, abs=1e-6)


def test_pair_accuracy_at_the_threshold_of_one_half() -> None:
    # 59 and 61 degrees are d = 0.485 and d = 0.515: covers (right, wrong), others (wrong, right).
    embeddings = unit(0, 59, 0, 61, 0, 59, 0, 61)
    work = torch.tensor([1, 1, 2, 2, 3, 4, 5, 6])
    out = ContrastiveLoss().of(embeddings, work)
    assert out.measures["pair accuracy"].item() == pytest.approx(0.5)
    for pair, accuracy in ((0, 1), (2, 0), (4, 0), (6, 1)):
        out = ContrastiveLoss().of(embeddings[pair : pair + 2], work[pair : pair + 2])
        assert out.measures["pair accuracy"].item() == accuracy


def test_all_pairs_weigh_covers_and_others_alike() -> None:
    # Works 1 1 2 at 0, 60, 180 degrees: one pair of covers (d = .5), others at d = 2 and d = 1.5.
    out = ContrastiveLoss(margin=2.0, pairs="all").of(unit(0, 60, 180), torch.tensor([1, 1, 2]))
    assert out.loss.item() == pytest.approx((0.25 + (0.0 + 0.25) / 2) / 2, abs=1e-6)


def test_gradient_draws_covers_together_and_pushes_others_apart() -> None:
    for work, sign in (([1, 1], -1), ([1, 2], 1)):
        angle = torch.tensor([0.0, 0.8], requires_grad=True)
        embeddings = torch.stack([angle.cos(), angle.sin()], dim=1)
        ContrastiveLoss().of(embeddings, torch.tensor(work)).loss.backward()
        assert angle.grad is not None
        step = -angle.grad  # downhill
        assert math.copysign(1, (step[1] - step[0]).item()) == sign


def test_it_is_built_by_name() -> None:
    loss = build_loss({"name": "contrastive", "margin": 0.7})
    assert isinstance(loss, ContrastiveLoss)
    assert loss.margin == 0.7


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"name": "hinge"},
        {"name": "contrastive", "margin": 0},
        {"name": "contrastive", "margin": 2.1},
        {"name": "contrastive", "pairs": "some"},
        {"name": "contrastive", "temperature": 0.1},
    ],
)
def test_wrong_settings(settings: dict[str, object]) -> None:
    with pytest.raises(TrainingError, match="loss"):
        build_loss(settings)


def test_pairs_have_two_rows() -> None:
    with pytest.raises(ValueError, match="even"):
        ContrastiveLoss().of(unit(0, 1, 2), torch.tensor([1, 1, 2]))
