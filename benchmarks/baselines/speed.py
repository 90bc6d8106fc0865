"""How many pairs a second the alignment does, against essentia's, in one run.

Run as ``python -m coverdex.benchmarks.baselines.speed``; ``--help`` lists what can be set. The
pairs are made-up performances of equal length (the time depends on lengths, not on what sounds).
Both sides do the same work on the same chroma: transposition, cross recurrence plot, Qmax. Each
engine is measured in turn, several rounds, so that a busy moment of the machine hits all of them;
the best round counts. essentia is given on one thread only, as its Python binding holds the GIL.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...encoder.chroma import Chroma
from .dmax import Dmax
from .qmax import Qmax
from .simple_profile import SiMPle

#: The least that each option takes; of fewer than 10 frames essentia makes no states.
LEAST = {"frames": 10, "performances": 1, "rounds": 1, "catalogue": 0}


@dataclass(frozen=True)
class Speed:
    """Pairs per second of one engine.

    Parameters
    ----------
    engine : str
        Name, with the number of threads.
    n_pairs : int
        Pairs in a round.
    seconds : float
        Best round.
    """

    engine: str
    n_pairs: int
    seconds: float

    @property
    def pairs_per_second(self) -> float:
        """Pairs per second."""
        return self.n_pairs / self.seconds


def made_up_performances(count: int, n_frames: int, *, seed: int = 0) -> list[Chroma]:
    """Return performances of random chords, four frames each, with noise, at 2 frames a second."""
    rng = np.random.default_rng(seed)
    chords = rng.random((count, n_frames // 4 + 1, 12)) ** 4
    noise = 0.2 * rng.random((count, n_frames, 12))
    return [
        Chroma(np.repeat(chords[i], 4, axis=0)[:n_frames] + noise[i], frame_rate=2.0)
        for i in range(count)
    ]


def measure(
    *, n_frames: int = 500, n_performances: int = 24, rounds: int = 3, threads: Sequence[int] = ()
) -> list[Speed]:
    """Measure every engine that is installed on the same performances.

    Parameters
    ----------
    n_frames : int
        Frames of each performance; 500 are four minutes at two frames per second.
    n_performances : int
        All pairs of these, and each with itself, are one round of the compiled engine; numpy and
        essentia, which are slower, get those of a quarter.
    rounds : int
        Rounds of each engine; the best counts.
    threads : sequence of int
        Numbers of threads for the compiled engine; one, and all cores, if empty.

    Returns
    -------
    list of Speed
        Fastest first.
    """
    many = made_up_performances(n_performances, n_frames)
    few = many[: max(2, n_performances // 4)]
    engines: dict[str, tuple[int, Callable[[], object]]] = {}
    if find_spec("numba") is not None:
        for n in threads or sorted({1, os.cpu_count() or 1}):
            compiled = Qmax(engine="compiled", n_threads=n)
            compiled.similarity_matrix(few[:1])  # compiles, or loads what is compiled
            engines[f"compiled, {_threads(n)}"] = (
                _n_pairs(many),
                partial(compiled.similarity_matrix, many),
            )
    numpy_engine = Qmax(engine="numpy", n_threads=1)
    engines["numpy, 1 thread"] = (
        _n_pairs(few),
        partial(numpy_engine.similarity_matrix, few),
    )
    if find_spec("essentia") is not None:
        engines["essentia, 1 thread"] = (_n_pairs(few), partial(essentia_scores, few))
    best = dict.fromkeys(engines, float("inf"))
    for _ in range(rounds):
        for name, (_, run) in engines.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    speeds = [Speed(name, engines[name][0], seconds) for name, seconds in best.items()]
    return sorted(speeds, key=lambda speed: -speed.pairs_per_second)


def measure_systems(n_performances: int, n_frames: int = 500) -> list[Speed]:
    """Measure how long each aligner takes for all pairs of a catalogue, once, with all cores.

    Parameters
    ----------
    n_performances, n_frames : int
        Of the made-up catalogue.

    Returns
    -------
    list of Speed
        Of Qmax, Dmax and SiMPle; compiling is not part of the time.
    """
    chromas = made_up_performances(n_performances, n_frames)
    speeds = []
    for system in (Qmax(), Dmax(), SiMPle()):
        system.similarity_matrix(chromas[:2])
        start = time.perf_counter()
        system.similarity_matrix(chromas)
        seconds = time.perf_counter() - start
        speeds.append(Speed(system.name, _n_pairs(chromas), seconds))
    return speeds


def essentia_scores(chromas: Sequence[Chroma]) -> NDArray[np.float32]:
    """Return Qmax of all pairs by essentia, upper triangle, (n, n) float32, not normalised."""
    from essentia.standard import ChromaCrossSimilarity, CoverSongSimilarity

    system = Qmax()
    tracks = system.prepare(chromas)
    plot = ChromaCrossSimilarity(
        frameStackSize=system.dimension,
        frameStackStride=system.delay,
        binarizePercentile=system.kappa,
    )
    align = CoverSongSimilarity(
        disOnset=system.onset, disExtension=system.extension, distanceType="symmetric"
    )
    scores = np.zeros((len(tracks), len(tracks)), dtype=np.float32)
    for i in range(len(tracks)):
        for j in range(i, len(tracks)):
            scores[i, j] = align(plot(tracks[i], tracks[j]))[1]
    return scores


def _as_json(speed: Speed) -> dict[str, Any]:
    return {**asdict(speed), "pairs_per_second": speed.pairs_per_second}


def _n_pairs(chromas: Sequence[Chroma]) -> int:
    return len(chromas) * (len(chromas) + 1) // 2


def _threads(n: int) -> str:
    return "1 thread" if n == 1 else f"{n} threads"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a Markdown table or with ``--json`` one document."""
    parser = argparse.ArgumentParser(
        prog="python -m coverdex.benchmarks.baselines.speed",
        description="Pairs per second of Qmax: compiled, numpy, essentia.",
    )
    parser.add_argument("--frames", type=int, default=500, help="frames of each performance")
    parser.add_argument("--performances", type=int, default=24, help="performances, all pairs")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the best counts")
    parser.add_argument(
        "--catalogue", type=int, default=0, help="also all pairs of so many, by every aligner"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(arguments)
    for name, least in LEAST.items():
        if getattr(asked, name) < least:
            parser.error(f"--{name} is {getattr(asked, name)}; give {least} or more")
    from ..report.run import environment  # which imports the baselines

    speeds = measure(n_frames=asked.frames, n_performances=asked.performances, rounds=asked.rounds)
    systems = measure_systems(asked.catalogue, asked.frames) if asked.catalogue else []
    if asked.json:
        document = {
            "frames": asked.frames,
            "engines": [_as_json(speed) for speed in speeds],
            "systems": [_as_json(speed) for speed in systems],
            "environment": environment(),
        }
        print(json.dumps(document, indent=2))
        return
    slowest = next((s for s in speeds if s.engine.startswith("essentia")), speeds[-1])
    machine = environment()["machine"]
    print(f"{asked.frames} frames each; {machine['processor']}, {machine['cores']} cores\n")
    print(f"| engine | pairs per second | ms per pair | against {slowest.engine} |")
    print("| --- | ---: | ---: | ---: |")
    for speed in speeds:
        times = speed.pairs_per_second / slowest.pairs_per_second
        print(
            f"| {speed.engine} | {speed.pairs_per_second:.1f} "
            f"| {1000 / speed.pairs_per_second:.2f} | {times:.1f} |"
        )
    if systems:
        print(f"\n| all pairs of {asked.catalogue} | pairs | seconds |\n| --- | ---: | ---: |")
    for speed in systems:
        print(f"| {speed.engine} | {speed.n_pairs:,} | {speed.seconds:.1f} |")


if __name__ == "__main__":
    main()
