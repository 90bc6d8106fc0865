"""The start of a run: on what and how precisely, from which weights, with which optimizer."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..architectures import EncoderNetwork, build_architecture
from ..checkpoint import Checkpoint, load_checkpoint
from ..errors import TrainingError
from ..preprocessing import Preprocessing
from ..training_list import TrainingList
from .config import OptimizerConfig, TrainingConfig


def starting_point(
    config: TrainingConfig, base: Path
) -> tuple[dict[str, Any], Preprocessing, EncoderNetwork]:
    """Give architecture, preprocessing and network that the run starts from.

    Fresh weights come from torch's generator, which the caller seeds.

    Raises
    ------
    TrainingError, CheckpointError, NotFoundError
        The checkpoint to start from is missing or of another kind, the architecture unknown.
    """
    if config.start_from is None:
        architecture = dict(config.architecture or {})
        preprocessing = Preprocessing.from_config(config.preprocessing or {})
        return architecture, preprocessing, build_architecture(architecture)
    start = checkpoint_at(config.start_from, base)
    if start.kind is not config.kind:
        raise TrainingError(
            f"start_from is {start.name}, which reads {start.kind} chroma, but kind is "
            f"{config.kind}; give a checkpoint of that kind"
        )
    network = build_architecture(start.architecture)
    network.load_state_dict(dict(start.weights))
    return dict(start.architecture), start.preprocessing, network


def given_checkpoints(config: TrainingConfig, base: Path) -> dict[str, str]:
    """Give the ids of the checkpoints that a configuration names, for the record.

    Returns
    -------
    dict of str to str
        ``start_from`` and ``teacher``, as far as there are any, to content-derived ids: a name or a
        path may come to mean other weights.
    """
    named = {
        "start_from": config.start_from,
        "teacher": None if config.distillation is None else config.distillation.teacher,
    }
    return {key: checkpoint_at(name, base).id for key, name in named.items() if name is not None}


def lists_joined(config: TrainingConfig, base: Path, own: TrainingList) -> TrainingList:
    """Join what the run trains on with what its start and its teacher have seen."""
    teacher = None if config.distillation is None else config.distillation.teacher
    for name in (config.start_from, teacher):
        if name is not None:
            own = own.after(checkpoint_at(name, base).training_list)
    return own


def checkpoint_at(name: str, base: Path) -> Checkpoint:
    """Load a checkpoint by the name or the folder that a configuration gives.

    Raises
    ------
    CheckpointError, NotFoundError
        There is none, or it is damaged.
    """
    folder = base / Path(name).expanduser()
    return load_checkpoint(folder if folder.is_dir() else name)


def adamw(settings: OptimizerConfig, *modules: nn.Module) -> torch.optim.AdamW:
    """Make an AdamW that decays matrices only: decaying a bias or a gain regularises nothing."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        fused=True if parameters and parameters[0].is_cuda else None,
    )


def take_up(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load the state of an optimizer that may have worked on another device.

    Whether it is fused is a matter of the device, which the state would decide otherwise.
    """
    fused = optimizer.defaults["fused"]
    groups = [{**group, "fused": fused} for group in state["param_groups"]]
    optimizer.load_state_dict({**state, "param_groups": groups})


def freeze_statistics(network: nn.Module) -> None:
    """Let batch normalisation use its running statistics and leave them; all else as it is."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def choose_device(name: str) -> torch.device:
    """Choose the device of ``run.device``: ``auto`` is the GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise TrainingError(f"run.device is {name!r}; give auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise TrainingError(f"run.device is {name!r}; give auto, cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise TrainingError(f"run.device is {name!r} but torch sees no GPU; give auto or cpu")
    return device


def precision_context(
    precision: str, device: torch.device
) -> contextlib.AbstractContextManager[Any]:
    """Give the context of a forward pass for ``run.precision``.

    bfloat16 has the range of float32, so gradients need no scaling; weights stay float32.
    """
    if precision == "bfloat16" or (precision == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def seed_step(seed: int, step: int) -> None:
    """Seed torch's generators for one step: neighbouring steps and seeds are unrelated."""
    torch.manual_seed(
        int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)
    )
