"""How sure a mean over queries is: the bootstrap by work.

A figure such as MAP is a mean over the queries of *these* works. To see how much it would change
with other works, works are drawn with replacement, as many as there are, each with all its queries,
and the mean over the drawn queries is taken; 2,000 such means spread like the figure would over
collections of works (Efron 1979). The 95% interval is from their 2.5th to their 97.5th percentile.

Works are drawn, not queries: the queries of one work succeed and fail together, because each is a
cover of the other, so drawing single queries gives intervals that are too narrow.

The draws depend on the seed and on the sorted names of the works alone. So the order of a catalogue
changes nothing, and two systems on the same catalogue get the same draws: their differences can be
taken draw by draw, which is the paired bootstrap.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Draws, and the seed of the generator that makes them.
N_DRAWS = 2000
SEED = 0
#: Numbers of draws and works together that are handled at a time: 32 MB as float64. With 100,000
#: works, all draws at once were 3 GB.
_TOGETHER = 2**22


@dataclass(frozen=True)
class Interval:
    """A 95% interval."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class WorkBootstrap:
    """Draws of works for a set of queries; make one with :meth:`of`.

    Parameters
    ----------
    work_of : array, shape (n_queries,)
        Position of each query's work.
    times_drawn : array, shape (n_draws, n_works), uint8
        How often each work was drawn: once on the average, and of many works none 256 times.
    """

    work_of: NDArray[np.int64]
    times_drawn: NDArray[np.uint8]

    @classmethod
    def of(
        cls, works: Sequence[Hashable], *, draws: int = N_DRAWS, seed: int = SEED
    ) -> WorkBootstrap:
        """Draw works with replacement.

        Parameters
        ----------
        works : sequence of n_queries hashables
            Work of each query.
        draws, seed : int
        """
        names, work_of = np.unique([str(work) for work in works], return_inverse=True)
        n_works = max(1, names.size)
        rng = np.random.default_rng(seed)
        drawn = np.empty((draws, n_works), np.uint8)
        for some in _blocks(draws, n_works):
            drawn[some] = rng.multinomial(
                n_works, np.full(n_works, 1 / n_works), size=len(drawn[some])
            )
        return cls(work_of.reshape(-1).astype(np.int64), drawn)

    def means(self, values: NDArray[np.generic]) -> Floats:
        """Mean of ``values`` (n_queries,) over the queries of each draw, shape (n_draws,)."""
        draws, n_works = self.times_drawn.shape
        of_works = np.stack(
            [
                np.bincount(self.work_of, weights=values, minlength=n_works),
                np.bincount(self.work_of, minlength=n_works),
            ],
            axis=1,
        )
        blocks = (self.times_drawn[some] for some in _blocks(draws, n_works))
        sums = np.concatenate([block.astype(np.float64) @ of_works for block in blocks])
        return np.asarray(sums[:, 0] / sums[:, 1], np.float64)

    def interval(self, values: NDArray[np.generic]) -> Interval | None:
        """95% interval of the mean of ``values`` (n_queries,); None with fewer than two works."""
        if self.work_of.size == 0 or self.times_drawn.shape[1] < 2:
            return None
        low, high = np.percentile(self.means(values), [2.5, 97.5])
        return Interval(float(low), float(high))


def _blocks(draws: int, n_works: int) -> list[slice]:
    step = max(1, _TOGETHER // n_works)
    return [slice(start, start + step) for start in range(0, draws, step)]
