"""Locks: one process changes an index, any number read it.

Both are advisory locks of the operating system (``flock``) and vanish with the process that holds
them, however it dies. On network file systems they work as far as those do; where there are none,
an index can be read and not changed.

* Whoever changes the index holds ``writer.lock`` exclusively.
* Whoever has a generation open holds a shared lock on its ``vectors.faiss``, so that a compaction
  can tell which old generations are still read. It works in folders that may only be read.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from .errors import IndexLockedError

fcntl: Any
try:
    fcntl = import_module("fcntl")
except ImportError:  # Windows: reading works, changing does not
    fcntl = None

LOCK_NAME = "writer.lock"
#: What a file system says that has no locks: some that are mounted over a network, or made of
#: something that is no disk.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


class WriterLock:
    """The right to change an index; held from construction to :meth:`release`.

    Parameters
    ----------
    folder : Path
        The index.

    Raises
    ------
    IndexLockedError
        When another process, or another editor of this process, holds it, or the file system has
        no locks.
    """

    def __init__(self, folder: Path) -> None:
        if fcntl is None:
            raise IndexLockedError("changing an index needs the file locks of Linux or macOS")
        self._path = path = folder / LOCK_NAME
        while True:
            self._take(path)
            # The index may have been replaced between opening its lock and taking it.
            if self._is_in_place():
                break
            os.close(self._file)
        self.is_held = True
        os.ftruncate(self._file, 0)
        with suppress(OSError):  # a full disk must not keep anybody from removing something
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def _take(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NO_LOCKS:
                os.close(self._file)
                raise IndexLockedError(
                    f"the file system of {path.parent} has no locks ({error.strerror}), without "
                    "which two processes could change the index at once: change it on a local "
                    "disk, and copy it here"
                ) from None
            holder = os.pread(self._file, 64, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise IndexLockedError(
                f"{path.parent} is being changed by another process (process id {holder}); one "
                "at a time may: wait for it to end, or send the change to it"
            ) from None

    def check(self) -> None:
        """Refuse to go on where the lock is not that of the folder of this name.

        Raises
        ------
        IndexLockedError
            When the lock was released, or the index was moved away, replaced or removed.
        """
        if not self.is_held:
            raise IndexLockedError("this editor is closed; open another one")
        if not self._is_in_place():
            raise IndexLockedError(
                f"{self._path.parent} is not the index that this editor opened: that was moved "
                "away, replaced or removed meanwhile, and what was changed until then went with "
                "it; open another editor"
            )

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Let others change the index; to do it twice does nothing."""
        if self.is_held:
            self.is_held = False
            with suppress(OSError):  # or whoever locks it in another way would go by this name
                os.ftruncate(self._file, 0)
            os.close(self._file)


def mark_as_read(file: BinaryIO) -> None:
    """Take a shared lock on an open file, if there are locks; it ends when the file is closed."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_SH)  # nobody holds it exclusively for long
    except OSError as error:
        if error.errno not in NO_LOCKS:  # where there are none, nobody can compact either
            raise


def is_read(path: Path) -> bool:
    """Say whether any process has marked the file ``path`` as read."""
    if fcntl is None:
        return True
    with _opened_for_locking(path) as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _opened_for_locking(path: Path) -> BinaryIO:
    """Open a file for writing, though nothing is written: NFS gives no exclusive lock otherwise."""
    try:
        return path.open("r+b")
    except PermissionError:  # of somebody else's; elsewhere it can be locked all the same
        return path.open("rb")
