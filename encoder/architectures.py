"""Architectures: the networks that an encoder can be, by the name that a checkpoint gives.

A network reads a batch of preprocessed chroma, padded with zero frames to one length, and gives one
unit vector per track. What varies between networks is in the ``architecture`` table of the
checkpoint: its ``name``, and beside it the arguments of the class. A new one joins by::

    @register_architecture("my-network")
    class MyNetwork(EncoderNetwork):
        def __init__(self, width: int = 64, dimension: int = 64) -> None: ...
        def forward(self, x, n_valid): ...

Two promises bind every network: the padded part does not count (the embedding of a track is the
same to 1e-5 in any batch), and any number of frames from one up is accepted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from .errors import CheckpointError

#: From preprocessed tracks, each ``(n_frames, 12)`` float32, to unit vectors ``(n, dimension)``.
TrackEmbedder = Callable[[Sequence[NDArray[np.float32]]], Tensor]


class EncoderNetwork(nn.Module):
    """What an architecture must be: a module from padded chroma to unit vectors."""

    #: Length of the embedding.
    dimension: int

    def forward(self, x: Tensor, n_valid: Tensor) -> Tensor:
        """Embed a batch.

        Parameters
        ----------
        x : torch.Tensor, shape (batch, n_frames, 12), float32
            Preprocessed chroma, each track padded at its end with zero frames.
        n_valid : torch.Tensor, shape (batch,), int64
            How many frames of each track are real, 1 to ``n_frames``.

        Returns
        -------
        torch.Tensor, shape (batch, dimension), float32
            L2-normalised embeddings.
        """
        raise NotImplementedError

    def for_inference(self) -> TrackEmbedder | None:
        """Return a faster form of this network for a CPU, None where there is none.

        It takes tracks of different lengths, ``(n_frames, 12)`` float32 each, without padding, and
        gives what :meth:`forward` gives to 1e-5. Later changes of the weights do not reach it. Its
        threads should not wait by spinning (:mod:`.side_by_side`): it keeps all of them beside
        processes that read.
        """
        return None


_Network = TypeVar("_Network", bound=type[EncoderNetwork])

_REGISTERED: dict[str, type[EncoderNetwork]] = {}

#: Networks of this package, by the module that registers them; it is imported on first use.
_BUILT_IN = {
    "ensemble": "ensemble",
    "equivariant-cnn": "equivariant_cnn",
    "siamese-cnn": "siamese_cnn",
}


def register_architecture(name: str) -> Callable[[_Network], _Network]:
    """Make a class known under ``name``, as a class decorator.

    Raises
    ------
    ValueError
        Another class holds the name already.
    """

    def register(network: _Network) -> _Network:
        holder = _REGISTERED.setdefault(name, network)
        if holder.__qualname__ != network.__qualname__ or holder.__module__ != network.__module__:
            raise ValueError(f"architecture {name!r} is already {holder.__module__}")
        _REGISTERED[name] = network  # the same class again: its module was reloaded
        return network

    return register


def architecture_names() -> list[str]:
    """Names that :func:`build_architecture` knows, sorted."""
    return sorted(_REGISTERED.keys() | _BUILT_IN.keys())


def build_architecture(config: Mapping[str, Any]) -> EncoderNetwork:
    """Make a network with fresh weights from the ``architecture`` table of a checkpoint.

    Parameters
    ----------
    config : mapping
        ``name`` and the arguments of that class.

    Raises
    ------
    CheckpointError
        Unknown name, unknown or bad arguments.
    """
    arguments = dict(config)
    name = arguments.pop("name", None)
    if not isinstance(name, str) or name not in architecture_names():
        raise CheckpointError(
            f"architecture {name!r} is unknown; known are {', '.join(architecture_names())} "
            "(a newer version of Coverdex may know more)"
        )
    if name not in _REGISTERED:
        import_module(f".{_BUILT_IN[name]}", __package__)
    network = _REGISTERED[name]
    known = set(inspect.signature(network).parameters)
    if unknown := sorted(set(arguments) - known):
        raise CheckpointError(
            f"architecture {name} takes no {', '.join(unknown)}; "
            f"it takes {', '.join(sorted(known))}"
        )
    try:
        return network(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"architecture {name} cannot be built: {error}") from error
