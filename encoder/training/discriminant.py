"""The last layer once more, in closed form: linear discriminants of the features before it.

Gradient steps leave the last layer where the learning rate died. What it is for, keeping covers
together and works apart in few dimensions, has a solution without steps when the layers below are
fixed: the directions in which works differ most, relative to how much the covers of one work differ
(Fisher 1936, "The use of multiple measurements in taxonomic problems"; Rao 1948 for many classes).
With the scatter within works ``W`` and between them ``B``, both ``(n_features, n_features)``, they
are the eigenvectors of ``B v = w (W + s t I) v`` with the greatest ``w``, where ``t`` is the mean
of the diagonal of ``W`` and the shrinkage ``s`` keeps directions that hardly vary from being
trusted too much (Friedman 1989, "Regularized discriminant analysis"). Speaker recognition ends its
networks in the same way.

The scatter is taken from batches that training has not seen, of the same source. Within a batch the
tracks of one work are a class; classes of different batches are not compared, so sources may number
their works anew in each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..architectures import build_architecture
from ..checkpoint import Checkpoint
from ..errors import TrainingError
from .batch import Batch, BatchSource
from .config import DiscriminantSettings

Matrix = NDArray[np.float64]


@runtime_checkable
class ProjectedFeatures(Protocol):
    """A network whose last layer projects features linearly."""

    def features(self, x: Tensor, n_valid: Tensor) -> Tensor:
        """Map a batch to what the last layer gets, ``(batch, n_features)``."""
        ...

    def set_projection(self, directions: Tensor, mean: Tensor) -> None:
        """Make the last layer subtract ``(n_features,)`` and project onto ``(n_features, d)``."""
        ...


@dataclass
class Scatter:
    """Sums from which the scatter of features follows.

    Parameters
    ----------
    n_features : int
    """

    n_features: int
    n_tracks: int = 0
    n_within: int = 0
    total: Matrix = field(init=False)
    within: Matrix = field(init=False)
    sum: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.n_features, self.n_features)
        self.total, self.within = np.zeros(shape), np.zeros(shape)
        self.sum = np.zeros(self.n_features)

    def add(self, features: Matrix, work: NDArray[np.int64]) -> None:
        """Count a batch.

        Parameters
        ----------
        features : ndarray, shape (n_tracks, n_features), float64
        work : ndarray, shape (n_tracks,), int64
            Equal numbers are covers of one another; numbers of other batches do not matter.
        """
        _, clique, size = np.unique(work, return_inverse=True, return_counts=True)
        means = np.zeros((size.size, self.n_features))
        np.add.at(means, clique, features)
        means /= size[:, None]
        from_mean = features - means[clique]
        self.within += from_mean.T @ from_mean
        self.total += features.T @ features
        self.sum += features.sum(axis=0)
        self.n_tracks += len(features)
        self.n_within += len(features) - size.size

    def discriminants(self, dimension: int, shrinkage: float) -> tuple[Matrix, NDArray[np.float64]]:
        """Solve for the directions.

        Parameters
        ----------
        dimension : int
            How many.
        shrinkage : float

        Returns
        -------
        directions : ndarray, shape (n_features, dimension), float64
            Best first; each has scatter 1 within works (shrinkage counted).
        mean : ndarray, shape (n_features,), float64

        Raises
        ------
        TrainingError
            No work had two tracks in a batch, or there are fewer features than directions.
        """
        if self.n_within < 1:
            raise TrainingError(
                "[discriminant] found no work with two tracks in a batch; give a source of covers"
            )
        if dimension > self.n_features:
            raise TrainingError(
                f"[discriminant] {dimension} directions of {self.n_features} features cannot be"
            )
        mean = self.sum / self.n_tracks
        within = self.within / self.n_within
        between = self.total / self.n_tracks - np.outer(mean, mean) - within
        within += shrinkage * np.trace(within) / self.n_features * np.eye(self.n_features)
        # Whiten the scatter within, then take the principal directions of what is left between.
        variance, axes = np.linalg.eigh(within)
        whitening = axes / np.sqrt(np.maximum(variance, 1e-12))
        _, principal = np.linalg.eigh(whitening.T @ between @ whitening)
        return whitening @ principal[:, ::-1][:, :dimension], mean


def check_projects(network: nn.Module) -> ProjectedFeatures:
    """Give the network as one that projects features.

    Raises
    ------
    TrainingError
        It has no linear last layer.
    """
    if not isinstance(network, ProjectedFeatures):
        raise TrainingError(
            f"{type(network).__name__} has no features that a last layer projects; "
            "leave [discriminant] out"
        )
    return network


def with_discriminant(
    checkpoint: Checkpoint,
    source: BatchSource,
    settings: DiscriminantSettings,
    *,
    first_step: int,
    device: torch.device,
) -> Checkpoint:
    """Replace a trained network's last layer.

    Parameters
    ----------
    checkpoint : Checkpoint
    source : BatchSource
    settings : DiscriminantSettings
    first_step : int
        Step of the first batch: the number of steps trained, so that all are new.
    device : torch.device

    Returns
    -------
    Checkpoint
        Other weights; its record has the settings and how many tracks counted, as
        ``discriminant``.

    Raises
    ------
    TrainingError
        The network has no linear last layer, or the batches hold no covers.
    """
    network = build_architecture(checkpoint.architecture)
    projecting = check_projects(network)
    network.load_state_dict(checkpoint.weights)
    network.to(device).eval()
    steps = range(first_step, first_step + settings.batches)
    scatter = _scatter_of(projecting, (source.batch(step).to(device) for step in steps))
    directions, mean = scatter.discriminants(network.dimension, settings.shrinkage)
    projecting.set_projection(
        torch.from_numpy(directions).float().to(device), torch.from_numpy(mean).float().to(device)
    )
    weights = {name: value.cpu().clone() for name, value in network.state_dict().items()}
    record = {**settings.model_dump(), "tracks": scatter.n_tracks}
    return replace(
        checkpoint, weights=weights, training={**checkpoint.training, "discriminant": record}
    )


def without_discriminant(checkpoint: Checkpoint, weights: Mapping[str, Tensor]) -> Checkpoint:
    """Give a checkpoint the weights from before its last layer was replaced, and their figures."""
    training = {key: value for key, value in checkpoint.training.items() if key != "discriminant"}
    result = dict(training["result"])
    if "before the discriminant" in result:
        result["validation"] = result.pop("before the discriminant")
    return replace(checkpoint, weights=weights, training={**training, "result": result})


@torch.no_grad()
def _scatter_of(network: ProjectedFeatures, batches: Iterable[Batch]) -> Scatter:
    scatter: Scatter | None = None
    for batch in batches:
        features = network.features(batch.x, batch.n_valid).double().cpu().numpy()
        scatter = scatter or Scatter(features.shape[1])
        scatter.add(features, batch.work.cpu().numpy())
    assert scatter is not None  # the settings have one batch or more
    return scatter
