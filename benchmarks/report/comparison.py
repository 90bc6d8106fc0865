"""Two rankings of the same queries against each other: paired, query by query.

The difference of two means is much surer than the means themselves when both systems meet the same
queries: hard works are hard for both. So works are drawn with replacement (as for the intervals,
:mod:`coverdex.benchmarks.bootstrap`) and the mean *difference* over the drawn queries is taken. If
its 95% interval excludes zero, the difference would probably have the same sign on other works of
the same kind. Beside it stand the queries that one system wins and loses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...encoder.errors import CoverdexError
from ..bootstrap import Interval, WorkBootstrap

if TYPE_CHECKING:
    import pyarrow as pa

#: Figure -> (column of the per-query table, whether larger is better).
COMPARED = {
    "map": ("average_precision", True),
    "mr1": ("first_rank", False),
    "mrr": ("reciprocal_rank", True),
    "hits_at_1": ("hit_at_1", True),
}
#: Columns of a per-query table that a comparison needs.
COLUMNS = {"performance_id", "work_id", "n_covers", "n_candidates"} | {
    column for column, _ in COMPARED.values()
}

#: With fewer works the bootstrap knows too little of how works differ: of two systems that are
#: equally good it finds one better in about one case in ten or more.
FEW_WORKS = 12


@dataclass(frozen=True)
class Difference:
    """One figure of two systems, A and B, on the same queries.

    Parameters
    ----------
    a, b : float
        Means over the queries.
    difference : float
        b - a.
    interval : Interval or None
        95% of the difference, by drawing works.
    won, lost, drawn : int
        Queries on which B is better, worse, equal.
    larger_is_better : bool
    """

    a: float
    b: float
    difference: float
    interval: Interval | None
    won: int
    lost: int
    drawn: int
    larger_is_better: bool

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``undecided``: of B, by the interval."""
        if self.interval is None or self.interval.low <= 0 <= self.interval.high:
            return "undecided"
        return "better" if (self.interval.low > 0) == self.larger_is_better else "worse"

    def summary(self) -> dict[str, Any]:
        """Give all for JSON."""
        interval = None if self.interval is None else [self.interval.low, self.interval.high]
        return {**vars(self), "interval": interval, "verdict": self.verdict}


@dataclass(frozen=True)
class Comparison:
    """All figures of two systems on the queries that both have.

    Parameters
    ----------
    differences : dict of str to Difference
    n_queries, n_works : int
        Queries that both have, and their works.
    n_only_a, n_only_b : int
        Queries that are left out because one of the two lacks them.
    n_other_covers : int
        Queries that have more covers in one than in the other: the catalogues are not the same.
    """

    differences: dict[str, Difference]
    n_queries: int
    n_works: int
    n_only_a: int
    n_only_b: int
    n_other_covers: int = 0

    @property
    def caution(self) -> str:
        """What to know beside the verdicts; empty with works enough, and where nothing is said."""
        if self.n_works < 2 or self.n_works >= FEW_WORKS:
            return ""  # of one work there is no interval
        return (
            f"of {self.n_works} works the intervals are too narrow: about one in ten or more "
            "excludes 0 by chance"
        )

    def summary(self) -> dict[str, Any]:
        """Give all for JSON."""
        return {
            "n_queries": self.n_queries,
            "n_works": self.n_works,
            "n_only_a": self.n_only_a,
            "n_only_b": self.n_only_b,
            "n_other_covers": self.n_other_covers,
            **{name: difference.summary() for name, difference in self.differences.items()},
        }


def compare(a: pa.Table, b: pa.Table) -> Comparison:
    """Compare two per-query tables (:meth:`~coverdex.benchmarks.Evaluation.per_query`).

    Raises
    ------
    CoverdexError
        If they have no query in common, or give one query two works.
    """
    rows_a, rows_b = (_rows(table) for table in (a, b))
    both = sorted(rows_a.keys() & rows_b.keys())
    if not both:
        raise CoverdexError("the two runs have no query in common; compare runs on one catalogue")
    at_a, at_b = ([rows[name] for name in both] for rows in (rows_a, rows_b))
    works = [a.column("work_id")[i].as_py() for i in at_a]
    moved = sum(w != b.column("work_id")[i].as_py() for w, i in zip(works, at_b, strict=True))
    if moved:
        raise CoverdexError(f"the two runs give {moved} queries different works; compare like runs")
    bootstrap = WorkBootstrap.of(works)
    differences = {
        name: difference_of(
            a.column(column).to_numpy()[at_a], b.column(column).to_numpy()[at_b], bootstrap, larger
        )
        for name, (column, larger) in COMPARED.items()
    }
    covers_a, covers_b = (
        table.column("n_covers").to_numpy()[at] for table, at in ((a, at_a), (b, at_b))
    )
    return Comparison(
        differences,
        len(both),
        len(set(works)),
        len(rows_a) - len(both),
        len(rows_b) - len(both),
        int((covers_a != covers_b).sum()),
    )


def difference_of(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    bootstrap: WorkBootstrap,
    larger_is_better: bool,
) -> Difference:
    """Compare one figure, ``a`` and ``b`` of shape (n_queries,) for the same queries."""
    gain = b - a
    gain[np.abs(gain) < 1e-12] = 0.0  # rounding of sums is no victory
    up, down = int((gain > 0).sum()), int((gain < 0).sum())
    won, lost = (up, down) if larger_is_better else (down, up)
    return Difference(
        a=float(a.mean()),
        b=float(b.mean()),
        difference=float(gain.mean()),
        interval=bootstrap.interval(gain),
        won=won,
        lost=lost,
        drawn=gain.size - up - down,
        larger_is_better=larger_is_better,
    )


def _rows(table: pa.Table) -> dict[str, int]:
    return {name: at for at, name in enumerate(table.column("performance_id").to_pylist())}
