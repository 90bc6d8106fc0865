"""``coverdex encoder``: what a user types, and what a program reads."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from coverdex.encoder import (
    DEFAULT_CHECKPOINT,
    Encoder,
    NotFoundError,
    TrainingError,
    shipped_checkpoints,
)
from coverdex.encoder.commands import app
from coverdex.encoder.training import TrainingWorld
from typer.testing import CliRunner

CONFIG = """
name = "tiny"
[architecture]
name = "siamese-cnn"
channels = [4]
hidden = 4
[preprocessing]
frame_rate = 2.0
[data]
source = "pairs"
catalogue = "train"
[loss]
name = "contrastive"
[run]
epochs = 1
device = "cpu"
[[validation]]
name = "recordings"
catalogue = "validation"
"""


def call(*arguments: str, obj: Any = None) -> Any:
    return CliRunner().invoke(app, list(arguments), obj=obj, catch_exceptions=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG)
    return path


def test_info_lists_the_shipped_encoders() -> None:
    listed = json.loads(call("info", "--json").stdout)
    assert [each["name"] for each in listed] == list(shipped_checkpoints())
    assert DEFAULT_CHECKPOINT in call("info").stdout


def test_info_of_one() -> None:
    one = json.loads(call("info", DEFAULT_CHECKPOINT, "--json").stdout)
    encoder = Encoder.load()
    assert one["id"] == encoder.id
    assert one["parameters"] == encoder.n_parameters
    assert one["preprocessing"]["frame_rate"] == encoder.preprocessing.frame_rate
    assert call("info", DEFAULT_CHECKPOINT, "--card").stdout.strip() == (
        encoder.checkpoint.card.strip()
    )


def test_info_of_none() -> None:
    with pytest.raises(NotFoundError, match="coverdex-65"):
        call("info", "coverdex-65")


@pytest.mark.parametrize("lazily", [True, False])
def test_train_writes_a_run(
    config: Path, world: TrainingWorld, tmp_path: Path, lazily: bool
) -> None:
    out = tmp_path / "run"
    result = call(
        "train", str(config), "--out", str(out), "--json", obj=(lambda: world) if lazily else world
    )
    answer = json.loads(result.stdout)
    assert answer["checkpoint"] == str(out / "checkpoint")
    assert answer["result"]["validation"]["recordings"]["counts"]["n_queries"] == 12
    assert Encoder.load(out / "checkpoint").name == "tiny"
    assert "epoch 1" in result.stderr
    pytest.importorskip("matplotlib")
    assert (out / "curves.png").is_file()


def test_train_goes_on(config: Path, world: TrainingWorld, tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    call("train", str(config), "--out", out, obj=world)
    again = call("train", str(config), "--out", out, obj=world)
    assert "going on at step" in again.stderr
    with pytest.raises(TrainingError, match="another configuration"):
        call("train", str(config), "--out", out, "--set", "seed=5", obj=world)
    fresh = call("train", str(config), "--out", out, "--set", "seed=5", "--fresh", obj=world)
    assert "checkpoint in" in fresh.stdout


def test_the_configuration_above_is_toml() -> None:
    assert tomllib.loads(CONFIG)["run"] == {"epochs": 1, "device": "cpu"}
