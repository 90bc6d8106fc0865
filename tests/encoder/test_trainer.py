"""A run learns, says where it came from, and stops on nonsense."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coverdex.encoder import (
    Encoder,
    InvalidChromaError,
    NotFoundError,
    TrainingError,
    load_checkpoint,
)
from coverdex.encoder.training import (
    Batch,
    EmbeddingLoss,
    LossOutput,
    Trainer,
    TrainingConfig,
    TrainingWorld,
)
from coverdex.encoder.training.config import parse_config
from coverdex.encoder.training.prefetch import Waiting, batches, worker_count
from coverdex.encoder.training_list import TrainedPerformance, TrainingList
from torch import Tensor, nn

from .training_runs import KilledError, changed, kill_after

pytestmark = pytest.mark.usefixtures("one_thread")


def test_seed_decides_the_weights(
    config: TrainingConfig, world: TrainingWorld, tmp_path: Path
) -> None:
    def trained(seed: int, folder: str) -> str:
        seeded = config.model_copy(update={"seed": seed})
        return Trainer(seeded, tmp_path / folder, world=world).run().encoder.id

    assert trained(1, "a") == trained(1, "b")
    assert trained(1, "a") != trained(2, "c")


def test_worker_processes_change_nothing(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    alone = Trainer(changed(config_tables, epochs=1), tmp_path / "a", world=world).run()
    helped = Trainer(changed(config_tables, epochs=1, workers=2), tmp_path / "b", world=world).run()
    assert alone.encoder.id == helped.encoder.id


@pytest.mark.parametrize(
    ("asked", "device", "method", "cores", "wanted"),
    [
        ("auto", "cpu", "fork", 8, 0),
        ("auto", "cuda", "fork", 8, 7),
        ("auto", "cuda", "fork", 1, 1),
        ("auto", "cuda", "spawn", 8, 4),
        ("auto", "cuda", "spawn", 2, 1),
        (3, "cpu", "fork", 8, 3),
        (0, "cuda", "fork", 8, 0),
    ],
)
def test_a_gpu_has_as_many_workers_as_there_are_cores_to_spare(
    monkeypatch: pytest.MonkeyPatch, asked: Any, device: str, method: str, cores: int, wanted: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr("multiprocessing.get_start_method", lambda allow_none: None)
    monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: [method, "spawn"])
    assert worker_count(asked, torch.device(device)) == wanted


class Refuses:
    """A source that makes one batch; its second ends the process, or is refused."""

    def __init__(self, *, killed: bool) -> None:
        self._killed = killed

    def batch(self, step: int) -> Batch:
        if step and self._killed:
            os.kill(os.getpid(), signal.SIGKILL)
        if step:
            raise InvalidChromaError("the track is gone; get it again", reason="gone")
        return Batch(torch.zeros(2, 3, 12), torch.tensor([3, 3]), torch.tensor([0, 0]))


@pytest.mark.parametrize(
    ("killed", "said"), [(False, "^the track is gone; get it again$"), (True, "fewer run.workers")]
)
def test_what_stops_a_worker_is_said_in_words(killed: bool, said: str) -> None:
    made = batches(Refuses(killed=killed), 0, 3, workers=1)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=said):
        list(made)


def test_waiting_for_batches_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 10.0, 11.0, 20.0, 25.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    made = Waiting(iter("ab"))  # type: ignore[arg-type]
    assert [next(made), next(made)] == ["a", "b"]
    assert made.take_seconds() == 3
    assert list(made) == []
    assert made.take_seconds() == 5


def test_it_learns(config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path) -> None:
    config_tables["data"] |= {"transpose": False, "padding": 0.0}
    config_tables["architecture"]["dropout"] = 0.0
    history = Trainer(changed(config_tables, epochs=8), tmp_path, world=world).run().history
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert history[-1]["pair accuracy"] > 0.9 > history[0]["pair accuracy"]


def test_everything_is_written_down(
    config: TrainingConfig, world: TrainingWorld, tmp_path: Path
) -> None:
    result = Trainer(config, tmp_path, world=world).run()
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert rows == result.history
    assert [row["epoch"] for row in rows] == [1, 2]
    assert {"loss", "pair accuracy", "held-out loss", "held-out pair accuracy"} <= rows[0].keys()
    assert 0 <= rows[0]["waiting"] <= rows[0]["seconds"]
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["config"]["seed"] == 3
    assert record["data"]["training pairs"] == 54
    assert record["versions"]["torch"] == version("torch")
    assert record["steps"] == 18
    training = result.encoder.checkpoint.training
    assert training["config_digest"] == config.digest
    assert (
        training["result"]["validation"]["recordings"]["map"]
        == rows[-1]["validation"]["recordings"]["map"]
    )
    assert (tmp_path / "pairs.parquet").is_file()
    assert not list(tmp_path.rglob("*.part"))


def test_card_gives_the_figures_of_the_run(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    config_tables["card"] = {"licences": "Public domain.", "limits": "Anything real."}
    result = Trainer(parse_config(config_tables), tmp_path, world=world).run()
    card = result.encoder.checkpoint.card
    figure = result.history[-1]["validation"]["recordings"]["map"]
    row = f"| recordings | 12 | 12 | {figure:.3f} [0.250, 0.875] | {figure:.3f} | {figure:.3f} |"
    assert row in card
    assert "Public domain." in card
    assert "Anything real." in card
    assert "18 steps" in card


def test_a_finished_run_takes_new_words_onto_its_card(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    first = Trainer(parse_config(config_tables), tmp_path, world=world).run().encoder
    config_tables["card"] = {"limits": "Whistling."}
    again = Trainer(parse_config(config_tables), tmp_path, world=world).run().encoder
    assert "Whistling." in again.checkpoint.card
    assert again.id == first.id
    assert again.checkpoint.training == first.checkpoint.training


def test_checkpoint_embeds_as_the_trainer_did(
    config: TrainingConfig, world: TrainingWorld, tmp_path: Path
) -> None:
    trainer = Trainer(config, tmp_path, world=world)
    trainer.run()
    (_, chroma) = world.open_catalogue("validation")[0]  # type: ignore[index]
    loaded = Encoder.load(tmp_path / "checkpoint")
    np.testing.assert_array_equal(loaded.embed(chroma), trainer.encoder().embed(chroma))


def test_start_from_a_checkpoint(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    Trainer(parse_config(config_tables), tmp_path / "first", world=world).run()
    for table in ("architecture", "preprocessing"):
        del config_tables[table]
    config_tables |= {"name": "tuned", "start_from": "first/checkpoint"}
    tuning = Trainer(parse_config(config_tables), tmp_path / "second", base=tmp_path, world=world)
    start = load_checkpoint(tmp_path / "first" / "checkpoint")
    assert tuning.preprocessing == start.preprocessing
    for name, weight in tuning.network.state_dict().items():
        assert torch.equal(weight, start.weights[name])
    result = tuning.run()
    assert result.encoder.name == "tuned"
    before = result.encoder.checkpoint.training["validation before"]["recordings"]["map"]
    assert before == start.training["result"]["validation"]["recordings"]["map"]
    card = result.encoder.checkpoint.card
    assert f"| recordings, before this training | 12 | 12 | {before:.3f} " in card
    again = Trainer(parse_config(config_tables), tmp_path / "second", base=tmp_path, world=world)
    assert again.run().encoder.checkpoint.card == card  # kept over a resume
    shutil.rmtree(tmp_path / "first" / "checkpoint")
    (tmp_path / "second" / "checkpoint").rename(tmp_path / "first" / "checkpoint")
    with pytest.raises(TrainingError, match=f"began from {start.id}, but tuned-"):
        Trainer(parse_config(config_tables), tmp_path / "second", base=tmp_path, world=world)
    with pytest.raises(TrainingError, match="hpcp"):
        Trainer(
            parse_config({**config_tables, "kind": "crema"}),
            tmp_path / "third",
            base=tmp_path,
            world=world,
        )


class Views:
    """A batch source of its own: two noisy views of random works, by the step alone."""

    steps_per_epoch = None
    work_ids: frozenset[str] = frozenset()

    def batch(self, step: int) -> Batch:
        rng = np.random.default_rng(step)
        scores = np.repeat(rng.random((4, 10, 12)), 2, axis=0)
        x = torch.from_numpy(scores + 0.1 * rng.random(scores.shape)).float()
        return Batch(x, torch.full((8,), 10), torch.arange(4).repeat_interleave(2))

    def held_out(self) -> Iterable[Batch]:
        return ()

    def training_list(self) -> TrainingList:
        return TrainingList.of([TrainedPerformance("random")])

    def describe(self) -> dict[str, Any]:
        return {"views": "random"}


class Learnt(EmbeddingLoss):
    """A loss with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def of(self, embeddings: Tensor, work: Tensor) -> LossOutput:
        same = (work[:, None] == work[None]).float()
        return LossOutput(((embeddings @ embeddings.T * self.scale - same) ** 2).mean())


