"""Training on a real file system that runs full: it says so, leaves nothing half, and goes on."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from coverdex.encoder import Checkpoint, save_checkpoint
from coverdex.encoder.training import Trainer, TrainingWorld

from .training_runs import changed, weights_of

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_run_on_a_full_disk_names_the_file_and_goes_on_when_there_is_room(
    small_disk: Any, config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    config_tables["data"] = {
        "source": "cliques",
        "catalogue": "train",
        "works_per_batch": 4,
        "shortest_seconds": 10.0,
        "longest_seconds": 20.0,
    }
    config_tables["loss"] = {"name": "nt-xent"}
    config = changed(config_tables, save_every=1)
    whole = Trainer(config, tmp_path / "whole", world=world)
    whole.run()
    run = small_disk.folder / "run"
    refused_at = set()
    for room in range(0, 400_000, 8_192):
        small_disk.free()
        small_disk.fill(but=room)
        try:
            trainer = Trainer(config, run, world=world)
            trainer.run()
            break
        except OSError as full:
            error = full
        assert error.errno == errno.ENOSPC
        refused_at.add(Path(str(error.filename)).name)
        left = {path.name for path in run.glob("*")}
        assert left <= {
            *("run.lock", "run.json", "history.jsonl", "state.pt", "checkpoint"),
            *("tracks.f16", "tracks.parquet"),
        }
    assert {"tracks.f16", "state.pt"} <= refused_at <= {"tracks.f16", "run", "run.json", "state.pt"}
    for name, weight in weights_of(whole).items():
        assert weights_of(trainer)[name].equal(weight)


def test_a_checkpoint_that_does_not_fit_is_told_by_its_folder(
    small_disk: Any, tiny_checkpoint: Checkpoint
) -> None:
    small_disk.fill(but=8_192)
    folder = small_disk.folder / "checkpoint"
    with pytest.raises(OSError, match="No space left") as refused:
        save_checkpoint(tiny_checkpoint, folder)
    assert refused.value.filename == str(folder)
    assert [path.name for path in small_disk.folder.iterdir()] == ["ballast"]
