"""The mean of checkpoints: its weights, what it remembers, and what it refuses."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from coverdex.cli import training_world
from coverdex.encoder import (
    Checkpoint,
    Encoder,
    NotFoundError,
    Preprocessing,
    TrainingError,
    load_checkpoint,
    save_checkpoint,
)
from coverdex.encoder.commands import app
from coverdex.encoder.training.soup import SoupConfig, average, make_soup, read_soup
from coverdex.encoder.training_list import TrainedPerformance, TrainingList
from typer.testing import CliRunner

CONFIG = """
name = "soup"
checkpoints = ["one", "other"]

[card]
summary = "Two in one."
"""


@pytest.fixture
def ingredients(tiny_checkpoint: Checkpoint, tmp_path: Path) -> list[Checkpoint]:
    run = {
        "steps": 7,
        "seconds": 3.0,
        "config": {"seed": 5},
        "commit": "abc",
        "machine": {"threads": 2},
        "data": {"works": 4},
    }
    one = replace(
        tiny_checkpoint,
        name="one",
        training=run,
        training_list=TrainingList.of([TrainedPerformance("W_1", "a/1")]),
    )
    generator = torch.Generator().manual_seed(0)
    moved = {
        name: weight + torch.randn(weight.shape, generator=generator)
        if weight.is_floating_point()
        else weight + 3
        for name, weight in one.weights.items()
    }
    other = replace(
        one,
        name="other",
        weights=moved,
        training={},
        training_list=TrainingList.of([TrainedPerformance("W_2", "a/2")]),
    )
    for each in (one, other):
        save_checkpoint(each, tmp_path / each.name)
    (tmp_path / "soup.toml").write_text(CONFIG)
    return [one, other]


def test_weights_are_means_and_counters_the_last_ones() -> None:
    states = [
        {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(4)},
        {"w": torch.tensor([3.0, -2.0]), "n": torch.tensor(9)},
    ]
    found = average(states, [0.25, 0.75])
    assert found["w"].tolist() == [2.5, -1.0]
    assert found["w"].dtype == torch.float32
    assert found["n"].item() == 9


def test_a_soup_lies_between_and_remembers_both(
    ingredients: list[Checkpoint], tmp_path: Path
) -> None:
    made = make_soup(read_soup(tmp_path / "soup.toml"), base=tmp_path, world=training_world())
    one, other = ingredients
    for name, weight in made.weights.items():
        if weight.is_floating_point():
            between = (one.weights[name].double() + other.weights[name].double()) / 2
            assert torch.allclose(weight.double(), between, atol=1e-6)
    assert made.training_list is not None
    assert {p.work_id for p in made.training_list.performances} == {"W_1", "W_2"}
    assert [p["id"] for p in made.training["ingredients"]] == [one.id, other.id]
    assert made.training["data"] == {"one: works": 4}
    assert "Two in one." in made.card
    assert f"- 0.50 of `{one.id}`: 7 steps in 3 s on the CPU with 2 threads, seed 5" in made.card
    assert f"- 0.50 of `{other.id}`: made elsewhere." in made.card


def test_what_is_made_of_checkpoints_may_be_one_of_them(
    ingredients: list[Checkpoint], tmp_path: Path
) -> None:
    config = read_soup(tmp_path / "soup.toml")
    save_checkpoint(make_soup(config, base=tmp_path), tmp_path / "soup")
    further = config.model_copy(update={"checkpoints": ["soup", "one"]})
    card = make_soup(further, base=tmp_path).card
    assert re.search(r"- 0\.50 of `soup-\w+`: 2 checkpoints' mean, commit ", card)


def test_a_shipped_checkpoint_is_one_by_its_name(tmp_path: Path) -> None:
    shipped = load_checkpoint("coverdex-64")
    doubled = {name: weight + weight for name, weight in shipped.weights.items()}
    save_checkpoint(replace(shipped, name="tuned", weights=doubled), tmp_path / "tuned")
    config = SoupConfig(name="both", checkpoints=["coverdex-64", "tuned"], shares=[0.75, 0.25])
    made = make_soup(config, base=tmp_path)
    name, weight = next((n, w) for n, w in shipped.weights.items() if w.is_floating_point())
    assert torch.allclose(made.weights[name], 1.25 * weight)
    assert f"`{shipped.id}`: 4 networks side by side, commit " in made.card


def test_what_is_known_of_the_training_stays_known_and_is_not_complete(
    ingredients: list[Checkpoint], tmp_path: Path
) -> None:
    silent = replace(ingredients[1], training_list=None)
    save_checkpoint(silent, tmp_path / "other", overwrite=True)
    config = read_soup(tmp_path / "soup.toml")
    for order in (["one", "other"], ["other", "one"]):
        seen = make_soup(config.model_copy(update={"checkpoints": order}), base=tmp_path)
        assert seen.training_list is not None
        assert not seen.training_list.complete
        assert {p.work_id for p in seen.training_list.performances} == {"W_1"}
    save_checkpoint(replace(ingredients[0], training_list=None), tmp_path / "one", overwrite=True)
    assert make_soup(config, base=tmp_path).training_list is None


def test_the_command_writes_a_checkpoint(ingredients: list[Checkpoint], tmp_path: Path) -> None:
    arguments = ["average", str(tmp_path / "soup.toml"), "--out", str(tmp_path / "made")]
    answer = CliRunner().invoke(app, arguments, obj=training_world)
    assert answer.exit_code == 0, answer.output
    assert Encoder.load(tmp_path / "made").name == "soup"
    assert CliRunner().invoke(app, arguments, obj=training_world).exit_code != 0
    again = CliRunner().invoke(app, [*arguments, "--overwrite"], obj=training_world)
    assert again.exit_code == 0
    assert load_checkpoint(tmp_path / "made").training["ingredients"][1]["share"] == 0.5


def test_unlike_checkpoints_are_refused(ingredients: list[Checkpoint], tmp_path: Path) -> None:
    config = read_soup(tmp_path / "soup.toml")
    unlike = replace(ingredients[1], preprocessing=Preprocessing(5.5))
    save_checkpoint(unlike, tmp_path / "other", overwrite=True)
    with pytest.raises(TrainingError, match="differ in preprocessing"):
        make_soup(config, base=tmp_path)


@pytest.mark.parametrize("shares", ["[0.5]", "[0.5, 0.6]", "[1.5, -0.5]"])
def test_shares_must_add_up(shares: str, tmp_path: Path) -> None:
    (tmp_path / "soup.toml").write_text(f'name = "s"\ncheckpoints = ["a", "b"]\nshares = {shares}')
    with pytest.raises(TrainingError, match="shares"):
        read_soup(tmp_path / "soup.toml")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"soup\.toml"):
        read_soup(tmp_path / "soup.toml")
