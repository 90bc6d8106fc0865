"""How fast an encoder embeds a catalogue of feature files, and where the time goes.

Three ways embed the same files, each in a process of its own, on one thread and on two:

* *embed_many*: reading and preprocessing as a generator, :meth:`Encoder.embed_many` over it;
* *embed*: the plain loop, a file at a time, with :meth:`Encoder.embed`;
* *network*: the same loop with the network's own forward pass, as it is trained: what embedding one
  track after the other costs without anything that was done for speed. The ratios are to this one.

The time is divided into *reading* (HDF5 and the checks of :func:`coverdex.encoder.read_chroma`),
*preprocessing* and *network* (all the rest of the loop). Every way runs several rounds and the
quickest counts; after the first the files are in the system's page cache, so the disk is not
measured. *Times real time* is seconds of music per second of work. Peak memory is that of the
process, and beside it what was taken before the first file: Python, torch and the encoder.

Threads are torch's. Reading takes one, so what two threads gain is in the network alone; builds
read in other processes instead (:mod:`coverdex.indexer.preparation`).
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .peak_memory import own_peak

if TYPE_CHECKING:
    from ..encoder import Encoder, PreparedChroma
    from ..indexer import Catalogue


#: Of the made-up catalogue that stands in where none is given: four minutes each.
MADE_UP_PERFORMANCES = 60
MADE_UP_FRAMES = 20_672


@dataclass(frozen=True)
class EncoderSpeed:
    """One way on one number of threads.

    Parameters
    ----------
    way : str
        A key of :data:`WAYS`.
    threads : int
    n_performances : int
        Embedded; files that cannot be read are passed over, for every way alike.
    seconds_of_music : float
    seconds, cpu_seconds : float
        Of the quickest round.
    reading, preprocessing, network : float
        Seconds of that round.
    peak_memory, memory_before : int
        Bytes.
    largest_difference : float
        Of any number of any embedding from that of *network*.
    """

    way: str
    threads: int
    n_performances: int
    seconds_of_music: float
    seconds: float
    cpu_seconds: float
    reading: float
    preprocessing: float
    network: float
    peak_memory: int
    memory_before: int
    largest_difference: float

    @property
    def per_second(self) -> float:
        """Performances per second."""
        return self.n_performances / self.seconds

    @property
    def times_real_time(self) -> float:
        """Seconds of music per second."""
        return self.seconds_of_music / self.seconds

    def summary(self) -> dict[str, Any]:
        """Give all figures for JSON."""
        rates = {"per_second": self.per_second, "times_real_time": self.times_real_time}
        return {**asdict(self), **rates}


class Clock:
    """Adds up the seconds of each step of a loop."""

    def __init__(self) -> None:
        self.reading = self.preprocessing = 0.0
        self.seconds_of_music = 0.0

    def prepared(self, catalogue: Catalogue, encoder: Encoder) -> Iterator[PreparedChroma]:
        """Read and preprocess a catalogue, one performance after the other."""
        from ..encoder import InvalidChromaError

        # Parts read what they are asked for and remember nothing: rounds don't add up rejections.
        readings = (outcome for part in catalogue.parts() for outcome in part.read())
        while True:
            start = time.perf_counter()
            outcome = next(readings, None)
            read = time.perf_counter()
            self.reading += read - start
            if outcome is None:
                return
            chroma = getattr(outcome, "chroma", None)
            if chroma is None:
                continue
            try:
                track = encoder.prepare(chroma)
            except InvalidChromaError:
                continue
            self.preprocessing += time.perf_counter() - read
            self.seconds_of_music += chroma.duration
            yield track


def _many(encoder: Encoder, tracks: Iterator[PreparedChroma]) -> list[NDArray[np.float32]]:
    return list(encoder.embed_many(tracks))


def _one_by_one(encoder: Encoder, tracks: Iterator[PreparedChroma]) -> list[NDArray[np.float32]]:
    return [encoder.embed(track) for track in tracks]


def _plain(encoder: Encoder, tracks: Iterator[PreparedChroma]) -> list[NDArray[np.float32]]:
    import torch

    network, vectors = encoder.network, []
    with torch.no_grad():
        for track in tracks:
            x = torch.from_numpy(track.values)[None]
            vectors.append(network(x, torch.tensor([x.shape[1]]))[0].numpy())
    return vectors


#: Each embeds a stream of preprocessed tracks, in order; the others are set against the last.
WAYS: dict[str, Callable[[Any, Iterator[Any]], list[NDArray[np.float32]]]] = {
    "embed_many": _many,
    "embed": _one_by_one,
    "network": _plain,
}
PLAIN = "network"


def measure_encoder(
    catalogue: str | Path,
    *,
    encoder: str | None = None,
    threads: Sequence[int] = (1, 2),
    rounds: int = 5,
    progress: Callable[[str], None] | None = None,
) -> list[EncoderSpeed]:
    """Measure every way on every number of threads.

    Parameters
    ----------
    catalogue : path-like or "demo"
        As :func:`coverdex.indexer.open_catalogue` takes it.
    encoder : str, optional
        A shipped name or a checkpoint folder; by default the shipped one.
    threads : sequence of int
    rounds : int
        The quickest counts.
    progress : callable, optional
        Told in words what is being measured.

    Returns
    -------
    list of EncoderSpeed
        By threads, then in the order of :data:`WAYS`.

    Raises
    ------
    NotFoundError, CheckpointError, CoverdexError
        No such catalogue or encoder, or one that cannot be read.
    RuntimeError
        If a measuring process ended without an answer.
    """
    from ..encoder import load_checkpoint
    from ..indexer import open_catalogue

    # Here first: what is wrong with them is said better here than by a process that dies of it.
    open_catalogue(catalogue, kind=load_checkpoint(encoder).kind)
    speeds = []
    for n in threads:
        answers = {}
        for way in WAYS:
            if progress is not None:
                progress(f"{way}, {n} {'thread' if n == 1 else 'threads'}")
            answers[way] = _in_own_process(str(catalogue), encoder, way, n, rounds)
        plain = answers[PLAIN]["vectors"]
        for way, answer in answers.items():
            difference = float(np.abs(answer.pop("vectors") - plain).max(initial=0.0))
            speeds.append(EncoderSpeed(way=way, threads=n, largest_difference=difference, **answer))
    return speeds


def write_made_up_catalogue(root: Path) -> Path:
    """Write the catalogue that stands in where none is given; see :data:`MADE_UP_PERFORMANCES`."""
    from ..indexer.synthetic_catalogue import write_synthetic_catalogue

    return write_synthetic_catalogue(root, MADE_UP_PERFORMANCES, n_frames=MADE_UP_FRAMES)


def _in_own_process(
    catalogue: str, encoder: str | None, way: str, threads: int, rounds: int
) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    # Libraries read the number of threads when they are loaded, which spawning does anew.
    before = dict(os.environ)
    os.environ.update({"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)})
    process = context.Process(
        target=_measure, args=(sender, catalogue, encoder, way, threads, rounds)
    )
    process.start()
    os.environ.clear()
    os.environ.update(before)
    sender.close()
    try:
        answer: dict[str, Any] = receiver.recv()
    except EOFError:
        raise RuntimeError(f"measuring {way} failed; see the messages above") from None
    finally:
        process.join()
    return answer


def _measure(
    sender: Any, catalogue: str, encoder_name: str | None, way: str, threads: int, rounds: int
) -> None:
    import torch

    from ..encoder import Encoder
    from ..indexer import open_catalogue

    torch.set_num_threads(threads)
    encoder = Encoder.load(encoder_name)
    opened = open_catalogue(catalogue, kind=encoder.kind)
    memory_before = own_peak()
    best: dict[str, Any] = {"seconds": float("inf")}
    for _ in range(rounds):
        clock = Clock()
        start, busy = time.perf_counter(), time.process_time()
        vectors = WAYS[way](encoder, clock.prepared(opened, encoder))
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - busy
        if seconds < best["seconds"]:
            best = {
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "reading": clock.reading,
                "preprocessing": clock.preprocessing,
                "network": seconds - clock.reading - clock.preprocessing,
            }
    sender.send(
        {
            **best,
            "n_performances": len(vectors),
            "seconds_of_music": clock.seconds_of_music,
            "peak_memory": own_peak(),
            "memory_before": memory_before,
            "vectors": np.array(vectors),
        }
    )
