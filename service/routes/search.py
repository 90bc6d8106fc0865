"""``/v1/search``: the nearest covers of a track."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends

from ..body_parsing import LongBodyRoute
from ..dependencies import (
    TheEngine,
    TheSettings,
    TheWorkers,
    check_length,
    check_limit,
    require_json,
)
from ..openapi import problem_responses
from ..problems import (
    BODY_TOO_LARGE,
    ENCODER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_CHROMA,
    INVALID_REQUEST,
    MALFORMED_JSON,
    NOT_READY,
    OVERLOADED,
    UNKNOWN_PERFORMANCE,
    UNSUPPORTED_MEDIA_TYPE,
)
from ..schemas import examples
from ..schemas.search import CandidateAnswer, SearchAnswer, SearchRequest

router = APIRouter(prefix="/v1", tags=["search"], route_class=LongBodyRoute)

#: What an operation that takes queries may answer with.
QUERY_PROBLEMS = (
    MALFORMED_JSON,
    UNKNOWN_PERFORMANCE,
    ENCODER_MISMATCH,
    BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID_REQUEST,
    INVALID_CHROMA,
    INTERNAL_ERROR,
    NOT_READY,
    OVERLOADED,
)

REQUESTS = {
    "performance": {
        "summary": "Covers of a performance in the index",
        "value": {"query": {"performance_id": examples.PERFORMANCE_ID}, "limit": 10},
    },
    "chroma": {
        "summary": "Covers of a new track, by its HPCP",
        "description": "Three frames, to be short; a track has thousands.",
        "value": {
            "query": {"hpcp": examples.HPCP, "frame_rate": examples.FRAME_RATE},
            "limit": 10,
        },
    },
    "embedding": {
        "summary": "Covers of a track that was embedded elsewhere",
        "value": {
            "query": {"embedding": examples.EMBEDDING},
            "limit": 10,
        },
    },
}


@router.post(
    "/search",
    summary="Rank the covers of a track",
    operation_id="search",
    response_description="The nearest performances, best first.",
    responses=problem_responses(*QUERY_PROBLEMS),
    dependencies=[Depends(require_json)],
)
async def search(
    request: Annotated[SearchRequest, Body(openapi_examples=REQUESTS)],
    engine: TheEngine,
    workers: TheWorkers,
    settings: TheSettings,
) -> SearchAnswer:
    """Return the performances of the index that are nearest to a track, best first.

    They are candidates: the nearest there are, whether or not any is a cover. A performance asked
    for by id is left out of its own answer.
    """
    limit = request.limit if "limit" in request.model_fields_set else settings.default_limit
    check_limit(limit, settings)
    check_length(request.query, settings, engine, "#/query")

    def work() -> list[CandidateAnswer]:
        candidates = engine.search(request.query, limit)
        return [CandidateAnswer.of(candidate) for candidate in candidates]

    # The engine's encoder, not the index's: the index is looked at in the workers alone, and one of
    # another encoder gives no answer.
    return SearchAnswer(encoder_id=engine.encoder.id, candidates=await workers.run(work))
