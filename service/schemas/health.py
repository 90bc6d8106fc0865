"""Health: whether the process runs, and whether it can answer."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from . import examples


class LiveAnswer(BaseModel):
    """The process runs and its event loop turns."""

    status: Literal["live"] = Field(description="Always `live`.", examples=["live"])
    version: str = Field(description="Version of Coverdex.", examples=["0.1.0"])


class ReadyAnswer(BaseModel):
    """The index and the encoder are loaded: queries are answered."""

    status: Literal["ready"] = Field(description="Always `ready`.", examples=["ready"])
    count: int = Field(description="Performances in the index.", examples=[140])
    encoder_id: str = Field(
        description="The encoder that made the index.", examples=[examples.ENCODER_ID]
    )
