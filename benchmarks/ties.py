"""Tied similarities: what a metric is worth when candidates are equally close to the query.

A system that gives two candidates the same similarity has not ranked them. Breaking such ties by
position in the file rewards or punishes the order in which a catalogue happens to be stored; a
constant similarity could even score a perfect MAP if covers lie side by side. Here a metric over
ties is its *expectation under a uniformly random order of each tied group*, in closed form
(after McSherry & Najork 2008, "Computing information retrieval performance measures efficiently in
the presence of tied scores"), together with its best and its worst case.

Notation
--------
The candidates of one query, best first, fall into groups of equal similarity. Of one group let

* ``a`` (*ahead*): candidates in all groups before it,
* ``R`` (*covers ahead*): covers among those,
* ``n`` (*size*): candidates in the group, ``r`` (*covers*): covers among those, ``1 <= r <= n``;

``C`` is the number of covers of the query that exist, ``H(m) = 1 + 1/2 + ... + 1/m``. A group
without covers changes no metric but through ``a``, so only groups with covers are kept.

Derivations
-----------
**Average precision.** The candidate at place ``i`` of the group (rank ``a + i``) is a cover with
probability ``r/n``. Given that, the other ``n - 1`` places are a uniform order of ``r - 1`` covers
and the rest, so ``(i - 1) q`` covers are expected before it in the group,
``q = (r - 1)/(n - 1)`` (0 for ``n = 1``). The precision at rank ``a + i`` is linear in that count:

    C E[AP] = sum over groups of (r/n) sum_{i=1..n} (R + 1 + (i - 1) q) / (a + i)

and with ``i - 1 = (a + i) - (a + 1)`` the inner sum is
``n q + (R + 1 - q (a + 1)) (H(a + n) - H(a))``.

**First rank.** The first cover lies in the first group with covers (there ``R = 0``), at its place
``X``, the least of ``r`` places drawn from ``n`` without replacement:
``P(X > k) = C(n - k, r) / C(n, r)`` and ``E[X] = (n + 1)/(r + 1)``. So
``E[rank] = a + (n + 1)/(r + 1)``.

**Reciprocal of the first rank.** ``E[1/(a + X)]`` is not ``1/E[a + X]``. With ``P(X = 1) = r/n``
and ``P(X = k + 1) = P(X = k) (n - k - r + 1)/(n - k)``, the finite sum
``sum_{k=1..n-r+1} P(X = k)/(a + k)`` has positive terms only and is stable; for ``r = 1`` it is
``(H(a + n) - H(a))/n``.

**Hit at k.** A cover is among the first ``k`` with probability 1 if ``k >= a + n``, 0 if
``k <= a``, else ``1 - P(X > k - a) = 1 - prod_{j<r} (n - (k - a) - j)/(n - j)``.

**Covers among the first k** (recall and precision at k). Each place holds a cover with probability
``r/n``: ``r clip(k - a, 0, n)/n``, summed over the groups.

**Mean rank of the covers.** A place is ``(n + 1)/2`` in expectation: ``a + (n + 1)/2``.

Best and worst case put a group's covers on its first or its last ``r`` places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Probability mass that may be left out of the sum of the expected reciprocal rank.
_NEGLIGIBLE = 1e-18


@dataclass(frozen=True, eq=False)
class TieGroups:
    """The groups of equal similarity that hold covers, for many queries at once.

    Sorted by query, then from the closest group to the farthest; every query has at least one.
    All arrays have shape (n_groups,) and dtype int64.

    Parameters
    ----------
    query : array
        Position of the query among the queries, 0, 0, 1, 2, 2, ...: nondecreasing, none left out.
    ahead : array
        Candidates strictly closer to the query than the group.
    size : array
        Candidates in the group.
    covers : array
        Covers in the group, at least 1.
    """

    query: Ints
    ahead: Ints
    size: Ints
    covers: Ints

    @property
    def first(self) -> Ints:
        """Position of the first group of each query, shape (n_queries,)."""
        starts = np.ones(self.query.size, dtype=bool)
        starts[1:] = self.query[1:] != self.query[:-1]
        return np.flatnonzero(starts)

    @property
    def covers_ahead(self) -> Ints:
        """Covers in the groups before, of the same query, shape (n_groups,)."""
        before = np.cumsum(self.covers) - self.covers
        return np.asarray(before - before[self.first][self.query], dtype=np.int64)

    @property
    def n_covers(self) -> Ints:
        """Covers that exist of each query's work, shape (n_queries,)."""
        return np.asarray(self.summed(self.covers), dtype=np.int64)

    def summed(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sum ``values`` (n_groups,) over the groups of each query, shape (n_queries,)."""
        if self.query.size == 0:
            return values[:0]
        return np.asarray(np.add.reduceat(values, self.first))


def average_precision(groups: TieGroups) -> Floats:
    """Give the expected average precision of each query, shape (n_queries,)."""
    return np.asarray(groups.summed(precision_at_covers(groups)) / groups.n_covers, np.float64)


def precision_at_covers(groups: TieGroups) -> Floats:
    """Give the expected sum of the precision at the covers of each group, shape (n_groups,)."""
    a, n, r = (x.astype(np.float64) for x in (groups.ahead, groups.size, groups.covers))
    q = np.divide(r - 1, n - 1, out=np.zeros_like(n), where=n > 1)
    harmonic = _harmonic_between(groups.ahead, groups.size)
    inner = n * q + (groups.covers_ahead + 1 - q * (a + 1)) * harmonic
    return np.asarray(r / n * inner, np.float64)


def first_rank(groups: TieGroups) -> Floats:
    """Give the expected rank of the first cover of each query, from 1, shape (n_queries,)."""
    first = groups.first
    return np.asarray(
        groups.ahead[first] + (groups.size[first] + 1) / (groups.covers[first] + 1), np.float64
    )


def reciprocal_rank(groups: TieGroups) -> Floats:
    """Give the expected reciprocal of the first cover's rank of each query, shape (n_queries,)."""
    first = groups.first
    triples = np.stack([groups.ahead[first], groups.size[first], groups.covers[first]], axis=1)
    distinct, which = np.unique(triples, axis=0, return_inverse=True)
    return _expected_reciprocal(*distinct.T)[which.reshape(-1)]


def hit_at(groups: TieGroups, k: int) -> Floats:
    """Probability that a cover is among the first ``k``, of each query, shape (n_queries,)."""
    first = groups.first
    a, n, r = groups.ahead[first], groups.size[first], groups.covers[first]
    drawn = np.clip(k - a, 0, n).astype(np.float64)
    missed = np.ones(first.size)
    for j in range(int(r.max(initial=0))):
        left = np.maximum(n - drawn - j, 0) / np.maximum(n - j, 1)
        missed *= np.where(j < r, left, 1.0)
    return np.asarray(1.0 - missed, np.float64)


def covers_within(groups: TieGroups, k: int) -> Floats:
    """Give the expected number of covers among the first ``k``, shape (n_queries,)."""
    inside = np.clip(k - groups.ahead, 0, groups.size)
    return np.asarray(groups.summed(groups.covers * inside / groups.size), np.float64)


def mean_rank(groups: TieGroups) -> Floats:
    """Give the expected mean rank of all covers of each query, from 1, shape (n_queries,)."""
    rank = groups.ahead + (groups.size + 1) / 2
    return np.asarray(groups.summed(groups.covers * rank) / groups.n_covers, np.float64)


def broken(groups: TieGroups, *, best: bool) -> TieGroups:
    """Break every tie for (``best``) or against the covers: one group of size 1 per cover."""
    place = _place_within(groups.covers)
    if not best:
        place = place + np.repeat(groups.size - groups.covers, groups.covers)
    return TieGroups(
        query=np.repeat(groups.query, groups.covers),
        ahead=np.repeat(groups.ahead, groups.covers) + place,
        size=np.ones(place.size, dtype=np.int64),
        covers=np.ones(place.size, dtype=np.int64),
    )


def _place_within(counts: Ints) -> Ints:
    """For counts (2, 3) give 0, 1, 0, 1, 2."""
    ends = np.cumsum(counts)
    return np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(ends - counts, counts)


def _harmonic_between(ahead: Ints, size: Ints) -> Floats:
    """Give H(ahead + size) - H(ahead), shape (n_groups,)."""
    highest = int((ahead + size).max(initial=0))
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, highest + 1))])
    between = harmonic[ahead + size] - harmonic[ahead]
    # The commonest case is a group of one: its term is exact, with no difference of large sums.
    return np.asarray(np.where(size == 1, 1.0 / (ahead + 1), between), np.float64)


def _expected_reciprocal(ahead: Ints, size: Ints, covers: Ints) -> Floats:
    """Give E[1 / (ahead + X)], X the least of ``covers`` places of ``size``; all shape (m,)."""
    total = np.zeros(size.size)
    probability = covers / size
    left = np.ones(size.size)
    active = np.arange(size.size)
    k = 1
    while active.size:
        p = probability[active]
        total[active] += p / (ahead[active] + k)
        left[active] -= p
        more = (k <= size[active] - covers[active]) & (left[active] > _NEGLIGIBLE)
        active = active[more]
        n, r = size[active], covers[active]
        probability[active] *= (n - k - r + 1) / (n - k)
        k += 1
    return total
