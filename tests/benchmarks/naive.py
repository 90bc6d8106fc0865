"""The slow, obvious evaluation that the fast one is checked against: lists, loops, a sort."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass


@dataclass
class QueryResult:
    query: int
    ap: float
    first: float
    reciprocal: float
    hits: dict[int, float]
    covers_within_10: float
    mean_rank: float


def of_order(order: Sequence[int], query: int, works: Sequence[Hashable]) -> QueryResult:
    """Figures of one ranking without ties."""
    ranks = [at for at, c in enumerate(order, start=1) if works[c] == works[query]]
    n_covers = sum(w == works[query] for w in works) - 1
    assert len(ranks) == n_covers
    return QueryResult(
        query=query,
        ap=sum(found / rank for found, rank in enumerate(ranks, start=1)) / n_covers,
        first=ranks[0],
        reciprocal=1 / ranks[0],
        hits={k: float(ranks[0] <= k) for k in (1, 2, 3, 10)},
        covers_within_10=sum(rank <= 10 for rank in ranks),
        mean_rank=sum(ranks) / n_covers,
    )


def orders(row: Sequence[float], query: int) -> Iterator[list[int]]:
    """Every ranking that a row of similarities allows: all permutations within each tie."""
    others = [c for c in range(len(row)) if c != query]
    levels = sorted({row[c] for c in others}, reverse=True)
    tied = [[c for c in others if row[c] == level] for level in levels]
    for choice in itertools.product(*(itertools.permutations(t) for t in tied)):
        yield [c for group in choice for c in group]


def expected(row: Sequence[float], query: int, works: Sequence[Hashable]) -> QueryResult:
    """Mean of the figures over every ranking that the row allows."""
    results = [of_order(order, query, works) for order in orders(row, query)]
    n = len(results)
    return QueryResult(
        query=query,
        ap=sum(r.ap for r in results) / n,
        first=sum(r.first for r in results) / n,
        reciprocal=sum(r.reciprocal for r in results) / n,
        hits={k: sum(r.hits[k] for r in results) / n for k in (1, 2, 3, 10)},
        covers_within_10=sum(r.covers_within_10 for r in results) / n,
        mean_rank=sum(r.mean_rank for r in results) / n,
    )


def evaluate(similarity: Sequence[Sequence[float]], works: Sequence[Hashable]) -> list[QueryResult]:
    """Figures of every query, with ties averaged over every order."""
    return [
        expected(similarity[q], q, works)
        for q in range(len(works))
        if sum(w == works[q] for w in works) > 1
    ]
