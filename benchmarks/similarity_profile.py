"""What the similarities of a system look like: covers against the rest, and hubs.

*Distributions.* A system separates covers from other candidates if their similarities differ; where
the two distributions cross, a threshold errs.

*Hubness.* In many dimensions a few items become near neighbours of very many others and crowd out
the right answers (Radovanovic, Nanopoulos and Ivanovic 2010, "Hubs in space"). The *k-occurrence*
N_k of a performance counts the queries that have it among their first k; its mean is
k n_queries / n, and the skewness of its distribution measures hubness: about 0 is none, above 1 is
marked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cover_ranks import Cliques
from .similarity import SimilaritySource

#: Candidates that count as near.
K = 10
#: Similarities of non-covers that are kept for the figure, evenly over the queries.
N_OTHERS = 200_000
_BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True, eq=False)
class SimilarityProfile:
    """Similarities of covers and others, and k-occurrences.

    Parameters
    ----------
    covers : array, shape (n_pairs,), float64
        Similarity of every query to each of its covers; ``-inf`` where a run leaves it out. Of this
        precision because scores of a run may be, and must not tie here where they don't there.
    others : array, float64
        Similarities to other candidates: a sample, the same number for each query.
    occurrences : array, shape (n,), float64
        How many queries have each performance among their first 10, expected where candidates tie.
    """

    covers: NDArray[np.float64]
    others: NDArray[np.float64]
    occurrences: NDArray[np.float64]

    @property
    def hubness(self) -> float:
        """Skewness of the k-occurrences; 0 if they are all the same but for rounding."""
        centred = self.occurrences - self.occurrences.mean()
        deviation = float(np.sqrt((centred**2).mean()))
        return float((centred**3).mean() / deviation**3) if deviation > 1e-9 else 0.0

    @property
    def share_never_near(self) -> float:
        """Share of the performances that are near to no query."""
        return float((self.occurrences == 0).mean()) if self.occurrences.size else 0.0

    @property
    def separation(self) -> float:
        """Probability that a cover is more similar than another candidate, both at random.

        The area under the ROC curve over all queries together, ties counted half; 0.5 is chance.
        """
        if not self.covers.size or not self.others.size:
            return float("nan")
        ordered = np.sort(self.others)
        below = np.searchsorted(ordered, self.covers, "left")
        up_to = np.searchsorted(ordered, self.covers, "right")
        return float((below + up_to).mean() / 2 / ordered.size)


def similarity_profile(
    source: SimilaritySource, cliques: Cliques, *, k: int = K, seed: int = 0
) -> SimilarityProfile:
    """Read all rows of the queries once.

    Parameters
    ----------
    source : SimilaritySource
    cliques : Cliques
    k : int
        Neighbours that are counted; candidates that tie at the k-th place share what is left of it.
    seed : int
        Of the sample of non-covers.
    """
    rng = np.random.default_rng(seed)
    queries = cliques.queries
    per_query = max(1, N_OTHERS // max(1, queries.size))
    occurrences = np.zeros(source.n)
    covers: list[NDArray[np.float64]] = []
    others: list[NDArray[np.float64]] = []
    step = max(1, _BLOCK_BYTES // (4 * max(1, source.n)))
    for start in range(0, queries.size, step):
        chunk = queries[start : start + step]
        for query, row in zip(chunk, source.rows(chunk), strict=True):
            of_work = cliques.members[cliques.work_of[query]]
            covers.append(row[of_work[of_work != query]].astype(np.float64))
            rest = np.ones(source.n, dtype=bool)
            rest[of_work] = False
            candidates = np.flatnonzero(rest)
            others.append(
                row[rng.choice(candidates, per_query)].astype(np.float64)
                if candidates.size
                else row[:0].astype(np.float64)
            )
            occurrences += _nearness(row, int(query), k)
    joined = [np.concatenate(x) if x else np.empty(0, np.float64) for x in (covers, others)]
    return SimilarityProfile(joined[0], joined[1], occurrences)


def _nearness(row: NDArray[Any], query: int, k: int) -> NDArray[np.float64]:
    """Give 1 for those above the k-th candidate, (n,); those tied there share the places left."""
    values = np.delete(row, query)
    # The last k, not the first of the negatives: unsigned numbers have none.
    at = max(0, values.size - k)
    last = np.partition(values, at)[at] if values.size else 0
    above, tied = row > last, row == last
    above[query] = tied[query] = False
    near = above.astype(np.float64)
    near[tied] = (min(k, values.size) - above.sum()) / max(1, tied.sum())
    return near
