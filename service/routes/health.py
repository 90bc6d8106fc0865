"""``/health``: is the process alive, and can it answer queries.

An orchestrator restarts what is not live and sends no traffic to what is not ready. Neither goes
through the workers, so both answer while the service is busy. They are not versioned, because a
load balancer's configuration should outlive a version of the API.
"""

from __future__ import annotations

from fastapi import APIRouter

from ... import __version__
from ..dependencies import TheEngine
from ..openapi import problem_responses
from ..problems import BODY_TOO_LARGE, INTERNAL_ERROR, NOT_READY, ProblemError
from ..schemas.health import LiveAnswer, ReadyAnswer
from ..workers import RETRY_AFTER

router = APIRouter(prefix="/health", tags=["health"])


@router.get(
    "/live",
    summary="Is the process alive?",
    operation_id="health_live",
    response_description="It is.",
    responses=problem_responses(BODY_TOO_LARGE, INTERNAL_ERROR),
)
async def live() -> LiveAnswer:
    """Answer as long as the process runs, loaded or not."""
    return LiveAnswer(status="live", version=__version__)


@router.get(
    "/ready",
    summary="Can queries be answered?",
    operation_id="health_ready",
    response_description="They can.",
    responses=problem_responses(BODY_TOO_LARGE, NOT_READY, INTERNAL_ERROR),
)
def ready(engine: TheEngine) -> ReadyAnswer:  # in a thread: a changed index is opened anew here
    """Answer 200 when queries are answered, else 503."""
    try:
        index = engine.now()
    except ProblemError as error:  # one of another encoder is no index to be ready with, either
        headers = {"Retry-After": str(RETRY_AFTER)}
        raise ProblemError(NOT_READY, error.detail, headers=headers) from error
    return ReadyAnswer(status="ready", count=len(index), encoder_id=index.manifest.encoder_id)
