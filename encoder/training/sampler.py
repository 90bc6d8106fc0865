"""Which works share a batch: never two that may be the same one.

Contrastive losses push the works of a batch apart, so two entries of one song (the same hit in two
collections, two transcriptions under two ids) would teach the network the opposite of its task.
Works are therefore grouped by what their titles say, generously (:func:`title_key`), and a batch
holds at most one work of a group. Nor does it hold two tunes over the same chords
(:mod:`.contrafacts`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .contrafacts import harmony_of
from .same_titles import letters_alone
from .seed_titles import words_apart

#: Endings of titles that name an edition, not another work, in the collections that write them so;
#: elsewhere four digits may be all that tells works apart.
_EDITIONS = re.compile(r"(\.varms|_repeat|_\d{4})+$")
_WITH_EDITIONS = ("asap", "coco", "tune")


def title_key(work_id: str) -> str:
    """Give what two entries of one work have in common.

    Parameters
    ----------
    work_id : str
        As the note tables write it: ``coco_Artist_Title_1965.varms``, ``jazz_title``,
        ``asap_Composer/Work``, ``pop909_001``.

    Returns
    -------
    str
        Letters in lower case, numbers in words (:func:`~.same_titles.letters_alone`), so that
        ``jazz_unit7`` and ``jazz_unitseven`` count as one. Popular songs and jazz standards share
        one name space, so that a standard in both counts as one; other collections keep theirs.
    """
    collection, _, rest = work_id.partition("_")
    if collection in _WITH_EDITIONS:
        rest = _EDITIONS.sub("", rest)
    if collection == "coco":
        rest = rest.partition("_")[2] or rest
    if collection in ("coco", "jazz"):
        collection = "song"
    return f"{collection}:{letters_alone(words_apart(rest).lower())}"


def _harmony(key: str) -> str:
    collection, _, title = key.partition(":")
    return f"{collection}:{harmony_of(title) if collection == 'song' else title}"


class WorkSampler:
    """Draws the works of each batch.

    Parameters
    ----------
    work_ids : sequence of str
        All works.
    corpora : sequence of str
        The collection of each work.
    weights : mapping of str to float, optional
        How often works of a collection are drawn, relative to 1.
    concentration : float, default 0
        How unevenly a batch draws on the collections: the weights of each batch are multiplied by
        gamma variates of mean 1 and this variance. 0 draws every batch alike; at 1 one or two
        collections make up most of a batch, so that its negatives are of the same kind of music.
    seed : int
        Batches are a function of the seed and the step.
    """

    def __init__(
        self,
        work_ids: Sequence[str],
        corpora: Sequence[str],
        *,
        weights: Mapping[str, float] | None = None,
        concentration: float = 0.0,
        seed: int = 0,
    ) -> None:
        if concentration < 0:
            raise ValueError(f"concentration is {concentration!r}; give a number, 0 or more")
        keys = sorted({title_key(w) for w in work_ids})
        number = {key: i for i, key in enumerate(keys)}
        members: list[list[int]] = [[] for _ in keys]
        drawn: list[list[int]] = [[] for _ in keys]
        weight = np.zeros(len(keys))
        names = sorted(set(corpora))
        collection = np.zeros(len(keys), dtype=np.int64)
        for i, (work, corpus) in enumerate(zip(work_ids, corpora, strict=True)):
            own = (weights or {}).get(corpus, 1.0)
            group = number[title_key(work)]
            members[group].append(i)
            if own > 0:  # else not even in place of the same work of another collection
                drawn[group].append(i)
            weight[group] = max(weight[group], own)
            collection[group] = names.index(corpus)
        if not weight.sum() > 0:
            raise ValueError("every collection has weight 0; give one of them more")
        self._members = members
        self._drawn = drawn
        self._weight = weight
        self._collection = collection
        self._n_collections = len(names)
        self._harmony = np.unique([_harmony(key) for key in keys], return_inverse=True)[1]
        self._n_drawn = int((weight > 0).sum())
        self.concentration = concentration
        self.n_groups = len(np.unique(self._harmony[weight > 0]))
        self.seed = seed

    @property
    def groups(self) -> list[list[int]]:
        """Indices into ``work_ids`` of the works that may be the same, group by group."""
        return self._members

    def works(self, step: int, n: int) -> NDArray[np.int64]:
        """Draw the works of a step's batch.

        Parameters
        ----------
        step : int
        n : int
            At most ``n_groups``: groups, of which those over the same chords count as one.

        Returns
        -------
        ndarray, shape (n,), int64
            Indices into ``work_ids``, no two of one group or over the same chords.
        """
        if n > self.n_groups:
            raise ValueError(f"{n} works asked for, but there are {self.n_groups} different ones")
        rng = np.random.default_rng([self.seed, 11, step])
        weight = self._weight
        if self.concentration:
            factors = rng.gamma(1 / self.concentration, self.concentration, self._n_collections)
            # Never zero: a batch must be filled even when its collection is small.
            weight = weight * np.maximum(factors, 1e-3)[self._collection]
        # As many more as may be passed over for the chords that they share with one drawn before.
        n_drawn = min(self._n_drawn, n + self._n_drawn - self.n_groups)
        groups = rng.choice(len(self._members), n_drawn, replace=False, p=weight / weight.sum())
        first = np.sort(np.unique(self._harmony[groups], return_index=True)[1])
        groups = groups[first[:n]]
        return np.array([rng.choice(self._drawn[g]) for g in groups], dtype=np.int64)
