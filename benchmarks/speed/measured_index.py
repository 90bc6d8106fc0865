"""The indexes that are measured: any embeddings, with the metadata that a catalogue has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...search import Index, write_index

#: Performances of one made-up work.
_PER_WORK = 5
ENCODER_ID = "measured"


def made_up_performances(first: int, stop: int) -> Any:
    """Give ids, works, titles, artists and years to performances ``first`` to ``stop - 1``."""
    import pyarrow as pa

    numbers = range(first, stop)
    return pa.table(
        {
            "performance_id": [f"P_{n:09d}" for n in numbers],
            "work_id": [f"W_{n // _PER_WORK}" for n in numbers],
            "title": [f"Title of work {n // _PER_WORK}" for n in numbers],
            "artist": [f"Artist {n % 997}" for n in numbers],
            "year": pa.array([1950 + n % 70 for n in numbers], pa.int32()),
        }
    )


def row_of(performance_id: str) -> int:
    """Read the number off an id of :func:`made_up_performances`."""
    return int(performance_id[2:])


def measured_index(
    embeddings: NDArray[np.float32], path: Path, *, factory: str = "Flat", **options: Any
) -> Index:
    """Open the index at ``path``, written first if it is not there.

    Parameters
    ----------
    embeddings : ndarray, shape (n, dimension), float32
        Row i becomes performance ``P_00000000i``, so rows of index and array are the same.
    path : Path
    factory : str
        See :func:`coverdex.search.write_index`.
    **options
        Likewise.
    """
    if not path.exists():
        write_index(
            path,
            embeddings=embeddings,
            performances=made_up_performances(0, len(embeddings)),
            encoder_id=ENCODER_ID,
            encoder_name=ENCODER_ID,
            source="made for a measurement",
            factory=factory,
            **options,
        )
    index = Index.open(path)
    if len(index) != len(embeddings):
        raise ValueError(f"{path} holds {len(index)} and not {len(embeddings)} performances")
    return index
