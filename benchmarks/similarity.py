"""Where the similarities of an evaluation come from, handed out in blocks of rows.

Row ``i`` holds the similarity of query ``i`` to every performance ``j`` of the catalogue, larger is
closer. Nothing here needs the whole matrix in memory: a source gives some rows at a time.

Exact inner products
--------------------
Two recordings with the same embedding must get the same similarity, wherever they lie in the
catalogue; otherwise ties, and with them the metrics, would depend on the order of the files. A
float32 matrix product does not promise that: libraries add the 64 products in an order that
depends on the block, the processor and the number of threads. So :class:`EmbeddingSimilarity`
rounds each component to a multiple of 2^-26 (after a power of two, of its vector's own, that brings
the norm to at most 1; a unit vector's larger components already are such multiples in float32). A
product of two components is then a multiple of 2^-52, and every partial sum of an inner product is,
by Cauchy-Schwarz, at most 1 in size: all are represented exactly in float64, so that the sum has no
rounding at all and no order of summation matters. The result, rounded to float32, is the same
number on every machine. The rounding of components moves an inner product of unit vectors by less
than 2^-23, and of others by less than twice that share of the product of the two norms.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..encoder.errors import CoverdexError
from ..search.given import plain

_FRACTION_BITS = 26
#: Norms up to 2 to this power, and from its inverse on, have inner products that float32 can hold.
_LARGEST_EXPONENT = 48


class InvalidSimilarityError(CoverdexError, ValueError):
    """Similarities, embeddings or rankings that cannot be evaluated: wrong shape, NaN."""


@runtime_checkable
class SimilaritySource(Protocol):
    """What an evaluation reads: ``n`` performances and rows of their similarities."""

    @property
    def n(self) -> int:
        """Number of performances; every one is a candidate."""

    def rows(self, which: NDArray[np.int64]) -> NDArray[Any]:
        """Similarity of the performances ``which`` (b,) to all, shape (b, n), larger is closer.

        Real numbers, no NaN, in any precision; best float32.
        """


class MatrixSimilarity:
    """A similarity matrix that exists, in memory or memory-mapped.

    Parameters
    ----------
    matrix : array-like, shape (n, n)
        Real numbers; ``matrix[i, j]`` is the similarity of query i to candidate j. The diagonal is
        ignored, whatever it holds. ``-inf``, or a distance of ``inf``, ranks a candidate last; NaN
        elsewhere is refused when its row is read.
    larger_is_closer : bool, default True
        False for a matrix of distances.

    Raises
    ------
    InvalidSimilarityError
        If it is not square or not of real numbers.
    """

    def __init__(self, matrix: ArrayLike, *, larger_is_closer: bool = True) -> None:
        array = matrix if isinstance(matrix, np.ndarray) else np.asarray(matrix)
        if array.ndim != 2 or array.shape[0] != array.shape[1]:
            raise InvalidSimilarityError(
                f"similarity has shape {array.shape}; give a square matrix (n, n), one row and one "
                "column per performance (for embeddings use evaluate_embeddings)"
            )
        if array.dtype.kind not in "fiu":
            raise InvalidSimilarityError(
                f"similarity has dtype {array.dtype}; give real numbers, best float32"
            )
        self._matrix = array
        self._larger_is_closer = larger_is_closer

    @property
    def n(self) -> int:
        """Number of performances."""
        return int(self._matrix.shape[0])

    def rows(self, which: NDArray[np.int64]) -> NDArray[Any]:
        """Rows ``which``, shape (b, n), in the matrix's own precision (no new ties)."""
        block = np.ascontiguousarray(self._matrix[which])
        block[np.arange(len(which)), which] = 0  # often NaN, and no similarity of two performances
        nan = np.isnan(block)
        if nan.any():
            row, column = np.argwhere(nan)[0]
            what, last = ("similarity", "-inf") if self._larger_is_closer else ("distance", "inf")
            raise InvalidSimilarityError(
                f"row {int(which[row])} of the {what} matrix has NaN, in column {int(column)}; "
                f"give numbers ({last} ranks a candidate last)"
            )
        if self._larger_is_closer:
            return block
        return -block.astype(np.float64) if block.dtype.kind in "iu" else -block


