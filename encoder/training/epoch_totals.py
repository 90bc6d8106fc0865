"""Means over an epoch of the loss and of whatever else a loss measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .loss import LossOutput


class EpochTotals:
    """Adds up what losses say, where they say it: a GPU is asked only at the end."""

    def __init__(self) -> None:
        self._weight = 0
        self._sums: dict[str, Tensor] = {}

    def add(self, output: LossOutput, *, weight: int = 1) -> None:
        """Add a batch, which counts as much as its weight."""
        for name, value in {"loss": output.loss, **output.measures}.items():
            added = value.detach().double() * weight
            before = self._sums.get(name)
            self._sums[name] = added if before is None else before.to(added.device) + added
        self._weight += weight

    def means(self) -> dict[str, float]:
        """Give the mean of each measure; none where nothing was added."""
        return {name: float(total) / self._weight for name, total in self._sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs."""
        return {"weight": self._weight, "sums": self._sums}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> EpochTotals:
        """Take up what :meth:`state_dict` gave."""
        totals = cls()
        totals._weight = state["weight"]
        totals._sums = {name: torch.as_tensor(value) for name, value in state["sums"].items()}
        return totals
