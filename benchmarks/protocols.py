"""Protocols: what exactly must be evaluated for a figure to carry a benchmark's name.

The rules of the evaluation are the same everywhere (:mod:`coverdex.benchmarks.cover_ranks`); a
protocol adds which works and performances there must be. The protocols are data: clique sizes, and
where the list is fixed a digest of it.

``da-tacos-benchmark``
    The benchmark subset of Da-TACOS (Yesiler et al. 2019): 1,000 works in 13 performances and 2,000
    in one; 13,000 queries, each with 14,999 candidates.
``covers80``
    Ellis 2007, lists 1 and 2: 80 works in two performances; 160 queries with 159 candidates.
``any``
    Any catalogue: nothing to check, and nothing to compare with but itself.

A catalogue that lacks performances (a download that stopped, files that could not be read) is still
evaluated, and the result is marked *not comparable*: with fewer candidates every figure looks
better.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..encoder.errors import CoverdexError
from .work_lists import WorkList


@dataclass(frozen=True)
class Protocol:
    """What a catalogue must hold for its figures to be comparable with others'.

    Parameters
    ----------
    name : str
    title : str
        In words.
    works_of_size : mapping of int to int
        Performances of a work -> number of such works; empty if anything goes.
    digest : str
        SHA-256 of the list, see :func:`digest_of`; empty if the protocol has no fixed ids.
    """

    name: str
    title: str
    works_of_size: Mapping[int, int] = field(default_factory=dict)
    digest: str = ""

    @property
    def n_performances(self) -> int:
        """Performances that there must be."""
        return sum(size * works for size, works in self.works_of_size.items())

    @property
    def n_queries(self) -> int:
        """Performances with covers."""
        return sum(size * works for size, works in self.works_of_size.items() if size > 1)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "da-tacos-benchmark",
            "Da-TACOS benchmark subset",
            {13: 1000, 1: 2000},
            "a6b5105dcdb9ccedfbccf2a165a442c6d05d0b67f9b52f1bb494d1fd7c4fa569",
        ),
        Protocol("covers80", "covers80, lists 1 and 2", {2: 80}),
        Protocol("any", "any catalogue"),
    )
}


@dataclass(frozen=True)
class ProtocolCheck:
    """Whether a catalogue is what a protocol asks for.

    Parameters
    ----------
    protocol : Protocol
    comparable : bool
        Whether figures may be set beside others' under the protocol's name.
    findings : tuple of str
        What differs, or what could not be checked; one line each.
    missing, unexpected : tuple of str
        Ids of performances that the list has and the catalogue has not, and the reverse; sorted.
        Empty without a list.
    """

    protocol: Protocol
    comparable: bool
    findings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """One line for a table."""
        if not self.protocol.works_of_size:
            return "no protocol: compare with systems on this very catalogue only"
        if self.comparable:
            return f"complete: comparable under {self.protocol.name}"
        return f"NOT COMPARABLE with results on {self.protocol.title}"

    def summary(self) -> dict[str, Any]:
        """Give all for JSON."""
        return {
            "name": self.protocol.name,
            "comparable": self.comparable,
            "verdict": self.verdict,
            "findings": list(self.findings),
            "n_missing": len(self.missing),
            "missing": list(self.missing),
            "unexpected": list(self.unexpected),
        }


def protocol_named(name: str) -> Protocol:
    """Return a protocol by name.

    Raises
    ------
    CoverdexError
        If there is none of that name.
    """
    if name not in PROTOCOLS:
        raise CoverdexError(f"no protocol {name!r}; give one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def digest_of(listed: WorkList) -> str:
    """SHA-256, in hex, of the lines ``work_id,performance_id``, sorted, each ended by a newline."""
    lines = sorted(f"{work or ''},{performance}\n" for work, performance in listed.pairs)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_protocol(
    protocol: Protocol, catalogue: WorkList, expected: WorkList | None = None
) -> ProtocolCheck:
    """Compare a catalogue with a protocol.

    Parameters
    ----------
    protocol : Protocol
    catalogue : WorkList
        What is evaluated.
    expected : WorkList, optional
        The official list of performances; tells which ones are missing. Without it the sizes of the
        works are checked, and the digest where the protocol has one.
    """
    if not protocol.works_of_size:
        return ProtocolCheck(protocol, comparable=False)
    findings: list[str] = []
    missing: set[str] = set()
    unexpected: set[str] = set()
    if expected is not None:
        if protocol.digest and digest_of(expected) != protocol.digest:
            findings.append(
                f"the list of ids is not the one of {protocol.title}: its {len(expected):,} rows "
                "have another digest"
            )
        missing = set(expected.performances) - set(catalogue.performances)
        unexpected = set(catalogue.performances) - set(expected.performances)
        findings += _of_ids(len(expected), missing, unexpected)
        moved = {p for w, p in catalogue.pairs - expected.pairs} - unexpected
        if moved:
            findings.append(f"{_some(moved)}: another work than in the list")
    elif protocol.digest and digest_of(catalogue) != protocol.digest:
        findings.append(
            "the ids of works and performances are not those of the protocol; give the official "
            "list to see which are missing"
        )
    findings += _of_sizes(protocol, catalogue)
    return ProtocolCheck(
        protocol, not findings, tuple(findings), tuple(sorted(missing)), tuple(sorted(unexpected))
    )


def _of_ids(n_expected: int, missing: set[str], unexpected: set[str]) -> list[str]:
    found = []
    if missing:
        found.append(
            f"{len(missing):,} of {n_expected:,} performances are missing: {_some(missing)}"
        )
    if unexpected:
        found.append(f"{len(unexpected):,} performances are not in the list: {_some(unexpected)}")
    return found


def _of_sizes(protocol: Protocol, catalogue: WorkList) -> list[str]:
    known = Counter(work for work in catalogue.works if work)
    sizes = Counter(known.values())
    sizes[1] += sum(1 for work in catalogue.works if not work)
    if +sizes == Counter(protocol.works_of_size):
        return []
    wanted = _in_words(protocol.works_of_size)
    return [f"works by size are {_in_words(+sizes)}, and the protocol has {wanted}"]


def _in_words(works_of_size: Mapping[int, int]) -> str:
    biggest = sorted(works_of_size.items(), reverse=True)
    shown = [f"{works:,} x {size}" for size, works in biggest[:4]]
    return ", ".join(shown) + (", ..." if len(biggest) > 4 else "")


def _some(ids: Iterable[str]) -> str:
    ordered = sorted(ids)
    return ", ".join(ordered[:5]) + (", ..." if len(ordered) > 5 else "")
