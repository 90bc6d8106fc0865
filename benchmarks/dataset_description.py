"""What a catalogue is made of: works by size, titles and artists that covers keep, years, gaps.

The unit of the shares is the *pair of covers*: two performances of one work, each pair once. A work
of n performances has n (n - 1) / 2, so large works weigh more; ``works_by_size`` shows how much
more. Pairs in which a title or an artist is unknown are left out of the share, and counted.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .titles import SIMILAR, TitleSpace, plain, without_remarks

if TYPE_CHECKING:
    from ..indexer import PerformanceRecord

#: Metadata that a catalogue may lack.
COLUMNS = ("work_id", "title", "artist", "work_title", "work_artist", "year", "instrumental")


@dataclass(frozen=True)
class TitleShares:
    """What becomes of the title between two covers; shares of the pairs with known titles.

    Parameters
    ----------
    n_pairs, n_unknown : int
        Pairs with both titles known, and the others.
    same : float
        The same but for case and blanks.
    same_without_remarks : float
        The same once "live", "remix" and the like are dropped; includes ``same``.
    similar : float
        TF-IDF cosine of at least 0.5; includes the former where words are shared.
    mean_cosine : float
    """

    n_pairs: int
    n_unknown: int
    same: float
    same_without_remarks: float
    similar: float
    mean_cosine: float


@dataclass(frozen=True)
class Spread:
    """Five numbers and a mean of some quantity."""

    n: int
    least: float
    lower_quartile: float
    median: float
    mean: float
    upper_quartile: float
    largest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Describe ``values``; None if there are none."""
        if not len(values):
            return None
        low, q1, median, q3, high = np.percentile(values, [0, 25, 50, 75, 100]).tolist()
        return cls(len(values), low, q1, median, float(np.mean(values)), q3, high)


@dataclass(frozen=True)
class DatasetDescription:
    """A catalogue in numbers.

    Parameters
    ----------
    n_performances, n_works : int
        Performances of unknown work count as works of their own.
    n_pairs : int
        Pairs of covers.
    works_by_size : dict of int to int
        Performances of a work -> works.
    titles : TitleShares
    same_artist : float or None
        Share of the pairs of covers by one artist, among those with both known.
    n_artist_unknown : int
        Pairs in which an artist is unknown.
    years : Spread or None
    years_apart : Spread or None
        Between the two performances of a pair.
    durations : Spread or None
        Seconds; None if they were not read.
    hours : float or None
        All durations together.
    missing : dict of str to int
        Metadata column -> performances without it.
    rejected : int
        Performances that could not be read, if they were read.
    """

    n_performances: int
    n_works: int
    n_pairs: int
    works_by_size: dict[int, int]
    titles: TitleShares
    same_artist: float | None
    n_artist_unknown: int
    years: Spread | None
    years_apart: Spread | None
    durations: Spread | None
    hours: float | None
    missing: dict[str, int]
    rejected: int = 0

    def summary(self) -> dict[str, Any]:
        """Give all for JSON."""
        return asdict(self)


def describe(
    records: Sequence[PerformanceRecord],
    durations: Mapping[str, float] | None = None,
    *,
    rejected: int = 0,
) -> DatasetDescription:
    """Describe a catalogue.

    Parameters
    ----------
    records : sequence of PerformanceRecord
    durations : mapping of str to float, optional
        Seconds, by performance id.
    rejected : int
        Performances that could not be read.
    """
    works = works_of(records)
    pairs = list(pairs_of_covers(works))
    artists = [(plain(a.artist), plain(b.artist)) for a, b in pairs if a.artist and b.artist]
    apart = [abs(a.year - b.year) for a, b in pairs if a.year is not None and b.year is not None]
    seconds = list((durations or {}).values())
    return DatasetDescription(
        n_performances=len(records),
        n_works=len(works),
        n_pairs=len(pairs),
        works_by_size=dict(sorted(Counter(map(len, works)).items())),
        titles=title_shares(records, pairs),
        same_artist=_share([a == b for a, b in artists]) if artists else None,
        n_artist_unknown=len(pairs) - len(artists),
        years=Spread.of([r.year for r in records if r.year is not None]),
        years_apart=Spread.of(apart),
        durations=Spread.of(seconds),
        hours=sum(seconds) / 3600 if seconds else None,
        missing={c: sum(getattr(r, c) is None for r in records) for c in COLUMNS},
        rejected=rejected,
    )


Pair = tuple["PerformanceRecord", "PerformanceRecord"]


def works_of(records: Sequence[PerformanceRecord]) -> list[list[PerformanceRecord]]:
    """Group performances by work; one of unknown work stands alone."""
    known: dict[str, list[PerformanceRecord]] = defaultdict(list)
    alone: list[list[PerformanceRecord]] = []
    for record in records:
        if record.work_id:
            known[record.work_id].append(record)
        else:
            alone.append([record])
    return [*known.values(), *alone]


def pairs_of_covers(works: Sequence[Sequence[PerformanceRecord]]) -> Iterator[Pair]:
    """Give every two performances of one work, once."""
    for performances in works:
        yield from itertools.combinations(performances, 2)


def title_shares(records: Sequence[PerformanceRecord], pairs: Sequence[Pair]) -> TitleShares:
    """Compare the titles of pairs of covers; ``records`` say how rare a word is."""
    space = TitleSpace(record.title for record in records if record.title)
    titles = [(a.title, b.title) for a, b in pairs if a.title and b.title]
    cosines = [space.similarity(a, b) for a, b in titles]
    return TitleShares(
        n_pairs=len(titles),
        n_unknown=len(pairs) - len(titles),
        same=_share([plain(a) == plain(b) for a, b in titles]),
        same_without_remarks=_share([_same_work_by_title(a, b) for a, b in titles]),
        similar=_share([cosine >= SIMILAR for cosine in cosines]),
        mean_cosine=float(np.mean(cosines)) if cosines else 0.0,
    )


def _same_work_by_title(one: str, other: str) -> bool:
    return plain(one) == plain(other) or without_remarks(one) == without_remarks(other)


def _share(truths: Sequence[bool]) -> float:
    return float(np.mean(truths)) if truths else 0.0
