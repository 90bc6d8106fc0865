"""Ensembles: what the joined network promises, and how its projection is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coverdex.cli import training_world
from coverdex.encoder import (
    Checkpoint,
    CheckpointError,
    Chroma,
    Encoder,
    Preprocessing,
    TrainingError,
    load_checkpoint,
    save_checkpoint,
)
from coverdex.encoder.architectures import build_architecture
from coverdex.encoder.commands import app
from coverdex.encoder.ensemble import Ensemble
from coverdex.encoder.training.batch import Batch
from coverdex.encoder.training.joining import (
    greatest_directions,
    join,
    read_join,
    second_moments,
)
from coverdex.encoder.training_list import TrainedPerformance, TrainingList
from typer.testing import CliRunner

EQUIVARIANT: dict[str, Any] = {
    "name": "equivariant-cnn",
    "channels": [4, 4],
    "widths": [3, 3],
    "strides": [2, 2],
    "heads": 2,
    "read_out": 4,
    "dimension": 6,
}
SIAMESE: dict[str, Any] = {"name": "siamese-cnn", "channels": [4], "hidden": 8, "dimension": 10}

CONFIG = """
name = "joined"
checkpoints = ["one", "other"]
dimension = 5
seed = 3
batches = 4

[data]
source = "cliques"
catalogue = "demo"
works_per_batch = 8
shortest_seconds = 20.0
longest_seconds = 20.0

[card]
summary = "Two side by side."
"""


def member(architecture: dict[str, Any], seed: int, name: str, **others: Any) -> Checkpoint:
    """A checkpoint whose normalisations have seen something."""
    torch.manual_seed(seed)
    network = build_architecture(architecture).train()
    network(torch.rand(8, 40, 12), torch.full((8,), 40))
    return Checkpoint(
        name=name,
        architecture=architecture,
        preprocessing=Preprocessing(4.0),
        weights=network.state_dict(),
        training_list=TrainingList.of([TrainedPerformance(f"W_{name}", f"{name}/1")]),
        **others,
    )


@pytest.fixture
def members(tmp_path: Path) -> list[Checkpoint]:
    run = {
        "steps": 7,
        "seconds": 3.0,
        "config": {"seed": 5},
        "commit": "abc",
        "machine": {"threads": 2},
        "data": {"works": 4, "seconds": 60},
    }
    made = [
        member(EQUIVARIANT, 0, "one", training=run),
        member(EQUIVARIANT, 1, "other", training={**run, "data": {"works": 4, "seconds": 80}}),
    ]
    for each in made:
        save_checkpoint(each, tmp_path / each.name)
    (tmp_path / "join.toml").write_text(CONFIG)
    return made


def tracks(n: int, rng: np.random.Generator) -> list[Chroma]:
    return [
        Chroma(rng.random((int(rng.integers(100, 900)), 12), dtype=np.float32)) for _ in range(n)
    ]


def joint_of(members: list[Checkpoint], chromas: list[Chroma]) -> np.ndarray[Any, Any]:
    """The members' own embeddings side by side."""
    apart = [np.stack(list(Encoder(each).embed_many(chromas))) for each in members]
    return np.concatenate(apart, axis=1)


def test_it_projects_what_its_members_say(members: list[Checkpoint], tmp_path: Path) -> None:
    made = join(read_join(tmp_path / "join.toml"), base=tmp_path, world=training_world())
    chromas = tracks(5, np.random.default_rng(0))
    expected = joint_of(members, chromas) @ made.weights["projection"].numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    encoder = Encoder(made)
    assert encoder.dimension == 5
    assert np.allclose(np.stack(list(encoder.embed_many(chromas))), expected, atol=1e-5)
    for chroma, vector in zip(chromas, expected, strict=True):
        assert np.allclose(encoder.embed(chroma), vector, atol=1e-5)


