"""Restricting a search to performances by their metadata.

A filter is a list of conditions that must all hold, each on one column of the index::

    Condition("year", ">=", 1960)
    Condition("artist", "=", "The Corries")
    Condition("key", "in", ["C", "Am"])
    Condition("work_id", "!=", "W_14")
    Condition("year", "=", None)          # not known

or the same as text (:meth:`Condition.parse`), which is what the command line takes::

    year>=1960        artist=The Corries        key in C,Am        year=null

:mod:`.condition_text` has the rules of that, and ``docs/searching.md`` tells them to users.

Operators are ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=`` and ``in``. Values are brought to the
column's type. A value that the catalogue does not know satisfies no condition but ``= null``: as in
SQL, ``year != 1960`` leaves out performances of unknown year.

Conditions are evaluated on Arrow columns into one boolean per row; :mod:`coverdex.search.vectors`
compiles the rows into a FAISS ``IDSelector``, which goes along with the call and changes nothing in
the shared index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .condition_text import OPERATORS, read_condition
from .errors import InvalidQueryError, UnknownColumnError
from .given import listed, plain

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


@dataclass(frozen=True)
class Condition:
    """One condition on one column.

    Parameters
    ----------
    column : str
        A column of the index.
    operator : str
        One of ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in``.
    value : object
        What to compare with; a list or an array for ``in``; None with ``=`` and ``!=`` for
        "unknown" and "known".

    Raises
    ------
    InvalidQueryError
        When the operator is unknown or does not go with the value.
    """

    column: str
    operator: str
    value: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", plain(self.value))
        if not isinstance(self.column, str):
            raise InvalidQueryError(f"{self.column!r} is no name of a column; give text")
        if not isinstance(self.operator, str) or self.operator not in OPERATORS:
            raise InvalidQueryError(
                f"unknown operator {self.operator!r}; use one of {' '.join(OPERATORS)}"
            )
        if (self.operator == "in") != isinstance(self.value, (list, tuple, set, frozenset)):
            raise InvalidQueryError(
                f"operator {self.operator!r} on {self.column!r} has the value {self.value!r}; "
                "`in` takes a list, the others a single value"
            )
        values = self.value if self.operator == "in" else [self.value]
        if any(value is None for value in values) and self.operator not in ("=", "!="):
            raise InvalidQueryError(
                f"null on {self.column!r} goes with = and != only; put it into quotes for the text"
            )

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition from text such as ``"year >= 1960"`` or ``"key in C,Am"``.

        Raises
        ------
        InvalidQueryError
            When the text is not a condition.
        """
        return cls(*read_condition(text))

    def mask(self, table: pa.Table) -> NDArray[np.bool_]:
        """Say for each row of ``table`` whether the condition holds, shape (n,), bool.

        Raises
        ------
        UnknownColumnError
            When there is no such column.
        InvalidQueryError
            When the value does not go with its type.
        """
        if self.column not in table.column_names:
            raise UnknownColumnError(
                f"the index has no column {self.column!r}; it has {', '.join(table.column_names)}"
            )
        column = table.column(self.column)
        if self.value is None:
            holds = pc.is_null(column) if self.operator == "=" else pc.is_valid(column)
        else:
            holds = self._compared(column)
        mask: NDArray[np.bool_] = pc.fill_null(holds, False).to_numpy()
        return mask

    def _compared(self, column: Any) -> Any:
        kind = column.type
        try:
            if self.operator == "in":
                values = [self._as(kind, value) for value in self.value]
                return pc.is_in(column, value_set=pa.array(values, kind))
            value = self._as(kind, self.value)
            return _COMPARISONS[self.operator](column, pa.scalar(value, kind))
        except pa.ArrowNotImplementedError:
            raise InvalidQueryError(
                f"{self.column!r} is of type {kind}, which {self.operator!r} cannot compare"
            ) from None

    def _as(self, wanted: Any, value: Any) -> Any:
        """Bring a value to a column's type."""
        try:
            if isinstance(value, str) and not pa.types.is_string(wanted):
                return pa.scalar(value).cast(wanted).as_py()
            taken = pa.scalar(value, wanted).as_py()
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise self._no_value(wanted, value) from None
        if pa.types.is_integer(wanted) and taken != value:  # Arrow cuts 1.9 to 1
            raise self._no_value(wanted, value)
        return taken

    def _no_value(self, wanted: Any, value: Any) -> InvalidQueryError:
        return InvalidQueryError(
            f"{value!r} is no value for {self.column!r}, which is of type {wanted}"
        )


def allowed(table: pa.Table, conditions: Sequence[Condition]) -> NDArray[np.bool_]:
    """Say for each row of ``table`` whether all conditions hold, shape (n,), bool."""
    mask = np.ones(table.num_rows, dtype=np.bool_)
    for condition in conditions:
        mask &= condition.mask(table)
    return mask


def as_conditions(where: Any) -> list[Condition]:
    """Take a filter in any of its forms: text, a Condition, or a list of either.

    Raises
    ------
    InvalidQueryError
        When it is none of them.
    """
    parts = [] if where is None else listed(where)
    conditions = [Condition.parse(part) if isinstance(part, str) else part for part in parts]
    for condition in conditions:
        if not isinstance(condition, Condition):
            raise InvalidQueryError(f"{condition!r} is no condition; give text or a Condition")
    return conditions
