"""``/v1/index``: what the index holds, who made it, and what a request may ask for."""

from __future__ import annotations

from fastapi import APIRouter

from ..dependencies import TheEngine, TheSettings
from ..openapi import problem_responses
from ..problems import BODY_TOO_LARGE, INTERNAL_ERROR, NOT_READY
from ..schemas.index import EncoderAnswer, IndexAnswer, LimitsAnswer

router = APIRouter(prefix="/v1", tags=["index"])


@router.get(
    "/index",
    summary="The index that is served",
    operation_id="describe_index",
    response_description="The index and the limits.",
    responses=problem_responses(BODY_TOO_LARGE, NOT_READY, INTERNAL_ERROR),
)
def describe_index(engine: TheEngine, settings: TheSettings) -> IndexAnswer:
    """Describe the index, its encoder and the deployment's limits.

    A client that embeds tracks itself compares `encoder.id` with its own encoder's.
    """
    index = engine.whatever_is_there()  # a changed one is opened anew, so in a thread
    manifest = index.manifest
    return IndexAnswer(
        count=len(index),
        metric=manifest.metric,
        factory=manifest.factory,
        format_version=manifest.format_version,
        created=manifest.created,
        encoder=EncoderAnswer(
            id=manifest.encoder_id,
            name=manifest.encoder_name,
            kind=engine.encoder.kind,
            dimension=manifest.dimension,
        ),
        cover_threshold=settings.cover_threshold,
        limits=LimitsAnswer(
            max_limit=settings.max_limit,
            max_frames=settings.max_frames,
            max_body_bytes=settings.max_body_bytes,
        ),
    )