def test_all_directions_give_the_mean_of_the_similarities(
    members: list[Checkpoint], tmp_path: Path
) -> None:
    config = read_join(tmp_path / "join.toml").model_copy(update={"dimension": 12})
    encoder = Encoder(join(config, base=tmp_path, world=training_world()))
    chromas = tracks(6, np.random.default_rng(1))
    vectors = np.stack(list(encoder.embed_many(chromas)))
    apart = [np.stack(list(Encoder(each).embed_many(chromas))) for each in members]
    mean = sum(v @ v.T for v in apart) / len(apart)
    assert np.allclose(vectors @ vectors.T, mean, atol=1e-5)


def test_transposition_and_padding_do_not_count(members: list[Checkpoint], tmp_path: Path) -> None:
    made = join(read_join(tmp_path / "join.toml"), base=tmp_path, world=training_world())
    network = Encoder(made).network
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(3, 60, 12, generator=rng)
    n_valid = torch.tensor([60, 41, 9])
    for row, n in zip(x, n_valid, strict=True):
        row[n:] = 0
    found = network(x, n_valid)
    assert torch.allclose(network(x.roll(5, dims=2), n_valid), found, atol=1e-5)
    for row, n, vector in zip(x, n_valid, found, strict=True):
        assert torch.allclose(network(row[None, :n], n[None])[0], vector, atol=1e-5)
    assert torch.allclose(found.norm(dim=1), torch.ones(3))


def test_members_may_differ_in_architecture_and_dimension() -> None:
    network = build_architecture(
        {"name": "ensemble", "members": [EQUIVARIANT, SIAMESE], "dimension": 7}
    ).eval()
    x, n_valid = torch.rand(2, 30, 12), torch.tensor([30, 30])
    assert network(x, n_valid).shape == (2, 7)
    assert network.projection.shape == (16, 7)
    assert network.for_inference() is None  # siamese-cnn has no such form


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"members": []}, "no members"),
        ({"members": [EQUIVARIANT], "dimension": 7}, "give 1 to 6"),
        ({"members": [EQUIVARIANT], "dimension": 0}, "give 1 to 6"),
        ({"members": [{"name": "nothing"}]}, "architecture 'nothing' is unknown"),
    ],
)
def test_impossible_ensembles_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        build_architecture({"name": "ensemble", **arguments})


def test_it_can_be_trained_as_one_network() -> None:
    torch.manual_seed(0)
    network = build_architecture(
        {"name": "ensemble", "members": [EQUIVARIANT, EQUIVARIANT], "dimension": 6}
    )
    network(torch.rand(4, 30, 12), torch.full((4,), 30))[:, 0].sum().backward()
    grads = {name: p.grad for name, p in network.named_parameters()}
    assert all(g is not None and g.abs().sum() > 0 for n, g in grads.items() if "stages" in n)
    assert grads["projection"] is not None


def test_directions_are_those_of_the_greatest_squares() -> None:
    rng = np.random.default_rng(2)
    turn, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    lengths = np.array([0.1, 4.0, 1.0, 2.0, 0.5])
    directions, kept = greatest_directions(turn @ np.diag(lengths) @ turn.T, 2)
    for found, wanted in zip(directions.T, (turn[:, 1], turn[:, 3]), strict=True):
        wanted = wanted * np.sign(wanted[np.abs(wanted).argmax()])
        assert np.allclose(found, wanted, atol=1e-6)
    assert kept == pytest.approx(6.0 / 7.6)


def test_second_moments_are_means_over_all_tracks() -> None:
    network = build_architecture({"name": "ensemble", "members": [SIAMESE], "dimension": 3}).eval()
    assert isinstance(network, Ensemble)
    rng = torch.Generator().manual_seed(4)
    batches = [
        Batch(torch.rand(n, 20, 12, generator=rng), torch.full((n,), 20), torch.arange(n))
        for n in (2, 5)
    ]
    moments, n_tracks = second_moments(network, batches)
    with torch.no_grad():
        rows = torch.cat([network.joint(b.x, b.n_valid) for b in batches]).double().numpy()
    assert n_tracks == 7
    assert np.allclose(moments, sum(np.outer(row, row) for row in rows) / 7)


