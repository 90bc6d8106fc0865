"""MAP, MR1 and their relatives: how well a ranking brings covers to the top.

For a query with ``C`` covers among the candidates, ranked 1, 2, ... by falling similarity:

* **AP** (average precision): the mean, over all ``C`` covers *that exist*, of the precision at the
  cover's rank. **MAP** is its mean over the queries.
* **MR1** (mean rank 1): the mean over the queries of the rank of the first cover; **MRR** the mean
  of its reciprocal.
* **hits@k**: the share of the queries with at least one cover among the first k.

The rules are those of the Da-TACOS benchmark (Yesiler et al. 2019, "Da-TACOS: a dataset for cover
song identification and understanding"): all performances of works with covers are queries, all
other performances are candidates, noise works are never queries; see
:mod:`coverdex.benchmarks.cover_ranks`. The search is exact over all candidates, and ties count
with their expectation: see :mod:`coverdex.benchmarks.ties`.

>>> evaluate([[0, 0.9, 0.2], [0.9, 0, 0.1], [0.2, 0.1, 0]], ["W_1", "W_1", "W_2"]).map
1.0
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from ..encoder import CoverdexError
from .cover_ranks import BLOCK_BYTES, Cliques, cover_ranks
from .evaluation import Evaluation
from .similarity import EmbeddingSimilarity, SimilaritySource, as_source

if TYPE_CHECKING:
    from ..search import Index


class NothingToEvaluateError(CoverdexError):
    """A catalogue in which no work has two performances, so that there is no query."""


def evaluate(
    similarity: SimilaritySource | ArrayLike,
    works: Sequence[Hashable | None],
    *,
    block_bytes: int = BLOCK_BYTES,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Evaluate similarities, or a ranking, of all performances against all.

    Parameters
    ----------
    similarity : array-like, shape (n, n), or SimilaritySource
        Row i: the similarity of performance i to all n, larger is closer; the diagonal is ignored.
        A ranking is given as :class:`~coverdex.benchmarks.similarity.RankingSimilarity`.
    works : sequence of n hashables
        Work of each performance; None, "" or NaN where it is unknown.
    block_bytes : int
        Memory for similarities at a time.
    progress : callable, optional
        Called with the number of queries just finished.

    Raises
    ------
    InvalidSimilarityError
        If shapes disagree or a similarity is NaN.
    """
    cliques = Cliques.of(works)
    groups = cover_ranks(as_source(similarity), cliques, block_bytes=block_bytes, progress=progress)
    return Evaluation(cliques, groups)


def evaluate_embeddings(
    embeddings: ArrayLike,
    works: Sequence[Hashable | None],
    *,
    block_bytes: int = BLOCK_BYTES,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Evaluate embeddings (n, dimension) by inner product; otherwise like :func:`evaluate`."""
    return evaluate(
        EmbeddingSimilarity(embeddings), works, block_bytes=block_bytes, progress=progress
    )


def evaluate_index(index: Index, *, progress: Callable[[int], None] | None = None) -> Evaluation:
    """Evaluate an index: its embeddings against each other, exactly, not by its FAISS search."""
    works = index.columns(["work_id"]).column("work_id").to_pylist()
    return evaluate_embeddings(index.embeddings, works, progress=progress)
