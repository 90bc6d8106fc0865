"""NT-Xent and the hardest triplet, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from coverdex.encoder.training.loss import build_loss
from coverdex.encoder.training.nt_xent import cover_first, nt_xent_loss
from coverdex.encoder.training.triplet import hardest_triplet_loss

WORK = torch.tensor([0, 1, 0, 1])
SIMILARITY = torch.tensor(
    [
        [1.0, 0.2, 0.9, 0.1],
        [0.2, 1.0, 0.3, 0.4],
        [0.9, 0.3, 1.0, 0.5],
        [0.1, 0.4, 0.5, 1.0],
    ]
)


def test_nt_xent_by_hand() -> None:
    def cost(own: float, *others: float) -> float:
        return -math.log(math.exp(own / 0.5) / sum(math.exp(s / 0.5) for s in (own, *others)))

    costs = [cost(0.9, 0.2, 0.1), cost(0.4, 0.2, 0.3), cost(0.9, 0.3, 0.5), cost(0.4, 0.1, 0.5)]
    found = nt_xent_loss(SIMILARITY, WORK, temperature=0.5)
    assert float(found) == pytest.approx(sum(costs) / 4, abs=1e-6)


def test_a_works_other_covers_are_no_negatives() -> None:
    """A third cover, as near as the second, changes nobody's cost of the second."""
    similarity = torch.full((4, 4), 0.9)
    similarity[3, :3] = similarity[:3, 3] = 0.1
    work = torch.tensor([0, 0, 0, 1])
    expected = math.log(1 + math.exp((0.1 - 0.9) / 0.2))
    assert float(nt_xent_loss(similarity, work, 0.2)) == pytest.approx(expected, abs=1e-6)


def test_without_covers_there_is_no_cost() -> None:
    work = torch.arange(4)
    assert float(nt_xent_loss(SIMILARITY, work, 0.1)) == 0
    assert float(hardest_triplet_loss(SIMILARITY, work, 0.3)) == 0


def test_triplets_by_hand() -> None:
    # Nearest other minus the cover: 0.2 - 0.9, 0.3 - 0.4, 0.5 - 0.9, 0.5 - 0.4; margin 0.3.
    expected = (0 + 0.2 + 0 + 0.4) / 4
    assert float(hardest_triplet_loss(SIMILARITY, WORK, 0.3)) == pytest.approx(expected, abs=1e-6)


def test_the_farthest_cover_counts() -> None:
    similarity = torch.tensor(
        [[1.0, 0.9, 0.2, 0.5], [0.9, 1, 0.9, 0.0], [0.2, 0.9, 1, 0], [0.5, 0, 0, 1]]
    )
    work = torch.tensor([0, 0, 0, 1])
    # Track 0: 0.5 - 0.2 + 0.1; tracks 1 and 2 are far from the other work; track 3 has no cover.
    assert float(hardest_triplet_loss(similarity, work, 0.1)) == pytest.approx(0.4 / 3, abs=1e-6)


def test_cover_first_counts_hits() -> None:
    assert float(cover_first(SIMILARITY, WORK)) == pytest.approx(0.75)  # track 3 prefers track 2
    alone = torch.tensor([0, 0, 1, 2])
    assert float(cover_first(SIMILARITY, alone)) == 0.0  # tracks 2 and 3 do not ask


@pytest.mark.parametrize("name", ["nt-xent", "triplet"])
def test_losses_draw_covers_together(name: str) -> None:
    """Gradient descent on free vectors ends with every cover first."""
    generator = torch.Generator().manual_seed(0)
    free = torch.randn((12, 8), generator=generator).requires_grad_()
    work = torch.arange(6).repeat(2)
    loss = build_loss({"name": name})
    optimizer = torch.optim.Adam([free], lr=0.05)

    def vectors() -> torch.Tensor:
        return torch.nn.functional.normalize(free, dim=1)

    for _ in range(120):
        optimizer.zero_grad()
        loss.of(vectors(), work).loss.backward()  # type: ignore[attr-defined]
        optimizer.step()
    with torch.no_grad():
        assert float(cover_first(vectors() @ vectors().T, work)) == 1.0


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "nt-xent", "temperature": 0.0},
        {"name": "nt-xent", "temperature": float("inf")},
        {"name": "nt-xent", "temperature": True},
        {"name": "triplet", "margin": 3.0},
        {"name": "triplet", "margin": True},
        {"name": "contrastive", "margin": True},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    from coverdex.encoder.errors import TrainingError

    with pytest.raises(TrainingError, match="give"):
        build_loss(settings)
