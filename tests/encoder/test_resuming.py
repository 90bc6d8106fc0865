"""A run that was killed goes on as if nothing had happened, and no other goes on in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from coverdex.encoder import TrainingError
from coverdex.encoder.training import (
    Batch,
    BatchSource,
    Trainer,
    TrainingConfig,
    TrainingWorld,
)
from coverdex.encoder.training.config import parse_config
from torch import Tensor

from .training_runs import KilledError, changed, kill_after, weights_of

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("killed_after", [2, 5, 6, 9])
def test_killed_and_resumed_ends_with_the_same_weights(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path, killed_after: int
) -> None:
    config = changed(config_tables, save_every=2)
    whole = Trainer(config, tmp_path / "whole", world=world)
    assert whole.n_steps == 2 * whole.steps_per_epoch == 2 * 9
    uninterrupted = whole.run()

    killed = Trainer(config, tmp_path / "killed", world=world)
    with pytest.raises(KilledError):
        killed.run(on_step=kill_after(killed_after))
    resumed = Trainer(config, tmp_path / "killed", world=world)
    assert resumed.step == killed_after - killed_after % 2 or killed_after % 9 == 0
    result = resumed.run()

    assert result.encoder.id == uninterrupted.encoder.id
    for name, weight in weights_of(whole).items():
        assert torch.equal(weights_of(resumed)[name], weight)
    clocks = {"seconds": 0, "waiting": 0}
    for mine, theirs in zip(result.history, uninterrupted.history, strict=True):
        assert {**mine, **clocks} == {**theirs, **clocks}


def test_a_run_that_a_gpu_began_goes_on_as_this_device_computes(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    config = changed(config_tables, save_every=2)
    with pytest.raises(KilledError):
        Trainer(config, tmp_path, world=world).run(on_step=kill_after(4))
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    for group in state["optimizer"]["param_groups"]:
        group["fused"] = True  # as it is on a GPU
    torch.save(state, tmp_path / "state.pt")
    resumed = Trainer(config, tmp_path, world=world)
    assert resumed.step == 4
    assert resumed.optimizer.state_dict()["state"][0]["step"] == 4
    made = Trainer(config, tmp_path / "new", world=world).optimizer
    for group, own in zip(resumed.optimizer.param_groups, made.param_groups, strict=True):
        assert group["fused"] == own["fused"]


def test_a_finished_run_is_not_run_again(
    config: TrainingConfig, world: TrainingWorld, tmp_path: Path
) -> None:
    first = Trainer(config, tmp_path, world=world).run()
    again = Trainer(config, tmp_path, world=world)
    assert again.step == again.n_steps
    assert again.run().encoder.id == first.encoder.id
    fresh = Trainer(config, tmp_path, world=world, fresh=True)
    assert fresh.step == 0


def test_a_finished_run_keeps_the_record_of_how_it_was_made(
    config: TrainingConfig, world: TrainingWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trainer(config, tmp_path, world=world).run()
    made = (tmp_path / "run.json").read_bytes()
    monkeypatch.setenv("COVERDEX_COMMIT", "of a later day")
    Trainer(config, tmp_path, world=world).run()
    assert (tmp_path / "run.json").read_bytes() == made


def test_a_finished_run_says_that_its_checkpoint_was_moved_away(
    config: TrainingConfig, world: TrainingWorld, tmp_path: Path
) -> None:
    Trainer(config, tmp_path / "run", world=world).run()
    (tmp_path / "run" / "checkpoint").rename(tmp_path / "shared")
    with pytest.raises(TrainingError, match="its checkpoint was moved away; put it back"):
        Trainer(config, tmp_path / "run", world=world).run()


def test_a_fresh_start_that_finds_no_data_leaves_the_run_that_is_there(
    config: TrainingConfig, world: TrainingWorld, tmp_path: Path
) -> None:
    Trainer(config, tmp_path, world=world).run()
    lost = config.model_copy(update={"data": {**config.data, "pairs": "lost.parquet"}})
    with pytest.raises(TrainingError, match="lost"):
        Trainer(lost, tmp_path, base=tmp_path, world=world, fresh=True)
    assert Trainer(config, tmp_path, world=world).step > 0
    with pytest.raises(KilledError):
        Trainer(config, tmp_path, world=world, fresh=True).run(on_step=kill_after(2))
    assert Trainer(config, tmp_path, world=world).step == 0


def test_another_configuration_does_not_resume(
    config: TrainingConfig, world: TrainingWorld, tmp_path: Path
) -> None:
    Trainer(config, tmp_path, world=world).run()
    other = config.model_copy(update={"seed": 4})
    pairs = (tmp_path / "pairs.parquet").read_bytes()
    with pytest.raises(TrainingError, match="another configuration"):
        Trainer(other, tmp_path, world=world)
    assert (tmp_path / "pairs.parquet").read_bytes() == pairs  # the run that is there is intact
    Trainer(other, tmp_path, world=world, fresh=True)


class OtherDraws:
    """A source of another version: the same settings, and one thing of its batches different."""

    def __init__(self, source: BatchSource, **changed: Callable[[Tensor], Tensor]) -> None:
        self._source, self._changed = source, changed

    def batch(self, step: int) -> Batch:
        batch = self._source.batch(step)
        return batch._replace(
            **{k: change(getattr(batch, k)) for k, change in self._changed.items()}
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def test_a_run_does_not_go_on_with_batches_of_another_kind(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    config = changed(config_tables, save_every=2)
    begun = Trainer(config, tmp_path, world=world)
    with pytest.raises(KilledError):
        begun.run(on_step=kill_after(4))

    def resumed(**changes: Callable[[Tensor], Tensor]) -> Trainer:
        source: Any = OtherDraws(begun.source, **changes)
        return Trainer(config, tmp_path, world=world, source=source)

    assert resumed().step == 4
    assert resumed(x=lambda x: x + 1e-5).step == 4  # another machine rounds otherwise
    for what, change in {
        "work": lambda work: work + 1,
        "n_valid": lambda n_valid: n_valid - 1,
        "x": lambda x: x.flip(2),
    }.items():
        with pytest.raises(TrainingError, match=r"step 4 .* another batch"):
            resumed(**{what: change})
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["batch"]  # of before it was kept
    torch.save(state, tmp_path / "state.pt")
    assert resumed(x=lambda x: x.flip(2)).step == 4
    begun.run()
    assert resumed(x=lambda x: x.flip(2)).step == begun.n_steps  # nothing is left to do


def test_damaged_state_is_refused(
    config: TrainingConfig, world: TrainingWorld, tmp_path: Path
) -> None:
    Trainer(config, tmp_path, world=world).run()
    (tmp_path / "state.pt").write_bytes(b"not a state")
    with pytest.raises(TrainingError, match="cannot be read"):
        Trainer(config, tmp_path, world=world)


def test_a_state_in_which_one_bit_has_changed_is_refused(
    config: TrainingConfig, world: TrainingWorld, tmp_path: Path
) -> None:
    trainer = Trainer(config, tmp_path, world=world)
    trainer.run()
    whole = (tmp_path / "state.pt").read_bytes()
    weights = trainer.network.state_dict()["hidden.weight"].numpy().tobytes()
    changed_state = bytearray(whole)
    changed_state[whole.index(weights) + 2] ^= 1
    (tmp_path / "state.pt").write_bytes(changed_state)
    with pytest.raises(TrainingError, match=r"cannot be read .*is damaged"):
        Trainer(config, tmp_path, world=world)
    (tmp_path / "state.pt").write_bytes(whole)
    assert Trainer(config, tmp_path, world=world).step == trainer.n_steps


@pytest.mark.parametrize("before", [[], [{"name": "others", "catalogue": "validation"}]])
def test_validation_may_change_before_a_run_goes_on(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path, before: list[Any]
) -> None:
    begun = parse_config({**config_tables, "validation": before})
    with pytest.raises(KilledError):
        Trainer(begun, tmp_path, world=world).run(on_step=kill_after(9))
    config = changed(config_tables, keep="best")
    result = Trainer(config, tmp_path, world=world).run()
    assert [list(row["validation"]) for row in result.history] == [
        [each["name"] for each in before],
        ["recordings"],
    ]


def test_the_best_epoch_is_the_best_of_those_that_could_be_kept(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    scores = iter([0.9, 0.1, 0.5, 0.3])  # the first is replaced by the second, which is the last

    class Scripted:
        def summary(self) -> dict[str, Any]:
            measures = dict.fromkeys(("map", "mr1", "mrr", "hits_at_1", "hits_at_10"), next(scores))
            return {**measures, "counts": {"n_performances": 12, "n_queries": 12}}

    scripted = replace(world, evaluate_embeddings=lambda *_: Scripted())
    last = changed(config_tables, epochs=4, steps_per_epoch=2)
    with pytest.raises(KilledError):
        Trainer(last, tmp_path, world=scripted).run(on_step=kill_after(4))
    best = changed(config_tables, epochs=4, steps_per_epoch=2, keep="best")
    result = Trainer(best, tmp_path, world=scripted).run()
    written = result.encoder.checkpoint.training
    assert written["result"]["epoch"] == 3
    assert written["result"]["validation"]["recordings"]["map"] == 0.5
    assert "makes that figure optimistic" in result.encoder.checkpoint.card
