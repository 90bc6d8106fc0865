"""No work of a benchmark is trained on: the ids of the two are compared before training starts.

Da-TACOS comes as two subsets that share no work by intention: *benchmark*, on which systems are
compared, and *cover analysis*, on which they may be trained. Their ids are of one source, so equal
ids mean the same work or recording, and a single one in both makes the benchmark's figures
worthless.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from ..errors import TrainingError
from .world import TrainingWorld

#: Where the metadata of the benchmark subset lie in a download.
BENCHMARK_METADATA = Path("da-tacos_metadata") / "da-tacos_benchmark_subset_metadata.json"

_PREFIX = re.compile(r"^[WP](?:_|(?=[0-9]))", re.IGNORECASE)
#: A number as data frames and spreadsheets may write it.
_NUMBER = re.compile(r"0*(?P<digits>[0-9]+?)(?:\.0*)?")


def find_benchmark_ids(given: Path | None, catalogue: Path) -> Path:
    """Find the list of the benchmark's ids: the one that is given, or the metadata of the download.

    Parameters
    ----------
    given : pathlib.Path or None
        CSV with ``work_id`` and ``track_id`` (or ``performance_id``), or the metadata JSON.
    catalogue : pathlib.Path
        The root of the download, or a feature folder in it.

    Raises
    ------
    TrainingError
        There is none, so that nothing can be compared.
    """
    if given is not None:
        return given
    for root in (catalogue, catalogue.parent):
        if (root / BENCHMARK_METADATA).is_file():
            return root / BENCHMARK_METADATA
    raise TrainingError(
        f"there is no {BENCHMARK_METADATA} beside {catalogue}, so nobody can tell whether works of "
        "the benchmark are trained on; download the metadata (coverdex datasets download da-tacos "
        "--what metadata) or give a list of the benchmark's ids (--benchmark-ids, or "
        "data.benchmark_ids)"
    )


def refuse_overlap(
    works: Collection[str], performances: Collection[str], benchmark: Path, world: TrainingWorld
) -> dict[str, int]:
    """Stop if a work or a performance of the training data is in the benchmark.

    Parameters
    ----------
    works, performances : collection of str
        Ids of the training data, held-out ones included.
    benchmark : pathlib.Path
        The list of the benchmark's ids.
    world : TrainingWorld
        Reads the list.

    Returns
    -------
    dict of str to int
        How many works and performances the benchmark has, for the record.

    Raises
    ------
    TrainingError
        Something is shared; some of it is named. Or the list is empty.
    NotFoundError
        No such list.
    """
    if world.read_work_list is None:
        raise TrainingError("comparing with a benchmark needs a world that reads lists of works")
    listed = world.read_work_list(benchmark)
    if not listed.performances:
        raise TrainingError(f"{benchmark} lists no performance; give the benchmark's list")
    benchmark_works = {_bare(work) for work in listed.works if work is not None}
    benchmark_performances = {_bare(performance) for performance in listed.performances}
    shared = {
        "works": sorted(work for work in set(works) if _bare(work) in benchmark_works),
        "performances": sorted(p for p in set(performances) if _bare(p) in benchmark_performances),
    }
    if any(shared.values()):
        named = "; ".join(
            f"{len(ids)} {what} ({', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''})"
            for what, ids in shared.items()
            if ids
        )
        raise TrainingError(
            f"the training data share {named} with the benchmark's list {benchmark}; nothing was "
            "trained. Leave them out, or check that --data is the cover analysis subset"
        )
    return {"works": len(benchmark_works), "performances": len(listed.performances)}


def _bare(id_: str) -> str:
    """Give what is left of an id in any spelling: 163930 of ``W_163930`` and ``163930.0``."""
    bare = _PREFIX.sub("", id_.strip())
    found = _NUMBER.fullmatch(bare)
    return found["digits"] if found else bare
