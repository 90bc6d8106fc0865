"""A build that is killed goes on where it stopped and ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from coverdex.indexer import read_rejections, rejection_report_path
from coverdex.search import Index

from .datacos_folder import DatacosFolder, made_up_catalogue

N_KILLS = 20
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "SOURCE_DATE_EPOCH": "1500000000",
}


class Builder:
    """The program of `builder.py`, running."""

    def __init__(self, catalogue: Path, checkpoint: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("builder.py"), catalogue, checkpoint],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )

    def build(self, out: Path, *, kill_after: float | None = None) -> int:
        assert self._process.stdin
        assert self._process.stdout
        seconds = "never" if kill_after is None else f"{kill_after:.4f}"
        self._process.stdin.write(f"{seconds} {out}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> str:
        return self._process.communicate(timeout=30)[1]


@pytest.fixture
def memory_disk() -> Iterator[Path]:
    """A folder in memory where there is one: what a kill leaves is the same, and fsync is free."""
    shared_memory = Path("/dev/shm")
    usable = os.access(shared_memory, os.W_OK)
    with tempfile.TemporaryDirectory(dir=shared_memory if usable else None) as folder:
        yield Path(folder)


@pytest.fixture
def catalogue(tmp_path: Path) -> DatacosFolder:
    """32 performances, one of them broken, and one that is only named."""
    folder = made_up_catalogue(tmp_path / "da-tacos", n_works=16)
    folder.path_of("W_3", "P_31").write_bytes(b"")
    folder.describe("W_99", "P_99")
    folder.write_metadata()
    return folder


@pytest.fixture
def builder(catalogue: DatacosFolder, tiny_checkpoint: Path) -> Iterator[Builder]:
    running = Builder(catalogue.root, tiny_checkpoint)
    yield running
    running.close()


def contents(index: Path) -> dict[str, bytes]:
    files = {p.relative_to(index).as_posix(): p.read_bytes() for p in index.rglob("*.*")}
    return files | {"report": rejection_report_path(index).read_bytes()}


def test_killed_at_random_points(memory_disk: Path, builder: Builder) -> None:
    straight = memory_disk / "straight.index"
    assert builder.build(straight) == 0
    started = time.monotonic()  # and again, now that files are cached, to see how long it takes
    assert builder.build(memory_disk / "timed.index") == 0
    duration = time.monotonic() - started

    rng = np.random.default_rng(0)
    n_kills = n_complete = n_resumed = 0
    while n_kills < N_KILLS:
        out = memory_disk / "killed" / f"{n_complete}.index"
        while not out.exists():
            n_resumed += any((out.parent / f"{out.name}.building").glob("*.parquet"))
            status = builder.build(out, kill_after=rng.uniform(0, 0.8 * duration))
            assert status in (0, -signal.SIGKILL)
            n_kills += status != 0
        n_complete += 1
        assert contents(out) == contents(straight)
    assert n_resumed > 0  # some kills did leave shards to go on from

    assert len(Index.open(straight)) == 31
    reasons = {r.performance: r.reason for r in read_rejections(rejection_report_path(straight))}
    assert reasons == {"P_31": "empty", "P_99": "no-feature-file"}


def test_reading_processes_end_with_the_build(
    tmp_path: Path, catalogue: DatacosFolder, tiny_checkpoint: Path
) -> None:
    code = (
        "import sys, time; from coverdex.indexer import build_index;"
        "build_index(sys.argv[1], sys.argv[2], encoder=sys.argv[3], workers=2,"
        " shard_size=8, progress=lambda *a: (print(*a, flush=True), time.sleep(1)))"
    )
    arguments = [str(catalogue.root), str(tmp_path / "x.index"), str(tiny_checkpoint)]
    build = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, env=ENVIRONMENT
    )
    assert build.stdout
    build.stdout.readline()  # nothing is done yet
    build.stdout.readline()  # something is done: the reading processes run
    readers = _children(build.pid)
    assert len(readers) >= 2
    build.kill()
    build.communicate()
    deadline = time.monotonic() + 20
    while any(_is_running(process) for process in readers):
        assert time.monotonic() < deadline, "a reading process outlived the build"
        time.sleep(0.05)


def _children(process: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
