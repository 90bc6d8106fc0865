"""One writer at a time: a folder of shards, held against other processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..encoder.errors import CoverdexError
from ..search.locks import NO_LOCKS


@contextmanager
def only_writer(folder: Path, share: tuple[int, int] = (1, 1)) -> Iterator[None]:
    """Hold a folder of shards against other processes; it is made if need be.

    A run that makes all shards holds the folder alone; runs that make a share each hold it
    together, each its own share. The system lets go when a process ends, however it ends.

    Raises
    ------
    CoverdexError
        If another process holds it, it is a file, its file system has no locks, or the share is not
        ``i`` of ``n``.
    """
    position, n_shares = share
    if not 1 <= position <= n_shares:
        raise CoverdexError(f"share is {position}/{n_shares}; give i/n with i from 1 to n")
    whole = "lock"
    wanted = [(whole, fcntl.LOCK_EX)]
    if n_shares > 1:
        wanted = [(whole, fcntl.LOCK_SH), (f"lock-{position}-of-{n_shares}", fcntl.LOCK_EX)]
    with ExitStack() as held:
        for name, mode in wanted:
            held.callback(os.close, _locked(folder, name, mode))
        yield


def _locked(folder: Path, name: str, mode: int) -> int:
    """Take a lock and return its descriptor.

    Who held the folder before may have removed it between opening and locking: the lock would then
    be on a file that nobody else finds, and is taken anew.
    """
    path = folder / name
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise CoverdexError(
                f"{folder} is a file; give the name of a folder for shards"
            ) from None
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        except FileNotFoundError:  # the folder is gone again
            continue
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError) and error.errno in NO_LOCKS:
                raise CoverdexError(
                    f"the file system of {folder} has no locks ({error.strerror}), without which "
                    "two processes could write there at once: write to a local disk, and copy what "
                    "comes of it"
                ) from None
            if not isinstance(error, BlockingIOError):
                raise
            raise CoverdexError(
                f"another process is writing shards to {folder}; wait for it, or end it"
            ) from None
        if _is_in_place(descriptor, path):
            return descriptor
        os.close(descriptor)


def _is_in_place(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
