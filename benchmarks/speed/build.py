"""Part ``build``: from HDF5 to an index, and how time and memory grow with the catalogue.

Two questions, on made-up catalogues in the layout of Da-TACOS
(:mod:`coverdex.indexer.synthetic_catalogue`):

* *How near does a build come to its slower step?* Tracks of realistic length; reading and encoding
  are measured alone, on a core each, and the build does both side by side. A *share* of 1 is a
  perfect pipeline; it can be more where the quicker step lends its core.
* *Is growth a straight line?* Short tracks, so that 15,000 fit into minutes; a line is fitted to
  time and to peak memory, and the largest distance from it is given as a share of the last value.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...indexer.synthetic_catalogue import write_synthetic_catalogue
from .build_steps import BuildSpeed, measure_build_steps
from .part_result import Column, PartResult

#: Frames of four minutes at Da-TACOS's 86 frames per second.
REALISTIC_FRAMES = 20_672
#: Frames of five seconds.
SHORT_FRAMES = 430

COLUMNS = (
    Column("n_performances", "performances", ",d"),
    Column("frames", "frames each", ",d"),
    Column("reading", "reading alone, /s", ",.0f"),
    Column("encoding_on_one", "encoding alone, 1 thread, /s", ",.0f"),
    Column("encoding", "all threads, /s", ",.0f"),
    Column("building", "build, /s", ",.0f"),
    Column("share", "share of the slower", ".2f"),
    Column("share_of_all_threads", "of the slower, all threads", ".2f"),
    Column("seconds", "s", ",.1f"),
    Column("cpu_seconds", "CPU s", ",.1f"),
    Column("peak_megabytes", "memory, MB", ",.0f"),
    Column("reader_megabytes", "reader's, MB", ",.0f"),
)


def catalogue_path(work: Path, n: int, frames: int) -> Path:
    """Return where a catalogue lies; written first if it is not there."""
    root = work / f"catalogue-{n}x{frames}"
    complete = root.with_name(root.name + ".complete")
    if not complete.exists():
        write_synthetic_catalogue(root, n, n_frames=frames)
        complete.touch()
    return root


def prepare_build(work: Path, *, n_realistic: int, sizes: Sequence[int]) -> None:
    """Write all catalogues."""
    catalogue_path(work, n_realistic, REALISTIC_FRAMES)
    for n in sizes:
        catalogue_path(work, n, SHORT_FRAMES)


def measure_build(
    work: Path,
    *,
    n_realistic: int = 600,
    sizes: Sequence[int] = (1_000, 4_000, 15_000),
    encoder: str | None = None,
    workers: int | None = None,
) -> PartResult:
    """Measure builds.

    Parameters
    ----------
    work : Path
        Keeps the catalogues.
    n_realistic : int
        Performances of four minutes.
    sizes : sequence of int
        Catalogues of short performances, for growth.
    encoder : str, optional
        Name or checkpoint folder.
    workers : int, optional
        Reading processes; half the cores if not given.
    """
    wanted = [(n_realistic, REALISTIC_FRAMES), *((n, SHORT_FRAMES) for n in sizes)]
    measured = [
        (
            frames,
            measure_build_steps(catalogue_path(work, n, frames), encoder=encoder, workers=workers),
        )
        for n, frames in wanted
    ]
    growth = [speed for _, speed in measured[1:]]
    return PartResult(
        part="build",
        title="Building an index of HDF5 files",
        settings={"encoder": encoder, "workers": workers, "growth": growth_of(growth)},
        columns=COLUMNS,
        rows=[_row(frames, speed) for frames, speed in measured],
        notes=_notes(growth),
    )


def growth_of(speeds: Sequence[BuildSpeed]) -> dict[str, dict[str, float]]:
    """Fit lines to time and memory.

    Returns
    -------
    dict
        For ``seconds``, ``cpu_seconds`` and ``peak_memory``: ``per_performance``, ``fixed`` and
        ``largest_distance`` as a share of the last value. Empty for fewer than two sizes.
    """
    if len(speeds) < 2:
        return {}
    n = np.array([speed.n_performances for speed in speeds], float)
    lines = {}
    for name in ("seconds", "cpu_seconds", "peak_memory"):
        values = np.array([getattr(speed, name) for speed in speeds], float)
        slope, fixed = np.polyfit(n, values, 1)
        distance = np.abs(values - (slope * n + fixed)).max() / values[-1]
        lines[name] = {
            "per_performance": float(slope),
            "fixed": float(fixed),
            "largest_distance": float(distance),
        }
    return lines


def _row(frames: int, speed: BuildSpeed) -> dict[str, Any]:
    return {
        **speed.row(),
        "frames": frames,
        "peak_megabytes": speed.peak_memory / 1e6,
        "reader_megabytes": speed.peak_memory_of_readers / 1e6,
    }


def _notes(growth: Sequence[BuildSpeed]) -> list[str]:
    notes = ["share: the build's rate by that of the slower step alone, each on one core"]
    lines = growth_of(growth)
    if lines:
        time, memory = lines["seconds"], lines["peak_memory"]
        notes.append(
            f"growth: {1e3 * time['per_performance']:.2f} ms per performance and "
            f"{time['fixed']:.1f} s (off the line by at most {time['largest_distance']:.1%} of the "
            f"last), {memory['per_performance'] / 1e3:.1f} kB per performance and "
            f"{memory['fixed'] / 1e6:.0f} MB (at most {memory['largest_distance']:.1%})"
        )
    return notes
