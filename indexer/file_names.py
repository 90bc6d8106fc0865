"""File names as text: whether a path can stand in a report or a manifest, and how it is shown.

On Linux the name of a file is bytes, mostly but not always UTF-8. Python carries the other bytes
through as lone surrogates (PEP 383), so such a file can be opened, but its path fits neither into
Parquet nor into JSON nor onto a terminal. Where a path will be written down it is checked first.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..encoder.errors import CoverdexError


def is_text(path: str | Path) -> bool:
    """Tell whether a path is UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(path: str | Path) -> str:
    r"""Return a path as text that can be written anywhere: odd bytes as ``\xe9``."""
    return os.fsencode(path).decode(errors="backslashreplace")


def check_is_text(path: str | Path) -> None:
    """Refuse a path that cannot be written down.

    Raises
    ------
    CoverdexError
        If it is not UTF-8.
    """
    if not is_text(path):
        raise CoverdexError(f"the name {shown(path)} is not UTF-8; rename it")
