"""How an index is to be built of embeddings, and what can be known to be wrong with that early.

Embedding takes hours and comes first. So a misspelt factory string is found before it, not after.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime

from ..encoder.errors import CoverdexError
from ..search.plan import AUTO, DEFAULT_RECALL, check_recall
from ..search.structure import check_factory


@dataclass(frozen=True)
class IndexOptions:
    """How an index is to be built of embeddings; :func:`coverdex.search.write_index` has more.

    Parameters
    ----------
    strict : bool, default False
        Fail if anything was rejected. No index is written then, and an older one stays.
    overwrite : bool, default False
        Replace an index that is there.
    factory : str, default "auto"
        FAISS factory string; ``"auto"`` plans it from the number of performances.
    memory : int, optional
        Most bytes that the FAISS index may take, for planning.
    recall : float, default 0.99
        Share of the true nearest ten to find, for planning.
    """

    strict: bool = False
    overwrite: bool = False
    factory: str = AUTO
    memory: int | None = None
    recall: float = DEFAULT_RECALL

    def check(self, dimension: int) -> None:
        """Refuse what will not do for any embeddings of this dimension.

        Whether there are enough of them to train on, and whether they fit into ``memory``, shows
        only when they are there.

        Raises
        ------
        FactoryError
            If FAISS does not know the factory string, or it does not fit the dimension.
        IndexPlanError
            If ``recall`` is not in (0, 1].
        """
        check_recall(self.recall)
        check_factory(self.factory, dimension)


def time_to_claim() -> str | None:
    """Return the time that a reproducible build is to claim, None for now.

    Raises
    ------
    CoverdexError
        If ``SOURCE_DATE_EPOCH`` is set and is no time.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return None
    try:
        return datetime.fromtimestamp(int(epoch), UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        raise CoverdexError(
            f"SOURCE_DATE_EPOCH is {epoch!r}; give whole seconds since 1970, or unset it"
        ) from None
