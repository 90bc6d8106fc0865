"""The limit on request bodies: a large one is refused before it is in memory.

A body that announces its size is refused by the announcement; one that comes in chunks is counted
and refused when it passes the limit. Most clients read an answer only when they have sent all of
their request, and would find the connection closed instead of the answer; so what still comes of a
refused body is taken in for some seconds and thrown away.

This is an ASGI middleware of our own, because the framework's answers with plain text where every
error of this service is a problem document.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import BODY_TOO_LARGE, ProblemError, problem_response

#: Seconds for which the rest of a refused body is taken in.
LINGERING = 10.0


class BodyLimitMiddleware:
    """Answer 413 to requests whose body is larger than ``max_body_bytes``.

    Parameters
    ----------
    app : ASGI application
        What is protected.
    max_body_bytes : int
        Largest body that is let through, in bytes.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self._max_body_bytes:
            # Who asks first whether to send the body does not send it after this answer.
            await self._refuse(receive, send, more="expect" not in Headers(scope=scope))
            return
        received: list[Message] = []
        size = 0
        more = True
        while more:
            message = await receive()
            received.append(message)
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size > self._max_body_bytes:
                received.clear()
                await self._refuse(receive, send, more=more)
                return

        async def replay() -> Message:
            return received.pop(0) if received else await receive()

        await self._app(scope, replay, send)

    async def _refuse(self, receive: Receive, send: Send, *, more: bool) -> None:
        detail = f"the body is larger than the {self._max_body_bytes} bytes that this service takes"
        # After this answer the connection is of no use: the rest of the body may never have come.
        problem = ProblemError(BODY_TOO_LARGE, detail, headers={"Connection": "close"})
        answer = problem_response(problem)
        start = {"type": "http.response.start", "status": answer.status_code}
        await send({**start, "headers": answer.raw_headers})
        # All of the answer, but not its end, at which the server would close the connection.
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        if more:
            await _throw_away(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _throw_away(receive: Receive) -> None:
    """Take in the rest of a body, as long as it comes, for ``LINGERING`` seconds at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGERING):
            while (await receive()).get("more_body", False):
                pass
