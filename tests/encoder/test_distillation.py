"""A student learns its teacher's neighbourhoods; the teacher is neither trained nor saved."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from coverdex.encoder import Checkpoint, TrainingError, load_checkpoint, save_checkpoint
from coverdex.encoder.training import Trainer, TrainingWorld
from coverdex.encoder.training.config import DistillationSettings, parse_config
from coverdex.encoder.training.distillation import (
    StudentInput,
    neighbourhood_divergence,
    with_teacher,
)
from coverdex.encoder.training.loss import Loss, build_loss
from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")

Tables = dict[str, Any]


def reads(checkpoint: Checkpoint) -> StudentInput:
    return StudentInput(checkpoint.kind, checkpoint.preprocessing)


def cosines(vectors: Tensor) -> Tensor:
    unit = torch.nn.functional.normalize(vectors, dim=1)
    return unit @ unit.T


def test_divergence_by_hand() -> None:
    """Track 0 has neighbours at .5 and 0 with the student, at 0 and 0 with the teacher."""
    student = torch.tensor([[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]])
    teacher = torch.tensor([[1, 0.0, 0], [0.0, 1, 0.0], [0, 0.0, 1]])
    q = 1 / (1 + math.exp(-0.5 / 0.25)), 1 / (1 + math.exp(0.5 / 0.25))
    of_an_end = sum(0.5 * math.log(0.5 / share) for share in q)
    expected = 2 * of_an_end / 3  # the middle track's neighbours are equally far with both
    assert float(neighbourhood_divergence(student, teacher, 0.25)) == pytest.approx(expected)
    assert float(neighbourhood_divergence(teacher, teacher, 0.25)) == pytest.approx(0, abs=1e-6)
    assert float(neighbourhood_divergence(student[:1, :1], teacher[:1, :1], 0.25)) == 0


def test_free_vectors_take_on_the_teachers_neighbourhoods() -> None:
    """Of eight dimensions in four: the nearest of every track becomes the teacher's nearest."""
    generator = torch.Generator().manual_seed(0)
    teacher = cosines(torch.randn((10, 8), generator=generator))
    free = torch.randn((10, 4), generator=generator).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=0.05)

    def agreement() -> float:
        nearest = [(s - 2 * torch.eye(10)).argmax(dim=1) for s in (cosines(free.detach()), teacher)]
        return float((nearest[0] == nearest[1]).float().mean())

    before = float(neighbourhood_divergence(cosines(free.detach()), teacher, 0.1))
    assert agreement() < 0.5
    for _ in range(300):
        optimizer.zero_grad()
        divergence = neighbourhood_divergence(cosines(free), teacher, 0.1)
        divergence.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(divergence.detach()) < 0.1 * before
    assert agreement() >= 0.8


@pytest.fixture
def taught(config_tables: Tables, world: TrainingWorld, tmp_path: Path) -> Tables:
    """A configuration whose teacher, twice as wide, has been trained on other works."""
    wide = {**config_tables["architecture"], "dimension": 32}
    data = {**config_tables["data"], "catalogue": "validation", "batch_size": 2}
    teacher = {**config_tables, "name": "wide", "architecture": wide, "data": data}
    teacher["validation"] = []
    Trainer(parse_config(teacher), tmp_path / "wide", world=world).run()
    settings = {"teacher": "wide/checkpoint", "weight": 2.0}
    return {**config_tables, "distillation": settings, "validation": []}


def test_a_run_with_a_teacher(taught: Tables, world: TrainingWorld, tmp_path: Path) -> None:
    config = parse_config(taught)
    path = tmp_path / "wide" / "checkpoint"
    before = {name: value.clone() for name, value in load_checkpoint(path).weights.items()}
    trainer = Trainer(config, tmp_path / "run", base=tmp_path, world=world)
    result = trainer.run()
    assert result.encoder.dimension == 16
    assert all(row["from the teacher"] > 0 for row in result.history)
    assert not trainer.loss.state_dict()
    assert not list(trainer.loss.parameters())
    alone = parse_config({k: v for k, v in taught.items() if k != "distillation"})
    assert alone.digest != config.digest
    without = Trainer(alone, tmp_path / "alone", world=world)
    assert without.run().encoder.id != result.encoder.id
    after = load_checkpoint(path).weights
    assert all(torch.equal(before[name], after[name]) for name in before)
    # What the teacher has seen, the student knows too.
    seen = load_checkpoint(trainer.folder.checkpoint).training_list
    own = load_checkpoint(without.folder.checkpoint).training_list
    assert seen is not None
    assert own is not None
    assert {p.work_id for p in seen.performances} - {p.work_id for p in own.performances}


