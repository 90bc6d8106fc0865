"""A run whose loss or weights are no longer finite stops, and spoils nothing that it had."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from coverdex.encoder import TrainingError, load_checkpoint
from coverdex.encoder.training import EmbeddingLoss, LossOutput, Trainer, TrainingWorld
from coverdex.encoder.training.config import parse_config
from torch import Tensor

from .test_trainer import Learnt, Views, changed

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_loss_that_is_not_finite_stops_the_run(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    class Broken(EmbeddingLoss):
        def of(self, embeddings: Tensor, work: Tensor) -> LossOutput:
            return LossOutput(embeddings.sum() * math.nan)

    with pytest.raises(TrainingError, match="nan at step 1"):
        Trainer(parse_config(config_tables), tmp_path, world=world, loss=Broken()).run()
    assert not (tmp_path / "checkpoint").exists()


def test_weights_that_are_not_finite_are_not_saved(
    config_tables: dict[str, Any], tmp_path: Path
) -> None:
    class Exploding(EmbeddingLoss):
        """Finite, with a gradient that is not."""

        def of(self, embeddings: Tensor, work: Tensor) -> LossOutput:
            return LossOutput((embeddings[:, 0] * 0).clamp_min(0).sqrt().sum())

    config_tables |= {"validation": []}
    config = changed(config_tables, steps_per_epoch=1)
    with pytest.raises(TrainingError, match="weights are not finite at step 1"):
        Trainer(config, tmp_path, source=Views(), loss=Exploding()).run()
    assert not (tmp_path / "state.pt").exists()


class Overflowing(Learnt):
    """Sound in the first epoch; its last gradient is infinite."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.left = last

    def of(self, embeddings: Tensor, work: Tensor) -> LossOutput:
        self.left -= 1
        output = super().of(embeddings, work)
        return output if self.left else LossOutput(output.loss + (embeddings.sum() * 1e30) ** 3)


def test_diverged_weights_replace_no_checkpoint(
    config_tables: dict[str, Any], tmp_path: Path
) -> None:
    config_tables |= {"data": {}, "loss": {}, "validation": []}
    config_tables["optimizer"] = {"average_decay": 0.9, "clip_norm": 1e30}
    config = changed(config_tables, steps_per_epoch=3)
    trainer = Trainer(config, tmp_path, source=Views(), loss=Overflowing(last=6))
    kept = {}

    def keep(row: Any) -> None:
        kept["id"] = load_checkpoint(trainer.folder.checkpoint).id

    with pytest.raises(TrainingError, match="step 6"):
        trainer.run(on_epoch=keep)
    assert load_checkpoint(trainer.folder.checkpoint).id == kept["id"]
    history = (tmp_path / "history.jsonl").read_text()
    assert "NaN" not in history
    assert len(history.splitlines()) == 1
