"""Health, and what the service says about its index."""

from __future__ import annotations

from typing import Any

import coverdex
from coverdex.encoder import Encoder
from coverdex.service import Engine, Settings, create_app
from coverdex.service.problems import NOT_READY
from fastapi.testclient import TestClient

from .asking import by_id, problem_of


def test_live_and_ready(client: TestClient, encoder: Encoder) -> None:
    assert client.get("/health/live").json() == {
        "status": "live",
        "version": coverdex.__version__,
    }
    assert client.get("/health/ready").json() == {
        "status": "ready",
        "count": 12,
        "encoder_id": encoder.id,
    }


def test_without_an_engine_it_is_live_and_not_ready(index_folder: Any, engine: Engine) -> None:
    app = create_app(Settings(index=index_folder), engine=engine)
    client = TestClient(app, raise_server_exceptions=False)  # not entered: no lifespan runs
    assert client.get("/health/live").status_code == 200
    for response in (
        client.get("/health/ready"),
        client.get("/v1/index"),
        client.post("/v1/search", json={"query": by_id("P_1")}),
        client.post("/v1/similarity", json={"first": by_id("P_1"), "second": by_id("P_2")}),
    ):
        problem_of(response, NOT_READY)
        assert int(response.headers["retry-after"]) >= 1


def test_stopped_it_is_not_ready_any_more(index_folder: Any, engine: Engine) -> None:
    client = TestClient(create_app(Settings(index=index_folder), engine=engine))
    with client:
        assert client.get("/health/ready").status_code == 200
    problem_of(client.get("/health/ready"), NOT_READY)


def test_the_application_opens_what_its_settings_name(index_folder: Any) -> None:
    with TestClient(create_app(Settings(index=index_folder))) as client:
        answer = client.post("/v1/search", json={"query": by_id("P_1"), "limit": 1})
    assert answer.json()["candidates"][0]["performance_id"] != "P_1"


def test_the_application_reads_its_settings_from_the_environment(
    index_folder: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("COVERDEX_INDEX", str(index_folder))
    monkeypatch.setenv("COVERDEX_MAX_LIMIT", "7")
    with TestClient(create_app()) as client:
        assert client.get("/v1/index").json()["limits"]["max_limit"] == 7


def test_the_index_tells_what_a_client_must_know_and_no_paths(
    make_client: Any, engine: Engine, index_folder: Any
) -> None:
    client = make_client(max_frames=50, max_limit=20, max_body_bytes=4096, cover_threshold=0.3)
    response = client.get("/v1/index")
    manifest = engine.index.manifest
    assert response.json() == {
        "count": 12,
        "metric": "inner_product",
        "factory": "Flat",
        "format_version": manifest.format_version,
        "created": manifest.created,
        "encoder": {
            "id": engine.encoder.id,
            "name": engine.encoder.name,
            "kind": "hpcp",
            "dimension": 64,
        },
        "cover_threshold": 0.3,
        "limits": {"max_limit": 20, "max_frames": 50, "max_body_bytes": 4096},
    }
    assert str(index_folder) not in response.text


def test_the_root_leads_to_the_documentation(client: TestClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert response.url.path == "/docs"
