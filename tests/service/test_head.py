"""HEAD is answered as GET is, without the body."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient


@pytest.mark.parametrize(
    "path",
    ["/health/live", "/health/ready", "/v1/index", "/openapi.json", "/docs", "/nothing"],
)
def test_head_gives_the_headers_of_get_and_no_body(client: TestClient, path: str) -> None:
    wanted = client.get(path)
    found = client.head(path)
    assert found.status_code == wanted.status_code
    assert found.headers == wanted.headers
    assert found.content == b""


def test_head_is_no_operation_of_the_document(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert not any("head" in operations for operations in paths.values())
