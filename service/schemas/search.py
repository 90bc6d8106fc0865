"""Search: a query goes in, ranked candidates come out."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, Field, StrictInt

from ...search import Candidate
from ..settings import DEFAULT_LIMIT
from . import examples
from .query import Query, RequestObject

#: Columns that an answer gives as fields of their own and not under ``metadata``.
FIELD_COLUMNS = ("performance_id", "work_id", "title", "artist")


class SearchRequest(RequestObject):
    """Which track, and how many candidates."""

    query: Query = Field(
        description="The track whose covers are looked for, in one of three forms.",
        examples=[{"performance_id": examples.PERFORMANCE_ID}],
    )
    limit: StrictInt = Field(
        default=DEFAULT_LIMIT,
        ge=1,
        description="Most candidates to return; `GET /v1/index` gives the deployment's maximum, "
        "which is taken where it is less than the default.",
        examples=[DEFAULT_LIMIT],
    )


class CandidateAnswer(BaseModel):
    """One performance of the index near the query."""

    rank: int = Field(description="From 1, the most similar.", examples=[1])
    similarity: float = Field(
        description="Cosine similarity of the two embeddings, from -1 to 1; larger is closer.",
        examples=[0.9312],
    )
    distance: float = Field(
        description="Cosine distance, 1 - similarity, from 0 to 2.", examples=[0.0688]
    )
    performance_id: str = Field(
        description="Id of the performance.", examples=[examples.OTHER_PERFORMANCE_ID]
    )
    work_id: str | None = Field(
        description="Id of the work that it is a performance of; null where the catalogue does not "
        "say.",
        examples=[examples.WORK_ID],
    )
    title: str | None = Field(
        description="Title of the performance, if known.", examples=[examples.TITLE]
    )
    artist: str | None = Field(description="Who performs it, if known.", examples=[examples.ARTIST])
    metadata: dict[str, Any] = Field(
        description="What else the catalogue says about the performance, by column; nothing that "
        "is null.",
        examples=[examples.METADATA],
    )

    @classmethod
    def of(cls, candidate: Candidate) -> CandidateAnswer:
        """Describe ``candidate``."""
        similarity = told(candidate.similarity)
        return cls(
            rank=candidate.rank,
            similarity=similarity,
            distance=distance_of(similarity),
            performance_id=candidate.performance_id,
            work_id=candidate.work_id,
            title=candidate.title,
            artist=candidate.artist,
            metadata={
                name: value
                for name, value in candidate.metadata.items()
                if name not in FIELD_COLUMNS and value is not None and not _is_not_finite(value)
            },
        )


class SearchAnswer(BaseModel):
    """The nearest performances, best first."""

    encoder_id: str = Field(
        description="The encoder in whose space the similarities are; those of different encoders "
        "cannot be compared.",
        examples=[examples.ENCODER_ID],
    )
    candidates: list[CandidateAnswer] = Field(
        description="Best first, at most `limit`. A performance asked for by id is not among its "
        "own candidates.",
        examples=[
            [
                {
                    "rank": 1,
                    "similarity": 0.9312,
                    "distance": 0.0688,
                    "performance_id": examples.OTHER_PERFORMANCE_ID,
                    "work_id": examples.WORK_ID,
                    "title": examples.TITLE,
                    "artist": examples.ARTIST,
                    "metadata": examples.METADATA,
                }
            ]
        ],
    )


def told(similarity: float) -> float:
    """Return a similarity as answers give it.

    Clipped to [-1, 1], which the inner product of a float32 unit vector with itself leaves by
    rounding; and to 7 decimals, which is what float32 carries.
    """
    return round(min(1.0, max(-1.0, similarity)), 7)


def distance_of(similarity: float) -> float:
    """Return the cosine distance, 1 - similarity, without new digits from the subtraction."""
    return round(1 - similarity, 7)


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
