"""Where rendered performances are written: a folder in the layout of Da-TACOS.

One HDF5 file per performance, ``W_1_hpcp/P_10_hpcp.h5``, and one table of metadata, as in the
benchmark subset (Yesiler et al. 2019, "Da-TACOS", ISMIR), so that any encoder can be evaluated on
it and training can learn from it (:mod:`.rendered_versions`). The layout has no frame rate: every
reader takes frames to come every 512 samples at 44,100 Hz. The extractor heard every fourth of them
(:data:`~coverdex.encoder.training.rendering.EVERY_FRAME`), so each is written four times.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import MofNCompleteColumn, Progress

from ..chroma import DATACOS_FRAME_RATE, Chroma
from ..chroma_file import write_chroma
from ..errors import TrainingError
from .rendering import EVERY_FRAME

_SUBSET = "da-tacos_benchmark_subset"


@dataclass(frozen=True)
class RenderedPerformance:
    """One performance of a rendered catalogue.

    Parameters
    ----------
    work_id, performance_id : str
        Ids in the catalogue, such as ``W_1`` and ``P_10``.
    work_title, title, artist : str
        What the metadata says of it; for performances to learn from, ids of the seeds.
    """

    work_id: str
    performance_id: str
    work_title: str
    title: str
    artist: str

    def file(self, folder: Path) -> Path:
        """Path of its chroma in a catalogue's folder."""
        name = f"{self.performance_id}_hpcp.h5"
        return folder / f"{_SUBSET}_hpcp" / f"{self.work_id}_hpcp" / name

    def write(self, chroma: Chroma, folder: Path) -> None:
        """Write its chroma, as the extractor gave it, with every frame as often as was skipped."""
        values = np.repeat(chroma.values, EVERY_FRAME, axis=0)
        write_chroma(
            self.file(folder),
            Chroma(values, DATACOS_FRAME_RATE),
            work_id=self.work_id,
            performance_id=self.performance_id,
        )


def write_metadata(performances: Iterable[RenderedPerformance], folder: Path) -> None:
    """Write the metadata of a catalogue, works and performances in the order given.

    Raises
    ------
    TrainingError
        The folder has a table by which the same performances are of something else: its files would
        come under wrong names.
    """
    metadata: dict[str, dict[str, dict[str, str]]] = {}
    for performance in performances:
        metadata.setdefault(performance.work_id, {})[performance.performance_id] = {
            "work_id": performance.work_id,
            "perf_id": performance.performance_id,
            "work_title": performance.work_title,
            "perf_title": performance.title,
            "perf_artist": performance.artist,
        }
    path = folder / "da-tacos_metadata" / f"{_SUBSET}_metadata.json"
    if path.exists():
        _check_same(metadata, json.loads(path.read_text(encoding="utf-8")), folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(metadata, indent=1), encoding="utf-8")


def _check_same(wanted: Mapping[str, Any], before: Mapping[str, Any], folder: Path) -> None:
    """Refuse to give performances that are there other names."""
    for work_id in wanted.keys() & before.keys():
        for performance_id in wanted[work_id].keys() & before[work_id].keys():
            one, other = wanted[work_id][performance_id], before[work_id][performance_id]
            if one != other:
                raise TrainingError(
                    f"{folder} holds {performance_id} of {other['perf_title']} "
                    f"({other['perf_artist']}), which is now to be of {one['perf_title']} "
                    f"({one['perf_artist']}): it was begun with other options, seeds or "
                    "another version of Coverdex; give another --out"
                )


def with_progress(made: Iterable[int], total: int) -> None:
    """Go through a rendering, which says how many performances it has made, with a progress bar."""
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn()) as progress:
        task = progress.add_task("performances", total=total)
        for count in made:
            progress.advance(task, count)
