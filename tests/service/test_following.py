"""A running service follows its index: changes are in the next answer, a foreign one is refused."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from coverdex.encoder import Chroma, Encoder
from coverdex.search import Index, IndexEditor, write_index
from coverdex.service import Engine, Settings, create_app
from coverdex.service.problems import NOT_READY
from httpx2 import ASGITransport, AsyncClient

from .asking import problem_of


@pytest.fixture
def changing(index_folder: Path, tmp_path: Path) -> Path:
    """A copy of the index that the test may change."""
    return Path(shutil.copytree(index_folder, tmp_path / "changing.index"))


def ask(client: Any, performance_id: str) -> Any:
    return client.post("/v1/search", json={"query": {"performance_id": performance_id}})


def test_added_and_removed_performances_are_in_the_next_answer(
    make_client: Any, changing: Path, encoder: Encoder, tracks: dict[str, Chroma]
) -> None:
    client = make_client(served=Engine.open(changing))
    assert ask(client, "P_new").status_code == 404
    with IndexEditor(changing) as editor:
        editor.add(
            [{"performance_id": "P_new", "work_id": "W_0"}],
            encoder.embed(tracks["P_3"])[None],
            encoder_id=encoder.id,
        )
        found = ask(client, "P_new").json()["candidates"]
        assert found[0]["performance_id"] == "P_3"
        assert found[0]["similarity"] == pytest.approx(1.0, abs=1e-5)
        editor.remove(["P_3"])
        again = ask(client, "P_new").json()["candidates"]
        assert "P_3" not in [candidate["performance_id"] for candidate in again]
        assert client.get("/v1/index").json()["count"] == len(tracks)


def test_an_index_replaced_by_another_encoders_is_refused(
    make_client: Any, changing: Path, encoder: Encoder
) -> None:
    client = make_client(served=Engine.open(changing))
    assert ask(client, "P_3").status_code == 200
    write_index(
        changing,
        embeddings=np.eye(64, dtype=np.float32)[:4],
        performances=pa.table({"performance_id": [f"P_{i}" for i in range(4)]}),
        encoder_id="other-0123456789ab",
        encoder_name="other",
        source="made up",
        overwrite=True,
    )
    refused = ask(client, "P_3")
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:coverdex:problem:encoder-mismatch"
    assert encoder.id in refused.json()["detail"]
    assert "other-0123456789ab" in refused.json()["detail"]
    not_ready = problem_of(client.get("/health/ready"), NOT_READY)
    assert not_ready["detail"] == refused.json()["detail"]


def test_a_service_whose_index_is_damaged_is_not_ready_until_it_is_restored(
    make_client: Any, changing: Path
) -> None:
    client = make_client(served=Engine.open(changing))
    manifest = changing / "manifest.json"
    sound = manifest.read_bytes()
    manifest.write_bytes(sound[:40])
    response = client.get("/health/ready")
    assert str(changing) not in problem_of(response, NOT_READY)["detail"]
    assert int(response.headers["retry-after"]) >= 1
    tracks = {"first": {"performance_id": "P_1"}, "second": {"performance_id": "P_2"}}
    for refused in (ask(client, "P_3"), client.post("/v1/similarity", json=tracks),
                    client.get("/v1/index")):  # fmt: skip
        assert problem_of(refused, NOT_READY) == response.json()
        assert int(refused.headers["retry-after"]) >= 1
    assert client.get("/health/live").status_code == 200
    manifest.write_bytes(sound)
    assert client.get("/health/ready").status_code == 200
    assert ask(client, "P_3").status_code == 200


class WatchedIndex:
    """An index that notes in which threads it is looked at."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.threads: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        self.threads.add(threading.get_ident())
        return getattr(self._index, name)


def test_the_index_which_may_have_to_be_opened_anew_is_never_looked_at_in_the_event_loop(
    engine: Engine, index_folder: Path, encoder: Encoder
) -> None:
    watched = WatchedIndex(engine.index)
    app = create_app(Settings(index=index_folder), engine=Engine(watched, encoder))  # type: ignore[arg-type]
    first, second = {"performance_id": "P_1"}, {"performance_id": "P_2"}

    async def scenario() -> None:
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=ASGITransport(app=app), base_url="http://service") as client,
        ):
            for method, path, body in (
                ("GET", "/health/ready", None),
                ("GET", "/v1/index", None),
                ("POST", "/v1/search", {"query": first}),
                ("POST", "/v1/similarity", {"first": first, "second": second}),
            ):
                watched.threads.clear()
                assert (await client.request(method, path, json=body)).status_code == 200
                assert watched.threads, path
                assert threading.get_ident() not in watched.threads, path

    asyncio.run(scenario())
