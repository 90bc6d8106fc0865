"""Planning an index: which FAISS structure for how many vectors, and how it is asked.

``Flat`` compares the query with every vector: exact, and as quick as memory can be read. On the
machine of ``docs/index-format.md`` (2 cores, about 16 GB/s) one query of 64 dimensions takes
0.16 ms at 15,000 vectors, 1.6 ms at 100,000, 16 ms at 1,000,000 — a straight line. Up to
:data:`FLAT_UP_TO` that is quicker than whatever else a request does, and nothing is lost.

Above, an inverted file (Sivic and Zisserman 2003; Jégou et al. 2011, IEEE TPAMI 33) clusters the
vectors into lists and asks only the ``nprobe`` lists nearest to the query. The vectors in the lists
are kept as float16, which loses next to nothing, or with 8 bits per component where memory is
short. Product quantisation is not planned: with 64 dimensions its codes lose too much.

How many lists to ask is not planned here but measured on the index itself, and so is whether the
inverted file gains anything: see :mod:`coverdex.search.tuning`.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    reason : str
        One sentence.
    """

    factory: str
    count: int
    dimension: int
    bytes_per_vector: float
    recall: float
    memory: int | None
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
    compare_all: bool = False,
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
    compare_all : bool, default False
        Plan no inverted file, whatever the size: for vectors that lie so that it gains nothing.

    Raises
    ------
    IndexPlanError
        When ``recall`` is not in (0, 1], or no structure fits into ``memory``.
    """
    if not 0 < recall <= 1:
        raise IndexPlanError(f"the recall wanted is {recall}; give a share above 0, at most 1")
    exact = recall == 1 or count <= FLAT_UP_TO or compare_all
    lists = "" if exact else f"IVF{n_lists(count)},"
    codes = [("Flat", 4), ("SQfp16", 2), ("SQ8", 1)] if exact else [("SQfp16", 2), ("SQ8", 1)]
    if recall == 1:
        codes = codes[:1]  # rounded components may swap neighbours
    for name, component_bytes in codes:
        n_bytes = structure_bytes(count, dimension, component_bytes, exact=exact)
        if memory is None or n_bytes <= memory:
            return Plan(
                factory=lists + name,
                count=count,
                dimension=dimension,
                bytes_per_vector=n_bytes / max(count, 1),
                recall=recall,
                memory=memory,
                reason=_reason(name, count, exact=exact, wanted=recall, compare_all=compare_all),
            )
    raise IndexPlanError(
        f"{count} vectors of dimension {dimension} at recall {recall} take {n_bytes} bytes at the "
        f"least, the memory budget is {memory}; give more memory or ask for less recall"
    )


def n_lists(count: int) -> int:
    """Say how many lists an inverted file of ``count`` vectors gets: a power of two."""
    wanted = _LISTS_PER_ROOT * count**0.5
    lists = 1
    while lists * 2**0.5 < wanted:
        lists *= 2
    return lists


def structure_bytes(count: int, dimension: int, component_bytes: int, *, exact: bool) -> int:
    """Count the bytes of a structure: codes, and ids and float32 centroids of an inverted file."""
    codes = count * dimension * component_bytes
    if exact:
        return codes
    return codes + count * _ID_BYTES + n_lists(count) * dimension * 4


def _reason(codes: str, count: int, *, exact: bool, wanted: float, compare_all: bool) -> str:
    size = {"Flat": "float32", "SQfp16": "float16", "SQ8": "8-bit"}[codes]
    if not exact:
        return f"above {FLAT_UP_TO} vectors, an inverted file of {size} codes"
    why = f"{count} is at most {FLAT_UP_TO} vectors"
    if wanted == 1:
        why = "recall 1 was asked for"
    elif compare_all and count > FLAT_UP_TO:
        why = "an inverted file gained too little on these vectors"
    return f"{why}: compared one by one, as {size}"
