"""What a catalogue is made of: works by size, titles and artists that covers keep, years, gaps.

The unit of the shares is the *pair of covers*: two performances of one work, each pair once. A work
of n performances has n (n - 1) / 2, so large works weigh more; ``works_by_size`` shows how much
more. Pairs in which a title or an artist is unknown are left out of the share, and counted.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .titles import TitleSpace, plain, without_remarks

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

    @classmethod
    def of_counts(cls, counts: Mapping[int, int]) -> Spread | None:
        """Describe values of which each comes so many times; None if there are none."""
        if not counts:
            return None
        values = np.array(sorted(counts), dtype=np.float64)
        ends = np.cumsum([counts[value] for value in sorted(counts)])
        n = int(ends[-1])
        places = np.array([0, 0.25, 0.5, 0.75, 1]) * (n - 1)  # interpolated, as numpy does
        below, above = (
            values[np.searchsorted(ends, whole, "right")]
            for whole in (np.floor(places), np.ceil(places))
        )
        low, q1, median, q3, high = (below + (above - below) * (places % 1)).tolist()
        total = sum(value * count for value, count in counts.items())
        return cls(n, low, q1, median, total / n, q3, high)


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
    n_pairs = sum(math.comb(len(performances), 2) for performances in works)
    artists = [[plain(p.artist) for p in performances if p.artist] for performances in works]
    n_artists = sum(math.comb(len(known), 2) for known in artists)
    seconds = list((durations or {}).values())
    return DatasetDescription(
        n_performances=len(records),
        n_works=len(works),
        n_pairs=n_pairs,
        works_by_size=dict(sorted(Counter(map(len, works)).items())),
        titles=title_shares(works),
        same_artist=sum(map(_equal_pairs, artists)) / n_artists if n_artists else None,
        n_artist_unknown=n_pairs - n_artists,
        years=Spread.of([r.year for r in records if r.year is not None]),
        years_apart=Spread.of_counts(years_apart(works)),
        durations=Spread.of(seconds),
        hours=sum(seconds) / 3600 if seconds else None,
        missing={c: sum(getattr(r, c) is None for r in records) for c in COLUMNS},
        rejected=rejected,
    )


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


def years_apart(works: Sequence[Sequence[PerformanceRecord]]) -> Counter[int]:
    """Count the pairs of covers by the years between the two."""
    apart: Counter[int] = Counter()
    for performances in works:
        years = Counter(p.year for p in performances if p.year is not None)
        for (one, n_one), (other, n_other) in itertools.combinations(years.items(), 2):
            apart[abs(one - other)] += n_one * n_other
        apart[0] += sum(math.comb(n, 2) for n in years.values())
    return +apart


def title_shares(works: Sequence[Sequence[PerformanceRecord]]) -> TitleShares:
    """Compare the titles of covers; those of all works say how rare a word is."""
    titles = [[p.title for p in performances if p.title] for performances in works]
    space = TitleSpace(title for known in titles for title in known)
    n_pairs = sum(math.comb(len(known), 2) for known in titles)
    n_in_all = sum(math.comb(len(performances), 2) for performances in works)
    compared = [space.pairs(known) for known in titles]
    each = max(1, n_pairs)
    return TitleShares(
        n_pairs=n_pairs,
        n_unknown=n_in_all - n_pairs,
        same=sum(_equal_pairs(map(plain, known)) for known in titles) / each,
        same_without_remarks=sum(_equal_pairs(map(_name_of, known)) for known in titles) / each,
        similar=sum(n_similar for n_similar, _ in compared) / each,
        mean_cosine=sum(total for _, total in compared) / each,
    )


def _name_of(title: str) -> str:
    """Give the words that name the work; of a title without words, such as ``???``, all."""
    return without_remarks(plain(title)) or plain(title)


def _equal_pairs(keys: Iterable[str]) -> int:
    """Count the pairs of equal ones, without forming pairs: a work may have thousands."""
    return sum(math.comb(n, 2) for n in Counter(keys).values())
