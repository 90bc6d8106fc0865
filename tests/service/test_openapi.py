"""The OpenAPI document is complete: fields and responses are described, and examples are true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from coverdex.service.problems import PROBLEM_MEDIA_TYPE, PROBLEM_TYPES
from coverdex.service.workers import WorkerPool
from fastapi.testclient import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    return client.get("/openapi.json").json()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def errors_of(instance: Any, reference: str, document: dict[str, Any]) -> list[str]:
    """Validate ``instance`` against a schema of the document."""
    from jsonschema import Draft202012Validator

    resource = Resource(contents=document, specification=DRAFT202012)
    registry: Any = Registry().with_resource("urn:document", resource)
    validator = Draft202012Validator({"$ref": f"urn:document{reference}"}, registry=registry)
    return [error.message for error in validator.iter_errors(instance)]


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_it_says_what_it_is(document: dict[str, Any]) -> None:
    import coverdex

    assert document["info"]["title"] == "Coverdex"
    assert document["info"]["version"] == coverdex.__version__
    assert document["info"]["license"]["identifier"] == "Apache-2.0"
    assert {operation for operation, _ in operations(document)} == {
        "POST /v1/search",
        "POST /v1/similarity",
        "GET /v1/index",
        "GET /health/live",
        "GET /health/ready",
    }


def test_every_field_has_a_description_and_a_true_example(document: dict[str, Any]) -> None:
    fields = [
        (model, name, field)
        for model, schema in document["components"]["schemas"].items()
        for name, field in schema["properties"].items()
    ]
    assert len(fields) > 40
    for model, name, field in fields:
        assert len(field.get("description", "")) > 10, (model, name)
        assert field.get("examples"), (model, name)
        reference = f"#/components/schemas/{model}/properties/{name}"
        for example in field["examples"]:
            assert errors_of(example, reference, document) == [], (model, name)


def test_every_model_says_what_it_is(document: dict[str, Any]) -> None:
    for model, schema in document["components"]["schemas"].items():
        assert schema.get("description"), model


def test_every_operation_is_described_and_tagged(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= tags, name
    identifiers = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(identifiers)) == len(identifiers)


def test_every_response_has_a_description_and_true_examples(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            assert response["description"] not in ("", "Successful Response"), (name, status)
            media_type = "application/json" if status == "200" else PROBLEM_MEDIA_TYPE
            assert list(response["content"]) == [media_type], (name, status)
            content = response["content"][media_type]
            examples = (
                [content["example"]]
                if status == "200"
                else [example["value"] for example in content["examples"].values()]
            )
            assert examples, (name, status)
            for example in examples:
                assert errors_of(example, content["schema"]["$ref"], document) == []
                if status != "200":
                    assert example["status"] == int(status)


def test_every_kind_of_problem_is_documented_but_those_of_no_operation(
    document: dict[str, Any],
) -> None:
    documented = {
        example["value"]["type"]
        for _, operation in operations(document)
        for status, response in operation["responses"].items()
        if status != "200"
        for example in response["content"][PROBLEM_MEDIA_TYPE]["examples"].values()
    }
    left_out = {kind.slug for kind in PROBLEM_TYPES if kind.urn not in documented}
    assert left_out == {"no-such-resource", "method-not-allowed"}
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])


@pytest.mark.parametrize("path", ["/v1/search", "/v1/similarity"])
def test_the_examples_of_requests_are_answered(
    client: TestClient, document: dict[str, Any], path: str
) -> None:
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    assert len(body["examples"]) >= 2
    assert "hpcp" in str(body["examples"])
    for example in body["examples"].values():
        request = example["value"]
        assert errors_of(request, body["schema"]["$ref"], document) == []
        for query in request.values():
            # The examples are of another catalogue.
            if isinstance(query, dict) and "performance_id" in query:
                query["performance_id"] = "P_1"
        response = client.post(path, json=request)
        assert response.status_code == 200, response.text
        reference = document["paths"][path]["post"]["responses"]["200"]["content"][
            "application/json"
        ]["schema"]["$ref"]
        assert errors_of(response.json(), reference, document) == []


#: Headers of any answer, which the document need not tell.
OF_EVERY_ANSWER = {"content-type", "content-length", "connection", "date"}

JSON = {"content-type": "application/json"}
WRONG_TRACKS = (
    {"performance_id": "P_0 "},
    {"embedding": [1.0] * 64, "encoder_id": "other"},
    {"hpcp": [[1.0]], "frame_rate": 10.0},
)
#: What brings about each of the problems that a request alone can.
WRONG: list[tuple[dict[str, str], bytes]] = [
    ({}, b"{}"),
    ({**JSON, "content-encoding": "gzip"}, b"{}"),
    *((JSON, body) for body in (b"", b"{", b"{}", b" " * 4_000)),
    *((JSON, json.dumps({"query": track}).encode()) for track in WRONG_TRACKS),
    *((JSON, json.dumps({"first": track, "second": track}).encode()) for track in WRONG_TRACKS),
]


@pytest.mark.parametrize("served", ["an index", "a full backlog", "nothing"])
def test_every_answer_is_one_of_those_that_are_documented(make_client: Any, served: str) -> None:
    client = make_client(max_body_bytes=2_000)
    document = client.get("/openapi.json").json()
    if served == "nothing":
        client.app.state.engine = None
    elif served == "a full backlog":
        client.app.state.workers = WorkerPool(workers=1, backlog=-1, compute_threads=1)
    seen = set()
    for name, operation in operations(document):
        method, path = name.split()
        for headers, body in WRONG:
            answer = client.request(method, path, headers=headers, content=body)
            seen.add(answer.status_code)
            said = operation["responses"][str(answer.status_code)]
            content = said["content"][answer.headers["content-type"]]
            assert errors_of(answer.json(), content["schema"]["$ref"], document) == [], name
            told = {header.lower(): header for header in said.get("headers", {})}
            assert set(answer.headers) - OF_EVERY_ANSWER <= set(told), name
            for lower, header in told.items():
                if said["headers"][header].get("required"):
                    assert lower in answer.headers, (name, header)
    problems = {"an index": {400, 404, 409, 413, 415, 422}, "a full backlog": {503}}
    assert problems.get(served, {503}) <= seen


def test_the_schema_refuses_what_the_service_refuses(document: dict[str, Any]) -> None:
    frame = [0.5] * 12
    for query in (
        {"hpcp": [], "frame_rate": 10.0},
        {"hpcp": [frame[:11]], "frame_rate": 10.0},
        {"hpcp": [[-1.0, *frame[1:]]], "frame_rate": 10.0},
        {"hpcp": [frame], "frame_rate": 0.0},
        {"hpcp": [frame], "frame_rate": 1001.0},
        {"hpcp": [frame]},
        {"embedding": [1.0] * 63},
        {"embedding": [1.0] * 64, "performance_id": "P_1"},
        {"performance_id": ""},
        {},
    ):
        assert errors_of({"query": query}, "#/components/schemas/SearchRequest", document), query


def test_the_deployments_limits_stand_in_the_schema(make_client: Any) -> None:
    document = make_client(max_limit=7, max_frames=9).get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert schemas["SearchRequest"]["properties"]["limit"]["maximum"] == 7
    assert schemas["ChromaQuery"]["properties"]["hpcp"]["maxItems"] == 9


def test_the_documentation_page_needs_no_other_host(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "://" not in page.text.replace("http://www.w3.org", "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/docs/static/{asset}" in page.text
        assert len(client.get(f"/docs/static/{asset}").content) > 10_000
