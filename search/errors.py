"""What can go wrong with an index, as types under :class:`coverdex.encoder.errors.CoverdexError`.

A performance or a folder that does not exist is a ``NotFoundError``, an index and an encoder that
do not belong together an ``IncompatibleError``; both come from the encoder's folder, so that all of
Coverdex raises the same ones.
"""

from __future__ import annotations

from ..encoder.errors import CoverdexError, IncompatibleError, NotFoundError

__all__ = [
    "CoverdexError",
    "FactoryError",
    "IncompatibleError",
    "IndexExistsError",
    "IndexFormatError",
    "IndexLockedError",
    "IndexPlanError",
    "InvalidQueryError",
    "NotFoundError",
    "PerformanceExistsError",
    "UnknownColumnError",
]


class IndexFormatError(CoverdexError):
    """A folder that is not an index, is of a later format, or whose parts do not agree.

    Parameters
    ----------
    message : str
        What was found, what was wanted, what to do.
    """


class FactoryError(IndexFormatError, ValueError):
    """A factory string of which FAISS makes no index of vectors of this dimension."""


class IndexExistsError(CoverdexError):
    """An index would be written where something already lies."""


class InvalidQueryError(CoverdexError, ValueError):
    """A query that cannot be asked: wrong dimension, not finite, not of length 1, limit below 1."""


class UnknownColumnError(InvalidQueryError, NotFoundError):
    """A condition on a column that the index does not have."""


class IndexLockedError(CoverdexError):
    """Somebody else is changing the index; one at a time may."""


class PerformanceExistsError(CoverdexError):
    """A performance would be added that the index has already."""


class IndexPlanError(CoverdexError, ValueError):
    """No index can be planned as asked: too little memory, or a recall that is no share."""
