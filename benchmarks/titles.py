"""Titles of covers: how far a catalogue gives its works away by name.

A cover usually keeps the title of the work, so a list of titles finds many covers without hearing
anything. How many is part of describing a catalogue. Three measures, from strict to lax:

* *the same* after case and blanks are evened out;
* *the same but for remarks*: also without accents, punctuation, "live", "remix", "feat. ..." and
  the like, which say something about the performance and not about the work;
* *cosine similarity* of TF-IDF vectors of the words: a word weighs the more the fewer titles of the
  catalogue have it (inverse document frequency ``ln((1 + n) / (1 + df)) + 1``), so that two titles
  that share "Yesterday" are closer than two that share "the".
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

#: Words that tell about a performance or a release, not about the work.
_REMARKS = """
    live cover covers version versions remix mix edit remaster remastered acoustic
    unplugged demo instrumental karaoke radio album single bonus track mono stereo
    reprise rehearsal outtake take alternate alternative original extended studio
    session sessions setting arr arranged rerecorded
"""
REMARKS = frozenset(_REMARKS.split())

_BRACKETED = re.compile(r"\(([^()]*)\)|\[([^\[\]]*)\]")
_GUESTS = re.compile(r"\b(?:feat|ft|featuring)\b.*", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")

#: From here on two titles count as similar.
SIMILAR = 0.5


def plain(title: str) -> str:
    """Even out case and blanks."""
    return " ".join(title.casefold().split())


def without_remarks(title: str) -> str:
    """Keep the words that name the work: lower case, no accents, no remarks.

    A bracket is dropped whole if it has a remark in it, so that "Help! (Live at Shea Stadium)" is
    "help"; if nothing would be left, the words stay.

    >>> without_remarks("Yesterday - Remastered 2009")
    'yesterday'
    """
    kept, n_brackets = _BRACKETED.subn(_unless_remark, title)
    while n_brackets:  # and those around them
        kept, n_brackets = _BRACKETED.subn(_unless_remark, kept)
    kept = _GUESTS.sub("", kept)
    head, *tails = re.split(r"\s[-\u2013\u2014]\s", kept)
    kept = " ".join([head, *(tail for tail in tails if not REMARKS & set(words(tail)))])
    found = [word for word in words(kept) if word not in REMARKS]
    return " ".join(found or words(title))


def words(title: str) -> list[str]:
    """Split a title into words, lower case and without accents; "&" is "and"."""
    folded = unicodedata.normalize("NFKD", title.replace("&", " and ").casefold())
    letters = "".join(c for c in folded if not unicodedata.combining(c))
    return _WORD.findall(letters.replace("'", "").replace("\u2019", ""))


def _unless_remark(match: re.Match[str]) -> str:
    inside = match[1] or match[2] or ""
    return " " if REMARKS & set(words(inside)) or _GUESTS.match(inside) else f" {inside} "


class TitleSpace:
    """TF-IDF vectors of titles, with the words of a catalogue as their dimensions.

    Parameters
    ----------
    titles : iterable of str
        All titles; they say how rare a word is.
    """

    def __init__(self, titles: Iterable[str]) -> None:
        sets = [set(words(title)) for title in titles]
        found = Counter(word for each in sets for word in each)
        self._n = len(sets)
        self._rarity = {word: self._idf(n) for word, n in found.items()}

    def vector(self, title: str) -> dict[str, float]:
        """Return the words of a title with their weights, of Euclidean length 1 (or empty)."""
        counts = Counter(words(title))
        unseen = self._idf(0)
        weights = {word: n * self._rarity.get(word, unseen) for word, n in counts.items()}
        length = math.sqrt(sum(weight**2 for weight in weights.values()))
        return {word: weight / length for word, weight in weights.items()} if length else {}

    def similarity(self, one: str, other: str) -> float:
        """Cosine of two titles, 0 (no word in common) to 1."""
        left, right = self.vector(one), self.vector(other)
        return min(1.0, sum(weight * right.get(word, 0.0) for word, weight in left.items()))

    def pairs(self, titles: Sequence[str]) -> tuple[int, float]:
        """Compare every two titles.

        Parameters
        ----------
        titles : sequence of n str
            The memory grows with n, not with the n (n - 1) / 2 pairs.

        Returns
        -------
        n_similar : int
            Pairs whose cosine is :data:`SIMILAR` or more.
        total : float
            Sum of the cosines of all pairs.
        """
        vectors = [self.vector(title) for title in titles]
        having: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for at, vector in enumerate(vectors):
            for word, weight in vector.items():
                having[word].append((at, weight))
        columns = {word: np.array(found).T for word, found in having.items()}
        places = {word: column[0].astype(np.int64) for word, column in columns.items()}
        n_similar, total = 0, 0.0
        for at, vector in enumerate(vectors):
            cosines = np.zeros(at)  # with the titles before it
            for word, weight in vector.items():
                before = int(np.searchsorted(places[word], at))
                cosines[places[word][:before]] += weight * columns[word][1, :before]
            n_similar += int(np.count_nonzero(cosines >= SIMILAR))
            total += float(cosines.sum())
        return n_similar, total

    def _idf(self, n_titles: int) -> float:
        return math.log((1 + self._n) / (1 + n_titles)) + 1
