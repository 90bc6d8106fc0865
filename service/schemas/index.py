"""The index that is served, and what the deployment allows."""

from __future__ import annotations

from pydantic import BaseModel, Field

from ..settings import DEFAULT_COVER_THRESHOLD
from . import examples


class EncoderAnswer(BaseModel):
    """The encoder that made the index and embeds chroma for its queries."""

    id: str = Field(
        description="Content-derived id: the name and 12 hexadecimal digits of its hash. Equal ids "
        "mean equal embeddings.",
        examples=[examples.ENCODER_ID],
    )
    name: str = Field(description="Name of the checkpoint.", examples=["coverdex-64"])
    kind: str = Field(description="Kind of chroma that it reads.", examples=["hpcp"])
    dimension: int = Field(description="Numbers in an embedding.", examples=[64])


class LimitsAnswer(BaseModel):
    """The deployment's limits."""

    max_limit: int = Field(description="Most candidates per search.", examples=[100])
    max_frames: int = Field(description="Most chroma frames per track.", examples=[120_000])
    max_body_bytes: int = Field(
        description="Largest request body, in bytes.", examples=[16_777_216]
    )


class IndexAnswer(BaseModel):
    """The index that is served. Paths of the machine are not told."""

    count: int = Field(description="Performances in the index.", examples=[140])
    metric: str = Field(
        description="How vectors are compared: the inner product of L2-normalised vectors, which "
        "is their cosine similarity.",
        examples=["inner_product"],
    )
    factory: str = Field(
        description="FAISS factory string; `Flat` is exact search.", examples=["Flat"]
    )
    format_version: int = Field(description="Version of the index's format.", examples=[1])
    created: str = Field(
        description="When the index was written, ISO 8601, UTC.",
        examples=["2026-11-23T04:10:00+00:00"],
    )
    encoder: EncoderAnswer = Field(
        description="The encoder that made the index.",
        examples=[
            {
                "id": examples.ENCODER_ID,
                "name": "coverdex-64",
                "kind": "hpcp",
                "dimension": 64,
            }
        ],
    )
    cover_threshold: float = Field(
        description="Cosine distance below which `POST /v1/similarity` calls two tracks covers.",
        examples=[DEFAULT_COVER_THRESHOLD],
    )
    limits: LimitsAnswer = Field(
        description="What one request may ask for.",
        examples=[{"max_limit": 100, "max_frames": 120_000, "max_body_bytes": 16_777_216}],
    )
