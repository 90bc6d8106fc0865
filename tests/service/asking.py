"""How tests ask the service: queries in their three forms, and problems read back."""

from __future__ import annotations

from typing import Any

from coverdex.encoder import Chroma
from coverdex.service.problems import PROBLEM_TYPES, ProblemType
from httpx2 import Response


def by_id(performance_id: str) -> dict[str, Any]:
    return {"performance_id": performance_id}


def by_embedding(embedding: Any, **more: Any) -> dict[str, Any]:
    return {"embedding": [float(x) for x in embedding], **more}


def by_chroma(chroma: Chroma) -> dict[str, Any]:
    return {"hpcp": chroma.values.tolist(), "frame_rate": chroma.frame_rate}


def problem_of(response: Response, kind: ProblemType) -> dict[str, Any]:
    """Check that ``response`` is a problem of ``kind`` in every respect and return its document."""
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["type"] == kind.urn, document
    assert response.status_code == document["status"] == kind.status
    assert document["title"] == kind.title
    assert document["detail"]
    return document


def known_problem(response: Response) -> bool:
    """Whether ``response`` is a well-formed problem of any listed kind."""
    if response.headers.get("content-type") != "application/problem+json":
        return False
    document = response.json()
    return any(
        document["type"] == kind.urn and response.status_code == document["status"] == kind.status
        for kind in PROBLEM_TYPES
    )
