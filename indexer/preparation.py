"""Preparing chroma in other processes: reading and preprocessing beside the encoder.

Decoding HDF5 and resampling take longer than the network (``docs/encoder-speed.md``). Reading
processes do that part, so the encoder never waits for a disk: each takes one part of a catalogue
(:class:`~coverdex.indexer.catalogue.CataloguePart`), reads it, applies the encoder's
:class:`~coverdex.encoder.Preprocessing` and sends back arrays of some 150 kB per track instead of
the megabyte that they came from.

The processes are *spawned*, never forked: forking a process whose OpenMP threads have run (torch's
have) leaves the child with locks that nobody holds, and it hangs. Results come in the order of the
parts, whatever the number of processes, and no more than :data:`TRACKS_AHEAD` tracks (or one part
per process, where parts are larger) are under way or waiting, so memory does not grow with the
catalogue.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..encoder.chroma import N_PITCH_CLASSES
from ..encoder.errors import CoverdexError, InvalidChromaError
from ..encoder.preprocessing import Preprocessing
from .catalogue import Catalogue, CataloguePart, Reading
from .performance import PerformanceRecord
from .rejection import Rejection

if TYPE_CHECKING:  # reading processes need no torch
    from ..encoder.encoder import Encoder

#: Tracks under way or waiting for the encoder: as many as it takes at once, so that the next group
#: is ready when it has done the last. About 40 MB for tracks of five minutes at 11 Hz.
TRACKS_AHEAD = 256
#: How much readers give way to the encoder where cores are few (``nice``). Side by side with equals
#: it had two thirds of a core, readers were done early, and it was left with the rest on one core:
#: on two cores a build of long files took a sixth longer.
GIVE_WAY = 10


@dataclass(frozen=True, eq=False)
class PreparedPerformance:
    """A performance ready for the network.

    Parameters
    ----------
    record : PerformanceRecord
    values : ndarray, shape (n_frames, 12), float32
        Preprocessed chroma, at the encoder's frame rate.
    duration : float
        Of the original, in seconds.
    frame_rate : float
        Of the original, in Hz.
    """

    record: PerformanceRecord
    values: NDArray[np.float32]
    duration: float
    frame_rate: float

    def without_values(self) -> PreparedPerformance:
        """Return what remains to be known once the network has the values."""
        return replace(self, values=np.empty((0, N_PITCH_CLASSES), np.float32))


Prepared = PreparedPerformance | Rejection


def prepare_part(part: CataloguePart, preprocessing: Preprocessing) -> list[Prepared]:
    """Read one part and preprocess it; what cannot be prepared comes back as a rejection."""
    return [_prepare(outcome, preprocessing) for outcome in part.read()]


def prepared_parts(
    parts: Iterable[CataloguePart], preprocessing: Preprocessing, *, workers: int = 0
) -> Generator[list[Prepared], None, None]:
    """Read and preprocess parts, one list per part, in their order.

    Parameters
    ----------
    parts : iterable of CataloguePart
        Taken only a few ahead of what is being yielded.
    preprocessing : Preprocessing
        Of the encoder that will take the results.
    workers : int, default 0
        Reading processes; 0 reads in this process. A script that calls this with processes must
        guard its main code with ``if __name__ == "__main__":``, as for any spawned process.

    Raises
    ------
    CoverdexError
        If a reading process is killed; memory is the usual reason.
    """
    if workers < 1:
        for part in parts:
            yield prepare_part(part, preprocessing)
        return
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_reading_process
    )
    under_way: deque[tuple[CataloguePart, Future[list[Prepared]]]] = deque()
    n_ahead = 0
    try:
        for part in parts:
            under_way.append((part, pool.submit(prepare_part, part, preprocessing)))
            n_ahead += len(part)
            while n_ahead > TRACKS_AHEAD and len(under_way) > workers:
                # Taken away once it is known, so that a failure finds it among the others.
                result = under_way[0][1].result()
                n_ahead -= len(under_way.popleft()[0])
                yield result
        while under_way:
            result = under_way[0][1].result()
            under_way.popleft()
            yield result
    except BrokenProcessPool as error:
        read = _being_read(under_way, workers)
        raise CoverdexError(
            f"a reading process ended unexpectedly while it read {read}: out of memory, or a "
            "damaged file that HDF5 or essentia itself cannot stand; start the build again, it "
            "goes on where it stopped, with fewer --workers, or without that file"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def default_workers(catalogue: Catalogue) -> int:
    """Return how many reading processes suit a catalogue on this machine; 0 for a small one.

    One per core: reading takes longer than encoding, and what waits for the encoder costs nothing.
    """
    if len(catalogue) < catalogue.small_below:
        return 0
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    n_cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(catalogue.most_readers, n_cores))


@contextmanager
def beside_readers(workers: int, encoder: Encoder) -> Iterator[None]:
    """Leave cores to the reading processes while the encoder works.

    The threads among which torch divides a product wait for each other, and for the next batch, by
    spinning; where readers need the same cores that slows both down. With readers such a network
    has the threads that they leave, at least one. One that runs in pieces keeps its threads, to
    which readers give way.

    Parameters
    ----------
    workers : int
        Reading processes; 0 changes nothing.
    encoder : Encoder
    """
    import torch

    threads = torch.get_num_threads()
    spins = workers and not encoder.runs_in_pieces
    torch.set_num_threads(max(1, threads - workers) if spins else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _being_read(
    under_way: Iterable[tuple[CataloguePart, Future[list[Prepared]]]], workers: int
) -> str:
    """Name the parts that were being read when a process ended: the first without a result."""
    unread = (part for part, future in under_way if not future.done() or future.exception())
    return " or ".join(str(part) for part in islice(unread, workers)) or "the first file"


def _prepare(outcome: Reading | Rejection, preprocessing: Preprocessing) -> Prepared:
    if isinstance(outcome, Rejection):
        return outcome
    record, chroma = outcome.record, outcome.chroma
    try:
        values = preprocessing.apply(chroma)
    except InvalidChromaError as error:
        message = f"{outcome.path}: {error}"
        return Rejection(str(outcome.path), record.performance_id, error.reason, message)
    return PreparedPerformance(record, values, chroma.duration, chroma.frame_rate)


def _start_reading_process() -> None:
    """Leave Ctrl-C to the main process, give way to it, and end with it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):  # not on every system
        os.nice(GIVE_WAY)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
