"""Two folders exchanged: the new one takes the old one's name, and no moment is without either.

POSIX's ``rename`` does not replace a folder that holds something. Linux has
``renameat2(RENAME_EXCHANGE)`` and macOS ``renamex_np(RENAME_SWAP)``: both swap two names in one
step. Elsewhere two renames do it, with a moment between them in which the name does not exist.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # Linux
_RENAME_SWAP = 2  # macOS


def exchange(one: Path, other: Path) -> None:
    """Swap the names of two folders of one file system, in one step where the system can.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    if not _in_one_step(one, other):
        aside = one.with_name(f"{one.name}.old")
        other.rename(aside)
        one.rename(other)
        aside.rename(one)


def _in_one_step(one: Path, other: Path) -> bool:
    """Swap two names atomically; False where the system or the file system has no such call."""
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform not in ("linux", "darwin"):
        return False
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux":
        if not hasattr(library, "renameat2"):  # a C library of before 2018
            return False
        failed = library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE)
    else:
        failed = library.renamex_np(first, second, _RENAME_SWAP)
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))
