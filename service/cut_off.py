"""Requests that a stop cuts off: they are told so, instead of being left to the server below.

When the service is stopped, running requests get ``COVERDEX_SHUTDOWN_TIMEOUT`` seconds; then the
server cancels those that are left, answers them with 500 as plain text and logs a traceback of
each. Nothing has failed, though: the client is to ask again.

Who interrupts a second time does not wait for that, and the server cancels all there is, the
application's own life included. That, too, is a stop and no failure.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import NOT_READY, ProblemError, problem_response
from .workers import RETRY_AFTER


class CutOffMiddleware:
    """Answer 503 to requests that are cancelled before their answer has begun; end in order.

    Parameters
    ----------
    app : ASGI application
        Whose requests may be cancelled.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on; answer for it if it is cancelled."""
        if scope["type"] == "lifespan":
            await self._app(scope, _until_cancelled(receive), send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except asyncio.CancelledError:
            if begun:
                raise
            problem = ProblemError(
                NOT_READY,
                "the service is stopping and the request was not done in time; ask again",
                headers={"Retry-After": str(RETRY_AFTER), "Connection": "close"},
            )
            await problem_response(problem)(scope, receive, send)


def _until_cancelled(receive: Receive) -> Receive:
    """Let the application, where its life is cancelled, hear that it is to stop."""

    async def receive_or_stop() -> Message:
        try:
            return await receive()
        except asyncio.CancelledError:
            return {"type": "lifespan.shutdown"}

    return receive_or_stop