def test_any_source_and_any_loss(config_tables: dict[str, Any], tmp_path: Path) -> None:
    config_tables |= {"data": {}, "loss": {}, "validation": []}
    config = changed(config_tables, steps_per_epoch=20, save_every=15)
    results = []
    for folder in ("whole", "killed"):
        loss = Learnt()
        trainer = Trainer(config, tmp_path / folder, source=Views(), loss=loss)
        if folder == "killed":
            with pytest.raises(KilledError):
                trainer.run(on_step=kill_after(33))
            loss = Learnt()
            trainer = Trainer(config, tmp_path / folder, source=Views(), loss=loss)
            assert trainer.step == 30
        results.append((trainer.run().encoder.id, loss.scale.item()))
    assert results[0] == results[1]
    assert results[0][1] != 1


def test_a_source_without_an_end_needs_steps(config_tables: dict[str, Any], tmp_path: Path) -> None:
    config_tables |= {"validation": []}
    trainer = Trainer(parse_config(config_tables), tmp_path, source=Views(), loss=Learnt())
    with pytest.raises(TrainingError, match="steps_per_epoch"):
        trainer.run()


def test_dropout_is_on_in_training_and_off_for_held_out_works(
    config_tables: dict[str, Any], tmp_path: Path
) -> None:
    class WithHeldOut(Views):
        def held_out(self) -> Iterable[Batch]:
            return [self.batch(-1 % 1000)]

    modes = []

    class Watching(Learnt):
        def forward(self, network: nn.Module, batch: Batch) -> LossOutput:
            modes.append((network.training, torch.is_grad_enabled()))
            return super().forward(network, batch)

    config_tables |= {"validation": []}
    config = changed(config_tables, epochs=2, steps_per_epoch=2)
    Trainer(config, tmp_path, source=WithHeldOut(), loss=Watching()).run()
    learning, judging = (True, True), (False, False)
    assert modes == [learning, learning, judging] * 2