class EmbeddingSimilarity:
    """Inner products of embeddings, exact and the same in any order of the catalogue.

    Parameters
    ----------
    embeddings : array-like, shape (n, dimension)
        One vector per performance, finite; normally L2-normalised float32, so that the inner
        product is the cosine. A column of vectors, of Arrow or pandas, will do.

    Raises
    ------
    InvalidSimilarityError
        If the shape is wrong, they are no numbers, or a value is not finite.
    """

    def __init__(self, embeddings: ArrayLike) -> None:
        vectors = _vectors(embeddings)
        if vectors.ndim != 2:
            raise InvalidSimilarityError(
                f"embeddings have shape {vectors.shape}; give (n, dimension), one row each"
            )
        if not np.isfinite(vectors).all():
            bad = int((~np.isfinite(vectors)).any(axis=1).sum())
            raise InvalidSimilarityError(
                f"{bad} of {vectors.shape[0]} embeddings have NaN or infinite values"
            )
        exponents = _exponents(vectors)
        fixed = np.rint(np.ldexp(vectors, _FRACTION_BITS - exponents[:, np.newaxis]))
        # Multiples of 2^-26 again, so that products need no scaling but for vectors of other norms.
        self._fixed = np.ldexp(fixed, -_FRACTION_BITS)
        self._scales = np.ldexp(1.0, exponents) if exponents.any() else None
        fits = np.abs(exponents).max(initial=0) <= _LARGEST_EXPONENT
        self._type = np.float32 if fits else np.float64

    @property
    def n(self) -> int:
        """Number of performances."""
        return int(self._fixed.shape[0])

    def rows(self, which: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """Inner products of the performances ``which`` with all, shape (b, n), float32.

        Of vectors so long or so short that float32 cannot hold the products, float64.
        """
        exact = self._fixed[which] @ self._fixed.T
        if self._scales is not None:  # powers of two: exact, only the float32 conversion rounds
            exact *= self._scales[which][:, np.newaxis]
            exact *= self._scales
        return exact.astype(self._type, copy=False)


def _exponents(vectors: NDArray[np.float64]) -> NDArray[np.int32]:
    """Powers of two that bring the norms of vectors (n, d) to at most 1, shape (n,); 0 for 1."""
    largest = np.maximum(vectors.max(axis=1, initial=0.0), -vectors.min(axis=1, initial=0.0))
    # Squares of very long and very short vectors would leave the range of float64.
    rough = np.where(largest > 0, np.frexp(largest)[1], 0)
    near_one = np.ldexp(vectors, -rough[:, np.newaxis])
    squares = np.einsum("ij,ij->i", near_one, near_one)
    # The margin keeps norms that float32 rounded to a hair above 1 at the scale of 1.
    norms = np.maximum(np.sqrt(squares) / (1 + 1e-6), np.finfo(float).tiny)
    fine = np.where(largest > 0, np.ceil(np.log2(norms)), 0)
    return (rough + fine).astype(np.int32)


def _vectors(embeddings: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(embeddings, dtype=np.float64)
    except (TypeError, ValueError):
        pass  # a column of a table is one array of many
    try:
        return np.asarray(plain(embeddings), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidSimilarityError(
            f"embeddings do not become numbers of shape (n, dimension) ({error}); give one vector "
            "for each performance, all of one length"
        ) from error


class RankingSimilarity:
    """A ranking, as candidates' positions in the catalogue, best first.

    Parameters
    ----------
    ranking : array-like, shape (n, m)
        ``ranking[i]`` lists candidates of query i by position, best first, each at most once; -1
        fills up short lists. The query itself may be among them and is ignored. Candidates that
        are not listed share the last place: they are tied behind all listed ones.

    Raises
    ------
    InvalidSimilarityError
        If it is not an integer matrix, or a position is out of range or repeated.
    """

    def __init__(self, ranking: ArrayLike) -> None:
        order = np.asarray(ranking)
        if order.ndim != 2 or order.dtype.kind not in "iu":
            raise InvalidSimilarityError(
                f"ranking has shape {order.shape} and dtype {order.dtype}; give integers (n, m): "
                "for each performance the positions of its candidates, best first"
            )
        n = order.shape[0]
        if order.size and (order.min() < -1 or order.max() >= n):
            raise InvalidSimilarityError(
                f"ranking has positions from {order.min()} to {order.max()}; "
                f"give 0 to {n - 1} (or -1 for none)"
            )
        self._order = order

    @property
    def n(self) -> int:
        """Number of performances."""
        return int(self._order.shape[0])

    def rows(self, which: NDArray[np.int64]) -> NDArray[np.float32]:
        """Minus the place of each candidate, ``-inf`` if it is not listed, shape (b, n)."""
        order = self._order[which]
        block = np.full((len(which), self.n), -np.inf, dtype=np.float32)
        row, column = np.nonzero(order >= 0)
        block[row, order[row, column]] = -column.astype(np.float32)
        listed = np.isfinite(block).sum(axis=1)
        repeated = listed != (order >= 0).sum(axis=1)
        if repeated.any():
            raise InvalidSimilarityError(
                f"the ranking of performance {int(which[repeated][0])} lists a candidate twice"
            )
        return block


def as_source(similarity: SimilaritySource | ArrayLike) -> SimilaritySource:
    """Take a source as it is and a plain array as a similarity matrix."""
    if isinstance(similarity, SimilaritySource):
        return similarity
    return MatrixSimilarity(similarity)
