"""Planning an index: which FAISS structure for how many vectors, and how it is asked.

``Flat`` compares the query with every vector: exact, and as quick as memory can be read. On the
machine of ``docs/index-format.md`` (2 cores, about 16 GB/s) one query of 64 dimensions takes
0.16 ms at 15,000 vectors, 1.6 ms at 100,000, 16 ms at 1,000,000 — a straight line. Up to
:data:`FLAT_UP_TO` that is quicker than whatever else a request does, and nothing is lost.

Above, an inverted file clusters the vectors into lists and asks only those nearest to the query
(:mod:`coverdex.search.inverted_file`). Three forms of it are planned, the first that fits into
memory: 4 bits per component, of which the best are compared again as float16; float16 alone; and 8
bits per component, which can lose more than a percent of the answers. On a million embeddings of
simulated covers the first asks several times as quickly as the second at recall .99
(``docs/performance.md``), for a quarter more memory. Codes without refinement are not planned: they
lose too much. Nor are codes on the strongest principal directions alone: an encoder whose last
layer gives every dimension the same scatter within works spreads what matters over all of them, and
with half of them a search that compared 640 codes again ended at a recall of .91.

How many lists to ask, and how many codes to compare again, is not planned here but measured on the
index itself, and so is whether the inverted file gains anything: see
:mod:`coverdex.search.tuning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import IndexPlanError

#: A factory string that asks for planning.
AUTO = "auto"
#: Largest index that is searched exactly: 4 ms per query at 64 dimensions, see above.
FLAT_UP_TO = 250_000
#: Share of the true nearest ten that an approximate index is to find, unless said otherwise.
DEFAULT_RECALL = 0.99

#: Lists of an inverted file per square root of the number of vectors, before rounding to a power
#: of two: finding the nearest lists then costs about as much as going through them.
_LISTS_PER_ROOT = 4
#: Bytes that an inverted file keeps for the id of each vector.
_ID_BYTES = 8

#: Structures from the quickest on large indexes to the surest: an inverted file of codes that are
#: refined, one of whole vectors, and comparing one by one.
REFINED, INVERTED, FLAT = "refined", "inverted", "flat"
KINDS = (REFINED, INVERTED, FLAT)
#: Fewest dimensions at which codes gain something on whole vectors.
_REFINED_FROM = 32


@dataclass(frozen=True)
class Plan:
    """Which FAISS structure an index gets, and why.

    Parameters
    ----------
    factory : str
        FAISS factory string.
    count, dimension : int
        What it was planned for.
    bytes_per_vector : float
        Memory of the structure, centroids included.
    recall : float
        Share of the true nearest ten that searches are to find.
    memory : int or None
        Budget in bytes; None for no limit.
    kind : str
        One of :data:`KINDS`.
    reason : str
        One sentence.
    """

    factory: str
    count: int
    dimension: int
    bytes_per_vector: float
    recall: float
    memory: int | None
    kind: str
    reason: str

    def to_dict(self) -> Mapping[str, Any]:
        """Give what the manifest keeps of it."""
        return {
            "count": self.count,
            "recall_wanted": self.recall,
            "memory_budget": self.memory,
            "bytes_per_vector": round(self.bytes_per_vector, 2),
            "reason": self.reason,
        }


def plan(
    count: int,
    dimension: int,
    *,
    memory: int | None = None,
    recall: float = DEFAULT_RECALL,
    kinds: Sequence[str] = KINDS,
) -> Plan:
    """Choose the FAISS structure for an index. A pure function.

    Parameters
    ----------
    count, dimension : int
        Number of vectors and of their components.
    memory : int, optional
        Bytes that the structure may take when it is served; no limit if not given.
    recall : float, default 0.99
        Share of the true nearest ten that searches are to find; 1 asks for an exact index.
    kinds : sequence of str, default all of KINDS
        What may be planned, ``FLAT`` in any case: without those of which was measured that they
        gain nothing on these vectors.

    Raises
    ------
    IndexPlanError
        When ``recall`` is not in (0, 1], or no structure fits into ``memory``.
    """
    check_recall(recall)
    forms = _forms(count, dimension, recall, kinds)
    for kind, factory, n_bytes in forms:
        if memory is None or n_bytes <= memory:
            return Plan(
                factory=factory,
                count=count,
                dimension=dimension,
                bytes_per_vector=n_bytes / max(count, 1),
                recall=recall,
                memory=memory,
                kind=kind,
                reason=_reason(kind, factory, count, wanted=recall),
            )
    least = min(n_bytes for _, _, n_bytes in forms)
    raise IndexPlanError(
        f"{count} vectors of dimension {dimension} at recall {recall} take {least} bytes at the "
        f"least, the memory budget is {memory}; give more memory or ask for less recall"
    )


def check_recall(recall: float) -> None:
    """Refuse what is no share.

    Raises
    ------
    IndexPlanError
        When it is not in (0, 1].
    """
    if not 0 < recall <= 1:
        raise IndexPlanError(f"the recall wanted is {recall}; give a share above 0, at most 1")


def n_lists(count: int) -> int:
    """Say how many lists an inverted file of ``count`` vectors gets: a power of two."""
    wanted = _LISTS_PER_ROOT * count**0.5
    lists = 1
    while lists * 2**0.5 < wanted:
        lists *= 2
    return lists


def _forms(
    count: int, dimension: int, recall: float, kinds: Sequence[str]
) -> list[tuple[str, str, int]]:
    """List what may be planned, best first: kind, factory string, bytes."""
    vectors = count * dimension  # times bytes per component
    if recall == 1:
        return [(FLAT, "Flat", 4 * vectors)]  # rounded components may swap neighbours
    approximate = [kind for kind in kinds if kind != FLAT and count > FLAT_UP_TO]
    lists = n_lists(count)
    ids, centres = count * _ID_BYTES, lists * dimension * 4
    forms = []
    if REFINED in approximate and dimension >= _REFINED_FROM:
        factory = f"IVF{lists},PQ{dimension}x4fsr,Refine(SQfp16)"
        # Lists are filled up to a multiple of 32 codes, so by 16 on the average.
        codes = (count + 16 * lists) * -(-dimension // 2)
        forms.append((REFINED, factory, codes + 2 * vectors + ids + centres))
    if INVERTED in approximate:
        for name, component_bytes in (("SQfp16", 2), ("SQ8", 1)):
            n_bytes = component_bytes * vectors + ids + centres
            forms.append((INVERTED, f"IVF{lists},{name}", n_bytes))
    if not approximate:
        forms = [
            (FLAT, name, component_bytes * vectors)
            for name, component_bytes in (("Flat", 4), ("SQfp16", 2), ("SQ8", 1))
        ]
    return forms


def _reason(kind: str, factory: str, count: int, *, wanted: float) -> str:
    if kind == REFINED:
        return f"above {FLAT_UP_TO} vectors, an inverted file of 4-bit codes, refined by float16"
    size = {"Flat": "float32", "SQfp16": "float16", "SQ8": "8-bit"}[factory.split(",")[-1]]
    if kind == INVERTED:
        return f"above {FLAT_UP_TO} vectors, an inverted file of {size} codes"
    why = f"{count} is at most {FLAT_UP_TO} vectors"
    if wanted == 1:
        why = "recall 1 was asked for"
    elif count > FLAT_UP_TO:
        why = "an inverted file gained too little on these vectors"
    return f"{why}: compared one by one, as {size}"
