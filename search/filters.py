"""Restricting a search to performances by their metadata.

A filter is a list of conditions that must all hold, each on one column of the index::

    Condition("year", ">=", 1960)
    Condition("artist", "=", "The Corries")
    Condition("key", "in", ["C", "Am"])
    Condition("work_id", "!=", "W_14")
    Condition("year", "=", None)          # not known

or the same as text (:meth:`Condition.parse`), which is what the command line takes::

    year>=1960        artist=The Corries        key in C,Am        year=null

Operators are ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=`` and ``in``. Values are brought to the
column's type. A value that the catalogue does not know satisfies no condition but ``= null``: as in
SQL, ``year != 1960`` leaves out performances of unknown year.

Conditions are evaluated on Arrow columns into one boolean per row; :mod:`coverdex.search.vectors`
compiles the rows into a FAISS ``IDSelector``, which goes along with the call and changes nothing in
the shared index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .errors import InvalidQueryError

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
OPERATORS = (*_COMPARISONS, "in")

_TEXT = re.compile(r"^\s*(\w+)\s*(<=|>=|!=|<|>|=|\bin\b)\s*(.*?)\s*$", re.DOTALL)


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
        What to compare with; a list for ``in``; None with ``=`` and ``!=`` for "unknown" and
        "known".

    Raises
    ------
    InvalidQueryError
        When the operator is unknown or does not go with the value.
    """

    column: str
    operator: str
    value: Any

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise InvalidQueryError(
                f"unknown operator {self.operator!r}; use one of {' '.join(OPERATORS)}"
            )
        if (self.operator == "in") != isinstance(self.value, (list, tuple, set, frozenset)):
            raise InvalidQueryError(
                f"operator {self.operator!r} on {self.column!r} has the value {self.value!r}; "
                "`in` takes a list, the others a single value"
            )
        if self.value is None and self.operator not in ("=", "!="):
            raise InvalidQueryError(f"null on {self.column!r} goes with = and != only")

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition from text such as ``"year >= 1960"`` or ``"key in C,Am"``.

        Raises
        ------
        InvalidQueryError
            When the text is not a condition.
        """
        found = _TEXT.match(text)
        if found is None:
            raise InvalidQueryError(
                f"{text!r} is not a condition; write COLUMN OPERATOR VALUE with one of "
                f"{' '.join(OPERATORS)}, such as 'year>=1960' or 'key in C,Am'"
            )
        column, operator, value = found.groups()
        if operator == "in":
            return cls(column, operator, [part.strip() for part in value.split(",")])
        return cls(column, operator, None if value == "null" else value)

    def mask(self, table: pa.Table) -> NDArray[np.bool_]:
        """Say for each row of ``table`` whether the condition holds, shape (n,), bool.

        Raises
        ------
        InvalidQueryError
            When there is no such column, or the value does not go with its type.
        """
        if self.column not in table.column_names:
            raise InvalidQueryError(
                f"the index has no column {self.column!r}; it has {', '.join(table.column_names)}"
            )
        column = table.column(self.column)
        if self.value is None:
            holds = pc.is_null(column) if self.operator == "=" else pc.is_valid(column)
        elif self.operator == "in":
            values = pa.array([self._as(column.type, value) for value in self.value], column.type)
            holds = pc.is_in(column, value_set=values)
        else:
            holds = self._compared(column)
        mask: NDArray[np.bool_] = pc.fill_null(holds, False).to_numpy()
        return mask

    def _compared(self, column: Any) -> Any:
        value = self._as(column.type, self.value)
        try:
            return _COMPARISONS[self.operator](column, pa.scalar(value, column.type))
        except pa.ArrowNotImplementedError:
            raise InvalidQueryError(
                f"{self.column!r} is of type {column.type}, which {self.operator!r} cannot compare"
            ) from None

    def _as(self, wanted: Any, value: Any) -> Any:
        """Bring a value to a column's type."""
        try:
            if isinstance(value, str) and not pa.types.is_string(wanted):
                return pa.scalar(value).cast(wanted).as_py()
            return pa.scalar(value, wanted).as_py()
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise InvalidQueryError(
                f"{value!r} is no value for {self.column!r}, which is of type {wanted}"
            ) from None


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
    if isinstance(where, (str, Condition)):
        where = [where]
    try:
        parts = list(where)
    except TypeError:
        parts = [where]
    conditions = [Condition.parse(part) if isinstance(part, str) else part for part in parts]
    for condition in conditions:
        if not isinstance(condition, Condition):
            raise InvalidQueryError(f"{condition!r} is no condition; give text or a Condition")
    return conditions
