"""A made-up history of an index, and what the index must hold after each step of it.

Each step follows from a seed, its number and the ids that are there, and from nothing else. So the
process that changes the index and the one that checks it afterwards, which share no memory, draw
the same history.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..search import Index, IndexEditor

DIMENSION = 64
ENCODER_ID = "made-up-0123456789ab"

#: Performance id to title and embedding, the latter as bytes.
State = dict[str, tuple[str | None, bytes]]


class Kind(StrEnum):
    """What a step does."""

    ADD = "add"
    UPDATE = "update"
    REMOVE = "remove"
    COMPACT = "compact"


#: How often each comes; an index that is compacted now and then stays at a few hundred.
_SHARES = {Kind.ADD: 0.35, Kind.UPDATE: 0.25, Kind.REMOVE: 0.3, Kind.COMPACT: 0.1}
#: Performances of one step, at most.
_MOST = 6


@dataclass(frozen=True)
class Step:
    """One change: put these titles and embeddings, remove these ids, or compact.

    Parameters
    ----------
    kind : Kind
    put : mapping of str to (str, ndarray of shape (dimension,))
        To add or to replace.
    remove : tuple of str
        Some of them may not be there.
    """

    kind: Kind
    put: Mapping[str, tuple[str, NDArray[np.float32]]] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    @classmethod
    def of(cls, seed: int, number: int, there: Collection[str]) -> Step:
        """Draw step ``number`` of the history ``seed``, when these performances are there."""
        rng = np.random.default_rng([seed, number])
        kind = Kind(rng.choice(list(_SHARES), p=list(_SHARES.values())))
        n = int(rng.integers(1, _MOST + 1))
        known = sorted(there)
        if kind is Kind.COMPACT:
            return cls(kind)
        if kind is Kind.ADD or len(known) < n:
            names = [f"P_{number}_{i}" for i in range(n)]
            return cls(Kind.ADD, put=_made_up(names, f"step {number}", rng))
        chosen = [known[i] for i in rng.choice(len(known), n, replace=False)]
        if kind is Kind.UPDATE:
            return cls(kind, put=_made_up(chosen, f"step {number}", rng))
        return cls(kind, remove=(*chosen, f"P_{number}_unknown"))

    def apply_to(self, editor: IndexEditor) -> None:
        """Change an index; on return the change is acknowledged."""
        if self.kind is Kind.COMPACT:
            editor.compact()
        elif self.kind is Kind.REMOVE:
            editor.remove(self.remove)
        else:
            rows = [
                {"performance_id": name, "title": title} for name, (title, _) in self.put.items()
            ]
            vectors = np.stack([vector for _, vector in self.put.values()])
            change: Any = editor.add if self.kind is Kind.ADD else editor.update
            change(rows, vectors, encoder_id=ENCODER_ID)

    def apply_to_state(self, state: State) -> State:
        """Say what the index holds after this step, if it held ``state`` before."""
        after = {name: held for name, held in state.items() if name not in self.remove}
        for name, (title, vector) in self.put.items():
            after[name] = (title, vector.tobytes())
        return after


def state_in(index: Index) -> State:
    """Read all that an index holds."""
    table = index.performances
    vectors = [vector.tobytes() for vector in index.embeddings]
    titles = table.column("title").to_pylist()
    names = table.column("performance_id").to_pylist()
    return dict(zip(names, zip(titles, vectors, strict=True), strict=True))


def unit_vectors(n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw vectors of length 1, shape (n, dimension), float32."""
    drawn = rng.standard_normal((n, DIMENSION))
    vectors: NDArray[np.float32] = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(
        "f4"
    )
    return vectors


def _made_up(
    names: list[str], title: str, rng: np.random.Generator
) -> dict[str, tuple[str, NDArray[np.float32]]]:
    vectors = unit_vectors(len(names), rng)
    return {name: (title, vector) for name, vector in zip(names, vectors, strict=True)}
