"""One training at a time in a run's folder; what is in its way is told before the data are read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from coverdex.encoder import TrainingError
from coverdex.encoder.training import SourceContext, Trainer, TrainingConfig, TrainingWorld
from coverdex.encoder.training.batch import BatchSource
from coverdex.encoder.training.pair_batches import pair_batches
from coverdex.encoder.training.run_lock import LOCK_NAME, RunLock

from .training_runs import KilledError, changed, kill_after

#: Takes the lock, says so, and waits to be told to end.
HOLDER = """
import sys
from pathlib import Path
from coverdex.encoder.training.run_lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.take()
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def source(context: SourceContext) -> BatchSource:
    return pair_batches({"catalogue": "train", "batch_size": 6}, context)


def test_a_folder_in_which_another_process_trains_is_refused(
    config: TrainingConfig, world: TrainingWorld, source: BatchSource, tmp_path: Path
) -> None:
    folder = tmp_path / "held"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "taken\n"
        for fresh in (False, True):
            with pytest.raises(TrainingError, match=rf"another process \(process id {other.pid}\)"):
                Trainer(config, folder, world=world, source=source, fresh=fresh)
        other.kill()
    trainer = Trainer(config, folder, world=world, source=source)  # it vanished with its holder
    assert (folder / LOCK_NAME).read_text() != f"{other.pid}\n"
    trainer.run()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as next_one:  # a finished run is nobody's
        assert next_one.stdout is not None
        assert next_one.stdout.readline() == "taken\n"
        assert next_one.stdin is not None
        next_one.stdin.close()


def test_a_process_may_go_on_with_a_run_that_it_has_stopped(
    config_tables: dict[str, Any], world: TrainingWorld, source: BatchSource, tmp_path: Path
) -> None:
    config = changed(config_tables, save_every=1)
    stopped = Trainer(config, tmp_path / "run", world=world, source=source)
    with pytest.raises(KilledError):
        stopped.run(on_step=kill_after(2))
    assert Trainer(config, tmp_path / "run", world=world, source=source).step == 2


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_file_in_the_place_of_the_folder_is_told_before_the_data_are_read(
    config: TrainingConfig, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("")

    def unread(*_: Any, **__: Any) -> Any:
        raise AssertionError("the catalogue was opened")

    world = TrainingWorld(open_catalogue=unread, evaluate_embeddings=unread)
    with pytest.raises(TrainingError, match="there is a file of that name or above it"):
        Trainer(config, tmp_path / place, world=world)


def test_a_run_that_is_refused_leaves_no_folder(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    config_tables["data"]["held_out"] = 1.5
    config = changed(config_tables)
    with pytest.raises(TrainingError, match="held_out"):
        Trainer(config, tmp_path / "run", world=world)
    assert not (tmp_path / "run").exists()


def test_a_lock_of_a_folder_that_was_removed_is_no_lock_of_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    before = RunLock(folder)
    before.take()
    (folder / LOCK_NAME).unlink()
    folder.rmdir()
    with RunLock(folder):
        before.release()
        code = HOLDER.replace("sys.stdin.read()", "")
        other = subprocess.run(
            [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
        )
        assert "TrainingError: another process" in other.stderr
