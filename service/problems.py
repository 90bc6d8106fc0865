"""Problems: every error that the service answers with, as RFC 9457 problem documents.

`RFC 9457 <https://www.rfc-editor.org/rfc/rfc9457>`_ gives an HTTP error a body of media type
``application/problem+json``: ``type`` names the kind of problem and never changes, ``title`` says
it in a few words, ``status`` repeats the HTTP status, ``detail`` tells about this occurrence, and
``instance`` names the occurrence. Other members extend a type; here they are ``errors`` (where a
request is wrong), ``reason`` (why chroma cannot be embedded) and, for two encoders that do not fit,
both of their ids.

Clients are to branch on ``type``, or on ``status`` where that is enough; titles and details are
for people and may be reworded. The types are URNs: names that need no host to answer for them.
``docs/service.md`` lists all of them, and a test holds that list and :data:`PROBLEM_TYPES`
together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

PROBLEM_MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemType:
    """One kind of problem.

    Parameters
    ----------
    slug : str
        The last part of its URN; never changes.
    status : int
        The HTTP status that goes with it.
    title : str
        The kind in a few words.
    meaning : str
        When it occurs and what a client can do; goes into the documentation.
    example : mapping
        ``detail`` and extension members of a typical occurrence, for the documentation.
    headers : mapping
        Headers of such an answer beside those of every answer, by name, as OpenAPI describes them.
    """

    slug: str
    status: int
    title: str
    meaning: str
    example: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def urn(self) -> str:
        """The value of the member ``type``."""
        return f"urn:coverdex:problem:{self.slug}"

    def document(self, **members: Any) -> dict[str, Any]:
        """Return a problem document of this type; members that are None are left out."""
        document = {"type": self.urn, "title": self.title, "status": self.status, **members}
        return {name: value for name, value in document.items() if value is not None}


_ASK_AGAIN = {
    "Retry-After": {
        "description": "Seconds after which to ask again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    }
}

MALFORMED_JSON = ProblemType(
    "malformed-json",
    400,
    "The body is not JSON",
    "The request's body could not be parsed as JSON. Nothing was looked at.",
    {"detail": "the body is not JSON: Expecting ',' delimiter at character 41"},
)
NO_SUCH_RESOURCE = ProblemType(
    "no-such-resource",
    404,
    "No such resource",
    "The path of the URL is none of the service's. `/openapi.json` lists those that there are.",
    {"detail": "there is nothing at /v2/search; /openapi.json lists what there is"},
)
UNKNOWN_PERFORMANCE = ProblemType(
    "unknown-performance",
    404,
    "No such performance in the index",
    "A performance was named that the index does not hold. Ids are compared exactly.",
    {
        "detail": "the index has no performance 'P_0'; ids are compared exactly",
        "errors": [
            {
                "pointer": "#/query/performance_id",
                "detail": "the index has no performance 'P_0'; ids are compared exactly",
                "code": "unknown-performance",
            }
        ],
    },
)
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed",
    405,
    "Method not allowed",
    "The path exists and takes another method: the response's header `Allow` says which.",
    {"detail": "/v1/search does not take GET; it takes POST"},
    {
        "Allow": {
            "description": "The methods that the path takes.",
            "required": True,
            "schema": {"type": "string"},
            "example": "POST",
        }
    },
)
ENCODER_MISMATCH = ProblemType(
    "encoder-mismatch",
    409,
    "The query and the index come from different encoders",
    "The embedding that was sent is said to come from another encoder than the index, or the "
    "chroma is of a kind that the index's encoder does not read. Similarities across encoders mean "
    "nothing. Embed the track with the index's encoder (`GET /v1/index` names it), or send chroma.",
    {
        "detail": "the embedding comes from encoder 'siamese-cnn-0123456789ab', the index was made "
        "by 'coverdex-64-b5b5a6bb3a27'; embed the track with that one, or send its HPCP",
        "index_encoder_id": "coverdex-64-b5b5a6bb3a27",
        "query_encoder_id": "siamese-cnn-0123456789ab",
        "errors": [
            {
                "pointer": "#/query/encoder_id",
                "detail": "the embedding comes from encoder 'siamese-cnn-0123456789ab', the index "
                "was made by 'coverdex-64-b5b5a6bb3a27'; embed the track with that one, or send "
                "its HPCP",
                "code": "encoder-mismatch",
            }
        ],
    },
)
BODY_TOO_LARGE = ProblemType(
    "body-too-large",
    413,
    "The body is too large",
    "The request's body is larger than this deployment takes (`GET /v1/index`, `limits`). Send "
    "fewer digits or a lower frame rate, or embed the track yourself and send the 64 numbers.",
    {"detail": "the body is larger than the 16777216 bytes that this service takes"},
)
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    "unsupported-media-type",
    415,
    "The body is not declared as JSON",
    "Bodies are JSON and say so: `Content-Type: application/json`. They are not compressed.",
    {
        "detail": "the body is declared as 'application/x-www-form-urlencoded'; send JSON with "
        "Content-Type: application/json"
    },
    {
        "Accept-Encoding": {
            "description": "`identity`, if the body was compressed.",
            "schema": {"type": "string"},
            "example": "identity",
        }
    },
)
INVALID_REQUEST = ProblemType(
    "invalid-request",
    422,
    "The request does not fit the schema",
    "The body is JSON and not what the operation takes: a field is missing, unknown, of the wrong "
    "type or out of range. `errors` says which, by JSON pointer; at most 20 are listed.",
    {
        "detail": "1 field of the request is wrong: #/limit: Input should be greater than or equal "
        "to 1",
        "errors": [
            {
                "pointer": "#/limit",
                "detail": "Input should be greater than or equal to 1",
                "code": "greater_than_equal",
            }
        ],
    },
)
INVALID_CHROMA = ProblemType(
    "invalid-chroma",
    422,
    "The chroma cannot be embedded",
    "The chroma has the wrong shape, values that are not finite or negative, no energy, too many "
    "frames, or an impossible frame rate. `reason` is a stable code.",
    {
        "detail": "chroma has negative values (least -0.2); energies are zero or more",
        "reason": "negative",
        "errors": [
            {
                "pointer": "#/query/hpcp",
                "detail": "chroma has negative values (least -0.2); energies are zero or more",
                "code": "negative",
            }
        ],
    },
)
INTERNAL_ERROR = ProblemType(
    "internal-error",
    500,
    "Something went wrong inside the service",
    "A fault of the service, not of the request. The log has the whole story under the URN that "
    "`instance` gives; nothing of it is sent to the client.",
    {
        "detail": "the service failed; its log has the cause under the URN in `instance`",
        "instance": "urn:uuid:3f0c7f9e-6a0e-4a55-9d0e-5d1c2f6f8b11",
    },
)
NOT_READY = ProblemType(
    "not-ready",
    503,
    "Not ready",
    "No queries are answered: the service is starting or stopping, or (`GET /health/ready` says "
    "so) its index was damaged or replaced by another encoder's. Try again after the seconds in "
    "the header `Retry-After`.",
    {"detail": "the index is not loaded; the service is starting or stopping"},
    _ASK_AGAIN,
)
OVERLOADED = ProblemType(
    "overloaded",
    503,
    "Too much to do at the moment",
    "As many requests as this deployment takes are being worked on or waiting. Try again after the "
    "seconds in the header `Retry-After`.",
    {"detail": "2 requests are being worked on and 64 are waiting; try again in 1 s"},
    _ASK_AGAIN,
)

PROBLEM_TYPES = (
    MALFORMED_JSON,
    NO_SUCH_RESOURCE,
    UNKNOWN_PERFORMANCE,
    METHOD_NOT_ALLOWED,
    ENCODER_MISMATCH,
    BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID_REQUEST,
    INVALID_CHROMA,
    INTERNAL_ERROR,
    NOT_READY,
    OVERLOADED,
)


class ProblemError(Exception):
    """A request that is answered with a problem document.

    Parameters
    ----------
    kind : ProblemType
        Which kind of problem.
    detail : str
        This occurrence in one sentence; goes to the client.
    headers : mapping, optional
        HTTP headers of the answer.
    members : object
        Extension members of the document.
    """

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = headers
        self.members = members


class ProblemResponse(JSONResponse):
    """A response whose body is a problem document."""

    media_type = PROBLEM_MEDIA_TYPE


def field_error(pointer: str, detail: str, code: str) -> dict[str, str]:
    """Describe what is wrong with one field: a member of ``errors``.

    Parameters
    ----------
    pointer : str
        Where: a JSON pointer (RFC 6901) into the body, as a URI fragment.
    detail : str
        What is wrong, for people.
    code : str
        What is wrong, for programs.
    """
    return {"pointer": pointer, "detail": detail, "code": code}


def problem_response(problem: ProblemError) -> ProblemResponse:
    """Answer with ``problem``."""
    return ProblemResponse(
        problem.kind.document(detail=problem.detail, **problem.members),
        status_code=problem.kind.status,
        headers=problem.headers,
    )


def unnamed_problem(status: int, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    """Answer an HTTP error that has no type of its own: RFC 9457's ``about:blank``."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return ProblemResponse(document, status_code=status, headers=headers)
