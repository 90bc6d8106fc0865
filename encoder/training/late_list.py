"""The training list of a checkpoint that was made without one, written without training again.

A run writes its list with every checkpoint. For one from before lists were kept, the batch source
of its configuration is set up once more, on the data that its record names, and asked what it draws
from. The configuration must be the run's own and the data must have the hashes of the record:
otherwise the list would name what somebody else's weights have seen.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..checkpoint import load_checkpoint, save_checkpoint
from ..errors import TrainingError
from ..training_list import TrainingList
from .batch import SourceContext, build_batch_source
from .config import TrainingConfig
from .start import lists_joined
from .world import TrainingWorld


def write_late_list(
    config: TrainingConfig,
    checkpoint: str | Path,
    *,
    base: str | Path = ".",
    world: TrainingWorld | None = None,
    prepared: str | Path | None = None,
) -> TrainingList:
    """Add the training list to a checkpoint folder.

    Parameters
    ----------
    config : TrainingConfig
        Of the run that made the checkpoint.
    checkpoint : path-like
        Its folder.
    base : path-like, optional
        Folder from which relative paths of the configuration count.
    world : TrainingWorld, optional
        For data that are catalogues.
    prepared : path-like, optional
        A folder that holds the data ready (:mod:`.prepared_covers`), instead of where the
        configuration says that they are read from.

    Returns
    -------
    TrainingList
        What was written.

    Raises
    ------
    TrainingError
        The checkpoint is of another configuration, or the data are not those of its run.
    CheckpointError, NotFoundError
        No checkpoint, or no data.
    """
    folder = Path(checkpoint)
    written = load_checkpoint(folder)
    if written.training.get("config_digest") != config.digest:
        raise TrainingError(
            f"{folder} was not made by this configuration (its record has another digest); give "
            "the one that it was trained with"
        )
    with tempfile.TemporaryDirectory() as scratch:
        context = SourceContext(
            preprocessing=written.preprocessing,
            kind=written.kind,
            seed=config.seed,
            device="cpu",
            folder=Path(scratch),
            base=Path(base),
            world=world,
            prepared=None if prepared is None else Path(prepared),
        )
        source = build_batch_source(config.data, context)
    _check_data(written.training.get("data", {}), source.describe())
    seen = lists_joined(config, Path(base), source.training_list())
    save_checkpoint(replace(written, training_list=seen), folder, overwrite=True)
    return seen


def _check_data(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    differing = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    if differing:
        raise TrainingError(
            f"the data are not those of the run: its record differs in {', '.join(differing)}; "
            "get the data that it was trained on"
        )
