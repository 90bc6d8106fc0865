"""A request that the end of the service cuts off is answered with a problem document."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from coverdex.service import Engine, Settings, create_app
from coverdex.service.cut_off import CutOffMiddleware
from coverdex.service.problems import NOT_READY

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/v1/search",
    "raw_path": b"/v1/search",
    "root_path": "",
    "query_string": b"",
    "headers": [(b"content-type", b"application/json")],
}


def answers_to_a_cancelled_request(app: Any) -> list[Any]:
    """Give what ``app`` sends to a client whose body never comes, cancelled as a server does."""
    sent: list[Any] = []

    async def scenario() -> None:
        waiting = asyncio.Event()

        async def receive() -> Any:
            waiting.set()
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        request = asyncio.ensure_future(app(dict(SCOPE), receive, send))
        await asyncio.wait_for(waiting.wait(), 30)
        request.cancel("timeout graceful shutdown exceeded")
        await request

    asyncio.run(scenario())
    return sent


def test_it_is_told_to_ask_again(index_folder: Any, engine: Engine) -> None:
    app = create_app(Settings(index=index_folder), engine=engine)
    start, *bodies = answers_to_a_cancelled_request(app)
    assert start["status"] == 503
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/problem+json"
    assert int(headers[b"retry-after"]) >= 1
    document = json.loads(b"".join(body["body"] for body in bodies))
    assert document["type"] == NOT_READY.urn


def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    async def begins(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()

    with pytest.raises(asyncio.CancelledError):
        answers_to_a_cancelled_request(CutOffMiddleware(begins))


def test_a_life_that_is_cancelled_ends_in_order(index_folder: Any, engine: Engine) -> None:
    app = create_app(Settings(index=index_folder), engine=engine)
    sent: list[Any] = []

    async def scenario() -> None:
        told = asyncio.Queue[Any]()
        told.put_nowait({"type": "lifespan.startup"})
        started = asyncio.Event()

        async def send(message: Any) -> None:
            sent.append(message["type"])
            started.set()

        life = asyncio.create_task(app({"type": "lifespan"}, told.get, send))  # type: ignore[arg-type]
        await started.wait()
        assert app.state.engine is engine
        life.cancel()
        await asyncio.wait([life])

    asyncio.run(asyncio.wait_for(scenario(), 30))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert app.state.engine is None
