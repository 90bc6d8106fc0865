"""A configuration is checked before anything is computed, and says what is wrong in it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from coverdex.encoder import (
    CheckpointError,
    NotFoundError,
    Preprocessing,
    TrainingError,
    build_architecture,
)
from coverdex.encoder.training import SourceContext, read_config
from coverdex.encoder.training.batch import build_batch_source
from coverdex.encoder.training.config import TrainingConfig, parse_config, read_settings
from coverdex.encoder.training.design_search import DesignSearch
from coverdex.encoder.training.joining import JoinConfig, read_join
from coverdex.encoder.training.loss import build_loss
from coverdex.encoder.training.soup import SoupConfig, read_soup

MINIMAL = """
name = "mine"
[architecture]
name = "siamese-cnn"
[preprocessing]
frame_rate = 4.0
[run]
epochs = 2
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)
    return path


def test_defaults_fill_what_is_not_said(path: Path) -> None:
    config = read_config(path)
    assert config.name == "mine"
    assert config.kind == "hpcp"
    assert config.optimizer.schedule == "one-cycle"
    assert config.run.device == "auto"
    assert config.validation == []


def test_changes_from_the_command_line(path: Path) -> None:
    config = read_config(
        path,
        changes=[
            "run.epochs=5",
            "data.source=pairs",
            "optimizer.learning_rate = 1e-4",
            "architecture.channels=[4, 8]",
        ],
    )
    assert config.run.epochs == 5
    assert config.data == {"source": "pairs"}
    assert config.optimizer.learning_rate == 1e-4
    assert config.architecture == {"name": "siamese-cnn", "channels": [4, 8]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("run.epoch=5", "run.epoch is no setting"),
        ("epochs=5", "epochs is no setting"),
        ("run.epochs=0", "run.epochs is 0"),
        ("run.epochs='many'", "run.epochs is 'many'"),
        ("run.epochs=true", "run.epochs is True"),
        ("seed=-1", "seed is -1"),
        ("seed=9223372036854775808", "seed is 9223372036854775808"),
        ("name='my model'", "name is 'my model'"),
        ("kind=mfcc", "kind is 'mfcc'"),
        ("optimizer.learning_rate=0", "optimizer.learning_rate"),
        ("optimizer.schedule=step", "optimizer.schedule is 'step'"),
        ("optimizer.average_decay=1.0", "optimizer.average_decay"),
        ("run.precision=float16", "run.precision"),
        ("run.keep=best", "no \\[\\[validation\\]\\] to judge by"),
        ("start_from=siamese-cnn", "leave those tables out"),
        ("name.first=x", "name is a value, not a table"),
        ("epochs", "not of the form key=value"),
    ],
)
def test_mistakes_are_named(path: Path, change: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        read_config(path, changes=[change])


@pytest.mark.parametrize("name", ["['pairs']", "{a = 1}", "3", "nothing"])
def test_names_of_another_type_are_no_names(path: Path, name: str) -> None:
    changes = [f"{key}={name}" for key in ("architecture.name", "loss.name", "data.source")]
    config = read_config(path, changes=changes)
    with pytest.raises(CheckpointError, match="is unknown; known are ensemble"):
        build_architecture(config.architecture or {})
    with pytest.raises(TrainingError, match="give one of contrastive"):
        build_loss(config.loss)
    context = SourceContext(Preprocessing(4.0), config.kind, 0, "cpu", path, path)
    with pytest.raises(TrainingError, match="give one of alternating"):
        build_batch_source(config.data, context)


def test_all_mistakes_are_named_at_once(path: Path) -> None:
    with pytest.raises(TrainingError, match=r"mine.toml: seed is .*run.epoch is"):
        read_config(path, changes=["run.epoch=5", "seed=-1"])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(TrainingError, match="name is missing; run is missing"):
        parse_config({"architecture": {}, "preprocessing": {}})
    with pytest.raises(TrainingError, match="or start_from"):
        parse_config({"name": "mine", "run": {"epochs": 1}})


def test_validation_sets_have_names_of_their_own(config_tables: dict[str, Any]) -> None:
    given = config_tables["validation"]
    twice = {"name": "made", "checkpoints": ["one", "other"], "validation": given * 2}
    designs = {"config": "mine.toml", "designs": [{"name": "one"}], "validation": given * 2}
    with pytest.raises(TrainingError, match="same name"):
        parse_config({**config_tables, "validation": given * 2})
    for model, table in ((SoupConfig, twice), (JoinConfig, twice), (DesignSearch, designs)):
        with pytest.raises(TrainingError, match="same name"):
            read_settings(model, table, where="file")
    taken = [{**given[0], "name": "held-out works"}]  # by which a source's own would be lost
    with pytest.raises(TrainingError, match="name the set otherwise"):
        parse_config({**config_tables, "validation": taken})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"absent\.toml"):
        read_config(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(TrainingError, match=r"bad\.toml cannot be read as TOML"):
        read_config(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("change", "may_resume"),
    [
        ("run.workers=3", True),
        ("run.device=cpu", True),
        ("run.save_every=7", True),
        ("run.frozen_statistics=false", True),
        ("run.frozen_statistics=true", False),
        ("card.summary=Better.", True),
        ("seed=1", False),
        ("run.epochs=3", False),
        ("optimizer.clip_norm=0.5", False),
        ("data.batch_size=3", False),
        ("loss.margin=0.5", False),
        ("architecture.dropout=0.5", False),
        ("preprocessing.frame_rate=5.0", False),
        ('distillation={teacher="coverdex-64"}', False),
    ],
)
def test_digest_follows_what_decides_the_weights(path: Path, change: str, may_resume: bool) -> None:
    same = read_config(path).digest == read_config(path, changes=[change]).digest
    assert same == may_resume


@pytest.mark.parametrize(
    "data",
    [
        '{source = "cliques"}',
        '{source = "simulated-covers"}',
        '{source = "alternating", sources = [{source = "pairs"}, {source = "cliques"}]}',
    ],
)
def test_given_pairs_need_a_source_of_pairs(path: Path, data: str) -> None:
    changes = ["loss={name='contrastive'}", f"data={data}"]
    with pytest.raises(TrainingError, match=r'set loss\.pairs = "all"'):
        read_config(path, changes=changes)
    read_config(path, changes=[*changes, "loss.pairs=all"])


def test_shipped_configurations_are_valid(repository: Path) -> None:
    found = sorted((repository / "encoder" / "training" / "configs").glob("*.toml"))
    assert found
    for path in found:
        tables = tomllib.loads(path.read_text())
        if "designs" in tables:  # see test_design_search
            continue
        config: SoupConfig | JoinConfig | TrainingConfig
        if "checkpoints" in tables:
            config = read_join(path) if "dimension" in tables else read_soup(path)
        else:
            config = read_config(path)
        if not isinstance(config, TrainingConfig):
            recipe = (repository / "Makefile").read_text()
            for name in config.checkpoints:  # each is made before, as `make encoder` says
                run = Path(name).parent.name.removeprefix(f"{config.name}-")
                assert f"\ntrain-{run}: SEED = " in recipe
            assert f"--out runs/{config.name}-$*\n" in recipe
        assert config.card.data, f"{path} says nothing of its data"
        assert config.card.licences, f"{path} says nothing of licences"
        assert config.card.limits, f"{path} does not say what the model is not good for"
