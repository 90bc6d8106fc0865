"""The result of an evaluation: means over the queries, counts, and every query's own figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import ties
from .cover_ranks import Cliques
from .ties import Floats, TieGroups

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


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


@dataclass(frozen=True, eq=False)
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
    def n_tied(self) -> int:
        """Queries that have a cover tied with a candidate that is no cover."""
        tied = self.groups.size > self.groups.covers
        return int(np.unique(self.groups.query[tied]).size)

    def summary(self) -> dict[str, Any]:
        """Give the figures for JSON: means (null where undefined) and counts."""
        means = {
            "map": self.map,
            "mr1": self.mr1,
            "mrr": self.mrr,
            "hits_at_1": self.hits_at_1,
            "hits_at_10": self.hits_at_10,
        }
        undefined_as_none = {k: None if math.isnan(v) else v for k, v in means.items()}
        return {**undefined_as_none, "n_tied": self.n_tied, "counts": vars(self.counts).copy()}

    def per_query(
        self, performances: Sequence[str] | None = None, works: Sequence[str | None] | None = None
    ) -> pa.Table:
        """Give one row per query.

        Parameters
        ----------
        performances, works : sequences of str, optional
            Ids of all n performances, in catalogue order; positions stand in where left out.

        Returns
        -------
        pyarrow.Table
            ``performance_id``, ``work_id``, ``n_covers``, ``average_precision``, ``first_rank``,
            ``reciprocal_rank``, ``hit_at_1``, ``hit_at_10``.
        """
        import pyarrow as pa

        at = self.queries
        names = [str(i) if performances is None else performances[i] for i in at]
        own = self.cliques.work_of[at]
        labels = [str(w) if works is None else works[i] for i, w in zip(at, own, strict=True)]
        return pa.table(
            {
                "performance_id": pa.array(names, pa.string()),
                "work_id": pa.array(labels, pa.string()),
                "n_covers": self.n_covers.astype(np.int32),
                "average_precision": self.average_precision,
                "first_rank": self.first_rank,
                "reciprocal_rank": self.reciprocal_rank,
                "hit_at_1": self.hit_at(1),
                "hit_at_10": self.hit_at(10),
            }
        )


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else math.nan
