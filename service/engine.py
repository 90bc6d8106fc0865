"""The engine: an open index together with the encoder that made it.

This is what the routes ask. Its methods take the processor
and are called in a :class:`~coverdex.service.workers.WorkerPool`; they change nothing, so any
number of threads may share one engine.

The index is followed: what ``coverdex index add`` and its like bring or take is in the
next answer, without a restart. Each request sees one state of it from beginning to end.

The encoder is loaded at start and not with the first query by chroma. Loading takes a second or
two, which the operator rather than some client should wait for; and only then is it known that
index and encoder belong together, which is a reason not to start.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..encoder import (
    CoverdexError,
    Encoder,
    IncompatibleError,
    InvalidChromaError,
    NotFoundError,
)
from ..search import Candidate, Index
from ..search.own_encoder import load_encoder_of
from .problems import (
    ENCODER_MISMATCH,
    INVALID_CHROMA,
    INVALID_REQUEST,
    NOT_READY,
    UNKNOWN_PERFORMANCE,
    ProblemError,
    field_error,
)
from .schemas.query import ChromaQuery, EmbeddingQuery, PerformanceQuery, Query
from .workers import RETRY_AFTER

logger = logging.getLogger(__name__)

#: Most characters of an id that an answer repeats: a request may be megabytes.
_MOST_TOLD = 200


class Engine:
    """An open index and the encoder that made it.

    Parameters
    ----------
    index : Index
        Open.
    encoder : Encoder
        Must be the one that made the index.

    Raises
    ------
    IncompatibleError
        It is another.
    """

    def __init__(self, index: Index, encoder: Encoder) -> None:
        index.check_encoder(encoder.id)
        self.index = index
        self.encoder = encoder

    @classmethod
    def open(cls, index: Path, encoder: str | None = None) -> Engine:
        """Open an index and load an encoder.

        Parameters
        ----------
        index : path
            Folder of the index.
        encoder : str, optional
            Name of a shipped checkpoint or folder of one; by default the one that the index names.

        Raises
        ------
        NotFoundError
            No such index or checkpoint.
        IndexFormatError, CheckpointError
            One of them is damaged or of an unknown format.
        IncompatibleError
            They do not belong together.
        """
        opened = Index.open(index, follow=True)
        return cls(opened, load_encoder_of(opened, encoder))

    def vector(self, query: Query, pointer: str = "#/query") -> NDArray[np.float32]:
        """Return the embedding of a track, shape (dimension,), float32, L2-normalised.

        Parameters
        ----------
        query : Query
            The track, in any form.
        pointer : str
            Where the query stands in the request; problems repeat it.

        Raises
        ------
        ProblemError
            ``unknown-performance``, ``encoder-mismatch``, ``invalid-chroma``, or
            ``invalid-request`` for an embedding of another length.
        """
        return self._vector(self.now(), query, pointer)

    def search(self, query: Query, limit: int) -> list[Candidate]:
        """Return the nearest performances, best first; one asked for by id leaves itself out.

        Raises
        ------
        ProblemError
            As :meth:`vector`.
        """
        index = self.now()
        own = [query.performance_id] if isinstance(query, PerformanceQuery) else []
        return index.search(self._vector(index, query, "#/query"), limit=limit, exclude=own)

    def similarity(self, first: Query, second: Query) -> float:
        """Return the cosine similarity of two tracks, in [-1, 1] but for rounding; symmetric.

        Raises
        ------
        ProblemError
            As :meth:`vector`.
        """
        index = self.now()
        vectors = (
            self._vector(index, first, "#/first"),
            self._vector(index, second, "#/second"),
        )
        return float(np.dot(*vectors))

    def now(self) -> Index:
        """Return the index as it is now, which stays so while a request is answered.

        Raises
        ------
        ProblemError
            ``encoder-mismatch``: an index of another encoder has taken its place. ``not-ready``: as
            :meth:`whatever_is_there`.
        """
        index = self.whatever_is_there()
        own, made_by = self.encoder.id, index.manifest.encoder_id
        if own != made_by:
            raise ProblemError(
                ENCODER_MISMATCH,
                f"the index was replaced by one of encoder {made_by!r} while this service runs "
                f"{own!r}; restart it",
                index_encoder_id=made_by,
            )
        return index

    def whatever_is_there(self) -> Index:
        """Return the index as it is now, though it may be one of another encoder.

        Raises
        ------
        ProblemError
            ``not-ready``: it was damaged since it was opened, or cannot be read any more.
        """
        try:
            return self.index.pinned()
        except (CoverdexError, OSError) as error:
            logger.error("not ready: %s", error)  # which may name paths: not for the client
            raise ProblemError(
                NOT_READY,
                "the index cannot be read any more; the service's log says why",
                headers={"Retry-After": str(RETRY_AFTER)},
            ) from error

    def _vector(self, index: Index, query: Query, pointer: str) -> NDArray[np.float32]:
        match query:
            case PerformanceQuery():
                return self._known(index, query, pointer)
            case EmbeddingQuery():
                return self._sent(index, query, pointer)
            case ChromaQuery():
                return self._embedded(index, query, pointer)

    def _known(self, index: Index, query: PerformanceQuery, pointer: str) -> NDArray[np.float32]:
        try:
            return index.embedding(query.performance_id)
        except NotFoundError:
            detail = (
                f"the index has no performance {_told(query.performance_id)}; ids are compared "
                "exactly"
            )
            error = field_error(f"{pointer}/performance_id", detail, UNKNOWN_PERFORMANCE.slug)
            raise ProblemError(UNKNOWN_PERFORMANCE, detail, errors=[error]) from None

    def _sent(self, index: Index, query: EmbeddingQuery, pointer: str) -> NDArray[np.float32]:
        own = index.manifest.encoder_id
        if query.encoder_id is not None and query.encoder_id != own:
            detail = (
                f"the embedding comes from encoder {query.encoder_id!r}, the index was made by "
                f"{own!r}; embed the track with that one, or send its HPCP"
            )
            raise ProblemError(
                ENCODER_MISMATCH,
                detail,
                index_encoder_id=own,
                query_encoder_id=query.encoder_id,
                errors=[field_error(f"{pointer}/encoder_id", detail, ENCODER_MISMATCH.slug)],
            )
        given, wanted = len(query.embedding), index.manifest.dimension
        if given != wanted:
            detail = f"the embedding has {given} numbers; those of {own} have {wanted}"
            code = "too_short" if given < wanted else "too_long"
            error = field_error(f"{pointer}/embedding", detail, code)
            raise ProblemError(INVALID_REQUEST, detail, errors=[error])
        return query.vector()

    def _embedded(self, index: Index, query: ChromaQuery, pointer: str) -> NDArray[np.float32]:
        try:
            return self.encoder.embed(query.chroma)
        except InvalidChromaError as error:
            found = field_error(f"{pointer}/hpcp", str(error), error.reason)
            raise ProblemError(
                INVALID_CHROMA, str(error), reason=error.reason, errors=[found]
            ) from None
        except IncompatibleError as error:
            found = field_error(f"{pointer}/hpcp", str(error), ENCODER_MISMATCH.slug)
            raise ProblemError(
                ENCODER_MISMATCH,
                str(error),
                index_encoder_id=index.manifest.encoder_id,
                errors=[found],
            ) from None


def _told(performance_id: str) -> str:
    if len(performance_id) <= _MOST_TOLD:
        return repr(performance_id)
    beginning = repr(performance_id[:_MOST_TOLD])
    return f"{beginning}... ({len(performance_id)} characters)"
