"""The option ``--where``: conditions on the command line, read before anything is opened.

Whether the index has such a column, and what its type takes, shows only when it is open
(:mod:`.filters`); a text that is no condition is wrong usage already.
"""

from __future__ import annotations

import typer


def check_conditions(where: list[str] | None) -> list[str] | None:
    """Give back conditions that can be read.

    Raises
    ------
    typer.BadParameter
        When one of them is no condition.
    """
    from .errors import InvalidQueryError
    from .filters import as_conditions

    try:
        as_conditions(where or [])
    except InvalidQueryError as error:
        raise typer.BadParameter(str(error)) from None
    return where
