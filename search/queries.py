"""Queries as they come in: checked once, here, before anything is searched."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidQueryError
from .writer import LENGTH_TOLERANCE


def checked_queries(vectors: Any, dimension: int) -> tuple[NDArray[np.float32], bool]:
    """Bring query embeddings into the form that is searched.

    Parameters
    ----------
    vectors : array-like, shape (dimension,) or (n_queries, dimension)
    dimension : int
        Of the index.

    Returns
    -------
    queries : ndarray, shape (n_queries, dimension), float32, C-contiguous
    alone : bool
        Whether it was a single vector of one axis.

    Raises
    ------
    InvalidQueryError
        When the shape or type is another, or a vector is not finite or not of length 1.
    """
    array = np.asarray(vectors)
    right_shape = array.ndim in (1, 2) and array.shape[-1] == dimension
    if not right_shape or array.dtype.kind not in "fiu":
        raise InvalidQueryError(
            f"the query has shape {array.shape} and dtype {array.dtype}; this index wants "
            f"({dimension},) or (n_queries, {dimension}) float32"
        )
    queries = np.ascontiguousarray(array, dtype=np.float32).reshape(-1, dimension)
    lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries))
    # The largest of numbers among which one is NaN is NaN, which is not below anything.
    if not np.abs(lengths - 1).max(initial=0) <= LENGTH_TOLERANCE:
        wrong = lengths[~(np.abs(lengths - 1) <= LENGTH_TOLERANCE)]
        raise InvalidQueryError(
            f"a query embedding has length {wrong[0]:g}; give finite, L2-normalised vectors"
        )
    return queries, array.ndim == 1


def checked_limit(limit: Any) -> int:
    """Return a limit as an int, 1 or more.

    Raises
    ------
    InvalidQueryError
        When it is none.
    """
    if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 1:
        raise InvalidQueryError(f"limit is {limit!r}; give a whole number, 1 or more")
    return int(limit)
