"""Chroma, catalogues and encoders small enough for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coverdex.encoder import (
    Checkpoint,
    Chroma,
    ChromaKind,
    Encoder,
    Preprocessing,
    build_architecture,
)
from coverdex.encoder.training import SourceContext, TrainingConfig, TrainingWorld
from coverdex.encoder.training.config import parse_config
from numpy.typing import NDArray


def random_chroma(n_frames: int, seed: int = 0, frame_rate: float = 20.0) -> Chroma:
    """Chroma with some structure in time: chords that last about a second, and noise."""
    rng = np.random.default_rng(seed)
    n_chords = n_frames // 20 + 1
    chords = np.repeat(rng.random((n_chords, 12)) ** 4, 20, axis=0)[:n_frames]
    return Chroma(chords + 0.1 * rng.random((n_frames, 12)), frame_rate)


@pytest.fixture
def chroma() -> Chroma:
    """Thirty seconds of chroma at 20 frames per second."""
    return random_chroma(600)


@pytest.fixture(scope="session")
def tiny_checkpoint() -> Checkpoint:
    """A siamese-cnn of a few thousand random weights."""
    torch.manual_seed(0)
    architecture = {"name": "siamese-cnn", "channels": [16, 24], "hidden": 32, "dropout": 0.3}
    network = build_architecture(architecture)
    return Checkpoint(
        name="tiny",
        architecture=architecture,
        preprocessing=Preprocessing(frame_rate=5.0),
        weights=network.state_dict(),
        training={"seed": 0},
        card="# tiny\n",
    )


@pytest.fixture
def tiny_encoder(tiny_checkpoint: Checkpoint) -> Encoder:
    return Encoder(tiny_checkpoint)


@dataclass(frozen=True)
class Record:
    performance_id: str
    work_id: str | None
    title: str | None = None


Performances = list[tuple[Record, Chroma]]


def make_catalogue(prefix: str, n_works: int, n_versions: int, seed: int) -> Performances:
    """Works of random chords; their versions differ in noise, and a little in length."""
    performances: Performances = []
    for work in range(n_works):
        score = np.random.default_rng([seed, work]).random((40, 12)) ** 4
        for version in range(n_versions):
            rng = np.random.default_rng([seed, work, version])
            values = np.repeat(score, 5, axis=0)[: 200 - int(rng.integers(20))]
            values = values + 0.1 * rng.random(values.shape)
            record = Record(
                f"P_{prefix}{work}_{version}", f"W_{prefix}{work}", f"Tune of W_{prefix}{work}"
            )
            performances.append((record, Chroma(values, 5.0)))
    return performances


class NearestShare:
    """An evaluation that is just enough: the share of queries whose nearest is a cover."""

    def __init__(self, embeddings: NDArray[np.float32], works: Sequence[str]) -> None:
        similarity = embeddings @ embeddings.T
        np.fill_diagonal(similarity, -2)
        hits = [works[i] == works[j] for i, j in enumerate(similarity.argmax(axis=1))]
        self._share = float(np.mean(hits))
        self._n = len(works)

    def summary(self) -> dict[str, Any]:
        measures = ("map", "mr1", "mrr", "hits_at_1", "hits_at_10")
        counts = {"n_performances": self._n, "n_queries": self._n}
        intervals = {"map": [0.25, 0.875], "mr1": None}
        shares = dict.fromkeys(measures, self._share)
        return {**shares, "counts": counts, "intervals_95": intervals}


@pytest.fixture
def world() -> TrainingWorld:
    """Two catalogues that share no work: ``train`` (12 works) and ``validation`` (6 works)."""
    catalogues = {
        "train": make_catalogue("a", 12, 3, seed=1),
        "validation": make_catalogue("b", 6, 2, seed=2),
    }

    def open_catalogue(path: str, kind: str = "hpcp") -> Performances:
        return catalogues[path]

    return TrainingWorld(open_catalogue=open_catalogue, evaluate_embeddings=NearestShare)


@pytest.fixture
def context(world: TrainingWorld, tmp_path: Path) -> SourceContext:
    return SourceContext(
        preprocessing=Preprocessing(5.0),
        kind=ChromaKind.HPCP,
        seed=1,
        device="cpu",
        folder=tmp_path / "run",
        base=tmp_path,
        world=world,
    )


@pytest.fixture
def config_tables() -> dict[str, Any]:
    """A training configuration that runs in a second."""
    return {
        "name": "tiny",
        "seed": 3,
        "architecture": {
            "name": "siamese-cnn",
            "channels": [8, 8],
            "hidden": 16,
            "dropout": 0.2,
            "dimension": 16,
        },
        "preprocessing": {"frame_rate": 2.5},
        "data": {"source": "pairs", "catalogue": "train", "batch_size": 6, "held_out": 0.25},
        "loss": {"name": "contrastive"},
        "optimizer": {"learning_rate": 3e-3, "average_decay": 0.9},
        "run": {"epochs": 2, "device": "cpu"},
        "validation": [{"name": "recordings", "catalogue": "validation"}],
    }


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run torch on one thread, so that sums are taken in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_unfinished_files(tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """Check after the test that nothing temporary was left behind."""

    def unfinished() -> list[str]:
        return [p.name for p in tmp_path.rglob("*") if p.name.startswith(".") or "part" in p.suffix]

    yield unfinished
    assert unfinished() == []


@pytest.fixture
def config(config_tables: dict[str, Any]) -> TrainingConfig:
    """The same, read."""
    return parse_config(config_tables)
