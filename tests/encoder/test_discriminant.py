"""The last layer in closed form: the directions that it finds, and its place at a run's end."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coverdex.encoder import Encoder, TrainingError, load_checkpoint
from coverdex.encoder.training import Trainer, TrainingWorld
from coverdex.encoder.training.config import parse_config
from coverdex.encoder.training.discriminant import Scatter

from .conftest import NearestShare

pytestmark = pytest.mark.usefixtures("one_thread")

#: Six features: works differ in the first two, covers of one work in the last four.
BETWEEN = np.array([1.0, 0.5, 0.0, 0.0, 0.0, 0.0])
WITHIN = np.array([0.1, 0.1, 3.0, 3.0, 3.0, 3.0])


def tracks(seed: int, n_works: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    works = rng.normal(size=(n_works, 6)) * BETWEEN + 5.0
    features = np.repeat(works, 2, axis=0) + rng.normal(size=(2 * n_works, 6)) * WITHIN
    return features, np.repeat(np.arange(n_works), 2)


def test_the_directions_are_those_in_which_works_differ() -> None:
    scatter = Scatter(6)
    for seed in range(5):  # the numbers of the works are others in each batch
        scatter.add(*tracks(seed))
    directions, mean = scatter.discriminants(2, 1e-6)
    np.testing.assert_allclose(mean, 5.0, atol=0.2)
    length = np.linalg.norm(directions, axis=0)
    assert (np.linalg.norm(directions[:2], axis=0) > 0.98 * length).all()
    assert abs(directions[0, 0]) > 0.98 * length[0]  # the stronger one comes first


def test_covers_are_found_by_the_projection_and_not_without_it() -> None:
    scatter = Scatter(6)
    for seed in range(5):
        scatter.add(*tracks(seed))
    directions, mean = scatter.discriminants(2, 0.01)
    features, work = tracks(99)

    def covers_first(x: np.ndarray) -> float:
        distance = np.linalg.norm(x[:, None] - x[None], axis=2)
        np.fill_diagonal(distance, np.inf)
        return float(np.mean(work[distance.argmin(axis=1)] == work))

    assert covers_first((features - mean) @ directions) > 5 * covers_first(features) > 0


def test_shrinkage_distrusts_directions_that_hardly_vary() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 3)) * np.array([1.0, 1.0, 1e-6])
    work = np.repeat(np.arange(20), 2)
    scatter = Scatter(3)
    scatter.add(features, work)
    free, _ = scatter.discriminants(3, 1e-12)
    held, _ = scatter.discriminants(3, 1.0)
    assert np.abs(free[2]).max() > 1e4
    assert np.abs(held[2]).max() < 10


def test_batches_without_covers_are_an_error() -> None:
    scatter = Scatter(3)
    scatter.add(np.ones((4, 3)), np.arange(4))
    with pytest.raises(TrainingError, match="two tracks"):
        scatter.discriminants(2, 1.0)


EQUIVARIANT = {
    "name": "equivariant-cnn", "channels": [4, 4], "widths": [3, 3], "strides": [2, 2],
    "heads": 2, "read_out": 4, "dimension": 8,
}  # fmt: skip


def test_it_follows_the_last_step_once_and_changes_the_last_layer_alone(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    tables = {**config_tables, "architecture": EQUIVARIANT}
    plain = Trainer(parse_config(tables), tmp_path, world=world).run()
    with_layer = parse_config({**tables, "discriminant": {"batches": 3, "shrinkage": 0.5}})
    fitted = Trainer(with_layer, tmp_path, world=world).run()  # the same run goes on
    assert fitted.encoder.id != plain.encoder.id
    written = load_checkpoint(tmp_path / "checkpoint")
    assert written.training["discriminant"]["batches"] == 3
    changed = {
        name
        for name, weight in plain.encoder.network.state_dict().items()
        if not torch.equal(weight, written.weights[name])
    }
    assert changed <= {
        "dense.weight", "output_norm.weight", "output_norm.bias", "output_norm.running_mean",
        "output_norm.running_var",
    }  # fmt: skip
    assert "dense.weight" in changed
    record = (tmp_path / "run.json").read_bytes()
    assert b'"discriminant"' in record
    again = Trainer(with_layer, tmp_path, world=world).run()
    assert (tmp_path / "run.json").read_bytes() == record
    assert again.encoder.id == fitted.encoder.id
    whole = Trainer(with_layer, tmp_path / "whole", world=world).run()
    assert whole.encoder.id == fitted.encoder.id
    assert Encoder.load(tmp_path / "checkpoint").id == fitted.encoder.id


def test_it_may_change_and_be_taken_back_when_the_run_is_finished(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    tables = {**config_tables, "architecture": EQUIVARIANT}
    plain = Trainer(parse_config(tables), tmp_path, world=world).run()
    trained = load_checkpoint(tmp_path / "checkpoint").training["result"]
    for batches in (2, 3):
        other = parse_config({**tables, "discriminant": {"batches": batches}})
        Trainer(other, tmp_path, world=world).run()
        result = load_checkpoint(tmp_path / "checkpoint").training["result"]
        assert result["before the discriminant"] == trained["validation"]
    back = Trainer(parse_config(tables), tmp_path, world=world).run()
    assert back.encoder.id == plain.encoder.id
    assert load_checkpoint(tmp_path / "checkpoint").training["result"] == trained
    assert b'"discriminant"' not in (tmp_path / "run.json").read_bytes()


def test_it_is_not_taken_back_from_an_epoch_that_was_not_kept(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    tables = {**config_tables, "architecture": EQUIVARIANT}
    tables["run"] = {**tables["run"], "keep": "best"}
    shares = count(1.0, -0.1)

    class WorseEachTime(NearestShare):
        def summary(self) -> dict[str, Any]:
            return {**super().summary(), "map": next(shares)}

    worse = replace(world, evaluate_embeddings=WorseEachTime)
    with_layer = parse_config({**tables, "discriminant": {"batches": 2}})
    Trainer(with_layer, tmp_path, world=worse).run()
    with pytest.raises(TrainingError, match="put \\[discriminant\\] back"):
        Trainer(parse_config(tables), tmp_path, world=worse).run()


def test_a_network_without_a_linear_end_is_refused(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    tables = {**config_tables, "discriminant": {"batches": 1}}
    with pytest.raises(TrainingError, match="leave \\[discriminant\\] out"):
        Trainer(parse_config(tables), tmp_path, world=world)  # before a step is taken
