"""HEAD: whatever answers GET answers HEAD, with the same headers and no body.

HTTP asks that of every server (RFC 9110, section 9.1), and what watches a service from outside
often asks with HEAD. The framework's routes take GET alone, so a request with HEAD is handed on as
one with GET and the body of the answer is dropped.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    """Answer HEAD as GET is answered, without the body.

    Parameters
    ----------
    app : ASGI application
        What answers GET.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_headers(message: Message) -> None:
            bodiless = message["type"] == "http.response.body"
            await send({**message, "body": b""} if bodiless else message)

        await self._app({**scope, "method": "GET"}, receive, send_headers)
