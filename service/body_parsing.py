"""Parsing of long bodies: chroma is read in slices, away from the event loop.

A track of 23 minutes is a body of 14 MB of digits, and ``json.loads`` and the validation of a
million numbers one by one hold Python's lock for a second or more, in whichever thread they run: no
other request, health checks included, gets a turn. So a body that is long

* is parsed in a thread, one body at a time, with no more requests waiting than workers take, and
* the array after the key ``hpcp`` is parsed in slices of 32 kB, each of which becomes an array
  ``(n, 12)`` at once; between two slices the lock is free.

The result is what ``json.loads`` gives but for those arrays, which are
:class:`numpy.ndarray` ``(n_frames, 12)`` float64 instead of lists. Of an array in which frames have
other numbers of values than twelve, one frame of each wrong length is given: all that the error
needs, where five million empty frames would take seconds to look at. Whatever is not numbers, or no
JSON, is left to ``json.loads``. So errors are the same for every length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from itertools import chain
from typing import Any
from uuid import uuid4

import numpy as np
from anyio import CapacityLimiter, to_thread
from fastapi.routing import APIRoute
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ..encoder import N_PITCH_CLASSES
from .problems import UNSUPPORTED_MEDIA_TYPE, ProblemError
from .workers import WorkerPool

#: Bodies of fewer bytes are parsed where they are: it takes less than a millisecond.
LONG_BODY = 65_536
#: Characters of an array that are parsed in one go.
SLICE = 32_768
#: Of how many wrong lengths a frame is given; an error names no more.
MOST_LENGTHS = 3

#: The key, not the end of another one such as ``"my \"hpcp"``, and the bracket of its array.
_KEY = re.compile(r'(?<!\\)"hpcp"\s*:\s*\[\s*(?=\[)')
_NUMBERS = re.compile(r"[\[\]\s,0-9eE.+\-NaInfity]*")
_NEXT = re.compile(r"\s*([,\]])\s*")
_INNER_END = re.compile(r"\]\s*\]")

_parsers = CapacityLimiter(1)


#: Frames of a body: an array, or a list of a frame of each wrong length.
Frames = NDArray[np.float64] | list[list[float]]


class OddFramesError(ValueError):
    """An array that is not numbers in frames, or text that is no JSON."""


def parse_body(body: bytes) -> Any:
    """Parse JSON; chroma becomes arrays where it is long and sound.

    Parameters
    ----------
    body : bytes
        UTF-8.

    Raises
    ------
    json.JSONDecodeError, UnicodeDecodeError
        As ``json.loads`` does.
    """
    try:
        return _parse_in_slices(body.decode())
    except ValueError:  # no UTF-8, no JSON, or odd frames: to be told of the whole body
        return json.loads(body)


def _parse_in_slices(text: str) -> Any:
    place = uuid4().hex  # the key of what stands for an array: none that a request could hold
    rest, arrays = _take_frames_out(text, place)

    def put_back(found: dict[str, Any]) -> Any:
        return arrays[found[place]] if found.keys() == {place} else found

    return json.loads(rest, object_hook=put_back)


def _take_frames_out(text: str, place: str) -> tuple[str, list[Frames]]:
    """Give the text with ``{place: number}`` in place of each array, and the arrays."""
    pieces: list[str] = []
    arrays: list[Frames] = []
    done = 0
    while (key := _KEY.search(text, done)) is not None:
        frames, end = _read_frames(text, key.end())
        pieces += [text[done : key.end()].rstrip()[:-1], f'{{"{place}":{len(arrays)}}}']
        arrays.append(frames)
        done = end
    return "".join([*pieces, text[done:]]), arrays


def _read_frames(text: str, start: int) -> tuple[Frames, int]:
    """Read frames from the first one's bracket on; give them and where the array has ended."""
    slices: list[NDArray[np.float64]] = []
    wrong: set[int] = set()
    at = start
    while True:
        end = _end_of_slice(text, at)
        numbers, lengths = _read_slice(text[at:end])
        wrong |= lengths - {N_PITCH_CLASSES}
        if not wrong:  # else the numbers are not asked for
            slices.append(numbers.reshape(-1, N_PITCH_CLASSES))
        following = _NEXT.match(text, end)
        if following is None:
            raise OddFramesError("neither another frame nor the end of the array")
        at = following.end()
        if following[1] == "]":
            after = following.start(1) + 1
            if wrong:
                return [[0.0] * n for n in sorted(wrong)[:MOST_LENGTHS]], after
            return np.concatenate(slices), after


def _end_of_slice(text: str, start: int) -> int:
    """Find the end of a frame after about a slice, or of the last frame if that comes before."""
    limit = text.find("]", start + SLICE) + 1 or len(text)
    last = _INNER_END.search(text, start, limit)
    return limit if last is None else last.start() + 1


def _read_slice(text: str) -> tuple[NDArray[np.float64], set[int]]:
    """Give the numbers of the frames in a row, and the numbers of values that frames have."""
    if _NUMBERS.fullmatch(text) is None:
        raise OddFramesError("something that is no number")
    try:
        frames = json.loads(f"[{text}]")
        numbers = np.array(list(chain.from_iterable(frames)), dtype=np.float64)
    except (ValueError, OverflowError, TypeError) as error:
        raise OddFramesError(str(error)) from error
    if numbers.ndim != 1:
        raise OddFramesError("arrays within a frame")
    return numbers, {len(frame) for frame in frames}


class _RequestInSlices(Request):
    """A request whose long body is parsed away from the event loop."""

    async def json(self) -> Any:
        """Give the parsed body."""
        if not hasattr(self, "_json"):
            body = await self.body()
            if len(body) < LONG_BODY:
                self._json = json.loads(body)
            else:
                self._json = await to_thread.run_sync(parse_body, body, limiter=_parsers)
        return self._json


class LongBodyRoute(APIRoute):
    """A route whose requests may carry chroma."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Hand the request on as one that parses in slices."""
        handle = super().get_route_handler()

        async def handle_in_slices(request: Request) -> Response:
            _refuse_compressed(request)  # here, since the body is parsed before a dependency's turn
            in_slices = _RequestInSlices(request.scope, request.receive)
            workers: WorkerPool | None = getattr(request.app.state, "workers", None)
            if workers is None or not await _is_long(in_slices):
                return await handle(in_slices)
            with workers.admitted():
                return await handle(in_slices)

        return handle_in_slices


async def _is_long(request: Request) -> bool:
    try:
        return len(await request.body()) >= LONG_BODY
    except ClientDisconnect:  # which the framework, too, meets when it reads the body, and handles
        return False


def _refuse_compressed(request: Request) -> None:
    coding = request.headers.get("content-encoding", "").strip()
    if coding.lower() not in ("", "identity"):
        raise ProblemError(
            UNSUPPORTED_MEDIA_TYPE,
            f"the body is compressed (Content-Encoding: {coding}); send it as it is",
            headers={"Accept-Encoding": "identity"},  # RFC 9110, section 15.5.16
        )
