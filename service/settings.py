"""Settings: everything that can be set about a running service, in one place.

Each can be given in the environment with the prefix ``COVERDEX_`` (``COVERDEX_MAX_LIMIT=200``); the
most used ones are also options of ``coverdex serve``, which win over the environment.
``docs/service.md`` lists them all, and a test holds that list and this class together.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

#: Cosine distance below which two performances are called covers, unless set otherwise. The report
#: of the method counts pair accuracy at this value; it is not tuned to any catalogue.
DEFAULT_COVER_THRESHOLD = 0.5

#: Candidates of a search that does not say how many, where the deployment gives so many.
DEFAULT_LIMIT = 10

#: More than any machine has processors, and few enough for the C integers of torch and faiss.
MOST_COMPUTE_THREADS = 4096

LogLevel = Literal["critical", "error", "warning", "info", "debug"]


def available_processors() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: containers and taskset lower it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Settings(BaseSettings):
    """What a deployment can set; read from the environment, prefix ``COVERDEX_``."""

    model_config = SettingsConfigDict(env_prefix="COVERDEX_", frozen=True)

    index: Path = Field(description="Folder of the index that is served.")
    encoder: str | None = Field(
        default=None,
        description="Name of a shipped checkpoint or folder of one, for queries by chroma. It must "
        "be the one that made the index. By default the shipped checkpoint of the name that the "
        "index gives; an index that was made by one of your own needs its folder here.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one."
    )
    log_level: LogLevel = Field(default="info", description="Least severity that is logged.")
    workers: int = Field(
        default_factory=available_processors,
        ge=1,
        description="Threads that answer queries; by default one per processor.",
    )
    backlog: int = Field(
        default=64,
        ge=0,
        description="Requests that may wait for a worker; more are answered with 503.",
    )
    compute_threads: int = Field(
        default=1,
        ge=1,
        le=MOST_COMPUTE_THREADS,
        description="Threads that torch and faiss use within one worker.",
    )
    max_body_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="Largest request body, in bytes."
    )
    max_frames: int = Field(
        default=120_000,
        ge=1,
        description="Most chroma frames per track, as sent and at the encoder's own frame rate; "
        "120,000 are 23 minutes at 86.13 frames/s and 8 hours at 4.",
    )
    max_limit: int = Field(
        default=100, ge=1, description="Most candidates that one search may ask for."
    )
    cover_threshold: float = Field(
        default=DEFAULT_COVER_THRESHOLD,
        gt=0,
        le=2,
        description="Cosine distance below which two performances are called covers, unless a "
        "request gives its own.",
    )
    shutdown_timeout: int = Field(
        default=30,
        ge=0,
        description="Seconds that running requests get to finish when the service is stopped.",
    )

    @property
    def default_limit(self) -> int:
        """Candidates of a search that does not say how many."""
        return min(DEFAULT_LIMIT, self.max_limit)
