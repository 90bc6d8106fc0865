"""Reading a catalogue once through: how long its performances are, and one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..encoder.errors import NotFoundError

if TYPE_CHECKING:
    from ..encoder import Chroma
    from ..indexer import Catalogue, PerformanceRecord


def read_durations(catalogue: Catalogue) -> dict[str, float]:
    """Read every performance, one in memory at a time; return seconds by performance id.

    Afterwards ``catalogue.rejections`` is complete. Progress goes to stderr.
    """
    from ..indexer.progress import shown_progress

    durations: dict[str, float] = {}
    with shown_progress("reading") as progress:
        for record, chroma in catalogue:
            durations[record.performance_id] = chroma.duration
            progress(len(durations), len(catalogue))
    return durations


def read_track(
    catalogue: Catalogue, performance_id: str | None = None
) -> tuple[PerformanceRecord, Chroma]:
    """Read one performance, the first if no id is given.

    Raises
    ------
    NotFoundError
        If the catalogue has none of that id that can be read.
    """
    for record, chroma in catalogue:
        if performance_id in (None, record.performance_id):
            return record, chroma
    raise _not_there(catalogue, performance_id)


def check_track(catalogue: Catalogue, performance_id: str | None) -> None:
    """Look for a performance without reading any; nothing to look for if no id is given.

    Raises
    ------
    NotFoundError
        If the catalogue has none of that id.
    """
    known = (record.performance_id for record in catalogue.performances)
    if performance_id is not None and performance_id not in known:
        raise _not_there(catalogue, performance_id)


def _not_there(catalogue: Catalogue, performance_id: str | None) -> NotFoundError:
    there = [record.performance_id for record in catalogue.performances[:3]]
    return NotFoundError(
        f"{catalogue.source} has no readable performance {performance_id or ''}".rstrip()
        + (f"; give an id such as {', '.join(there)}" if there else "")
    )
