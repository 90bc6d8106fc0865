"""Runs of the trainer: a configuration with changes, a kill, and the weights that came out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coverdex.encoder import load_checkpoint
from coverdex.encoder.training import Trainer, TrainingConfig
from coverdex.encoder.training.config import parse_config
from coverdex.encoder.training.run_report import StepReport
from torch import Tensor


def changed(tables: dict[str, Any], **runs: Any) -> TrainingConfig:
    return parse_config({**tables, "run": {**tables["run"], **runs}})


def weights_of(trainer: Trainer) -> dict[str, Tensor]:
    return dict(load_checkpoint(trainer.folder.checkpoint).weights)


class KilledError(Exception):
    """Stands for SIGKILL: the run stops between two instructions and saves nothing."""


def kill_after(step: int) -> Callable[[StepReport], None]:
    def on_step(report: StepReport) -> None:
        if report.step == step:
            raise KilledError

    return on_step
