"""The steps of a build, each measured in a process of its own, so that peak memory means something.

* *reading*: decoding and preprocessing alone, in one process on one core;
* *encoding*: the network alone, on what was read, on one thread and on all;
* *building*: the whole of :func:`coverdex.indexer.build_index`, with reading processes.

Run as a module with the name of a step, this prints what it measured as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from ..peak_memory import own_peak, peak_of_children

#: Tracks that reading and encoding alone are measured on, at most.
SAMPLE = 500


@dataclass(frozen=True)
class BuildSpeed:
    """What was measured for one catalogue.

    Parameters
    ----------
    n_performances : int
    reading, encoding_on_one, encoding : float
        Performances per second of each step alone; encoding on one thread and on all.
    reading_cpu, encoding_cpu : float
        CPU seconds per performance of each step alone.
    building : float
        Performances per second of the whole build.
    seconds : float
        Of the build, from the first file to the complete index.
    cpu_seconds : float
        The same in CPU time, reading processes included.
    peak_memory, peak_memory_of_readers : int
        Largest resident set in bytes, of the building process and of the largest reading process.
    """

    n_performances: int
    reading: float
    encoding_on_one: float
    encoding: float
    reading_cpu: float
    encoding_cpu: float
    building: float
    seconds: float
    cpu_seconds: float
    peak_memory: int
    peak_memory_of_readers: int

    @property
    def share(self) -> float:
        """Building rate as a share of the slower of reading and encoding on one core each."""
        return self.building / min(self.reading, self.encoding_on_one)

    @property
    def share_of_all_threads(self) -> float:
        """The same where encoding alone has all threads and nothing else to share them with."""
        return self.building / min(self.reading, self.encoding)

    @property
    def overhead(self) -> float:
        """CPU time of the build as a multiple of that of its two steps."""
        steps = self.n_performances * (self.reading_cpu + self.encoding_cpu)
        return self.cpu_seconds / steps

    def row(self) -> dict[str, Any]:
        """Return everything as one row."""
        derived = {
            name: getattr(self, name) for name in ("share", "share_of_all_threads", "overhead")
        }
        return asdict(self) | derived


def measure_build_steps(root: Path, *, encoder: str | None, workers: int | None) -> BuildSpeed:
    """Measure reading, encoding and building the catalogue at ``root``."""
    steps = _in_own_process("steps", str(root), encoder or "")
    built = _in_own_process("build", str(root), encoder or "", "" if workers is None else workers)
    return BuildSpeed(**steps, **built)


def _steps(root: str, encoder_name: str) -> dict[str, float]:
    """Measure reading alone and encoding alone."""
    import torch

    from ...encoder.encoder import Encoder, PreparedChroma
    from ...indexer.catalogue import open_catalogue
    from ...indexer.preparation import PreparedPerformance, prepare_part

    encoder = Encoder.load(encoder_name or None)
    parts = open_catalogue(root, kind=encoder.kind).parts()
    n_parts = -(-SAMPLE // len(parts[0]))
    stride = max(1, len(parts) // n_parts)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started, cpu = time.perf_counter(), _cpu_seconds()
    read = [prepare_part(part, encoder.preprocessing) for part in parts[::stride]]
    reading, reading_cpu = time.perf_counter() - started, _cpu_seconds() - cpu
    tracks = [
        PreparedChroma(outcome.values)
        for outcome in chain.from_iterable(read)
        if isinstance(outcome, PreparedPerformance)
    ]
    rates = {}
    for count in sorted({1, threads}):
        torch.set_num_threads(count)
        list(encoder.embed_many(tracks[:64]))  # the first batch pays for the threads' start
        started, cpu = time.perf_counter(), _cpu_seconds()
        list(encoder.embed_many(tracks))
        rates[count] = len(tracks) / (time.perf_counter() - started)
        encoding_cpu = _cpu_seconds() - cpu
    return {
        "reading": len(tracks) / reading,
        "encoding_on_one": rates[1],
        "encoding": rates[threads],
        "reading_cpu": reading_cpu / len(tracks),
        "encoding_cpu": encoding_cpu / len(tracks),
    }


def _build(root: str, encoder_name: str, workers: str) -> dict[str, float]:
    """Build an index and look at the clock and the memory."""
    from ...encoder.encoder import Encoder
    from ...indexer.build import build_index
    from ...indexer.catalogue import open_catalogue
    from ...indexer.preparation import default_workers

    encoder = Encoder.load(encoder_name or None)
    with tempfile.TemporaryDirectory() as folder:
        started, cpu = time.perf_counter(), _cpu_seconds()
        catalogue = open_catalogue(root, kind=encoder.kind)
        report = build_index(
            catalogue,
            Path(folder) / "measured.index",
            encoder=encoder,
            workers=int(workers) if workers else default_workers(catalogue),
        )
        seconds = time.perf_counter() - started
    return {
        "n_performances": report.n_indexed,
        "building": report.n_indexed / seconds,
        "seconds": seconds,
        "cpu_seconds": _cpu_seconds() - cpu,
        "peak_memory": own_peak(),
        "peak_memory_of_readers": peak_of_children(),
    }


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


_STEPS: dict[str, Callable[..., dict[str, float]]] = {"steps": _steps, "build": _build}


def _in_own_process(step: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", f"{__package__}.build_steps", step, *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"measuring {step} failed:\n{finished.stderr}")
    measured: dict[str, Any] = json.loads(finished.stdout)
    return measured


if __name__ == "__main__":
    print(json.dumps(_STEPS[sys.argv[1]](*sys.argv[2:])))
