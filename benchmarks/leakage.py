"""Leakage: what an encoder may have seen in training of the catalogue that it is evaluated on.

An encoder that was trained on a work knows its covers; its figures on that work say nothing about
other works. Between a *training list* (:mod:`.training_lists`) and the evaluated catalogue this
looks for

* the same work ids and the same performance ids,
* the same recordings under other ids: chroma that is equal to the last bit, and, where an encoder
  is at hand, embeddings that nearly agree,
* works under the same name: titles with the same words once remarks ("live", "remix") are gone.

Within the catalogue it looks for recordings that are in it twice, by their chroma and by embeddings
that nearly agree, and for one title under several works, which is how cliques that belong together
show. Ids mean something only within one source of ids; names and recordings always do. Of pairs of
recordings no more than 100,000 of each kind are listed.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .near_duplicates import MOST_PAIRS, NEAR_DUPLICATE, counted
from .titles import without_remarks

if TYPE_CHECKING:
    from ..encoder import Chroma
    from ..indexer import PerformanceRecord

    Embed = Callable[[Chroma], NDArray[np.float32] | None]

#: Titles of fewer letters than this are too common to mean anything.
_SHORTEST_TITLE = 3
#: How pandas writes whole numbers of a column in which some are missing.
_WHOLE_NUMBER = re.compile(r"([0-9]+)\.0")
_ARTICLES = ("a", "an", "the")


@dataclass(frozen=True)
class Known:
    """One performance of a training list or a catalogue, as far as it is known.

    Parameters
    ----------
    performance_id, work_id, title : str or None
    digest : str or None
        Of its chroma (:func:`chroma_digest`).
    embedding : array, shape (dimension,), or None
        Of length 1.
    """

    performance_id: str | None = None
    work_id: str | None = None
    title: str | None = None
    digest: str | None = None
    embedding: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, record: PerformanceRecord, chroma: Chroma, embed: Embed | None = None) -> Known:
        """Make one of what a catalogue gives; ``embed`` may return None (silence)."""
        embedding = None if embed is None else embed(chroma)
        digest = chroma_digest(chroma)
        return cls(record.performance_id, record.work_id, record.title, digest, embedding)


@dataclass(frozen=True)
class Learnt:
    """What one encoder, or several, have learnt from.

    Parameters
    ----------
    name : str
        An encoder's id, or the file of the list.
    performances : sequence of Known
    complete : bool
        False where more was trained on than is listed.
    """

    name: str
    performances: Sequence[Known]
    complete: bool = True


@dataclass(frozen=True)
class SharedWithTraining:
    """What a catalogue shares with one training list; each list sorted.

    Parameters
    ----------
    training : str
        Name of the training list.
    n_training : int
        Its performances.
    complete : bool
        False where more was trained on than is listed.
    shared_works, shared_performances : list of str
        Ids on both sides.
    shared_recordings : list of (str, str)
        Performance of the training list and of the catalogue with equal chroma.
    shared_embeddings : list of (str, str, float)
        Performance of the training list and of the catalogue, and the cosine of their embeddings,
        at least 0.999.
    shared_titles : list of str
        Titles of the catalogue that are, without remarks, in the training list too.
    """

    training: str
    n_training: int
    complete: bool
    shared_works: list[str]
    shared_performances: list[str]
    shared_recordings: list[tuple[str, str]]
    shared_embeddings: list[tuple[str, str, float]]
    shared_titles: list[str]

    @property
    def verdict(self) -> str:
        """One line."""
        found = {
            "works": f"{len(self.shared_works):,}",
            "performances": f"{len(self.shared_performances):,}",
            "recordings": counted(self.shared_recordings),
            "near-duplicate recordings": counted(self.shared_embeddings),
            "titles": f"{len(self.shared_titles):,}",
        }
        named = [f"{count} {what}" for what, count in found.items() if count != "0"]
        text = f"shares {', '.join(named)}" if named else "nothing found that is shared"
        listed = f"{self.n_training:,} performances"
        more = "" if self.complete else ", a list that is not complete"
        return f"{text} with the training of {self.training} ({listed}{more})"

    def summary(self) -> dict[str, Any]:
        """Give all for JSON."""
        return {"verdict": self.verdict, **asdict(self)}


@dataclass(frozen=True)
class Leakage:
    """What was found; each list sorted.

    Parameters
    ----------
    trainings : list of SharedWithTraining
        One per training list.
    unknown : list of str
        Systems of which nobody knows what they were trained on.
    duplicates : list of (str, str)
        Performances of the catalogue with equal chroma.
    near_duplicates : list of (str, str, float)
        Performances of the catalogue whose embeddings have at least this cosine.
    titles_of_several_works : list of (str, list of str)
        Title without remarks, and the works of the catalogue that bear it.
    compared : list of str
        By what the catalogue was compared with itself: of chroma, embeddings and titles, what was
        known.
    """

    trainings: list[SharedWithTraining] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    near_duplicates: list[tuple[str, str, float]] = field(default_factory=list)
    titles_of_several_works: list[tuple[str, list[str]]] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """One line on training: what is shared, and of which systems that is unknown."""
        parts = [shared.verdict for shared in self.trainings]
        if self.trainings and "titles" not in self.compared:
            parts.append("titles could not be compared, the catalogue has none")
        if self.unknown:
            they = "they were" if len(self.unknown) > 1 else "it was"
            parts.append(
                f"unknown for {', '.join(self.unknown)}: no list of what {they} trained on was "
                "found (coverdex benchmark leakage takes one, or the checkpoint's folder)"
            )
        return "; ".join(parts) or "no system here was trained"

    @property
    def within(self) -> str:
        """One line on the catalogue itself: what is in it twice, and what was not compared."""
        found = {
            "chroma": f"{counted(self.duplicates)} pairs of equal chroma",
            "embeddings": f"{counted(self.near_duplicates)} pairs of nearly equal embeddings",
            "titles": f"{len(self.titles_of_several_works):,} titles of several works",
        }
        parts = [text for what, text in found.items() if what in self.compared]
        left_out = [what for what in found if what not in self.compared]
        if left_out:
            parts.append(f"not compared: {', '.join(left_out)}")
        return f"within the catalogue {', '.join(parts)}"

    def training_summary(self) -> dict[str, Any]:
        """Give for JSON what there is to say on training alone."""
        shared = [each.summary() for each in self.trainings]
        return {"verdict": self.verdict, "trainings": shared, "unknown": self.unknown}

    def summary(self) -> dict[str, Any]:
        """Give all for JSON."""
        return {**asdict(self), **self.training_summary(), "within": self.within}


def check_leakage(
    catalogue: Sequence[Known],
    trainings: Iterable[Learnt] = (),
    *,
    unknown: Iterable[str] = (),
    near_duplicates: Iterable[tuple[str, str, float]] | None = None,
) -> Leakage:
    """Compare a catalogue with training lists and with itself.

    Parameters
    ----------
    catalogue : sequence of Known
    trainings : iterable of Learnt
    unknown : iterable of str
        Systems without a training list.
    near_duplicates : iterable, optional
        From :mod:`.near_duplicates`; None where no embeddings were compared.
    """
    known = {
        "chroma": any(one.digest for one in catalogue),
        "embeddings": near_duplicates is not None,
        "titles": any(one.title for one in catalogue),
    }
    return Leakage(
        trainings=[_shared_with(catalogue, learnt) for learnt in trainings],
        unknown=sorted(unknown),
        duplicates=_sorted_pairs(
            pair
            for names in map(sorted, _by_digest(catalogue).values())
            for pair in itertools.combinations(names, 2)
        ),
        near_duplicates=sorted(near_duplicates or ()),
        titles_of_several_works=sorted(
            (title, sorted(works))
            for title, works in _by_title(catalogue).items()
            if len(works) > 1
        ),
        compared=[what for what, is_known in known.items() if is_known],
    )


def _shared_with(catalogue: Sequence[Known], learnt: Learnt) -> SharedWithTraining:
    seen = learnt.performances
    ours, theirs = _by_digest(catalogue), _by_digest(seen)
    titles = {_title_key(title) for title in _by_title(seen)}
    return SharedWithTraining(
        training=learnt.name,
        n_training=len(seen),
        complete=learnt.complete,
        shared_works=_shared(catalogue, seen, "work_id"),
        shared_performances=_shared(catalogue, seen, "performance_id"),
        shared_recordings=_sorted_pairs(
            (there, here)
            for digest in ours.keys() & theirs.keys()
            for there in theirs[digest]
            for here in ours[digest]
        ),
        shared_embeddings=_embedded_alike(seen, catalogue),
        shared_titles=sorted(t for t in _by_title(catalogue) if _title_key(t) in titles),
    )


def _sorted_pairs(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(itertools.islice(pairs, MOST_PAIRS))


def chroma_digest(chroma: Chroma) -> str:
    """SHA-256, in hex, of the values (float32, little-endian) and the frame rate of a chroma."""
    digest = hashlib.sha256(f"{chroma.kind} {chroma.frame_rate!r} ".encode())
    digest.update(np.ascontiguousarray(chroma.values, dtype="<f4").tobytes())
    return digest.hexdigest()


def _embedded_alike(
    training: Sequence[Known], catalogue: Sequence[Known]
) -> list[tuple[str, str, float]]:
    there = [k for k in training if k.embedding is not None]
    here = [k for k in catalogue if k.embedding is not None]
    if not there or not here:
        return []
    ours = np.stack([k.embedding for k in here if k.embedding is not None])
    found: list[tuple[str, str, float]] = []
    for known in there:
        assert known.embedding is not None
        cosines = ours @ known.embedding
        for at in np.flatnonzero(cosines >= NEAR_DUPLICATE).tolist():
            pair = (known.performance_id or "?", here[at].performance_id or "?")
            found.append((*pair, float(cosines[at])))
        if len(found) >= MOST_PAIRS:
            break
    return sorted(found[:MOST_PAIRS])


def _shared(catalogue: Sequence[Known], seen: Sequence[Known], name: str) -> list[str]:
    ours, theirs = ({getattr(k, name) for k in known} - {None, ""} for known in (catalogue, seen))
    keys = {_id_key(one) for one in theirs}
    return sorted(one for one in ours if _id_key(one) in keys)


def _id_key(one: str) -> str:
    """Give an id as it was before a table with gaps was written as CSV: 12 of ``12.0``."""
    bare = one.strip()
    found = _WHOLE_NUMBER.fullmatch(bare)
    return found[1] if found else bare


def _by_digest(known: Sequence[Known]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for one in known:
        if one.digest:
            grouped[one.digest].append(one.performance_id or "?")
    return grouped


def _by_title(known: Sequence[Known]) -> dict[str, set[str]]:
    grouped: dict[str, set[str]] = defaultdict(set)
    for one in known:
        title = without_remarks(one.title or "")
        if len(title) >= _SHORTEST_TITLE:
            grouped[title].add(one.work_id or one.performance_id or "?")
    return grouped


def _title_key(title: str) -> str:
    """Letters and digits of a title without its article: lists may have no blanks in titles."""
    words = title.split()
    if words[0] in _ARTICLES and words[1:]:
        words = words[1:]
    elif words[-1] == "the" and words[:-1]:  # "Man I Love, The", as lists are sorted
        words = words[:-1]
    return "".join(words)
