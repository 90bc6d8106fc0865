"""A small index of synthetic tracks, embedded by the shipped encoder, and a service of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from coverdex.encoder import Chroma, Encoder
from coverdex.search import write_index
from coverdex.service import Engine, Settings, create_app
from fastapi.testclient import TestClient

N_PERFORMANCES = 12
FRAME_RATE = 10.0

MakeClient = Callable[..., TestClient]


def track(seed: int, n_frames: int = 160) -> Chroma:
    """A made-up progression: a chord of three pitch classes for eight frames each, and noise."""
    random = np.random.default_rng(seed)
    roots = random.integers(12, size=n_frames // 8)
    values = np.zeros((n_frames, 12), dtype=np.float32)
    for i, root in enumerate(roots):
        values[8 * i : 8 * i + 8, [root, (root + 4) % 12, (root + 7) % 12]] = 1
    values += random.uniform(0, 0.1, values.shape).astype(np.float32)
    return Chroma(values, frame_rate=FRAME_RATE)


@pytest.fixture(scope="session")
def tracks() -> dict[str, Chroma]:
    return {f"P_{i}": track(i) for i in range(N_PERFORMANCES)}


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return Encoder.load()


@pytest.fixture(scope="session")
def index_folder(
    tmp_path_factory: pytest.TempPathFactory, tracks: dict[str, Chroma], encoder: Encoder
) -> Path:
    folder = tmp_path_factory.mktemp("service") / "tracks.index"
    names = list(tracks)
    write_index(
        folder,
        embeddings=np.stack([encoder.embed(chroma) for chroma in tracks.values()]),
        performances=pa.table(
            {
                "performance_id": names,
                "work_id": [f"W_{i // 2}" for i in range(len(names))],
                "title": [f"Tune {i}" for i in range(len(names))],
                "artist": pa.array([None] * len(names), pa.string()),
                "year": pa.array([1900 + i for i in range(len(names))], pa.int32()),
                "duration": [float("nan"), *[chroma.duration for chroma in tracks.values()][1:]],
                "key": ["C"] * len(names),
            }
        ),
        encoder_id=encoder.id,
        encoder_name=encoder.name,
        source="synthetic tracks",
    )
    return folder


@pytest.fixture(scope="session")
def engine(index_folder: Path) -> Engine:
    return Engine.open(index_folder)


@pytest.fixture
def make_client(index_folder: Path, engine: Engine) -> Iterator[MakeClient]:
    """Make clients of services with settings of their own; their lifespans end with the test."""
    with ExitStack() as running:

        def make(*, served: object = engine, **settings: object) -> TestClient:
            chosen = Settings(index=index_folder, **settings)  # type: ignore[arg-type]
            app = create_app(chosen, engine=served)  # type: ignore[arg-type]
            return running.enter_context(TestClient(app, raise_server_exceptions=False))

        yield make


@pytest.fixture(scope="session")
def client(index_folder: Path, engine: Engine) -> Iterator[TestClient]:
    app = create_app(Settings(index=index_folder), engine=engine)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(autouse=True)
def no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.upper().startswith("COVERDEX_")]:
        monkeypatch.delenv(name)
