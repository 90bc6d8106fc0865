"""What routes depend on: the engine, the workers, the settings, and requests within the limits.

FastAPI hands these to a route that asks for them by type. They live in ``app.state``, put there
when the application starts, so that a later change of the index is one assignment.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from .engine import Engine
from .problems import (
    INVALID_CHROMA,
    INVALID_REQUEST,
    MALFORMED_JSON,
    NOT_READY,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemError,
    field_error,
)
from .schemas.query import ChromaQuery, Query
from .settings import Settings
from .workers import RETRY_AFTER, WorkerPool


def get_settings(request: Request) -> Settings:
    """Return the deployment's settings."""
    settings: Settings = request.app.state.settings
    return settings


def get_engine(request: Request) -> Engine:
    """Return the engine.

    Raises
    ------
    ProblemError
        ``not-ready``: it is not loaded yet, or not any more.
    """
    engine: Engine | None = getattr(request.app.state, "engine", None)
    if engine is None:
        raise ProblemError(
            NOT_READY,
            "the index is not loaded; the service is starting or stopping",
            headers={"Retry-After": str(RETRY_AFTER)},
        )
    return engine


def get_workers(request: Request, _: Annotated[Engine, Depends(get_engine)]) -> WorkerPool:
    """Return the workers, which are there when the engine is."""
    workers: WorkerPool = request.app.state.workers
    return workers


async def require_json(request: Request) -> None:
    """Refuse a body that is not declared as JSON, or is not there.

    Raises
    ------
    ProblemError
        ``unsupported-media-type``, or ``malformed-json`` for a body of no bytes, which the
        framework takes for a field that is missing.
    """
    declared = request.headers.get("content-type", "")
    media_type = declared.split(";")[0].strip().lower()
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    if not is_json:
        said = f"declared as {declared!r}" if declared else "not declared"
        raise ProblemError(
            UNSUPPORTED_MEDIA_TYPE,
            f"the body is {said}; send JSON with Content-Type: application/json",
        )
    if not await request.body():
        raise ProblemError(MALFORMED_JSON, "the body is empty; send a JSON object")


def check_limit(limit: int, settings: Settings) -> None:
    """Refuse a search for more candidates than the deployment gives.

    Raises
    ------
    ProblemError
        ``invalid-request``.
    """
    if limit > settings.max_limit:
        detail = f"limit is {limit}; this service gives at most {settings.max_limit} candidates"
        error = field_error("#/limit", detail, "less_than_equal")
        raise ProblemError(INVALID_REQUEST, detail, errors=[error])


def check_length(query: Query, settings: Settings, engine: Engine, pointer: str) -> None:
    """Refuse chroma of more frames than the deployment takes.

    Frames are counted as they were sent, and as the encoder reads them, at a rate of its own: a
    handful that is said to last for hours becomes hundreds of thousands.

    Raises
    ------
    ProblemError
        ``invalid-chroma`` with the reason ``too-many-frames``.
    """
    if not isinstance(query, ChromaQuery):
        return
    if len(query.hpcp) > settings.max_frames:
        detail = (
            f"the track has {len(query.hpcp)} frames; this service takes {settings.max_frames}: "
            "average neighbouring frames and lower frame_rate, or embed the track yourself"
        )
        error = field_error(f"{pointer}/hpcp", detail, "too-many-frames")
        raise ProblemError(INVALID_CHROMA, detail, reason="too-many-frames", errors=[error])
    own_rate = engine.encoder.preprocessing.frame_rate
    read = round(query.chroma.duration * own_rate)
    if read > settings.max_frames:
        detail = (
            f"at frame_rate {query.frame_rate:g} the track lasts {query.chroma.duration:,.0f} s, "
            f"which the encoder reads as {read} frames ({own_rate:g} Hz); this service takes "
            f"{settings.max_frames}: is the frame rate right?"
        )
        error = field_error(f"{pointer}/frame_rate", detail, "too-many-frames")
        raise ProblemError(INVALID_CHROMA, detail, reason="too-many-frames", errors=[error])


TheSettings = Annotated[Settings, Depends(get_settings)]
TheEngine = Annotated[Engine, Depends(get_engine)]
TheWorkers = Annotated[WorkerPool, Depends(get_workers)]
