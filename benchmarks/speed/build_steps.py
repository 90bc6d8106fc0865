"""How fast a build is, and how its time and memory grow with the catalogue.

Three rates are taken for each size, each in a process of its own so that peak memory means
something:

* *reading*: decoding and preprocessing alone, in one process;
* *encoding*: the network alone, on what was read, with all threads;
* *building*: the whole of :func:`coverdex.indexer.build_index`, with reading processes.

A build that streams well is about as fast as the slower of the first two (*share*), and takes
little more CPU time than both together (*overhead*; this one holds on a machine that is busy with
other things, too). Each catalogue is a prefix of one made-up one (:mod:`.synthetic_catalogue`)::

    python -m coverdex.indexer.build_speed --sizes 1000,2000,4000,8000,15000
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from .synthetic_catalogue import DEFAULT_FRAMES, write_synthetic_catalogue

#: Tracks that reading and encoding alone are measured on, at most.
SAMPLE = 1_000


@dataclass(frozen=True)
class BuildSpeed:
    """What was measured for one catalogue.

    Parameters
    ----------
    n_performances : int
    reading, encoding, building : float
        Performances per second of each step alone and of the whole build.
    reading_cpu, encoding_cpu : float
        CPU seconds per performance of each step alone.
    seconds : float
        Of the build, from the first file to the complete index.
    cpu_seconds : float
        The same in CPU time, reading processes included.
    peak_memory, peak_memory_of_readers : int
        Largest resident set in bytes, of the building process and of the largest reading process.
    """

    n_performances: int
    reading: float
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
        """Building rate as a share of the slower step's."""
        return self.building / min(self.reading, self.encoding)

    @property
    def overhead(self) -> float:
        """CPU time of the build as a multiple of that of its two steps."""
        steps = self.n_performances * (self.reading_cpu + self.encoding_cpu)
        return self.cpu_seconds / steps


def measure_build(root: Path, *, encoder: str | None, workers: int | None) -> BuildSpeed:
    """Measure reading, encoding and building the catalogue at ``root``."""
    steps = _in_own_process("steps", str(root), encoder or "")
    built = _in_own_process("build", str(root), encoder or "", "" if workers is None else workers)
    return BuildSpeed(**steps, **built)


def _steps(root: str, encoder_name: str) -> dict[str, float]:
    """Measure reading alone and encoding alone."""
    from ..encoder.encoder import Encoder, PreparedChroma
    from .catalogue import open_catalogue
    from .preparation import PreparedPerformance, prepare_part

    encoder = Encoder.load(encoder_name or None)
    parts = open_catalogue(root, kind=encoder.kind).parts()
    n_parts = -(-SAMPLE // len(parts[0]))
    stride = max(1, len(parts) // n_parts)
    started, cpu = time.perf_counter(), _cpu_seconds()
    read = [prepare_part(part, encoder.preprocessing) for part in parts[::stride]]
    reading, reading_cpu = time.perf_counter() - started, _cpu_seconds() - cpu
    tracks = [
        PreparedChroma(outcome.values)
        for outcome in chain.from_iterable(read)
        if isinstance(outcome, PreparedPerformance)
    ]
    list(encoder.embed_many(tracks[:64]))  # the first batch pays for the threads' start
    started, cpu = time.perf_counter(), _cpu_seconds()
    list(encoder.embed_many(tracks))
    encoding, encoding_cpu = time.perf_counter() - started, _cpu_seconds() - cpu
    return {
        "reading": len(tracks) / reading,
        "encoding": len(tracks) / encoding,
        "reading_cpu": reading_cpu / len(tracks),
        "encoding_cpu": encoding_cpu / len(tracks),
    }


def _build(root: str, encoder_name: str, workers: str) -> dict[str, float]:
    """Build an index and look at the clock and the memory."""
    from ..encoder.encoder import Encoder
    from .build import build_index
    from .catalogue import open_catalogue
    from .preparation import default_workers

    encoder = Encoder.load(encoder_name or None)
    with tempfile.TemporaryDirectory() as folder:
        started, cpu = time.perf_counter(), _cpu_seconds()
        catalogue = open_catalogue(root, kind=encoder.kind)
        report = build_index(
            catalogue,
            Path(folder) / "measured.index",
            encoder=encoder,
            workers=int(workers) if workers else default_workers(len(catalogue)),
        )
        seconds = time.perf_counter() - started
    return {
        "n_performances": report.n_indexed,
        "building": report.n_indexed / seconds,
        "seconds": seconds,
        "cpu_seconds": _cpu_seconds() - cpu,
        "peak_memory": _peak_memory(resource.RUSAGE_SELF),
        "peak_memory_of_readers": _peak_memory(resource.RUSAGE_CHILDREN),
    }


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


def _peak_memory(who: int) -> int:
    largest = resource.getrusage(who).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


_STEPS: dict[str, Callable[..., dict[str, float]]] = {"steps": _steps, "build": _build}


def _in_own_process(step: str, *arguments: object) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        f"{__package__}.build_speed",
        "--step",
        step,
        *map(str, arguments),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"measuring {step} failed:\n{finished.stderr}")
    measured: dict[str, Any] = json.loads(finished.stdout)
    return measured


def main(
    sizes: Annotated[
        str, typer.Option(help="Performances, separated by commas.")
    ] = "1000,2000,4000,8000,15000",
    frames: Annotated[int, typer.Option(min=1, help="Frames of an average one.")] = DEFAULT_FRAMES,
    encoder: Annotated[str | None, typer.Option(help="Name or checkpoint folder.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Reading processes.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where to keep the catalogues; not kept by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure builds of made-up catalogues."""
    measured = []
    with tempfile.TemporaryDirectory() as temporary:
        for size in map(int, sizes.split(",")):
            root = (folder or Path(temporary)) / f"{size}x{frames}"
            write_synthetic_catalogue(root, size, n_frames=frames)
            measured.append(measure_build(root, encoder=encoder, workers=workers))
            print(f"{size}: {asdict(measured[-1])}", file=sys.stderr)
    if as_json:
        derived = [{"share": m.share, "overhead": m.overhead} for m in measured]
        both = [asdict(m) | d for m, d in zip(measured, derived, strict=True)]
        print(json.dumps(both, indent=2))
    else:
        print(_as_table(measured))


def _as_table(measured: Sequence[BuildSpeed]) -> str:
    """Lay measurements out as a Markdown table."""
    names = ("performances", "read/s", "encode/s", "build/s", "share", "s", "CPU s", "overhead")
    lines = ["| " + " | ".join((*names, "MB", "reader MB")) + " |", "|" + "---:|" * 10]
    lines += [
        f"| {m.n_performances:,} | {m.reading:.0f} | {m.encoding:.0f} | {m.building:.0f} "
        f"| {m.share:.2f} | {m.seconds:.1f} | {m.cpu_seconds:.1f} | {m.overhead:.2f} "
        f"| {m.peak_memory / 1e6:.0f} | {m.peak_memory_of_readers / 1e6:.0f} |"
        for m in measured
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        print(json.dumps(_STEPS[sys.argv[2]](*sys.argv[3:])))
    else:
        typer.run(main)
