"""Every error is a problem document of the right type, and says nothing that it should not."""

from __future__ import annotations

import gzip
import json
import logging
import re
from typing import Any

import pytest
from coverdex.encoder import CoverdexError, Encoder
from coverdex.service import Engine
from coverdex.service.error_handling import MAX_ERRORS
from coverdex.service.problems import (
    BODY_TOO_LARGE,
    ENCODER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_CHROMA,
    INVALID_REQUEST,
    MALFORMED_JSON,
    METHOD_NOT_ALLOWED,
    NO_SUCH_RESOURCE,
    PROBLEM_TYPES,
    UNKNOWN_PERFORMANCE,
    UNSUPPORTED_MEDIA_TYPE,
)
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .asking import by_chroma, by_embedding, by_id, known_problem, problem_of
from .conftest import track

JSON = {"content-type": "application/json"}
FRAME = [0.5] * 11 + [0.0]


def search(client: TestClient, body: object) -> Any:
    return client.post("/v1/search", content=json.dumps(body), headers=JSON)


def test_types_are_unique_and_stable_urns() -> None:
    urns = [kind.urn for kind in PROBLEM_TYPES]
    assert len(set(urns)) == len(urns)
    assert all(urn.startswith("urn:coverdex:problem:") for urn in urns)


def test_unknown_path(client: TestClient) -> None:
    for path in ("/nothing", "/v2/search", "/v1/search/", "/docs/static/nothing.js"):
        problem_of(client.get(path), NO_SUCH_RESOURCE)
    long = problem_of(client.get("/" + "a" * 9_999), NO_SUCH_RESOURCE)
    assert len(long["detail"]) < 300


def test_wrong_method(client: TestClient) -> None:
    response = client.get("/v1/search")
    problem_of(response, METHOD_NOT_ALLOWED)
    assert response.headers["allow"] == "POST"
    assert client.post("/v1/index").headers["allow"] == "GET, HEAD"
    assert client.head("/v1/search").status_code == 405


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        b"[",
        b'{"query": }',
        b"\xff\xfe\xfd",
        pytest.param(b"[" * 200_000, id="nested too deep"),
        pytest.param(b'{"limit": 1' + b"0" * 5_000 + b"}", id="an integer of 5000 digits"),
    ],
)
def test_not_json(client: TestClient, body: bytes) -> None:
    problem_of(client.post("/v1/search", content=body, headers=JSON), MALFORMED_JSON)


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}, {"content-type": "a"}])
def test_not_declared_as_json(client: TestClient, headers: dict[str, str]) -> None:
    body = json.dumps({"query": by_id("P_1")})
    for path in ("/v1/search", "/v1/similarity"):
        response = client.post(path, content=body, headers=headers)
        problem_of(response, UNSUPPORTED_MEDIA_TYPE)


def test_compressed(client: TestClient) -> None:
    body = gzip.compress(json.dumps({"query": by_id("P_1")}).encode())
    for coding in ("gzip", "br", "GZIP, identity"):
        headers = {**JSON, "content-encoding": coding}
        response = client.post("/v1/search", content=body, headers=headers)
        assert coding in problem_of(response, UNSUPPORTED_MEDIA_TYPE)["detail"]
        assert response.headers["accept-encoding"] == "identity"
    headers = {**JSON, "content-encoding": "identity"}
    plain = client.post("/v1/search", content=gzip.decompress(body), headers=headers)
    assert plain.status_code == 200


def test_unknown_performance(client: TestClient) -> None:
    for name in ("P_999", "p_1", "P_1 ", "../P_1", "\u266d"):
        document = problem_of(search(client, {"query": by_id(name)}), UNKNOWN_PERFORMANCE)
        assert document["errors"][0]["pointer"] == "#/query/performance_id"


