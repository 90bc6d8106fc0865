"""Naming the value that does not fit its column: Arrow says what is wrong, and not where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from .errors import IndexFormatError

#: What Arrow raises where a value does not become one of a type.
MISFITS = (pa.ArrowException, UnicodeError, OverflowError, TypeError, ValueError)
#: Of a long value, the error shows the beginning.
_SHOWN = 60


def misfit(
    column: str,
    kind: Any,
    values: Sequence[Any],
    take: Callable[[int, int], object],
    id_of: Callable[[int], Any],
) -> IndexFormatError:
    """Say which performance has a value that does not fit, by halves, when all together failed.

    Parameters
    ----------
    column : str
        Its name.
    kind : pyarrow.DataType
        What it holds.
    values : sequence
        What came.
    take : callable
        Tries the values from one row up to another, and raises one of :data:`MISFITS` if one of
        them does not fit.
    id_of : callable
        The id of a row's performance.

    Returns
    -------
    IndexFormatError
        To be raised.
    """
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            take(low, middle)
        except MISFITS:
            high = middle
        else:
            low = middle
    value = values[low].as_py() if isinstance(values[low], pa.Scalar) else values[low]
    shown = repr(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}..."
    return IndexFormatError(
        f"performance {id_of(low)!r} has {shown} in the column {column!r}, which holds {kind}; "
        "give such a value, or none"
    )
