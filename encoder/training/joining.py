"""Joining trained checkpoints into an ensemble, and finding its projection.

An ensemble (:mod:`coverdex.encoder.ensemble`) lays the members' embeddings end to end and projects
them. Which directions keep most is seen from what the members say of many tracks: with the joint
embeddings ``j`` of batches that none was trained on, the eigenvectors of the mean of ``j j^T`` of
the greatest eigenvalues. Of all projections onto so many directions that one keeps inner products
best; the mean is not subtracted, because that would change them.

::

    coverdex encoder join encoder/training/configs/coverdex-64.toml

reads::

    name = "coverdex-64"
    checkpoints = ["runs/one/checkpoint", "runs/other/checkpoint"]   # from the file's folder
    dimension = 64
    seed = 1                                           # of the batches
    batches = 40
    [data]                                             # by default what the first learnt from
    [[validation]]                                     # as in a training configuration
    [card]                                             # likewise

and writes a checkpoint with a card and a training list, which joins those of its members. Paths
count from the file's folder, those in what the first member learnt from, too. Members may be of
different architectures and dimensions, but read the same kind of chroma, preprocessed alike.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from ..architectures import build_architecture
from ..checkpoint import Checkpoint
from ..encoder import Encoder
from ..ensemble import Ensemble
from ..errors import TrainingError
from .batch import Batch, BatchSource, SourceContext, build_batch_source
from .config import CardConfig, SettingsTable, ValidationSets, read_settings, read_toml
from .ingredients import joined_list, load_ingredients, record_of
from .model_card import model_card
from .world import TrainingWorld


class JoinConfig(SettingsTable):
    """What is joined; see the module's text."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    checkpoints: Annotated[list[str], Field(min_length=2)]
    dimension: Annotated[int, Field(ge=1)] = 64
    seed: Annotated[int, Field(ge=0)] = 0
    batches: Annotated[int, Field(ge=1)] = 40
    data: dict[str, Any] = Field(default_factory=dict)
    validation: ValidationSets = Field(default_factory=list)
    card: CardConfig = CardConfig()


def read_join(path: str | Path) -> JoinConfig:
    """Read what is to be joined.

    Raises
    ------
    NotFoundError
        No such file.
    TrainingError
        It is not TOML, or a setting is unknown, missing or out of range.
    """
    return read_settings(JoinConfig, read_toml(path), where=str(path))


def join(
    config: JoinConfig,
    *,
    base: str | Path = ".",
    world: TrainingWorld | None = None,
    source: BatchSource | None = None,
    prepared: str | Path | None = None,
) -> Checkpoint:
    """Join checkpoints into an ensemble and measure it.

    Parameters
    ----------
    config : JoinConfig
    base : path-like, optional
        Folder from which relative paths of the configuration count.
    world : TrainingWorld, optional
        For sources and validation that need catalogues.
    source : BatchSource, optional
        Instead of the one that the configuration names.
    prepared : path-like, optional
        A folder that holds the data ready (:mod:`.prepared_covers`).

    Raises
    ------
    TrainingError
        The checkpoints differ in preprocessing or kind, the members have fewer dimensions together
        than are wanted, the batches hold fewer tracks, or a validation set cannot be ranked.
    CheckpointError, NotFoundError
        No checkpoint, no data, or no validation set.
    """
    base = Path(base)
    members = load_ingredients(
        config.checkpoints,
        base,
        alike=("preprocessing", "kind"),
        why="an ensemble reads one kind of chroma, preprocessed in one way",
    )
    n_joint = sum(Encoder(each).dimension for each in members)
    if config.dimension > n_joint:
        raise TrainingError(
            f"dimension is {config.dimension}, but the members have {n_joint} together; give less"
        )
    architecture = {
        "name": "ensemble",
        "members": [dict(each.architecture) for each in members],
        "dimension": config.dimension,
    }
    network = _side_by_side(architecture, members)
    with tempfile.TemporaryDirectory() as folder:
        if source is None:
            context = SourceContext(
                preprocessing=members[0].preprocessing,
                kind=members[0].kind,
                seed=config.seed,
                device="cpu",
                folder=Path(folder),
                base=base,
                world=world,
                prepared=None if prepared is None else Path(prepared),
            )
            source = build_batch_source(config.data or _data_of(members[0]), context)
        batches = (source.batch(step) for step in range(config.batches))
        moments, n_tracks = second_moments(network, batches)
    if n_tracks < config.dimension:
        raise TrainingError(
            f"{n_tracks} tracks in {config.batches} batches do not say which {config.dimension} "
            "directions to keep; give more batches"
        )
    projection, kept = greatest_directions(moments, config.dimension)
    with torch.no_grad():
        network.projection.copy_(torch.from_numpy(projection))
    made = Checkpoint(
        name=config.name,
        architecture=architecture,
        preprocessing=members[0].preprocessing,
        weights={name: value.clone() for name, value in network.state_dict().items()},
        kind=members[0].kind,
        training_list=joined_list(members),
    )
    record = {
        **record_of(made, members, config, config.validation, base, world),
        "ingredients": [{"id": each.id, "training": dict(each.training)} for each in members],
        "projection": {
            "from": n_joint,
            "onto": config.dimension,
            "tracks": n_tracks,
            "kept": round(kept, 4),
        },
    }
    return replace(made, training=record, card=model_card(config.name, config.card, record))


@torch.no_grad()
def second_moments(network: Ensemble, batches: Iterable[Batch]) -> tuple[NDArray[np.float64], int]:
    """Average the outer products of joint embeddings.

    Parameters
    ----------
    network : Ensemble
        In evaluation mode.
    batches : iterable of Batch

    Returns
    -------
    moments : ndarray, shape (n_joint, n_joint), float64
    n_tracks : int
        How many tracks counted.
    """
    n_joint = network.projection.shape[0]
    total, n_tracks = np.zeros((n_joint, n_joint)), 0
    for batch in batches:
        joint = network.joint(batch.x, batch.n_valid).double().numpy()
        total += joint.T @ joint
        n_tracks += len(joint)
    return total / max(n_tracks, 1), n_tracks


def greatest_directions(
    moments: NDArray[np.float64], dimension: int
) -> tuple[NDArray[np.float32], float]:
    """Find the directions in which vectors are greatest.

    Parameters
    ----------
    moments : ndarray, shape (n, n), float64
        Mean of the vectors' outer products.
    dimension : int
        How many; at most ``n``.

    Returns
    -------
    directions : ndarray, shape (n, dimension), float32
        Orthonormal columns, the greatest first; the component of each that is farthest from zero is
        positive, so that they do not depend on how the eigenvectors were computed.
    kept : float
        Share of the squared length that lies in them.
    """
    values, vectors = np.linalg.eigh(moments)
    directions = vectors[:, ::-1][:, :dimension]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(dimension)])
    kept = float(values[::-1][:dimension].sum() / values.sum())
    return np.ascontiguousarray(directions, dtype=np.float32), kept


def _data_of(member: Checkpoint) -> dict[str, Any]:
    """Give the table of data by which a member was trained."""
    data: dict[str, Any] = member.training.get("config", {}).get("data", {})
    if not data:
        raise TrainingError(
            f"{member.id} does not say what it was trained on; give the join a table [data]"
        )
    return data


def _side_by_side(architecture: dict[str, Any], members: list[Checkpoint]) -> Ensemble:
    """Build the ensemble with its members' weights; its projection is still a fresh one."""
    network = build_architecture(architecture)
    assert isinstance(network, Ensemble)
    for member, each in zip(network.members, members, strict=True):
        member.load_state_dict(dict(each.weights))
    return network.eval()
