"""Several systems on one catalogue, in one table: encoders beside the aligners of the literature.

Every system ranks the same performances of the same catalogue and is measured by the same rules
(:mod:`coverdex.benchmarks.metrics`). Performances whose file cannot be read are left out for all;
one that a system cannot use counts against that system.

The 95% intervals come from the bootstrap by work (:mod:`coverdex.benchmarks.bootstrap`); all
systems see the same draws. With a few dozen works intervals are wide: that is the message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..encoder.errors import CoverdexError
from .baselines import Dmax, Qmax, SiMPle, TwoDFTM
from .baselines.system import Progress, System, progress_unit_of
from .bootstrap import Interval, WorkBootstrap
from .metrics import evaluate
from .training_lists import leakage_of_system

if TYPE_CHECKING:
    from ..indexer import Catalogue
    from .evaluation import Evaluation
    from .leakage import Leakage

#: Systems of the literature by name; any other name is an encoder.
BASELINES: dict[str, Callable[[], System]] = {
    "2DFTM": TwoDFTM,
    "SiMPle": SiMPle,
    "Qmax": Qmax,
    "Dmax": Dmax,
}


@dataclass(frozen=True, eq=False)
class SystemResult:
    """How one system did.

    Parameters
    ----------
    system : System
    evaluation : Evaluation
        All figures, per query too.
    intervals : dict of str to Interval or None
        95% bootstrap intervals by work of ``map``, ``mr1`` and ``hits_at_1``.
    seconds : float
        Wall-clock time from chroma in memory to the similarity matrix.
    leakage : Leakage or None
        What an encoder has learnt from of this catalogue, by id and title; None for the others.
    distinct_name : str or None
        What tables call it where several encoders bear its name; see :func:`names_of`.
    """

    system: System
    evaluation: Evaluation
    intervals: dict[str, Interval | None]
    seconds: float
    leakage: Leakage | None = None
    distinct_name: str | None = None

    @property
    def name(self) -> str:
        """What tables call the system."""
        return self.distinct_name or self.system.name

    def summary(self) -> dict[str, Any]:
        """Give the figures for JSON."""
        return {
            "system": self.name,
            "parameters": dict(self.system.parameters),
            **self.evaluation.summary(),
            "intervals_95": {
                name: None if interval is None else [interval.low, interval.high]
                for name, interval in self.intervals.items()
            },
            "seconds": round(self.seconds, 3),
            "leakage": self.leakage and self.leakage.training_summary(),
        }


def system_named(name: str) -> System:
    """Return a baseline by its name (in any case), or else an encoder by name or folder.

    Raises
    ------
    NotFoundError
        If it is neither.
    """
    for known, make in BASELINES.items():
        if known.lower() == name.lower():
            return make()
    from ..encoder import Encoder
    from .encoder_system import EncoderSystem

    return EncoderSystem(Encoder.load(name))


def names_of(systems: Sequence[System]) -> list[str]:
    """Name systems; encoders that share a name, such as two runs of one training, by their ids."""
    names = [system.name for system in systems]
    return [
        str(system.parameters.get("encoder_id", name)) if names.count(name) > 1 else name
        for system, name in zip(systems, names, strict=True)
    ]


def default_systems() -> list[System]:
    """Return the encoders that are here (installed: `coverdex-64` alone), 2DFTM and Qmax."""
    from ..encoder import shipped_checkpoints

    return [system_named(name) for name in [*shipped_checkpoints(), "2DFTM", "Qmax"]]


def compare_systems(
    catalogue: Catalogue,
    systems: Iterable[System],
    *,
    progress_of: Callable[[str, str], AbstractContextManager[Progress | None]] | None = None,
) -> list[SystemResult]:
    """Rank a catalogue with several systems and measure each.

    Parameters
    ----------
    catalogue : Catalogue
        Read once, into memory: about a megabyte for four minutes at 86 frames per second.
    systems : iterable of System
        Run one after another.
    progress_of : callable, optional
        Called with each system's name and what its progress counts; gives a context manager that
        yields a progress callback.

    Returns
    -------
    list of SystemResult
        In the order of ``systems``.

    Raises
    ------
    CoverdexError
        If no performance of the catalogue has a cover in it.
    """
    records_and_chroma = list(catalogue)
    works = [record.work_id for record, _ in records_and_chroma]
    chromas = [chroma for _, chroma in records_and_chroma]
    known = [work for work in works if work]
    if len(set(known)) == len(known):
        raise CoverdexError(
            f"none of the {len(works)} performances of {catalogue.source} has a cover in it; "
            "give a catalogue whose works have two performances or more"
        )
    results = []
    systems = list(systems)
    for system, name in zip(systems, names_of(systems), strict=True):
        unit = progress_unit_of(system)
        showing = progress_of(name, unit) if progress_of else nullcontext(None)
        with showing as progress:
            start = time.perf_counter()
            similarities = system.similarity_matrix(chromas, progress=progress)
            seconds = time.perf_counter() - start
        evaluation = evaluate(similarities, works)
        intervals = intervals_by_work(evaluation, works)
        leakage = leakage_of_system(system, [record for record, _ in records_and_chroma])
        results.append(SystemResult(system, evaluation, intervals, seconds, leakage, name))
    return results


def intervals_by_work(
    evaluation: Evaluation, works: Sequence[str | None]
) -> dict[str, Interval | None]:
    """Return 95% intervals of MAP, MR1 and hits at 1 by drawing works with replacement.

    Parameters
    ----------
    evaluation : Evaluation
    works : sequence of n str or None
        Work of each performance, as evaluated.

    Returns
    -------
    dict of str to Interval or None
        None with fewer than two works to draw from.
    """
    bootstrap = WorkBootstrap.of([works[i] for i in evaluation.queries])
    return {
        "map": bootstrap.interval(evaluation.average_precision),
        "mr1": bootstrap.interval(evaluation.first_rank),
        "hits_at_1": bootstrap.interval(evaluation.hit_at(1)),
    }
