"""A made-up catalogue of any size, in the layout of Da-TACOS: for measuring, not for listening.

Its proportions are those of the benchmark subset (Yesiler et al. 2019): of 15 performances, 13
belong to one work and 2 are the only performance of theirs. A work is a random sequence of chords;
its performances transpose it, play it faster or slower, leave out or repeat a passage and add
noise. So an encoder that knows nothing of keys and tempi finds some of the covers and not others.

The files are small (five seconds of chroma unless asked otherwise), because what is measured with
them is how a build grows with the number of performances::

    python -m coverdex.indexer.synthetic_catalogue made-up --performances 15000
    coverdex index build made-up --out made-up.index
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..encoder.chroma import DATACOS_FRAME_RATE, N_PITCH_CLASSES, Chroma
from ..encoder.chroma_file import write_chroma
from .performance import PerformanceRecord

CLIQUE = 13
ALONE = 2
#: Five seconds at the frame rate of Da-TACOS.
DEFAULT_FRAMES = 430
#: Values are multiples of this, so that files compress as real ones do.
STEP = 1 / 64

_FOLDER = "da-tacos_benchmark_subset_hpcp"
_METADATA = "da-tacos_metadata/da-tacos_benchmark_subset_metadata.json"


def synthetic_performances(
    n_performances: int, *, n_frames: int = DEFAULT_FRAMES, seed: int = 0
) -> Iterator[tuple[PerformanceRecord, Chroma]]:
    """Make up performances, the same for the same seed, each independent of how many there are.

    Parameters
    ----------
    n_performances : int
    n_frames : int, default 430
        Of an average performance; each has from 0.8 to 1.25 times as many.
    seed : int, default 0

    Yields
    ------
    record : PerformanceRecord
    chroma : Chroma
        At 86.13 frames per second.
    """
    for number in range(n_performances):
        group, place = divmod(number, CLIQUE + ALONE)
        alone = place >= CLIQUE
        work = group * (1 + ALONE) + (place - CLIQUE + 1 if alone else 0)
        record = PerformanceRecord(
            performance_id=f"P_{number}",
            work_id=f"W_{work}",
            title=f"Made-up tune {work}, take {place}",
            artist=f"Ensemble {number % 997}",
            work_title=f"Made-up tune {work}",
            work_artist=f"Composer {work % 499}",
            year=1900 + number % 120,
            instrumental=number % 3 == 0,
        )
        yield record, _performed(work, number, n_frames, seed)


def write_synthetic_catalogue(
    root: str | Path, n_performances: int, *, n_frames: int = DEFAULT_FRAMES, seed: int = 0
) -> Path:
    """Write made-up performances as a Da-TACOS root folder and return it.

    Feature files that are there already are kept, so that a catalogue can be made larger.

    Parameters
    ----------
    root : path-like
    n_performances, n_frames, seed
        As for :func:`synthetic_performances`.
    """
    root = Path(root)
    metadata: dict[str, dict[str, dict[str, Any]]] = {}
    for record, chroma in synthetic_performances(n_performances, n_frames=n_frames, seed=seed):
        work, performance = str(record.work_id), record.performance_id
        metadata.setdefault(work, {})[performance] = _entry(record)
        path = root / _FOLDER / f"{work}_hpcp" / f"{performance}_hpcp.h5"
        if not path.exists():
            write_chroma(path, chroma, work_id=work, performance_id=performance)
    (root / _METADATA).parent.mkdir(parents=True, exist_ok=True)
    (root / _METADATA).write_text(json.dumps(metadata, indent=1), encoding="utf-8")
    return root


def _performed(work: int, number: int, n_frames: int, seed: int) -> Chroma:
    chords = np.random.default_rng([seed, work]).random((16, N_PITCH_CLASSES)) ** 4
    rng = np.random.default_rng([seed, work, number])
    passages = np.split(chords, 4)
    order = [i for i in range(4) for _ in range(rng.choice([0, 1, 1, 1, 1, 2]))] or [0]
    played = np.concatenate([passages[i] for i in order])
    played = np.roll(played, int(rng.integers(N_PITCH_CLASSES)), axis=1)
    length = max(1, round(n_frames * rng.uniform(0.8, 1.25)))
    values = played[np.arange(length) * len(played) // length]
    values = values * rng.uniform(0.8, 1.0, values.shape) + 0.1 * rng.random(values.shape)
    values /= values.max()
    return Chroma((np.rint(values / STEP) * STEP).astype(np.float32), DATACOS_FRAME_RATE)


def _entry(record: PerformanceRecord) -> dict[str, Any]:
    return {
        "work_title": record.work_title,
        "work_artist": record.work_artist,
        "perf_title": record.title,
        "perf_artist": record.artist,
        "release_year": str(record.year),
        "work_id": record.work_id,
        "perf_id": record.performance_id,
        "instrumental": "Yes" if record.instrumental else "No",
    }


def main(
    root: Annotated[Path, typer.Argument(help="Folder to write.")],
    performances: Annotated[int, typer.Option(min=1, help="How many.")] = 15_000,
    frames: Annotated[int, typer.Option(min=1, help="Frames of an average one.")] = DEFAULT_FRAMES,
    seed: Annotated[int, typer.Option(help="Same seed, same catalogue.")] = 0,
) -> None:
    """Write a made-up catalogue in the layout of Da-TACOS."""
    write_synthetic_catalogue(root, performances, n_frames=frames, seed=seed)
    print(f"wrote {performances} performances to {root}", file=sys.stderr)


if __name__ == "__main__":
    typer.run(main)
