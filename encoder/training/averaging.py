"""Averaging of weights: an exponential moving average follows the network as it is trained.

The average of the recent weights lies in the middle of the valley along whose walls the optimiser
jumps, and generalises better than the last weights (Polyak and Juditsky 1992; Tarvainen and Valpola
2017, "Mean teachers are better role models"). Early on, when the weights still move far, a shorter
memory is used: the decay at update t is at most (1 + t) / (10 + t).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """An exponential moving average of a network's state.

    Parameters
    ----------
    network : torch.nn.Module
        What is averaged; its present state is the first value.
    decay : float
        Share of the old average kept at each update, 0 (no averaging) to below 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.n_updates = 0
        self.weights = {name: value.detach().clone() for name, value in _state(network).items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take the network's present weights into the average."""
        decay = min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        decay = decay if self.decay else 0.0
        self.n_updates += 1
        for name, value in _state(network).items():
            average = self.weights[name]
            if average.is_floating_point():
                average.lerp_(value.detach(), 1 - decay)
            else:  # a counter, such as that of batch normalisation
                average.copy_(value)

    def state_dict(self) -> dict[str, object]:
        """Return everything that resuming needs."""
        return {"n_updates": self.n_updates, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take over what :meth:`state_dict` gave."""
        n_updates, weights = state["n_updates"], state["weights"]
        assert isinstance(n_updates, int)
        assert isinstance(weights, Mapping)
        self.n_updates = n_updates
        for name, value in weights.items():
            self.weights[name].copy_(value)


def _state(network: nn.Module) -> Mapping[str, Tensor]:
    state: Mapping[str, Tensor] = network.state_dict()
    return state
