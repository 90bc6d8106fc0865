"""Near-duplicates: performances whose embeddings agree almost to the last digit.

Two covers are different recordings, and their embeddings differ in the second digit. Where the
cosine of two is 0.999 or more they are one recording, in two encodings perhaps, or cut a little
apart: it is then in the catalogue twice, or in the training data under another name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .similarity import EmbeddingSimilarity

if TYPE_CHECKING:
    from .leakage import Known
    from .similarity import SimilaritySource

#: Embeddings that agree to this cosine are taken for one recording.
NEAR_DUPLICATE = 0.999
#: Pairs that are named of each kind. An encoder that gives all performances one embedding has as
#: many as a catalogue has pairs: 112 million in Da-TACOS, which no report holds.
MOST_PAIRS = 100_000

_BLOCK = 256


def near_duplicates_among(known: Sequence[Known]) -> list[tuple[str, str, float]]:
    """Find pairs with nearly the same embedding among those that have one."""
    embedded = [(k.performance_id or "?", k.embedding) for k in known if k.embedding is not None]
    if not embedded:
        return []
    source = EmbeddingSimilarity(np.stack([embedding for _, embedding in embedded]))
    return near_duplicates_of(source, [name for name, _ in embedded])


def near_duplicates_of(
    source: SimilaritySource, performances: Sequence[str], *, threshold: float = NEAR_DUPLICATE
) -> list[tuple[str, str, float]]:
    """Find pairs of performances whose similarity reaches ``threshold``, the first 100,000."""
    found: list[tuple[str, str, float]] = []
    for start in range(0, source.n, _BLOCK):
        which = np.arange(start, min(start + _BLOCK, source.n))
        block = source.rows(which)
        rows, columns = np.nonzero(block >= threshold)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if start + row < column:
                pair = sorted((performances[start + row], performances[column]))
                found.append((pair[0], pair[1], float(block[row, column])))
                if len(found) == MOST_PAIRS:
                    return found
    return found


def counted(listed: Sequence[object]) -> str:
    """Write how many pairs there are, of which no more than :data:`MOST_PAIRS` are listed."""
    return f"{len(listed):,}" + (" or more" if len(listed) >= MOST_PAIRS else "")
