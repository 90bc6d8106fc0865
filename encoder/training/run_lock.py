"""One training at a time in a run's folder.

Two trainings of one folder would write over each other's state, and over the chroma that the other
one reads. So whoever trains holds ``run.lock`` there, an advisory lock of the operating system
(``flock``), which vanishes with the process that holds it, however it dies. A process may hold it
for several trainers, such as one that was interrupted in a notebook and the next.

Where a system or a file system has no such locks, training goes on without.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import TrainingError

fcntl: Any
try:
    fcntl = import_module("fcntl")
except ImportError:  # Windows
    fcntl = None

LOCK_NAME = "run.lock"


@dataclass
class _Held:
    """A lock file that this process has open (below 0: no more), and how many trainers need it."""

    descriptor: int
    trainers: int = 0


_held: dict[Path, _Held] = {}


class RunLock:
    """The right to train in a folder, from :meth:`take` to :meth:`release`.

    Parameters
    ----------
    folder : pathlib.Path
        The run's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made_folder = False
        self._finalizer: weakref.finalize[[Path, _Held], RunLock] | None = None

    def take(self) -> None:
        """Make the folder where there is none, and keep others from training in it.

        Raises
        ------
        TrainingError
            Another process trains there, or the place is a file.
        OSError
            The folder can't be made or written to.
        """
        if self._finalizer is not None and self._finalizer.alive:
            return
        try:
            self._made_folder = not self._folder.exists()
            self._folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise TrainingError(
                f"{self._folder} cannot be the folder of a run, because there is a file of that "
                "name or above it; give another --out"
            ) from error
        path = self._folder.resolve() / LOCK_NAME
        held = _held.get(path)
        if held is None or not _is_in_place(held.descriptor, path):
            held = _held[path] = _Held(_locked(path))
        held.trainers += 1
        self._finalizer = weakref.finalize(self, _let_go, path, held)

    def release(self) -> None:
        """Let others train there; to do it twice does nothing."""
        if self._finalizer is not None:
            self._finalizer()

    def __enter__(self) -> RunLock:
        """Take it, if it is not held."""
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        """Release it."""
        self.release()

    def abandon(self) -> None:
        """Release it, and remove a folder that was made for it and holds nothing else."""
        with suppress(OSError):  # what was refused is of more interest
            if self._made_folder and [p.name for p in self._folder.iterdir()] == [LOCK_NAME]:
                (self._folder / LOCK_NAME).unlink()
                self._folder.rmdir()
        self.release()


def _let_go(path: Path, held: _Held) -> None:
    held.trainers -= 1
    if held.trainers == 0 and held.descriptor >= 0:
        os.close(held.descriptor)
        if _held.get(path) is held:
            del _held[path]


def _locked(path: Path) -> int:
    """Open the lock file and lock it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise TrainingError(
                f"another process (process id {holder}) trains in {path.parent}; wait for it to "
                "end, or give another folder"
            ) from None
        except OSError:  # a file system without locks
            pass
        # The folder may have been removed between opening its lock and taking it.
        if _is_in_place(descriptor, path):
            break
        os.close(descriptor)
    with suppress(OSError):  # a full disk is found out by what is worth more
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _is_in_place(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _forget() -> None:
    """Close the locks in a process that was forked: they are its parent's, and end with it."""
    for held in _held.values():
        os.close(held.descriptor)
        held.descriptor = -1
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