def test_a_killed_run_with_a_teacher_ends_with_the_same_weights(
    taught: Tables, world: TrainingWorld, tmp_path: Path
) -> None:
    config = parse_config({**taught, "run": {**taught["run"], "save_every": 4}})
    whole = Trainer(config, tmp_path / "whole", base=tmp_path, world=world).run()

    def stop(report: Any) -> None:
        if report.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(config, tmp_path / "killed", base=tmp_path, world=world).run(on_step=stop)
    resumed = Trainer(config, tmp_path / "killed", base=tmp_path, world=world)
    assert resumed.step == 4
    assert resumed.run().encoder.id == whole.encoder.id


def test_a_teacher_with_another_input_is_refused(
    taught: Tables, world: TrainingWorld, tmp_path: Path
) -> None:
    other = parse_config({**taught, "preprocessing": {"frame_rate": 5.0}})
    with pytest.raises(TrainingError, match="same preprocessing"):
        Trainer(other, tmp_path / "run", base=tmp_path, world=world)
    other = parse_config({**taught, "kind": "crema"})
    with pytest.raises(TrainingError, match="give a teacher of that kind"):
        Trainer(other, tmp_path / "run", base=tmp_path, world=world)


def test_works_that_the_teacher_has_seen_do_not_validate(
    taught: Tables, world: TrainingWorld, tmp_path: Path
) -> None:
    validated = {**taught, "validation": [{"name": "seen", "catalogue": "validation"}]}
    with pytest.raises(TrainingError, match="of its works are trained on"):
        Trainer(parse_config(validated), tmp_path / "run", base=tmp_path, world=world)


def test_the_teacher_is_recorded_by_what_it_is_and_cannot_be_exchanged(
    taught: Tables, world: TrainingWorld, tmp_path: Path
) -> None:
    config = parse_config({**taught, "run": {**taught["run"], "save_every": 4}})

    def stop(report: Any) -> None:
        if report.step == 5:
            raise KeyboardInterrupt

    teacher = load_checkpoint(tmp_path / "wide" / "checkpoint")
    trainer = Trainer(config, tmp_path / "run", base=tmp_path, world=world)
    assert trainer.record()["checkpoints"] == {"teacher": teacher.id}
    with pytest.raises(KeyboardInterrupt):
        trainer.run(on_step=stop)
    weights = {name: value + 1 for name, value in teacher.weights.items()}
    other = replace(teacher, weights=weights)
    save_checkpoint(other, tmp_path / "wide" / "checkpoint", overwrite=True)
    with pytest.raises(TrainingError, match=f"teacher {teacher.id}, but {other.id}"):
        Trainer(config, tmp_path / "run", base=tmp_path, world=world)


def test_a_loss_of_more_than_embeddings_takes_no_teacher(tiny_checkpoint: Checkpoint) -> None:
    settings = DistillationSettings(teacher="anything")
    with pytest.raises(TrainingError, match=r"leave \[distillation\] out"):
        with_teacher(Loss(), settings, Path(), reads(tiny_checkpoint), torch.device("cpu"))


def test_a_teacher_that_is_not_there_is_named(tiny_checkpoint: Checkpoint) -> None:
    settings = DistillationSettings(teacher="nobody")
    loss = build_loss({"name": "nt-xent"})
    with pytest.raises(Exception, match="nobody"):
        with_teacher(loss, settings, Path(), reads(tiny_checkpoint), torch.device("cpu"))
