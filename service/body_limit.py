"""The limit on request bodies: a large one is refused before it is in memory.

A body that announces its size is refused by the announcement; one that comes in chunks is counted
and refused when it passes the limit. This is an ASGI middleware of our own, because the framework's
answers with plain text where every error of this service is a problem document.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import BODY_TOO_LARGE, ProblemError, problem_response


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
            await self._refuse(scope, receive, send)
            return
        received: list[Message] = []
        size = 0
        more = True
        while more:
            message = await receive()
            received.append(message)
            size += len(message.get("body", b""))
            if size > self._max_body_bytes:
                await self._refuse(scope, receive, send)
                return
            more = message.get("more_body", False)

        async def replay() -> Message:
            return received.pop(0) if received else await receive()

        await self._app(scope, replay, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"the body is larger than the {self._max_body_bytes} bytes that this service takes"
        # The rest of the body is not read: after this answer the connection is of no use.
        problem = ProblemError(BODY_TOO_LARGE, detail, headers={"Connection": "close"})
        await problem_response(problem)(scope, receive, send)
