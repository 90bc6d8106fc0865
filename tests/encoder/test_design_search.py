"""A search of designs: each is one change to a configuration, and they share what they read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from coverdex.encoder import NotFoundError, TrainingError
from coverdex.encoder.commands import app
from coverdex.encoder.training import TrainingWorld
from coverdex.encoder.training.design_search import (
    configuration_of,
    read_search,
    search_designs,
)
from typer.testing import CliRunner

from .test_encoder_commands import CONFIG

DESIGNS = """
config = "tiny.toml"
common = ["run.epochs=2"]
[[designs]]
name = "as it is"
[[designs]]
name = "Twice the channels"
changes = ["architecture.channels=[8]"]
"""
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def designs(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(CONFIG)
    path = tmp_path / "designs.toml"
    path.write_text(DESIGNS)
    return path


def test_each_design_is_a_run_of_its_own_and_is_not_run_twice(
    designs: Path, world: TrainingWorld, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    steps: list[str] = []

    def tried() -> list[Any]:
        return list(
            search_designs(
                read_search(designs),
                out,
                base=tmp_path,
                world=world,
                on_step=lambda design, _: steps.append(design.name),
            )
        )

    first = tried()
    assert [each.design.name for each in first] == ["as it is", "Twice the channels"]
    assert first[0].n_parameters < first[1].n_parameters
    assert {each.row["epoch"] for each in first} == {2}
    assert all(0 < each.maps["recordings"] <= 1 for each in first)
    assert len(steps) == 2 * first[0].n_steps
    again = tried()
    assert len(steps) == 2 * first[0].n_steps
    assert [each.to_dict() for each in again] == [each.to_dict() for each in first]
    written = json.loads((out / "twice-the-channels" / "tried.json").read_text())
    assert written == first[1].to_dict()


def test_one_design_alone_on_the_command_line(
    designs: Path, world: TrainingWorld, tmp_path: Path
) -> None:
    arguments = ["search", str(designs), "--out", str(tmp_path / "o"), "--design", "as it is"]
    run = CliRunner().invoke(app, arguments, obj=world, catch_exceptions=False)
    assert "as it is" in run.stdout
    assert "MAP recordings" in run.stdout
    assert not (tmp_path / "o" / "twice-the-channels").exists()
    run = CliRunner().invoke(app, [*arguments, "--json"], obj=world, catch_exceptions=False)
    assert [each["name"] for each in json.loads(run.stdout)] == ["as it is"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('config = "tiny.toml"\ndesigns = []', "designs"),
        (DESIGNS + '[[designs]]\nname = "as it is!"', "share the folder 'as-it-is'"),
        (DESIGNS + 'changed = ["seed=1"]', "changed is no setting"),
    ],
)
def test_mistakes_in_the_file_are_named(designs: Path, text: str, message: str) -> None:
    designs.write_text(text)
    with pytest.raises(TrainingError, match=message):
        read_search(designs)


def test_a_design_is_taught_by_an_earlier_one(
    designs: Path, world: TrainingWorld, tmp_path: Path
) -> None:
    taught = """
[[designs]]
name = "taught"
changes = ['distillation={teacher = "{out}/as-it-is/checkpoint"}']
"""
    designs.write_text(DESIGNS + taught)
    out, search = tmp_path / "elsewhere" / "out", read_search(designs)
    with pytest.raises(NotFoundError, match="as-it-is"):
        next(search_designs(search, out, base=tmp_path, world=world, only=["taught"]))
    assert not out.exists()
    tried = list(search_designs(search, out, base=tmp_path, world=world))
    assert tried[-1].row["from the teacher"] > 0


def test_nothing_is_trained_before_all_is_read(
    designs: Path, world: TrainingWorld, tmp_path: Path
) -> None:
    designs.write_text(DESIGNS + '[[designs]]\nname = "odd"\nchanges = ["run.epoch=1"]\n')
    search = read_search(designs)
    with pytest.raises(TrainingError, match="epoch is no setting"):
        next(search_designs(search, tmp_path / "out", base=tmp_path, world=world))
    with pytest.raises(TrainingError, match="no design 'even'; there are 'as it is'"):
        next(search_designs(search, tmp_path / "out", base=tmp_path, world=world, only=["even"]))
    assert not (tmp_path / "out").exists()


def test_the_designs_in_the_repository_fit_their_configuration() -> None:
    path = REPOSITORY / "encoder" / "training" / "configs" / "designs.toml"
    search = read_search(path)
    out = REPOSITORY / "runs" / "designs"
    configs = [configuration_of(search, design, path.parent, out) for design in search.designs]
    assert len({config.digest for config in configs}) == len(configs)
    first = configs[0].data["works_per_batch"] * (configs[0].run.steps_per_epoch or 0)
    teachers = {
        Path(config.distillation.teacher).parent.name for config in configs if config.distillation
    }
    assert teachers < {design.slug for design in search.designs}
    for design, config in zip(search.designs, configs, strict=True):
        # The same number of views each, so that no design has seen more than another.
        views = config.data["works_per_batch"] * (config.run.steps_per_epoch or 0)
        assert views == first or design.slug in teachers
        assert [each.name for each in config.validation] == ["covers80_dev", "jazz"]
