"""Two tracks over HTTP: their similarity, and the threshold that calls them covers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from coverdex.encoder import Chroma, Encoder
from coverdex.service import Engine
from coverdex.service.problems import INVALID_CHROMA, INVALID_REQUEST, UNKNOWN_PERFORMANCE
from fastapi.testclient import TestClient

from .asking import by_chroma, by_embedding, by_id, problem_of


def compare(client: TestClient, first: object, second: object, **more: object) -> dict[str, Any]:
    response = client.post("/v1/similarity", json={"first": first, "second": second, **more})
    assert response.status_code == 200, response.text
    return response.json()


def test_all_forms_on_both_sides_give_the_cosine_of_the_embeddings(
    client: TestClient, engine: Engine, encoder: Encoder, tracks: dict[str, Chroma]
) -> None:
    def forms(name: str) -> list[dict[str, Any]]:
        chroma = tracks[name]
        return [by_id(name), by_embedding(encoder.embed(chroma)), by_chroma(chroma)]

    cosine = float(engine.index.embedding("P_1") @ engine.index.embedding("P_8"))
    for first, second in itertools.product(forms("P_1"), forms("P_8")):
        answer = compare(client, first, second)
        assert answer["similarity"] == pytest.approx(cosine, abs=1e-5)
        assert answer["distance"] == pytest.approx(1 - cosine, abs=1e-5)
        assert answer["encoder_id"] == encoder.id


def test_it_does_not_matter_which_comes_first(client: TestClient) -> None:
    for one, other in itertools.combinations(["P_0", "P_4", "P_9"], 2):
        there = compare(client, by_id(one), by_id(other))
        back = compare(client, by_id(other), by_id(one))
        assert there == back


def test_a_track_is_a_cover_of_itself_at_any_threshold(client: TestClient) -> None:
    answer = compare(client, by_id("P_4"), by_id("P_4"), threshold=1e-3)
    assert answer["similarity"] == pytest.approx(1, abs=1e-6)
    assert answer["similarity"] <= 1
    assert answer["distance"] >= 0
    assert answer["covers"] is True


def at_angle(cosine: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two embeddings whose cosine similarity is ``cosine``."""
    one, other = np.zeros((2, 64))
    one[0] = 1
    other[0], other[1] = cosine, np.sqrt(1 - cosine**2)
    return by_embedding(one), by_embedding(other)


@pytest.mark.parametrize("cosine", [-1.0, -0.25, 0.0, 0.499, 0.5, 0.501, 0.75, 1.0])
def test_nearer_than_half_a_unit_counts_as_covers_unless_set(
    client: TestClient, cosine: float
) -> None:
    answer = compare(client, *at_angle(cosine))
    assert answer["similarity"] == pytest.approx(cosine, abs=1e-6)
    assert answer["distance"] == pytest.approx(1 - cosine, abs=1e-6)
    assert (answer["threshold"], answer["threshold_source"]) == (0.5, "deployment")
    assert answer["covers"] is (cosine > 0.5)


@pytest.mark.parametrize(
    ("threshold", "covers"), [(0.2, False), (0.25, False), (0.2501, True), (2.0, True)]
)
def test_the_threshold_can_be_set_for_the_deployment_and_by_a_request(
    make_client: Any, threshold: float, covers: bool
) -> None:
    pair = at_angle(0.75)
    by_request = compare(make_client(), *pair, threshold=threshold)
    assert (by_request["threshold"], by_request["threshold_source"]) == (threshold, "request")
    assert by_request["covers"] is covers

    deployment = make_client(cover_threshold=threshold)
    by_settings = compare(deployment, *pair)
    assert (by_settings["threshold"], by_settings["threshold_source"]) == (threshold, "deployment")
    assert by_settings["covers"] is covers
    assert compare(deployment, *pair, threshold=0.1)["covers"] is False


@pytest.mark.parametrize("threshold", [0, -0.5, 2.5, "0.5", True])
def test_a_threshold_outside_0_to_2_is_refused(client: TestClient, threshold: object) -> None:
    request = {"first": by_id("P_1"), "second": by_id("P_2"), "threshold": threshold}
    document = problem_of(client.post("/v1/similarity", json=request), INVALID_REQUEST)
    assert document["errors"][0]["pointer"] == "#/threshold"


def test_the_problem_points_at_the_side_that_is_wrong(client: TestClient) -> None:
    unknown = client.post("/v1/similarity", json={"first": by_id("P_1"), "second": by_id("P_0 ")})
    document = problem_of(unknown, UNKNOWN_PERFORMANCE)
    assert document["errors"][0]["pointer"] == "#/second/performance_id"

    silence = {"hpcp": [[0.0] * 12] * 40, "frame_rate": 10.0}
    silent = client.post("/v1/similarity", json={"first": silence, "second": by_id("P_1")})
    document = problem_of(silent, INVALID_CHROMA)
    assert document["reason"] == "no-energy"
    assert document["errors"][0]["pointer"] == "#/first/hpcp"
