"""The problem document (RFC 9457) as it stands in the OpenAPI document."""

from __future__ import annotations

from pydantic import BaseModel, Field

from ..problems import ENCODER_MISMATCH, INTERNAL_ERROR, INVALID_CHROMA, INVALID_REQUEST
from . import examples


class FieldError(BaseModel):
    """What is wrong with one field of the request."""

    pointer: str = Field(
        description="Where: a JSON pointer into the body, as a URI fragment; `#` is the whole.",
        examples=["#/query/embedding"],
    )
    detail: str = Field(
        description="What is wrong, for people.",
        examples=["List should have at least 64 items after validation, not 63"],
    )
    code: str = Field(description="What is wrong, for programs.", examples=["too_short"])


class Problem(BaseModel):
    """Why a request failed, as RFC 9457 has it."""

    type: str = Field(
        description="The kind of problem, a URN that never changes; `about:blank` for HTTP errors "
        "that have no kind of their own.",
        examples=[INVALID_REQUEST.urn],
    )
    title: str = Field(
        description="The kind in a few words; may be reworded.", examples=[INVALID_REQUEST.title]
    )
    status: int = Field(description="The HTTP status.", examples=[INVALID_REQUEST.status])
    detail: str | None = Field(
        default=None,
        description="This occurrence in one sentence; may be reworded.",
        examples=[INVALID_REQUEST.example["detail"]],
    )
    instance: str | None = Field(
        default=None,
        description="With `internal-error`: the URN of this occurrence, which the service's log "
        "repeats.",
        examples=[INTERNAL_ERROR.example["instance"]],
    )
    errors: list[FieldError] | None = Field(
        default=None,
        description="What is wrong, field by field, if it lies in the body; the first 20.",
        examples=[INVALID_REQUEST.example["errors"]],
    )
    reason: str | None = Field(
        default=None,
        description="With `invalid-chroma`: a stable code: `wrong-shape`, `no-frames`, "
        "`not-finite`, `negative`, `no-energy`, `frame-rate`, `too-many-frames` or `too-long`.",
        examples=[INVALID_CHROMA.example["reason"]],
    )
    index_encoder_id: str | None = Field(
        default=None,
        description="With `encoder-mismatch`: the encoder that made the index.",
        examples=[ENCODER_MISMATCH.example["index_encoder_id"]],
    )
    query_encoder_id: str | None = Field(
        default=None,
        description="With `encoder-mismatch`: the encoder that the request names.",
        examples=[examples.ENCODER_ID],
    )
