"""Similarity: two tracks, how close they are, and whether that makes them covers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, StrictFloat

from ..settings import DEFAULT_COVER_THRESHOLD
from . import examples
from .query import Query, RequestObject


class SimilarityRequest(RequestObject):
    """The two tracks."""

    first: Query = Field(
        description="One track, in any of the three forms.",
        examples=[{"performance_id": examples.PERFORMANCE_ID}],
    )
    second: Query = Field(
        description="The other track, in any of the three forms.",
        examples=[{"performance_id": examples.OTHER_PERFORMANCE_ID}],
    )
    threshold: StrictFloat | None = Field(
        default=None,
        gt=0,
        le=2,
        description="Cosine distance below which the two count as covers, in place of the "
        "deployment's.",
        examples=[0.35],
    )


class SimilarityAnswer(BaseModel):
    """How close the two tracks are."""

    similarity: float = Field(
        description="Cosine similarity of the two embeddings, from -1 to 1; larger is closer. The "
        "same whichever of the two comes first.",
        examples=[0.9312],
    )
    distance: float = Field(
        description="Cosine distance, 1 - similarity, from 0 to 2.", examples=[0.0688]
    )
    covers: bool = Field(
        description="Whether the distance is below the threshold.", examples=[True]
    )
    threshold: float = Field(
        description="The cosine distance that `covers` was decided by.",
        examples=[DEFAULT_COVER_THRESHOLD],
    )
    threshold_source: Literal["request", "deployment"] = Field(
        description="Who set the threshold: this request, or the deployment's settings (0.5 unless "
        "set).",
        examples=["deployment"],
    )
    encoder_id: str = Field(
        description="The encoder in whose space the similarity is.", examples=[examples.ENCODER_ID]
    )
