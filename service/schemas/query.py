"""A query: one track, given in one of three forms.

``{"performance_id": "P_22"}``
    a performance that is in the index: nothing is computed, its vector is there;
``{"embedding": [...]}``
    the numbers of an embedding, made elsewhere by the encoder that made the index;
``{"hpcp": [[...], ...], "frame_rate": 86.13}``
    chroma of a new track, ``(n_frames, 12)``, which the service embeds.

Which form it is, is told by which of the three keys is there: exactly one. Unknown keys are errors,
so that a misspelt ``framerate`` is not passed over.

Chroma is checked in one place for all of Coverdex, :class:`coverdex.encoder.Chroma`; what that
refuses becomes the problem ``invalid-chroma`` with its reason. The schema of the document repeats
those rules for readers and generated clients.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    FailFast,
    Field,
    FiniteFloat,
    PrivateAttr,
    StrictFloat,
    Tag,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)

from ...encoder import N_PITCH_CLASSES, Chroma, InvalidChromaError
from ...encoder.chroma import MAX_FRAME_RATE
from . import examples

#: Marks, in pydantic's locations, the part that names the form of a query and is not in the body.
FORM_TAG_PREFIX = "form:"
FORMS = ("performance_id", "embedding", "hpcp")
#: Fields of an object of which each that is not known is told; of more, that they are too many.
MOST_FIELDS = 100


class RequestObject(BaseModel):
    """An object of a request: fields that are not known are errors."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _has_few_fields(cls, given: Any) -> Any:
        """Refuse very many at once: an error of each takes a kilobyte, and time of the loop."""
        if isinstance(given, dict) and len(given) > MOST_FIELDS:
            known = ", ".join(cls.model_fields)
            raise ValueError(f"the object has {len(given)} fields; it takes {known}")
        return given


class PerformanceQuery(RequestObject):
    """A performance that is in the index."""

    # As long as it may be in an index; the limit on bodies bounds it.
    performance_id: str = Field(
        min_length=1,
        description="Id of a performance in the index; compared exactly.",
        examples=[examples.PERFORMANCE_ID],
    )


class EmbeddingQuery(RequestObject):
    """An embedding of a track, made by the encoder that made the index."""

    embedding: Annotated[list[Annotated[FiniteFloat, Field(strict=True)]], FailFast()] = Field(
        min_length=1,  # how many there must be, the index knows
        description="Finite numbers, not all zero, as many as the index's encoder gives (64 for "
        "`coverdex-64`; `GET /v1/index`, `encoder.dimension`). They are scaled to length 1, so "
        "that digits lost on the way do not matter.",
        examples=[examples.EMBEDDING],
    )
    encoder_id: str | None = Field(
        default=None,
        max_length=512,  # it is repeated in answers; and only a bounded string is checked as UTF-8
        description="Id of the encoder that made the embedding. If given, it is compared with the "
        "index's, and a mismatch is refused with `encoder-mismatch`; without it a wrong encoder "
        "goes unnoticed.",
        examples=[examples.ENCODER_ID],
    )

    @field_validator("embedding")
    @classmethod
    def _has_a_direction(cls, embedding: list[float]) -> list[float]:
        if not any(embedding):
            raise ValueError("the embedding is all zeros and so has no direction")
        return embedding

    def vector(self) -> NDArray[np.float32]:
        """Return the embedding at length 1, shape (dimension,), float32."""
        vector = np.asarray(self.embedding, dtype=np.float64)
        vector /= np.abs(vector).max()  # so that squares neither overflow nor vanish
        return (vector / np.linalg.norm(vector)).astype(np.float32)


#: One frame of chroma. Its rules are :class:`Chroma`'s; here they are only told.
Frame = Annotated[
    list[StrictFloat],
    FailFast(),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "number", "minimum": 0},
            "minItems": N_PITCH_CLASSES,
            "maxItems": N_PITCH_CLASSES,
        }
    ),
]


def _parsed_already(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Let the array of a long body pass: its parser has looked at every number of it."""
    return value if isinstance(value, np.ndarray) else validate(value)


class ChromaQuery(RequestObject):
    """The HPCP chroma of a track, from any source."""

    hpcp: Annotated[list[Frame], FailFast(), WrapValidator(_parsed_already)] = Field(
        description="Frames of 12 energies each, from pitch class A upward by semitones (bin 3 is "
        "C): finite, zero or more, of any scale. Silence cannot be embedded.",
        examples=[examples.HPCP],
        json_schema_extra={"minItems": 1},
    )
    frame_rate: StrictFloat = Field(
        description="Frames per second, in Hz: sample rate / hop length. Da-TACOS has "
        "44,100 / 512 = 86.1328125. No file says it, so it has no default.",
        examples=[examples.FRAME_RATE],
        json_schema_extra={"exclusiveMinimum": 0, "maximum": MAX_FRAME_RATE},
    )

    _chroma: Chroma = PrivateAttr()

    @model_validator(mode="after")
    def _is_chroma(self) -> ChromaQuery:
        frames: Any = self.hpcp
        parsed = isinstance(frames, np.ndarray)
        if not parsed and (wrong := {len(frame) for frame in frames} - {N_PITCH_CLASSES}):
            raise InvalidChromaError(
                f"frames have {', '.join(map(str, sorted(wrong)[:3]))} values; "
                f"give {N_PITCH_CLASSES} in each, frames first",
                reason="wrong-shape",
            )
        values: Any = np.array(frames, dtype=np.float64).reshape(-1, N_PITCH_CLASSES)
        self._chroma = Chroma(values, frame_rate=self.frame_rate)
        return self

    @property
    def chroma(self) -> Chroma:
        """The track's chroma, checked."""
        return self._chroma


def _form_of(query: Any) -> str | None:
    given = query if isinstance(query, dict) else vars(query) if hasattr(query, "__dict__") else ()
    forms = [form for form in FORMS if form in given]
    return FORM_TAG_PREFIX + forms[0] if len(forms) == 1 else None


#: A track in one of the three forms.
Query = Annotated[
    Annotated[PerformanceQuery, Tag(FORM_TAG_PREFIX + "performance_id")]
    | Annotated[EmbeddingQuery, Tag(FORM_TAG_PREFIX + "embedding")]
    | Annotated[ChromaQuery, Tag(FORM_TAG_PREFIX + "hpcp")],
    Discriminator(
        _form_of,
        custom_error_type="query_form",
        custom_error_message="give an object with exactly one of performance_id, embedding, hpcp",
    ),
]
