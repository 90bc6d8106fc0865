"""Searching over HTTP gives what the index gives, in each of the three forms of a query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from coverdex.encoder import Chroma, Encoder
from coverdex.search import Index, write_index
from coverdex.service import Engine
from coverdex.service.problems import INVALID_REQUEST
from fastapi.testclient import TestClient

from .asking import by_chroma, by_embedding, by_id, problem_of
from .conftest import MakeClient


def search(client: TestClient, query: object, **more: object) -> list[dict]:
    response = client.post("/v1/search", json={"query": query, **more})
    assert response.status_code == 200, response.text
    return response.json()["candidates"]


def test_a_performance_gets_the_others_in_the_order_of_their_cosines(
    client: TestClient, engine: Engine
) -> None:
    candidates = search(client, by_id("P_3"), limit=100)
    vectors = engine.index.embeddings
    names = engine.index.performances.column("performance_id").to_pylist()
    cosines = dict(zip(names, vectors @ engine.index.embedding("P_3"), strict=True))
    del cosines["P_3"]
    assert [c["performance_id"] for c in candidates] == sorted(cosines, key=lambda n: -cosines[n])
    assert [c["rank"] for c in candidates] == list(range(1, len(cosines) + 1))
    for candidate in candidates:
        assert candidate["similarity"] == pytest.approx(
            cosines[candidate["performance_id"]], abs=1e-5
        )
        assert candidate["similarity"] + candidate["distance"] == pytest.approx(1, abs=1e-7)


def test_a_candidate_carries_its_metadata_and_no_null_or_nan_in_it(client: TestClient) -> None:
    candidates = {c["performance_id"]: c for c in search(client, by_id("P_3"), limit=100)}
    one = candidates["P_5"]
    assert (one["work_id"], one["title"], one["artist"]) == ("W_2", "Tune 5", None)
    assert one["metadata"] == {"year": 1905, "duration": 16.0, "key": "C"}
    assert candidates["P_0"]["metadata"] == {"year": 1900, "key": "C"}


def test_the_limit_cuts_the_same_list_and_is_10_unless_given(client: TestClient) -> None:
    whole = search(client, by_id("P_3"), limit=100)
    assert search(client, by_id("P_3"), limit=2) == whole[:2]
    assert search(client, by_id("P_3")) == whole[:10]


def test_a_deployment_that_gives_fewer_than_10_gives_those_unless_asked(make_client: Any) -> None:
    few = make_client(max_limit=3)
    answer = few.post("/v1/search", json={"query": by_id("P_3")})
    assert answer.status_code == 200
    assert len(answer.json()["candidates"]) == 3
    assert few.post("/v1/search", json={"query": by_id("P_3"), "limit": 10}).status_code == 422
    limit = few.get("/openapi.json").json()["components"]["schemas"]["SearchRequest"]["properties"]
    assert limit["limit"]["default"] == limit["limit"]["maximum"] == 3


class EncoderOf96:
    """Stands for an encoder of one's own whose embeddings have another dimension."""

    id, name, kind, dimension = "mine-0123456789ab", "mine", "hpcp", 96


def test_embeddings_are_as_long_as_those_of_the_index(make_client: Any, tmp_path: Path) -> None:
    embeddings = np.eye(96, dtype=np.float32)[:4]
    table = pa.table({"performance_id": [f"P_{i}" for i in range(4)]})
    own = EncoderOf96()
    write_index(
        tmp_path / "own.index",
        embeddings=embeddings,
        performances=table,
        encoder_id=own.id,
        encoder_name=own.name,
        source="made up",
    )
    served = Engine(Index.open(tmp_path / "own.index", follow=True), own)  # type: ignore[arg-type]
    client = make_client(served=served)
    assert search(client, by_embedding(embeddings[2]))[0]["performance_id"] == "P_2"
    for n, code in ((64, "too_short"), (97, "too_long")):
        answer = client.post("/v1/search", json={"query": by_embedding([1.0] * n)})
        (error,) = problem_of(answer, INVALID_REQUEST)["errors"]
        assert (error["pointer"], error["code"]) == ("#/query/embedding", code)
        assert "96" in error["detail"]
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["EmbeddingQuery"]["properties"]["embedding"]["minItems"] == 96


def test_chroma_is_embedded_by_the_encoder_of_the_index(
    client: TestClient, tracks: dict[str, Chroma]
) -> None:
    candidates = search(client, by_chroma(tracks["P_7"]), limit=3)
    assert candidates[0]["performance_id"] == "P_7"
    assert candidates[0]["similarity"] == pytest.approx(1, abs=1e-5)
    assert [c["performance_id"] for c in candidates[1:]] == [
        c["performance_id"] for c in search(client, by_id("P_7"), limit=2)
    ]


def test_an_embedding_is_taken_whatever_its_length(
    client: TestClient, encoder: Encoder, tracks: dict[str, Chroma]
) -> None:
    embedding = encoder.embed(tracks["P_7"])
    candidates = search(client, by_embedding(embedding))
    assert candidates[0]["performance_id"] == "P_7"
    for length in (37.5, 1e-300, 1e300):
        longer = search(client, by_embedding(length * embedding.astype(np.float64)))
        np.testing.assert_allclose(
            [c["similarity"] for c in longer], [c["similarity"] for c in candidates], atol=1e-6
        )
        assert longer[0]["performance_id"] == "P_7"


def test_an_embedding_that_names_the_encoder_of_the_index_is_answered(
    client: TestClient, encoder: Encoder, tracks: dict[str, Chroma]
) -> None:
    embedding = encoder.embed(tracks["P_7"])
    named = search(client, by_embedding(embedding, encoder_id=encoder.id))
    assert named == search(client, by_embedding(embedding))


def test_the_answer_names_the_encoder(client: TestClient, encoder: Encoder) -> None:
    response = client.post("/v1/search", json={"query": by_id("P_3")})
    assert response.json()["encoder_id"] == encoder.id


def test_any_json_media_type_is_taken(client: TestClient) -> None:
    for media_type in ("application/json; charset=utf-8", "Application/JSON", "application/x+json"):
        response = client.post(
            "/v1/search",
            content=b'{"query": {"performance_id": "P_1"}}',
            headers={"content-type": media_type},
        )
        assert response.status_code == 200, (media_type, response.text)


def test_an_id_of_any_length_can_be_asked_for(
    make_client: MakeClient, encoder: Encoder, tracks: dict[str, Chroma], tmp_path: Path
) -> None:
    long = "https://example.org/" + "P" * 5_000
    write_index(
        tmp_path / "long.index",
        embeddings=np.stack([encoder.embed(tracks[name]) for name in ("P_1", "P_2")]),
        performances=pa.table({"performance_id": [long, "short"]}),
        encoder_id=encoder.id,
        encoder_name=encoder.name,
        source="an id that is a long address",
    )
    client = make_client(served=Engine.open(tmp_path / "long.index"))
    assert search(client, by_id("short"))[0]["performance_id"] == long
    assert search(client, by_id(long))[0]["performance_id"] == "short"
    absent = client.post("/v1/search", json={"query": by_id(long + "P")})
    assert absent.status_code == 404
    assert len(absent.content) < 2_000  # what came is not sent back whole