def test_it_remembers_its_members(members: list[Checkpoint], tmp_path: Path) -> None:
    made = join(read_join(tmp_path / "join.toml"), base=tmp_path, world=training_world())
    assert made.training_list is not None
    assert {p.work_id for p in made.training_list.performances} == {"W_one", "W_other"}
    assert [p["id"] for p in made.training["ingredients"]] == [each.id for each in members]
    assert made.training["data"] == {"works": 4, "one: seconds": 60, "other: seconds": 80}
    assert "Two side by side." in made.card
    assert "2 networks side by side" in made.card
    assert "12 numbers that they give together are projected onto the 5 directions" in made.card
    assert f"- `{members[0].id}`: 7 steps in 3 s on the CPU with 2 threads, seed 5" in made.card


def test_the_same_configuration_gives_the_same_bytes(
    members: list[Checkpoint], tmp_path: Path
) -> None:
    config = read_join(tmp_path / "join.toml")
    ids = {join(config, base=tmp_path, world=training_world()).id for _ in range(2)}
    assert len(ids) == 1


def test_by_default_directions_are_seen_in_what_the_first_learnt_from(
    members: list[Checkpoint], tmp_path: Path
) -> None:
    config = read_join(tmp_path / "join.toml")
    silent = config.model_copy(update={"data": {}})
    with pytest.raises(TrainingError, match=r"one-\w+ does not say what it was trained on"):
        join(silent, base=tmp_path, world=training_world())
    record = {**members[0].training, "config": {"seed": 5, "data": config.data}}
    knowing = replace(members[0], training=record)
    save_checkpoint(knowing, tmp_path / "one", overwrite=True)
    made = [join(each, base=tmp_path, world=training_world()) for each in (config, silent)]
    assert made[0].digest == made[1].digest


def test_unlike_members_and_too_many_dimensions_are_refused(
    members: list[Checkpoint], tmp_path: Path
) -> None:
    config = read_join(tmp_path / "join.toml")
    with pytest.raises(TrainingError, match="dimension is 13, but the members have 12 together"):
        join(config.model_copy(update={"dimension": 13}), base=tmp_path)
    unlike = replace(members[1], preprocessing=Preprocessing(5.5))
    save_checkpoint(unlike, tmp_path / "other", overwrite=True)
    with pytest.raises(TrainingError, match="differ in preprocessing; an ensemble reads one kind"):
        join(config, base=tmp_path)


def test_fewer_tracks_than_directions_do_not_say_which_to_keep(
    members: list[Checkpoint], tmp_path: Path
) -> None:
    config = read_join(tmp_path / "join.toml")
    few = config.model_copy(update={"data": {**config.data, "works_per_batch": 2}, "batches": 1})
    with pytest.raises(TrainingError, match="4 tracks in 1 batches do not say which 5 directions"):
        join(few, base=tmp_path, world=training_world())


def test_the_command_writes_a_checkpoint(members: list[Checkpoint], tmp_path: Path) -> None:
    arguments = ["join", str(tmp_path / "join.toml"), "--out", str(tmp_path / "made")]
    answer = CliRunner().invoke(app, arguments, obj=training_world)
    assert answer.exit_code == 0, answer.output
    assert Encoder.load(tmp_path / "made").name == "joined"
    members_before = (tmp_path / "other").rename(tmp_path / "away")
    refused = CliRunner().invoke(app, arguments, obj=training_world)
    assert isinstance(refused.exception, CheckpointError)  # before anything is read
    assert "exists; give another folder" in str(refused.exception)
    members_before.rename(tmp_path / "other")
    again = CliRunner().invoke(app, [*arguments, "--overwrite"], obj=training_world)
    assert again.exit_code == 0
    assert load_checkpoint(tmp_path / "made").training["projection"]["onto"] == 5
