"""Learning rates over a run, and the average of the weights."""

from __future__ import annotations

import pytest
import torch
from coverdex.encoder.training.averaging import WeightAverage
from coverdex.encoder.training.schedule import Schedule, learning_rate_factor
from torch import nn


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
@pytest.mark.parametrize("warm_up", [0.0, 0.1, 0.5])
def test_rises_to_one_and_then_never_rises(schedule: Schedule, warm_up: float) -> None:
    n = 200
    factors = [learning_rate_factor(schedule, step, n, warm_up) for step in range(n)]
    top = max(0, round(warm_up * n) - 1)
    assert factors[top] == pytest.approx(1)
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert min(factors) > 0
    assert factors[-1] == pytest.approx(1 if schedule == "constant" else 1e-4)


def test_one_cycle_by_hand() -> None:
    # 4 rising steps: halfway up the cosine is (1/25 + 1) / 2; halfway down likewise.
    assert learning_rate_factor("one-cycle", 1, 13, 4 / 13) == pytest.approx(0.52)
    assert learning_rate_factor("one-cycle", 8, 13, 4 / 13) == pytest.approx(0.50005)


def test_a_run_of_one_step() -> None:
    assert learning_rate_factor("one-cycle", 0, 1, 0.1) == 1


def test_average_by_hand() -> None:
    network = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(0.0)
    average = WeightAverage(network, decay=0.5)
    values = []
    for _ in range(3):
        with torch.no_grad():
            network.weight.add_(1.0)
        average.update(network)
        values.append(average.weights["weight"].item())
    # Decays are limited to 1/10, 2/11, 3/12 at first.
    first = 0.1 * 0 + 0.9 * 1
    second = 2 / 11 * first + 9 / 11 * 2
    third = 0.25 * second + 0.75 * 3
    assert values == pytest.approx([first, second, third])


def test_no_decay_is_no_average() -> None:
    network = nn.Linear(3, 2)
    average = WeightAverage(network, decay=0.0)
    with torch.no_grad():
        network.weight.add_(1.0)
    average.update(network)
    assert torch.equal(average.weights["weight"], network.weight)


def test_average_follows_counters_and_is_a_copy() -> None:
    network = nn.BatchNorm1d(2)
    average = WeightAverage(network, decay=0.9)
    network.train()(torch.rand(5, 2))
    assert average.weights["num_batches_tracked"] == 0
    average.update(network)
    assert average.weights["num_batches_tracked"] == 1
    assert not torch.equal(average.weights["running_mean"], network.state_dict()["running_mean"])


def test_average_survives_its_state() -> None:
    network = nn.Linear(2, 2)
    first, second = WeightAverage(network, 0.9), WeightAverage(network, 0.9)
    with torch.no_grad():
        network.weight.mul_(2)
    first.update(network)
    second.load_state_dict(first.state_dict())
    for average in (first, second):
        average.update(network)
    assert torch.equal(first.weights["weight"], second.weights["weight"])
