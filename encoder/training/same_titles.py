"""Works of recordings that may be the same one, by their titles.

A catalogue of recordings can have one song under two ids. As negatives of each other in one batch
the two would teach the opposite of the task, so works whose recordings share a title count as one
*group*, and a batch holds at most one work of a group. Covers are often named as the original is,
but two songs may share a name: a group costs a few negatives and nothing else, so it is drawn
generously.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")


def plain_title(title: str) -> str:
    """Keep the letters and digits of a title: lower case, no accents, no brackets.

    >>> plain_title("Déjà Vu (Live)")
    'dejavu'
    """
    bare = _BRACKETED.sub("", title)
    folded = unicodedata.normalize("NFKD", bare if bare.strip() else title).casefold()
    return "".join(c for c in folded if c.isalnum())


def groups_by_title(titles: Sequence[Sequence[str | None]]) -> NDArray[np.int64]:
    """Group works that share a title, directly or through others.

    Parameters
    ----------
    titles : sequence of sequence of str or None
        Of the recordings of each work.

    Returns
    -------
    numpy.ndarray, shape (n_works,), int64
        Equal numbers may be the same work: the first work of each group. Works without titles are
        groups of their own.
    """
    first = list(range(len(titles)))

    def leader(work: int) -> int:
        while first[work] != work:
            work = first[work]
        return work

    seen: dict[str, int] = {}
    for work, of_work in enumerate(titles):
        for key in {plain_title(title) for title in of_work if title} - {""}:
            one, other = sorted((leader(seen.setdefault(key, work)), leader(work)))
            first[other] = one
    return np.array([leader(work) for work in range(len(titles))], dtype=np.int64)


def batches_apart(
    order: NDArray[np.int64], groups: NDArray[np.int64], size: int
) -> Iterator[NDArray[np.int64]]:
    """Cut an order of works into batches, no two works of a group in one.

    A work whose group is in a batch already waits for the next. The last batch is filled up from
    the beginning of the order. Where no two works are of one group, batches are the order's pieces.

    Parameters
    ----------
    order : numpy.ndarray, shape (n_works,), int64
        Works, each once.
    groups : numpy.ndarray, shape (n_works,), int64
        As :func:`groups_by_title` gives them; ``size`` different ones at least.
    size : int

    Yields
    ------
    numpy.ndarray, shape (size,), int64
    """
    waiting = order.tolist()
    while waiting:
        batch: dict[int, int] = {}
        rest = []
        for work in waiting:
            if len(batch) < size and int(groups[work]) not in batch:
                batch[int(groups[work])] = work
            else:
                rest.append(work)
        for work in order.tolist():
            if len(batch) == size:
                break
            batch.setdefault(int(groups[work]), work)
        waiting = rest
        yield np.array(list(batch.values()), dtype=np.int64)
