"""A process for each contender, which builds, answers and is timed there.

Programs that bring thread pools of their own get in each other's way within one process, and one of
them that ends it must not take the others along. So each runs in a process of its own, bound to one
core where the system can do that, and is told over a pipe what to do; the times are taken in it,
around the search alone. Only one of them works at a time.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contender import Built, Contender, Ladder

#: One thread, for every library that asks the environment.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, eq=False)
class Answer:
    """What came back for a batch of queries.

    Parameters
    ----------
    rows : ndarray, shape (n_queries, limit), int64
    seconds : float
        By the clock.
    cpu_seconds : float
        Of all threads, and of a server where there is one.
    """

    rows: NDArray[np.int64]
    seconds: float
    cpu_seconds: float


class ContenderFailedError(RuntimeError):
    """A contender's process ended or raised something; the message is its own."""


class ContenderProcess:
    """A process that works with one contender; use it in a ``with`` block.

    Parameters
    ----------
    kind : type
        The class of the contender, which the process makes anew.
    folder : Path
        Keeps what it builds.
    """

    def __init__(self, kind: type[Contender], folder: Path) -> None:
        self._kind = kind
        self._folder = folder

    def __enter__(self) -> ContenderProcess:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(
            target=_work, args=(there, self._kind, self._folder), daemon=True
        )
        before = dict(os.environ)
        # Libraries read these when they are loaded, which spawning does anew.
        os.environ.update({**_ONE_THREAD, **self._kind().environment()})
        try:
            self._process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        there.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._here.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def build(self, vectors: Path) -> Built:
        """Build of a ``.npy`` file, or take what an earlier run has built completely."""
        built: Built = self._ask("build", vectors)
        return built

    def open(self, n: int) -> tuple[str, Sequence[Ladder]]:
        """Make ready to answer; return its settings in words, and its ladders."""
        opened: tuple[str, Sequence[Ladder]] = self._ask("open", n)
        return opened

    def search(
        self, queries: NDArray[np.float32], limit: int, setting: Mapping[str, Any]
    ) -> Answer:
        """Answer queries and be timed."""
        answer: Answer = self._ask("search", queries, limit, setting)
        return answer

    def search_one_by_one(
        self, queries: NDArray[np.float32], limit: int, setting: Mapping[str, Any]
    ) -> Sequence[float]:
        """Answer queries one per call; return the seconds of each."""
        times: Sequence[float] = self._ask("search_one_by_one", queries, limit, setting)
        return times

    def _ask(self, what: str, *arguments: object) -> Any:
        try:
            self._here.send((what, arguments))
            failed, result = self._here.recv()
        except (EOFError, ConnectionError):
            raise ContenderFailedError("its process ended; the system's log says why") from None
        if failed:
            raise ContenderFailedError(result)
        return result


def _work(there: Connection, kind: type[Contender], folder: Path) -> None:
    """Do what comes over the pipe until it is closed."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    contender = kind()
    while True:
        try:
            what, arguments = there.recv()
        except EOFError:
            return
        try:
            there.send((False, _DUTIES[what](contender, folder, *arguments)))
        except Exception:
            there.send((True, traceback.format_exc(limit=3)))


def _build(contender: Contender, folder: Path, path: Path) -> Built:
    built = Built.read(folder)
    if built is None:
        folder.mkdir(parents=True, exist_ok=True)
        vectors = np.load(path, mmap_mode="r")
        before = _cpu_seconds(contender)
        contender.build(vectors, folder)
        built = Built(_cpu_seconds(contender) - before, contender.n_bytes(folder))
        built.write(folder)
    return built


def _open(contender: Contender, folder: Path, n: int) -> tuple[str, Sequence[Ladder]]:
    contender.open(folder, n)
    return contender.settings, contender.ladders(n)


def _search(
    contender: Contender,
    folder: Path,
    queries: NDArray[np.float32],
    limit: int,
    setting: Mapping[str, Any],
) -> Answer:
    del folder
    cpu, start = _cpu_seconds(contender), time.perf_counter()
    rows = contender.search(queries, limit, setting)
    seconds = time.perf_counter() - start
    return Answer(rows, seconds, _cpu_seconds(contender) - cpu)


def _search_one_by_one(
    contender: Contender,
    folder: Path,
    queries: NDArray[np.float32],
    limit: int,
    setting: Mapping[str, Any],
) -> list[float]:
    del folder
    times = []
    for i in range(len(queries)):
        start = time.perf_counter()
        contender.search(queries[i : i + 1], limit, setting)
        times.append(time.perf_counter() - start)
    return times


def _cpu_seconds(contender: Contender) -> float:
    children = os.times()
    own = time.process_time() + children.children_user + children.children_system
    return own + contender.other_cpu_seconds()


_DUTIES: dict[str, Callable[..., Any]] = {
    "build": _build,
    "open": _open,
    "search": _search,
    "search_one_by_one": _search_one_by_one,
}
