"""Conditions on metadata as text: a column, an operator, a value.

::

    year>=1960        artist=The Corries        key in C,Am        year=null
    'my key' = C      title="'Round Midnight"   artist in 'Crosby, Stills & Nash',Bread

Spaces around the parts do not count. A column is named as it is where it has letters, digits and
``_ . -`` alone, and in quotes otherwise. A value goes to the end of the text, in a list to the next
comma. In quotes, single or double, it may hold anything; the quote itself is then written twice
(``'Don''t'``). A value that begins with a quote must be quoted as a whole. ``null`` without quotes
stands for "not known", in quotes for the text.
"""

from __future__ import annotations

import re

from .errors import InvalidQueryError

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in")

_QUOTED = r"""(?P<quoted>"(?:[^"]|"")*"|'(?:[^']|'')*')"""
_BEFORE_VALUE = re.compile(
    rf"""\s*(?:(?P<bare>[\w.-]+)|{_QUOTED})\s*(?P<operator><=|>=|!=|<|>|=|(?<=[\s"'])in\b)"""
)
_ONE = re.compile(rf"\s*(?:{_QUOTED}|(?P<bare>(?![\"']).*?))\s*$", re.DOTALL)
_NEXT_OF_LIST = re.compile(rf"\s*(?:{_QUOTED}|(?P<bare>(?![\"'])[^,]*?))\s*(?:,|$)")


def read_condition(text: str) -> tuple[str, str, str | list[str | None] | None]:
    """Read the parts of a condition.

    Returns
    -------
    column : str
    operator : str
        One of :data:`OPERATORS`.
    value : str, None or list
        None for ``null``; a list for ``in``.

    Raises
    ------
    InvalidQueryError
        When the text is not a condition.
    """
    found = _BEFORE_VALUE.match(text)
    if found is None:
        raise InvalidQueryError(
            f"{text!r} is not a condition; write COLUMN OPERATOR VALUE with one of "
            f"{' '.join(OPERATORS)}, such as 'year>=1960' or 'key in C,Am'; a column whose name "
            "has other signs than letters, digits, _ . and - goes into quotes"
        )
    column, operator, said = _plain(found), found["operator"], text[found.end() :]
    _check_operator(text, operator, said)
    if operator == "in":
        return column, operator, _list(text, said)
    one = _ONE.match(said)
    if one is None:
        raise _badly_quoted(text)
    return column, operator, _value(one)


def _check_operator(text: str, operator: str, said: str) -> None:
    """Refuse what other languages write, which would be taken for a part of the value."""
    if operator != "in" and said.startswith("="):
        raise InvalidQueryError(
            f"{text!r} has {operator + '='!r}; equality is a single =, and a value that begins "
            "with = goes into quotes"
        )
    if operator == "<" and said.startswith(">"):
        raise InvalidQueryError(f"{text!r} has '<>'; write != for what is not equal")
    if operator == "in" and re.fullmatch(r"\s*\(.*\)\s*", said, re.DOTALL):
        raise InvalidQueryError(
            f"{text!r} has its list in parentheses; leave them out, as in 'key in C,Am', and put "
            "values that have some into quotes"
        )


def _list(text: str, said: str) -> list[str | None]:
    values = []
    at = 0
    while True:
        found = _NEXT_OF_LIST.match(said, at)
        if found is None:
            raise _badly_quoted(text)
        values.append(_value(found))
        at = found.end()
        if not found[0].endswith(","):
            return values


def _plain(found: re.Match[str]) -> str:
    """Return what a match says, without quotes."""
    quoted = found["quoted"]
    if quoted is None:
        bare: str = found["bare"]
        return bare
    mark = quoted[0]
    return str(quoted[1:-1].replace(mark * 2, mark))


def _value(found: re.Match[str]) -> str | None:
    return None if found["bare"] == "null" else _plain(found)


def _badly_quoted(text: str) -> InvalidQueryError:
    return InvalidQueryError(
        f"{text!r} has a value that begins with a quote and does not end with it; put the whole "
        'value into quotes of the other kind, such as title="\'Round Midnight"'
    )