def test_losses_see_float32_under_mixed_precision(
    config_tables: dict[str, Any], tmp_path: Path
) -> None:
    seen = set()

    class Watching(EmbeddingLoss):
        def of(self, embeddings: Tensor, work: Tensor) -> LossOutput:
            similarity = embeddings @ embeddings.T
            seen.update({embeddings.dtype, similarity.dtype})
            return LossOutput(similarity.mean())

    config_tables |= {"validation": []}
    config = changed(config_tables, epochs=1, steps_per_epoch=1, precision="bfloat16")
    Trainer(config, tmp_path, source=Views(), loss=Watching()).run()
    assert seen == {torch.float32}


def test_best_epoch_is_kept_when_asked_for(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    scores = iter([0.5, 0.9, 0.7])

    class Scripted:
        def summary(self) -> dict[str, Any]:
            measures = dict.fromkeys(("mr1", "mrr", "hits_at_1", "hits_at_10"), 0.0)
            counts = {"n_performances": 12, "n_queries": 12}
            return {"map": next(scores), **measures, "counts": counts}

    scripted = replace(world, evaluate_embeddings=lambda embeddings, works: Scripted())
    config = changed(config_tables, epochs=3, keep="best")
    ids: list[str] = []
    trainer = Trainer(config, tmp_path, world=scripted)
    result = trainer.run(on_epoch=lambda row: ids.append(trainer.encoder().id))
    assert result.encoder.id == ids[1]
    assert "optimistic" in result.encoder.checkpoint.card


def test_validation_is_skipped_between(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    config = changed(config_tables, epochs=3, validate_every=2)
    history = Trainer(config, tmp_path, world=world).run().history
    assert ["validation" in row for row in history] == [False, True, True]


@pytest.mark.parametrize(
    ("validation", "error", "message"),
    [
        ({"catalogue": "train"}, TrainingError, "are trained on"),
        ({"catalogue": "absent"}, NotFoundError, "absent"),
    ],
)
def test_validation_sets_that_do_not_serve(
    config_tables: dict[str, Any],
    world: TrainingWorld,
    tmp_path: Path,
    validation: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    def open_catalogue(path: str, **options: Any) -> Any:
        if path == "absent":
            raise NotFoundError("no catalogue at absent")
        return world.open_catalogue(path, **options)

    strict = replace(world, open_catalogue=open_catalogue)
    config_tables["validation"] = [{"name": "recordings", **validation}]
    with pytest.raises(error, match=message):
        Trainer(parse_config(config_tables), tmp_path, world=strict)
    allowed = {"optional": True, "unrelated_ids": True}
    config_tables["validation"] = [{"name": "recordings", **validation, **allowed}]
    trainer = Trainer(parse_config(config_tables), tmp_path, world=strict)
    assert len(trainer.validation) == (0 if error is NotFoundError else 1)


def test_a_world_is_needed_for_catalogues(config: TrainingConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="world"):
        Trainer(config, tmp_path)


@pytest.mark.parametrize("device", ["abacus", "meta", "cuda"])
def test_devices_that_are_not_there(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path, device: str
) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TrainingError, match=device):
        Trainer(changed(config_tables, device=device), tmp_path, world=world)


def test_mixed_precision_trains_float32_weights(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    config = changed(config_tables, epochs=1, precision="bfloat16")
    result = Trainer(config, tmp_path, world=world).run()
    weights = result.encoder.checkpoint.weights.values()
    assert {w.dtype for w in weights if w.is_floating_point()} == {torch.float32}
    plain = Trainer(changed(config_tables, epochs=1), tmp_path / "plain", world=world).run()
    assert plain.history[0]["loss"] == pytest.approx(result.history[0]["loss"], rel=0.05)
    assert plain.encoder.id != result.encoder.id
