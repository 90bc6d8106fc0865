"""Side by side: independent pieces of work on threads of their own.

torch divides one matrix product among its threads, which wait for each other after each. The
products of a small network take some hundred microseconds, so that much of that time is waiting;
and the threads wait by spinning, which takes the cores from whoever else needs them, such as the
processes that read a catalogue. Embedding falls into pieces that need nothing from each other,
though: the networks of an ensemble, and blocks of tracks. So each piece runs on one thread from
beginning to end, and as many pieces run at once as torch has threads where they are asked for
(``OMP_NUM_THREADS``, ``torch.set_num_threads``). The sums of a piece are those of one thread,
whatever that number is.

What torch sets it sets for the calling thread and for threads that begin later ("CPU threading and
TorchScript inference", PyTorch documentation). The threads here have one each, and leave what
later ones begin with as it was.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece of work.

    Parameters
    ----------
    run : callable
        Gives a tensor; needs nothing from other pieces.
    is_large : bool, default False
        It takes much memory, and its products are large enough to be divided: it runs when no
        other large one does, with all of torch's threads.
    """

    run: Callable[[], Tensor]
    is_large: bool = False


def side_by_side(pieces: Sequence[Piece]) -> list[Tensor]:
    """Run pieces at once, without gradients.

    Parameters
    ----------
    pieces : sequence of Piece

    Returns
    -------
    list of Tensor
        What each gave, in order.

    Raises
    ------
    Exception
        What the first piece that failed has raised.
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1 or all(piece.is_large for piece in pieces):
        return [_run(piece) for piece in pieces]
    pool = _threads(n_threads)
    begun = [None if piece.is_large else pool.submit(_run, piece) for piece in pieces]
    # Large ones run here, where torch has all of its threads.
    return [
        _run(piece) if future is None else future.result()
        for piece, future in zip(pieces, begun, strict=True)
    ]


def _run(piece: Piece) -> Tensor:
    # Neither of these is taken over from the thread that asks.
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        return piece.run()


@cache
def _threads(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, "coverdex-piece", initializer=_compute_alone)


def _compute_alone() -> None:
    """Give the calling thread one of torch's threads, and later threads as many as before."""
    as_before = torch.get_num_threads()
    torch.set_num_threads(1)
    restoring = threading.Thread(target=torch.set_num_threads, args=(as_before,))
    restoring.start()
    restoring.join()


if hasattr(os, "register_at_fork"):  # not on Windows
    # A forked process has none of the threads.
    os.register_at_fork(after_in_child=_threads.cache_clear)
