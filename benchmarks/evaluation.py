"""The result of an evaluation: means over the queries, counts, and every query's own figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..search.given import plain
from . import ties
from .bootstrap import Interval, WorkBootstrap
from .cover_ranks import Cliques, decoded
from .similarity import InvalidSimilarityError
from .ties import Floats, TieGroups

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

#: The k of the recalls that every summary has.
RECALL_AT = (1, 10, 100, 1000)


@dataclass(frozen=True)
class Counts:
    """What was evaluated.

    Parameters
    ----------
    n_performances : int
        All performances; each query has one fewer candidates.
    n_works : int
        Distinct works.
    n_queries : int
        Performances whose work has at least one other performance.
    n_query_works : int
        Works with at least two performances.
    n_noise : int
        Performances without a cover: candidates, never queries.
    """

    n_performances: int
    n_works: int
    n_queries: int
    n_query_works: int
    n_noise: int


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """MAP, MR1 and the rest of one ranking, with the figures of every query.

    Every figure is the expectation under a random order of tied candidates
    (:mod:`coverdex.benchmarks.ties`). With no query at all every mean is NaN.

    Parameters
    ----------
    cliques : Cliques
        Which performance belongs to which work.
    groups : TieGroups
        Where the covers of each query came.
    """

    cliques: Cliques
    groups: TieGroups

    def __repr__(self) -> str:
        return (
            f"<Evaluation of {self.counts.n_queries:,} queries: MAP {self.map:.4f}, "
            f"MR1 {self.mr1:.2f}>"
        )

    @cached_property
    def counts(self) -> Counts:
        """How many performances, works, queries and noise works there are."""
        sizes = self.cliques.sizes
        return Counts(
            n_performances=int(sizes.sum()),
            n_works=int(sizes.size),
            n_queries=int(sizes[sizes > 1].sum()),
            n_query_works=int((sizes > 1).sum()),
            n_noise=int((sizes == 1).sum()),
        )

    @property
    def queries(self) -> NDArray[np.int64]:
        """Positions of the queries in the catalogue, shape (n_queries,)."""
        return self.cliques.queries

    @property
    def n_covers(self) -> NDArray[np.int64]:
        """Covers that exist of each query, shape (n_queries,)."""
        return self.groups.n_covers

    @cached_property
    def average_precision(self) -> Floats:
        """Average precision of each query, shape (n_queries,), in (0, 1]."""
        return ties.average_precision(self.groups)

    @cached_property
    def first_rank(self) -> Floats:
        """Rank of the first cover of each query, from 1, shape (n_queries,)."""
        return ties.first_rank(self.groups)

    @cached_property
    def reciprocal_rank(self) -> Floats:
        """Reciprocal of the rank of the first cover, shape (n_queries,)."""
        return ties.reciprocal_rank(self.groups)

    def hit_at(self, k: int) -> Floats:
        """Whether (or how probably) a cover is among the first k, shape (n_queries,)."""
        return ties.hit_at(self.groups, k)

    def covers_within(self, k: int) -> Floats:
        """Covers among the first k, expected, shape (n_queries,)."""
        return ties.covers_within(self.groups, k)

    def recall_at(self, k: int) -> Floats:
        """Share of the covers that are among the first k, shape (n_queries,)."""
        return np.asarray(self.covers_within(k) / np.maximum(self.n_covers, 1), np.float64)

    @cached_property
    def normalised_rank(self) -> Floats:
        """Normalised average rank of the covers, shape (n_queries,), in [0, 1].

        The mean rank of a query's C covers, less the (C + 1) / 2 that it is at best, divided by the
        number of candidates: 0 is perfect, about 0.5 is chance. (After Mueller et al. 2001,
        "Performance evaluation in content-based image retrieval".)
        """
        n_candidates = max(1, self.counts.n_performances - 1)
        excess = ties.mean_rank(self.groups) - (self.n_covers + 1) / 2
        return np.asarray(excess / n_candidates, np.float64)

    @cached_property
    def is_tied(self) -> NDArray[np.bool_]:
        """Whether a cover is tied with a candidate that is none, shape (n_queries,)."""
        return np.asarray(self.groups.summed(self.groups.size - self.groups.covers) > 0, np.bool_)

    @property
    def map(self) -> float:
        """Mean average precision."""
        return _mean(self.average_precision)

    @property
    def mr1(self) -> float:
        """Mean rank of the first cover (1 is best)."""
        return _mean(self.first_rank)

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank of the first cover."""
        return _mean(self.reciprocal_rank)

    @property
    def hits_at_1(self) -> float:
        """Share of the queries with a cover at rank 1."""
        return _mean(self.hit_at(1))

    @property
    def hits_at_10(self) -> float:
        """Share of the queries with a cover among the first 10."""
        return _mean(self.hit_at(10))

    @property
    def nar(self) -> float:
        """Mean normalised average rank (0 is best, chance about 0.5)."""
        return _mean(self.normalised_rank)

    @property
    def precision_at_10(self) -> float:
        """Mean share of covers among the first 10 candidates."""
        return _mean(self.covers_within(10) / 10)

    @property
    def n_tied(self) -> int:
        """Queries that have a cover tied with a candidate that is no cover."""
        return int(self.is_tied.sum())

    def with_ties_broken(self, *, best: bool) -> Evaluation:
        """Evaluate again with every tie broken for (``best``) or against the covers."""
        return Evaluation(self.cliques, ties.broken(self.groups, best=best))

    def recall_curve(self, ks: Sequence[int]) -> Floats:
        """Give the mean recall at each k of ``ks``, shape (len(ks),)."""
        return np.array([_mean(self.recall_at(k)) for k in ks], dtype=np.float64)

    @cached_property
    def figures(self) -> dict[str, Floats]:
        """What is averaged into each figure: its values per query, each of shape (n_queries,)."""
        recalls = {f"recall_at_{k}": self.recall_at(k) for k in RECALL_AT}
        return {
            "map": self.average_precision,
            "mr1": self.first_rank,
            "mrr": self.reciprocal_rank,
            "hits_at_1": self.hit_at(1),
            "hits_at_10": self.hit_at(10),
            "precision_at_10": np.asarray(self.covers_within(10) / 10, np.float64),
            "nar": self.normalised_rank,
            **recalls,
        }

    @cached_property
    def bootstrap(self) -> WorkBootstrap:
        """The draws of works that :attr:`intervals` come from."""
        labels = self.cliques.labels or list(range(len(self.cliques.members)))
        return WorkBootstrap.of([labels[work] for work in self.cliques.work_of[self.queries]])

    @cached_property
    def intervals(self) -> dict[str, Interval | None]:
        """95% interval of each figure, by drawing works (:mod:`coverdex.benchmarks.bootstrap`)."""
        return {name: self.bootstrap.interval(values) for name, values in self.figures.items()}

    def means(self) -> dict[str, float | None]:
        """Give every figure; None where there is no query."""
        return {
            name: float(values.mean()) if values.size else None
            for name, values in self.figures.items()
        }

    def summary(self) -> dict[str, Any]:
        """Give all for JSON: figures (null where undefined), intervals, tie bounds and counts."""
        best, worst = (self.with_ties_broken(best=best).means() for best in (True, False))
        bounds = {
            name: {"best": best[name], "worst": worst[name]}
            for name in ("map", "mr1", "mrr", "hits_at_1")
        }
        return {
            **self.means(),
            "intervals_95": {
                name: None if interval is None else [interval.low, interval.high]
                for name, interval in self.intervals.items()
            },
            "n_tied": self.n_tied,
            "over_ties": bounds,
            "counts": vars(self.counts).copy(),
        }

    def per_query(
        self, performances: Sequence[str] | None = None, works: Sequence[str | None] | None = None
    ) -> pa.Table:
        """Give one row per query.

        Parameters
        ----------
        performances, works : sequences of str, optional
            Ids of all n performances and of their works, in catalogue order; positions stand in
            where left out. Other ids than text, such as numbers, become text.

        Returns
        -------
        pyarrow.Table
            ``performance_id``, ``work_id``, ``n_covers``, ``n_candidates``,
            ``average_precision``, ``first_rank``, ``reciprocal_rank``, ``hit_at_1``,
            ``hit_at_10``, ``covers_in_10``, ``normalised_rank``, ``tied``, and
            ``average_precision`` and ``first_rank`` with ties broken for and against the covers
            (``..._best``, ``..._worst``).

        Raises
        ------
        InvalidSimilarityError
            If there are more or fewer ids than performances.
        """
        import pyarrow as pa

        at = self.queries
        best, worst = (self.with_ties_broken(best=best) for best in (True, False))
        names = self._ids(performances, "performances", positions=range(self.counts.n_performances))
        labels = self._ids(works, "works", positions=self.cliques.work_of)
        return pa.table(
            {
                "performance_id": pa.array([names[i] for i in at], pa.string()),
                "work_id": pa.array([labels[i] for i in at], pa.string()),
                "n_covers": self.n_covers.astype(np.int32),
                "n_candidates": np.full(at.size, self.counts.n_performances - 1, np.int32),
                "average_precision": self.average_precision,
                "first_rank": self.first_rank,
                "reciprocal_rank": self.reciprocal_rank,
                "hit_at_1": self.hit_at(1),
                "hit_at_10": self.hit_at(10),
                "covers_in_10": self.covers_within(10),
                "normalised_rank": self.normalised_rank,
                "tied": self.is_tied,
                "average_precision_best": best.average_precision,
                "average_precision_worst": worst.average_precision,
                "first_rank_best": best.first_rank,
                "first_rank_worst": worst.first_rank,
            }
        )

    def _ids(self, given: Any, what: str, *, positions: Any) -> list[str | None]:
        """Take the ids of all performances as text, the positions where none are given."""
        ids = list(positions if given is None else plain(given))
        if len(ids) != len(self.cliques.work_of):
            raise InvalidSimilarityError(
                f"ids of {len(ids)} {what} are given and {len(self.cliques.work_of)} were "
                "evaluated; give one for each, in the same order"
            )
        return [None if one is None else str(decoded(one)) for one in ids]


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else math.nan