def test_an_embedding_of_another_encoder_names_both(client: TestClient, encoder: Encoder) -> None:
    query = by_embedding([1.0] * 64, encoder_id="other-0123456789ab")
    document = problem_of(search(client, {"query": query}), ENCODER_MISMATCH)
    assert document["index_encoder_id"] == encoder.id
    assert document["query_encoder_id"] == "other-0123456789ab"
    assert encoder.id in document["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/query"),
        ([], "#"),
        (None, "#"),
        ({"query": {}}, "#/query"),
        ({"query": "P_1"}, "#/query"),
        ({"query": {"performance": "P_1"}}, "#/query"),
        ({"query": {"performance_id": "P_1", "embedding": [1.0] * 64}}, "#/query"),
        ({"query": {"performance_id": 1}}, "#/query/performance_id"),
        ({"query": {"performance_id": ""}}, "#/query/performance_id"),
        ({"query": {"performance_id": "\ud800"}}, "#/query/performance_id"),
        ({"query": {"performance_id": "P_1", "frame_rate": 1.0}}, "#/query/frame_rate"),
        ({"query": {"embedding": [1.0] * 63}}, "#/query/embedding"),
        ({"query": {"embedding": [1.0] * 65}}, "#/query/embedding"),
        ({"query": {"embedding": [0.0] * 64}}, "#/query/embedding"),
        ({"query": {"embedding": [float("nan")] * 64}}, "#/query/embedding/0"),
        ({"query": {"embedding": [1.0, float("-inf")] * 32}}, "#/query/embedding/1"),
        ({"query": {"embedding": ["1.0"] * 64}}, "#/query/embedding/0"),
        ({"query": {"embedding": [True] * 64}}, "#/query/embedding/0"),
        ({"query": {"hpcp": [FRAME]}}, "#/query/frame_rate"),
        ({"query": {"hpcp": [FRAME], "framerate": 10.0}}, "#/query/frame_rate"),
        ({"query": {"hpcp": [["a"] * 12], "frame_rate": 10.0}}, "#/query/hpcp/0/0"),
        ({"query": {"hpcp": [FRAME, 1], "frame_rate": 10.0}}, "#/query/hpcp/1"),
        ({"query": {"hpcp": [FRAME], "frame_rate": "10"}}, "#/query/frame_rate"),
        ({"query": {"performance_id": "P_1", "a/b~": 1}}, "#/query/a~1b~0"),
        ({"query": {"performance_id": "P_1", 'a b%41"': 1}}, "#/query/a%20b%2541%22"),
        ({"query": {"performance_id": "P_1", "\u266d": 1}}, "#/query/%E2%99%AD"),
        ({"query": {"embedding": [1.0] * 64, "encoder_id": "\ud800"}}, "#/query/encoder_id"),
        ({"query": {"embedding": [1.0] * 64, "encoder_id": "x" * 513}}, "#/query/encoder_id"),
        ({"query": {"performance_id": "P_1"}, "limit": 0}, "#/limit"),
        ({"query": {"performance_id": "P_1"}, "limit": 101}, "#/limit"),
        ({"query": {"performance_id": "P_1"}, "limit": 2.5}, "#/limit"),
        ({"query": {"performance_id": "P_1"}, "limit": "3"}, "#/limit"),
        ({"query": {"performance_id": "P_1"}, "limit": True}, "#/limit"),
        ({"query": {"performance_id": "P_1"}, "top": 3}, "#/top"),
    ],
)
def test_a_request_that_does_not_fit(client: TestClient, body: object, pointer: str) -> None:
    document = problem_of(search(client, body), INVALID_REQUEST)
    assert document["errors"][0]["pointer"] == pointer
    assert document["errors"][0]["detail"] in document["detail"]


@pytest.mark.parametrize(
    ("hpcp", "frame_rate", "reason"),
    [
        ([], 10.0, "no-frames"),
        ([[1.0] * 11], 10.0, "wrong-shape"),
        ([FRAME, [1.0] * 13], 10.0, "wrong-shape"),
        ([[1.0] * 40] * 12, 10.0, "wrong-shape"),
        ([[]], 10.0, "wrong-shape"),
        ([FRAME, [float("nan")] * 12], 10.0, "not-finite"),
        ([[float("inf")] * 12], 10.0, "not-finite"),
        ([[1e300] * 12], 10.0, "not-finite"),
        ([[-0.1, *FRAME[1:]]], 10.0, "negative"),
        ([FRAME] * 20, 0.0, "frame-rate"),
        ([FRAME] * 20, -10.0, "frame-rate"),
        ([FRAME] * 20, 44_100.0, "frame-rate"),
        ([FRAME] * 20, float("nan"), "frame-rate"),
        ([[0.0] * 12] * 20, 10.0, "no-energy"),
        ([[1.0] * 12] * 20, 10.0, "no-energy"),
        ([FRAME] * 51, 10.0, "too-many-frames"),
        ([FRAME] * 2, 0.1, "too-many-frames"),  # 80 at the encoder's 4 Hz
        ([FRAME] * 2, 1e-5, "too-long"),
    ],
)
def test_chroma_that_cannot_be_embedded(
    make_client: Any, hpcp: object, frame_rate: float, reason: str
) -> None:
    client = make_client(max_frames=50)
    query = {"hpcp": hpcp, "frame_rate": frame_rate}
    for path, body in (
        ("/v1/search", {"query": query}),
        ("/v1/similarity", {"first": query, "second": query}),
    ):
        response = client.post(path, content=json.dumps(body), headers=JSON)
        document = problem_of(response, INVALID_CHROMA)
        assert document["reason"] == reason
        assert document["errors"][0]["code"] == reason


@pytest.mark.parametrize("frame_rate", [0.1, 1e-5, -1.0])
def test_where_the_frame_rate_is_to_blame_it_is_named(make_client: Any, frame_rate: float) -> None:
    query = {"hpcp": [FRAME] * 2, "frame_rate": frame_rate}
    document = problem_of(search(make_client(max_frames=50), {"query": query}), INVALID_CHROMA)
    assert document["errors"][0]["pointer"] == "#/query/frame_rate"


