"""The OpenAPI document: what FastAPI derives, with this service's errors and limits in it.

FastAPI knows the schemas; what it does not know is added here. Problem documents have
their own media type and each kind has an example. The deployment's limits stand in the schemas, so
that a client generated for one deployment knows them. And its own model of validation errors, which
this service never sends, is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from .engine import Engine
from .problems import PROBLEM_MEDIA_TYPE, ProblemType
from .schemas.problem import Problem
from .settings import Settings

SCHEMA_REFERENCE = "#/components/schemas/{model}"

DESCRIPTION = """
Finds cover versions of a musical track. A trained encoder turns the HPCP chroma of every
performance into a vector of 64 numbers; the nearest vectors are the likeliest covers.

A track is given as the id of a performance in the index, as an embedding, or as HPCP chroma. Words:
a *performance* (`P_22`) is one recording, a *work* (`W_14`) is what it performs, two performances
of one work are *covers* of each other. *Similarity* is the cosine of two embeddings, from -1 to 1,
and larger is closer; *distance* is 1 - similarity.

Every error is a problem document (RFC 9457, `application/problem+json`), those of unknown paths
(404) and methods (405) too. Branch on its `type`.
"""

TAGS = [
    {"name": "search", "description": "Covers of a track, ranked."},
    {"name": "similarity", "description": "Two tracks, and whether they are covers."},
    {"name": "index", "description": "The index that is served and the deployment's limits."},
    {"name": "health", "description": "For load balancers and orchestrators."},
]


def problem_responses(*kinds: ProblemType) -> dict[int | str, dict[str, Any]]:
    """Describe the problems that an operation answers with, for FastAPI's ``responses``.

    Kinds that share a status become examples of one response.
    """
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in sorted(kinds, key=lambda kind: kind.status):
        response = responses.setdefault(
            kind.status,
            {
                "description": "",
                "content": {
                    PROBLEM_MEDIA_TYPE: {
                        "schema": {"$ref": SCHEMA_REFERENCE.format(model="Problem")},
                        "examples": {},
                    }
                },
            },
        )
        line = f"`{kind.urn}`: {kind.meaning}"
        response["description"] = f"{response['description']}\n\n{line}".strip()
        response["content"][PROBLEM_MEDIA_TYPE]["examples"][kind.slug] = {
            "summary": kind.title,
            "value": kind.document(**kind.example),
        }
        if kind.headers:
            response.setdefault("headers", {}).update(kind.headers)
    return responses


def document_with(app: FastAPI, settings: Settings) -> Callable[[], dict[str, Any]]:
    """Return the function that gives ``app`` its OpenAPI document, made once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, settings)
        return app.openapi_schema

    return openapi


def _document(app: FastAPI, settings: Settings) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        tags=app.openapi_tags,
        license_info=app.license_info,
        routes=app.routes,
    )
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _, problems = models_json_schema([(Problem, "serialization")], ref_template=SCHEMA_REFERENCE)
    schemas.update(problems["$defs"])
    limit = schemas["SearchRequest"]["properties"]["limit"]
    limit["maximum"] = settings.max_limit
    limit["default"] = settings.default_limit
    engine: Engine | None = getattr(app.state, "engine", None)
    if engine is not None:
        dimension = engine.encoder.dimension
        schemas["EmbeddingQuery"]["properties"]["embedding"].update(
            minItems=dimension, maxItems=dimension
        )
    schemas["ChromaQuery"]["properties"]["hpcp"]["maxItems"] = settings.max_frames
    for path in document["paths"].values():
        for operation in path.values():
            _give_an_example(operation["responses"]["200"], schemas)
    return document


def _give_an_example(response: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Put an example into a response, made of the examples of its schema's fields."""
    content = response["content"]["application/json"]
    schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
    content["example"] = {
        name: field["examples"][0] for name, field in schema["properties"].items()
    }
