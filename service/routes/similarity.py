"""``/v1/similarity``: are two tracks covers of each other."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends

from ..body_parsing import LongBodyRoute
from ..dependencies import TheEngine, TheSettings, TheWorkers, check_length, require_json
from ..openapi import problem_responses
from ..schemas import examples
from ..schemas.search import distance_of, told
from ..schemas.similarity import SimilarityAnswer, SimilarityRequest
from .search import QUERY_PROBLEMS

router = APIRouter(prefix="/v1", tags=["similarity"], route_class=LongBodyRoute)

REQUESTS = {
    "performances": {
        "summary": "Two performances of the index",
        "value": {
            "first": {"performance_id": examples.PERFORMANCE_ID},
            "second": {"performance_id": examples.OTHER_PERFORMANCE_ID},
        },
    },
    "chroma": {
        "summary": "A new track and a performance of the index, by a stricter threshold",
        "value": {
            "first": {"hpcp": examples.HPCP, "frame_rate": examples.FRAME_RATE},
            "second": {"performance_id": examples.PERFORMANCE_ID},
            "threshold": 0.35,
        },
    },
}


@router.post(
    "/similarity",
    summary="Compare two tracks",
    operation_id="similarity",
    response_description="How close the two tracks are.",
    responses=problem_responses(*QUERY_PROBLEMS),
    dependencies=[Depends(require_json)],
)
async def similarity(
    request: Annotated[SimilarityRequest, Body(openapi_examples=REQUESTS)],
    engine: TheEngine,
    workers: TheWorkers,
    settings: TheSettings,
) -> SimilarityAnswer:
    """Return how similar two tracks are and whether that makes them covers at a threshold.

    The threshold is a cosine distance; two tracks nearer than that are called covers. The one in
    the request counts, else the deployment's, which is 0.5 unless set: the value at which the
    report of the method counts pair accuracy. For a decision that matters, measure one on your own
    catalogue.
    """
    check_length(request.first, settings, engine, "#/first")
    check_length(request.second, settings, engine, "#/second")
    similarity = told(await workers.run(lambda: engine.similarity(request.first, request.second)))
    distance = distance_of(similarity)
    own = request.threshold
    threshold = settings.cover_threshold if own is None else own
    return SimilarityAnswer(
        similarity=similarity,
        distance=distance,
        covers=distance < threshold,
        threshold=threshold,
        threshold_source="deployment" if own is None else "request",
        encoder_id=engine.encoder.id,
    )
