"""A client that sends all of a refused body before it reads gets its answer nevertheless."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from coverdex.service import body_limit
from coverdex.service.body_limit import BodyLimitMiddleware
from coverdex.service.problems import BODY_TOO_LARGE

CHUNKS = 20


class Sender:
    """Sends a body of ``CHUNKS`` times 100 bytes, and hangs when it is asked for more."""

    def __init__(self, *headers: tuple[bytes, bytes], hangs_after: int = CHUNKS) -> None:
        self.scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers)}
        self.hangs_after = hangs_after
        self.sent = 0
        self.got: list[Any] = []
        self.sent_at_the_end = -1

    async def receive(self) -> Any:
        if self.sent == self.hangs_after:
            await asyncio.Event().wait()
        self.sent += 1
        return {"type": "http.request", "body": b" " * 100, "more_body": self.sent < CHUNKS}

    async def send(self, message: Any) -> None:
        self.got.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.sent_at_the_end = self.sent

    def ask(self) -> None:
        async def never(*_: Any) -> None:
            raise AssertionError("a body that is too large was let through")

        limited = BodyLimitMiddleware(never, max_body_bytes=1_000)
        asyncio.run(asyncio.wait_for(limited(self.scope, self.receive, self.send), 30))
        assert self.got[0]["status"] == 413
        body = b"".join(message.get("body", b"") for message in self.got[1:])
        assert json.loads(body)["type"] == BODY_TOO_LARGE.urn
        assert self.got[1]["body"] == body, "all of it comes before the rest is waited for"


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"2000")]])
def test_the_rest_of_a_refused_body_is_taken_in_before_the_answer_ends(headers: Any) -> None:
    sender = Sender(*headers)
    sender.ask()
    assert sender.sent_at_the_end == CHUNKS


def test_a_body_that_does_not_come_to_its_end_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body_limit, "LINGERING", 0.01)
    sender = Sender(hangs_after=15)
    sender.ask()
    assert sender.sent_at_the_end == 15


def test_who_asks_before_sending_is_not_waited_for() -> None:
    sender = Sender((b"content-length", b"2000"), (b"expect", b"100-continue"), hangs_after=0)
    sender.ask()
    assert sender.sent_at_the_end == 0