def test_every_reason_is_documented(client: TestClient) -> None:
    reason = client.get("/openapi.json").json()["components"]["schemas"]["Problem"]["properties"][
        "reason"
    ]
    for code in ("too-many-frames", "too-long", "frame-rate", "no-energy"):
        assert f"`{code}`" in reason["description"]


def test_as_many_frames_as_are_allowed_are_answered(make_client: Any) -> None:
    response = search(make_client(max_frames=80), {"query": by_chroma(track(3, 80))})
    assert response.status_code == 200


def test_a_body_of_a_million_faults_gets_a_short_answer(client: TestClient) -> None:
    query = {"performance_id": "P_1", **{f"key_{i}": i for i in range(90)}}
    response = search(client, {"query": query})
    document = problem_of(response, INVALID_REQUEST)
    assert len(document["errors"]) == MAX_ERRORS
    assert document["detail"].startswith("90 fields")
    hpcp = search(client, {"query": {"hpcp": [["x"] * 12] * 5_000, "frame_rate": 10.0}})
    assert len(hpcp.content) < 4_000


def test_very_many_unknown_fields_are_one_error(client: TestClient) -> None:
    # An error of each would take the loop's time: half a minute for those that fit into a body.
    unknown = {f"key_{i}": i for i in range(3_000)}
    known = by_id("P_1")
    for path, body, pointer in (
        ("/v1/search", {"query": {**known, **unknown}}, "#/query"),
        ("/v1/search", {"query": {**by_embedding([1.0] * 64), **unknown}}, "#/query"),
        ("/v1/search", {"query": {**by_chroma(track(1)), **unknown}}, "#/query"),
        ("/v1/search", {"query": known, **unknown}, "#"),
        ("/v1/similarity", {"first": known, "second": {**known, **unknown}}, "#/second"),
        ("/v1/similarity", {"first": known, "second": known, **unknown}, "#"),
    ):
        response = client.post(path, content=json.dumps(body), headers=JSON)
        (error,) = problem_of(response, INVALID_REQUEST)["errors"]
        assert error["pointer"] == pointer
        assert re.search(r"has 300\d fields", error["detail"])


def test_large_bodies_are_refused_announced_or_not(make_client: Any) -> None:
    client = make_client(max_body_bytes=2_000)
    body = json.dumps({"query": by_id("P_1")}).encode()
    exact = body + b" " * (2_000 - len(body))
    assert client.post("/v1/search", content=exact, headers=JSON).status_code == 200
    response = client.post("/v1/search", content=exact + b" ", headers=JSON)
    assert "2000 bytes" in problem_of(response, BODY_TOO_LARGE)["detail"]
    chunks = (exact[i : i + 500] for i in range(0, 2_000, 500))
    assert client.post("/v1/search", content=chunks, headers=JSON).status_code == 200
    chunks = (b" " * 500 for _ in range(100))
    problem_of(client.post("/v1/search", content=chunks, headers=JSON), BODY_TOO_LARGE)


class FailingEngine(Engine):
    """An engine whose search fails in a way that nobody foresaw."""

    def __init__(self, engine: Engine, error: Exception) -> None:
        super().__init__(engine.index, engine.encoder)
        self.error = error

    def search(self, query: object, limit: int) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("secret /srv/x"), CoverdexError("secret /srv/x")])
def test_a_fault_tells_the_log_and_not_the_client(
    make_client: Any, engine: Engine, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    client = make_client(served=FailingEngine(engine, error))
    with caplog.at_level(logging.ERROR, logger="coverdex"):
        response = search(client, {"query": by_id("P_1")})
    document = problem_of(response, INTERNAL_ERROR)
    assert "secret" not in response.text
    assert "Error" not in response.text
    assert document["instance"] in caplog.text
    # The service goes on.
    assert client.get("/health/ready").status_code == 200


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "query",
                    "limit",
                    "performance_id",
                    "embedding",
                    "hpcp",
                    "frame_rate",
                    "encoder_id",
                ]
            )
            | st.text(st.characters(exclude_categories=()), max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)
queries = st.one_of(
    values,
    st.fixed_dictionaries(
        {"performance_id": st.sampled_from(["P_1", "P_999"]) | values},
    ),
    st.fixed_dictionaries(
        {"embedding": st.lists(st.floats() | st.integers(), min_size=63, max_size=65)},
        optional={"encoder_id": values},
    ),
    st.fixed_dictionaries(
        {
            "hpcp": st.lists(
                st.lists(st.floats(min_value=-1) | st.integers(), min_size=11, max_size=13),
                max_size=4,
            ),
            "frame_rate": st.floats() | values,
        }
    ),
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(query=queries, limit=st.just(3) | values)
def test_no_json_whatever_makes_the_service_fail(
    client: TestClient, query: object, limit: object
) -> None:
    for path, body in (
        ("/v1/search", {"query": query, "limit": limit}),
        ("/v1/similarity", {"first": {"performance_id": "P_1"}, "second": query}),
    ):
        response = client.post(path, content=json.dumps(body), headers=JSON)
        if response.status_code != 200:
            assert known_problem(response), response.text
            assert response.status_code < 500, response.text
