"""Queries as they come in: checked once, here, before anything is searched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidQueryError
from .given import listed
from .writer import LENGTH_TOLERANCE

#: One query, shape (dimension,), and many, shape (n_queries, dimension), for type checkers.
QueryVector = np.ndarray[tuple[int], np.dtype[np.float32]]
QueryVectors = np.ndarray[tuple[int, int], np.dtype[np.float32]]

#: Candidates of a search that does not say how many.
DEFAULT_LIMIT = 10

_LEAST_SQUARE = (1 - LENGTH_TOLERANCE) ** 2
_LARGEST_SQUARE = (1 + LENGTH_TOLERANCE) ** 2
_FLOAT32 = np.dtype(np.float32)


class SearchOptions(TypedDict, total=False):
    """What :meth:`coverdex.search.Index.search` takes beside queries and ``exclude``."""

    limit: int
    where: Any
    exclude_works: str | Iterable[str]
    one_per_work: bool
    exact: bool


class QueryOptions(SearchOptions, total=False):
    """The same, and ids to leave out."""

    exclude: str | Iterable[str]


def checked_names(said: Any) -> list[str]:
    """Take ids of performances or works to leave out, one or many.

    Raises
    ------
    InvalidQueryError
        When one is not text.
    """
    names = [] if said is None else listed(said)
    for name in names:
        if not _is_text(name):
            raise InvalidQueryError(
                f"{name!r} is no id of a performance or work to leave out; give text"
            )
    return names


def _is_text(name: Any) -> bool:
    try:
        return isinstance(name, str) and name.encode() is not None
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def is_usual_query(vector: Any, dimension: int) -> bool:
    """Say whether something is one good query as it is, shape (dimension,), float32, contiguous.

    Quicker than :func:`checked_queries`, which takes more and says what is wrong.
    """
    return (
        type(vector) is np.ndarray
        and vector.dtype is _FLOAT32
        and vector.shape == (dimension,)
        and vector.flags.c_contiguous
        # As a Python number: NumPy's own take many times as long to compare.
        and _LEAST_SQUARE <= vector.dot(vector).item() <= _LARGEST_SQUARE
    )


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
    try:
        array = vectors if type(vectors) is np.ndarray else np.asarray(vectors)
    except ValueError as error:  # vectors of different lengths
        raise InvalidQueryError(
            f"the query is no array ({error}); give ({dimension},) or (n_queries, {dimension}) "
            "float32"
        ) from None
    shape = array.shape
    if len(shape) not in (1, 2) or shape[-1] != dimension or array.dtype.kind not in "fiu":
        raise InvalidQueryError(
            f"the query has shape {shape} and dtype {array.dtype}; this index wants "
            f"({dimension},) or (n_queries, {dimension}) float32"
        )
    alone = len(shape) == 1
    queries = np.ascontiguousarray(array, dtype=np.float32).reshape(-1, dimension)
    # One product at a time is quicker for one query, and all at once for many.
    products = queries[0].dot(queries[0]) if alone else np.einsum("ij,ij->i", queries, queries)
    for square in (products,) if alone else products.tolist():
        if not _LEAST_SQUARE <= square <= _LARGEST_SQUARE:  # so it is where the length is NaN
            raise InvalidQueryError(
                f"a query embedding has length {square**0.5:g}; give finite, L2-normalised vectors"
            )
    return queries, alone


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
