"""Losses: what training minimises, by the name that a configuration gives in ``[loss]``.

A loss is a module that is called with the network and a batch, so that it may also compare two
networks or read more than the embeddings. Most losses read just the embeddings and the works, and
derive from :class:`EmbeddingLoss`::

    @register_loss("my-loss")
    class MyLoss(EmbeddingLoss):
        def __init__(self, temperature: float = 0.1) -> None: ...
        def of(self, embeddings, work): return LossOutput(loss, {"some measure": value})

Parameters of a loss (a learnt temperature, the classes of a proxy loss) are trained along with the
network and saved for resuming, and are not part of the checkpoint.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from .batch import Batch


@dataclass(frozen=True, eq=False)
class LossOutput:
    """What a loss says about one batch.

    Parameters
    ----------
    loss : torch.Tensor, scalar
        What is minimised.
    measures : mapping of str to torch.Tensor, scalars
        What else is worth a curve, such as the accuracy on pairs; averaged over an epoch.
    """

    loss: Tensor
    measures: Mapping[str, Tensor] = field(default_factory=dict)


class Loss(nn.Module):
    """What is minimised: called with the network and a batch."""

    def forward(self, network: nn.Module, batch: Batch) -> LossOutput:
        """Run the network on the batch and judge it."""
        raise NotImplementedError


class EmbeddingLoss(Loss):
    """A loss of the embeddings and their works alone."""

    def forward(self, network: nn.Module, batch: Batch) -> LossOutput:
        """Embed the batch and judge the embeddings, in float32 under mixed precision too."""
        embeddings = network(batch.x, batch.n_valid)
        with torch.autocast(embeddings.device.type, enabled=False):
            return self.of(embeddings.float(), batch.work)

    def of(self, embeddings: Tensor, work: Tensor) -> LossOutput:
        """Judge embeddings.

        Parameters
        ----------
        embeddings : torch.Tensor, shape (n_tracks, dimension), float32
            L2-normalised.
        work : torch.Tensor, shape (n_tracks,), int64
            Equal numbers are covers of one another.
        """
        raise NotImplementedError


_LossType = TypeVar("_LossType", bound=type[Loss])

_REGISTERED: dict[str, type[Loss]] = {}

#: Losses of this package, by the module that registers them; it is imported on first use.
_BUILT_IN = {
    "contrastive": "contrastive",
    "nt-xent": "nt_xent",
    "triplet": "triplet",
}


def register_loss(name: str) -> Callable[[_LossType], _LossType]:
    """Make a loss known under ``name``, as a class decorator."""

    def register(loss: _LossType) -> _LossType:
        _REGISTERED[name] = loss
        return loss

    return register


def build_loss(settings: Mapping[str, Any]) -> Loss:
    """Make the loss that the ``[loss]`` table of a configuration asks for.

    Raises
    ------
    TrainingError
        Unknown loss, or arguments that it refuses.
    """
    arguments = dict(settings)
    name = arguments.pop("name", None)
    known = sorted(_REGISTERED.keys() | _BUILT_IN.keys())
    if not isinstance(name, str) or name not in known:
        raise TrainingError(f"[loss] name is {name!r}; give one of {', '.join(known)}")
    if name not in _REGISTERED:
        import_module(f".{_BUILT_IN[name]}", __package__)
    loss = _REGISTERED[name]
    known_arguments = set(inspect.signature(loss).parameters)
    if unknown := sorted(set(arguments) - known_arguments):
        raise TrainingError(
            f"[loss] {name} takes no {', '.join(unknown)}; "
            f"it takes {', '.join(sorted(known_arguments)) or 'nothing'}"
        )
    try:
        return loss(**arguments)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"[loss] {name}: {error}") from error
