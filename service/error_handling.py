"""From whatever goes wrong to a problem document: the service's exception handlers.

Four sources of errors meet here and leave as :mod:`problem documents <coverdex.service.problems>`:

* :class:`~coverdex.service.problems.ProblemError`, raised by the service itself;
* requests that FastAPI could not validate against the schema;
* HTTP errors of the framework, such as an unknown path;
* anything else, which is a fault of ours: the client gets a URN, the log gets the traceback.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..encoder import InvalidChromaError
from .problems import (
    INTERNAL_ERROR,
    INVALID_CHROMA,
    INVALID_REQUEST,
    MALFORMED_JSON,
    METHOD_NOT_ALLOWED,
    NO_SUCH_RESOURCE,
    ProblemError,
    field_error,
    problem_response,
    unnamed_problem,
)
from .schemas.query import FORM_TAG_PREFIX

logger = logging.getLogger(__name__)

#: What a URI fragment holds unescaped (RFC 3986) beside letters, digits and ``-._~``.
FRAGMENT_CHARACTERS = "!$&'()*+,;=:@/?"

#: A body of a million wrong numbers is told about the first of them.
MAX_ERRORS = 20
#: Most characters of a path that an answer repeats.
_MOST_TOLD = 200


def handle_errors(app: FastAPI) -> None:
    """Make ``app`` answer every error with a problem document."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_fault)


def json_pointer(location: Sequence[str | int]) -> str:
    """Turn pydantic's location of a value in the body into a JSON pointer (RFC 6901).

    It is written as a URI fragment, as RFC 9457 does: ``#/query/embedding/3``. A key of the
    client's own may have characters that a fragment has not; they are percent-encoded, so that a
    client that decodes the fragment gets its key back. The tag that pydantic puts into the location
    for the form of a query is no part of the body and is left out.
    """
    parts = [
        str(part).replace("~", "~0").replace("/", "~1")
        for part in location
        if not str(part).startswith(FORM_TAG_PREFIX)
    ]
    return "#" + "".join(f"/{quote(part, safe=FRAGMENT_CHARACTERS)}" for part in parts)


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(error)


async def _on_invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    for problem in found:
        if problem["type"] == "json_invalid":
            cause = problem.get("ctx", {}).get("error", problem["msg"])
            detail = f"the body is not JSON: {cause} at character {problem['loc'][-1]}"
            return problem_response(ProblemError(MALFORMED_JSON, detail))
    errors = [_field_error(problem) for problem in found[:MAX_ERRORS]]
    chroma = _first_chroma_error(found)
    if chroma is not None:
        return problem_response(
            ProblemError(INVALID_CHROMA, str(chroma), reason=chroma.reason, errors=errors)
        )
    fields = "1 field" if len(found) == 1 else f"{len(found)} fields"
    verb = "is" if len(found) == 1 else "are"
    first = errors[0]
    detail = f"{fields} of the request {verb} wrong: {first['pointer']}: {first['detail']}"
    return problem_response(ProblemError(INVALID_REQUEST, detail, errors=errors))


def _field_error(problem: dict[str, Any]) -> dict[str, str]:
    """Say what is wrong with one field; the value itself, which may be large, is left out."""
    source, *location = problem["loc"]
    pointer = json_pointer(location) if source == "body" else f"{source}:{location[0]}"
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, InvalidChromaError):
        field = "frame_rate" if cause.reason in ("frame-rate", "too-long") else "hpcp"
        return field_error(f"{pointer}/{field}", str(cause), cause.reason)
    if isinstance(cause, ValueError):  # our own sentence, without pydantic's "Value error, "
        return field_error(pointer, str(cause), "value_error")
    return field_error(pointer, problem["msg"], problem["type"])


def _first_chroma_error(problems: Iterable[dict[str, Any]]) -> InvalidChromaError | None:
    for problem in problems:
        cause = problem.get("ctx", {}).get("error")
        if isinstance(cause, InvalidChromaError):
            return cause
    return None


def _told(path: str) -> str:
    """Return a path as answers repeat it: a request's may be of any length."""
    return path if len(path) <= _MOST_TOLD else f"{path[:_MOST_TOLD]}..."


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = _told(request.url.path)
    if error.status_code == 404:
        detail = f"there is nothing at {path}; /openapi.json lists what there is"
        return problem_response(ProblemError(NO_SUCH_RESOURCE, detail))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        # The routes know nothing of HEAD, which every one that takes GET takes too.
        allowed = "GET, HEAD" if allowed == "GET" else allowed
        detail = f"{path} does not take {request.method}; it takes {allowed or 'another method'}"
        headers = {"Allow": allowed}
        return problem_response(ProblemError(METHOD_NOT_ALLOWED, detail, headers=headers))
    if error.status_code == 400:  # FastAPI's answer when parsing fails in another way than syntax
        detail = (
            "the body could not be parsed as JSON (is it nested too deep, not UTF-8, or has it a "
            "number of thousands of digits?)"
        )
        return problem_response(ProblemError(MALFORMED_JSON, detail))
    return unnamed_problem(error.status_code, error.headers)


async def _on_fault(request: Request, _: Exception) -> Response:
    instance = uuid4().urn
    # The server logs the traceback next, because Starlette raises the error on after this answer.
    logger.error("%s %s failed, answered as %s", request.method, request.url.path, instance)
    detail = "the service failed; its log has the cause under the URN in `instance`"
    return problem_response(ProblemError(INTERNAL_ERROR, detail, instance=instance))
