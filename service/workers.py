"""Workers: the bounded threads in which queries are answered.

Embedding a track and scanning an index take the processor for milliseconds to seconds. Done in the
event loop they would hold up every other connection, health checks included; so they run in a pool
of threads, as many as there are processors, while the loop goes on accepting. Both torch and faiss
let go of Python's lock while they compute.

The pool is bounded twice: so many threads, and so many requests waiting for one. A request beyond
that is answered at once with 503 and ``Retry-After``; a queue without an end would only turn
overload into time-outs.

torch and faiss each have threads of their own below ours. With several requests at a time those
would fight over the same processors, so each worker computes with ``compute_threads`` (1 by
default). OpenMP keeps that number per calling thread, which is why every worker sets it for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

from .problems import OVERLOADED, ProblemError

Answer = TypeVar("Answer")

#: Seconds after which an overloaded service may be asked again.
RETRY_AFTER = 1


class WorkerPool:
    """Threads for work that takes the processor, with a bounded queue.

    Parameters
    ----------
    workers : int
        Number of threads.
    backlog : int
        Number of requests that may wait for a thread.
    compute_threads : int
        Threads that torch and faiss use within one worker.
    """

    def __init__(self, *, workers: int, backlog: int, compute_threads: int) -> None:
        self._workers = workers
        self._backlog = backlog
        self._taken = 0
        self._admitted = 0
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(
            max_workers=workers,
            thread_name_prefix="coverdex-worker",
            initializer=set_compute_threads,
            initargs=(compute_threads,),
        )

    @property
    def taken(self) -> int:
        """How many requests are being worked on or waiting."""
        with self._lock:
            return self._taken

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Do ``work`` in a thread and return what it returns.

        Raises
        ------
        ProblemError
            ``overloaded``: all threads are busy and the queue is full.
        """
        with self._lock:
            self._refuse_beyond(self._taken)
            self._taken += 1
        future = self._threads.submit(work)
        # When the work is done and not when the request is: a client that went away still costs.
        future.add_done_callback(self._give_back)
        return await asyncio.wrap_future(future)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count a request whose body is to be parsed before it comes to a thread.

        Bodies are parsed one at a time: without this they would wait for that in a queue without
        an end. As many are let in as the threads and the queue for them take.

        Raises
        ------
        ProblemError
            ``overloaded``: so many are being parsed, worked on or waiting already.
        """
        with self._lock:
            self._refuse_beyond(self._admitted)
            self._admitted += 1
        try:
            yield
        finally:
            with self._lock:
                self._admitted -= 1

    def close(self) -> None:
        """Let running work end and drop what waits."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _refuse_beyond(self, requests: int) -> None:
        if requests >= self._workers + self._backlog:
            raise ProblemError(
                OVERLOADED,
                f"{self._workers} requests are being worked on and {self._backlog} are waiting; "
                f"try again in {RETRY_AFTER} s",
                headers={"Retry-After": str(RETRY_AFTER)},
            )

    def _give_back(self, _: Future[Any]) -> None:
        with self._lock:
            self._taken -= 1


def set_compute_threads(compute_threads: int) -> None:
    """Let torch and faiss use ``compute_threads`` threads when called from this thread."""
    import faiss
    import torch

    torch.set_num_threads(compute_threads)
    faiss.omp_set_num_threads(compute_threads)
