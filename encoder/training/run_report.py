"""What a training run tells: where it is after a step, and what came of it at the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..encoder import Encoder


@dataclass(frozen=True)
class StepReport:
    """Where a run is, after a step.

    Parameters
    ----------
    step : int
        Steps done.
    n_steps : int
        Steps of the whole run.
    epoch : int
        The epoch of this step, from 1.
    loss : float
        Loss of the last batch that was looked at.
    """

    step: int
    n_steps: int
    epoch: int
    loss: float


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What came of a run.

    Parameters
    ----------
    checkpoint : pathlib.Path
        Folder of the checkpoint.
    encoder : Encoder
        The same, loaded.
    history : list of dict
        One row per epoch; see :mod:`.run_folder`.
    """

    checkpoint: Path
    encoder: Encoder
    history: list[dict[str, Any]]
