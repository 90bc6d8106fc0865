"""What becomes of a run's checkpoint after the last step.

Its last layer may be put into closed form (:mod:`.discriminant`), or get its trained form back
where the configuration does not ask for that any more, and its card and training list follow the
configuration and the data as they are described now. All of it is done again when a finished run
is given once more, because a kill may have come before; what is as it should be is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .. import checkpoint as checkpoints
from ..checkpoint import Checkpoint
from ..encoder import Encoder
from ..errors import TrainingError
from ..training_list import TrainingList
from .batch import BatchSource
from .config import DiscriminantSettings, TrainingConfig
from .discriminant import with_discriminant, without_discriminant
from .model_card import model_card
from .run_folder import RunFolder


def fit_discriminant(
    folder: RunFolder,
    source: BatchSource,
    settings: DiscriminantSettings,
    *,
    n_steps: int,
    device: torch.device,
    validate: Callable[[Encoder], dict[str, Any]],
) -> None:
    """Put the last layer of the finished checkpoint into closed form, unless it is already.

    Parameters
    ----------
    folder : RunFolder
    source : BatchSource
        Of which further batches say where the last layer is to project to.
    settings : DiscriminantSettings
    n_steps : int
        Steps that were trained.
    device : torch.device
    validate : callable
        Measures an encoder on the validation sets of the run.

    Raises
    ------
    TrainingError
        The network has no linear last layer, or the batches hold no covers.
    """
    written = checkpoints.load_checkpoint(folder.checkpoint)
    before = written.training.get("discriminant", {})
    if settings.model_dump().items() <= before.items():
        folder.write_record(dict(written.training))  # a kill may have come before it
        return
    fitted = with_discriminant(written, source, settings, first_step=n_steps, device=device)
    result = dict(written.training["result"])
    if "validation" in result:
        result.setdefault("before the discriminant", result["validation"])
        result["validation"] = validate(Encoder(fitted, device=device))
    _write(replace(fitted, training={**fitted.training, "result": result}), folder)


def take_discriminant_back(folder: RunFolder, weights: Mapping[str, Tensor] | None) -> None:
    """Give a finished checkpoint its trained last layer again, if it has one in closed form.

    Parameters
    ----------
    folder : RunFolder
    weights : mapping of str to Tensor, or None
        Of the epoch that the checkpoint is of; None where they were not kept.

    Raises
    ------
    TrainingError
        They are wanted and were not kept.
    """
    written = checkpoints.load_checkpoint(folder.checkpoint)
    if "discriminant" not in written.training:
        return
    if weights is None:
        raise TrainingError(
            f"the checkpoint in {folder.path} has its last layer in closed form, and the trained "
            "one of its epoch was not kept; put [discriminant] back, or start afresh (--fresh)"
        )
    _write(without_discriminant(written, weights), folder)


def renew_card(
    folder: RunFolder, config: TrainingConfig, training_list: TrainingList | None
) -> None:
    """Write card and training list again if they have changed since the checkpoint was."""
    written = checkpoints.load_checkpoint(folder.checkpoint)
    card = model_card(config.name, config.card, written.training)
    if (written.card, written.training_list) != (card, training_list):
        renewed = replace(written, card=card, training_list=training_list)
        checkpoints.save_checkpoint(renewed, folder.checkpoint, overwrite=True)


def _write(renewed: Checkpoint, folder: RunFolder) -> None:
    checkpoints.save_checkpoint(renewed, folder.checkpoint, overwrite=True)
    folder.write_record(dict(renewed.training))
