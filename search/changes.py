"""Changes of an index, and the performances that they added.

An index is changed by whole records: add these performances, remove those. A record is applied
completely or not at all. What the files of a generation hold is never touched: a removed row is
masked, an added performance lives in memory beside the files until
:meth:`coverdex.search.editor.IndexEditor.compact` folds it in, and an update is both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Operation(StrEnum):
    """What a change does."""

    #: Performances go in; those that exist are replaced.
    PUT = "put"
    #: Performances go out.
    REMOVE = "remove"


@dataclass(frozen=True, eq=False)
class Change:
    """One change, as the log holds it.

    Parameters
    ----------
    operation : Operation
    performances : tuple of mapping
        To put: all columns by name. To remove: ``performance_id`` alone.
    embeddings : ndarray, shape (n, dimension), float32
        To put: row i belongs to ``performances[i]``. To remove: shape (0, dimension).
    """

    operation: Operation
    performances: tuple[Mapping[str, Any], ...]
    embeddings: NDArray[np.float32]

    @property
    def performance_ids(self) -> list[str]:
        """The ids that the change is about."""
        return [performance["performance_id"] for performance in self.performances]


class Added:
    """Performances that are in the log and not in the files. Never changes; `after` gives the next.

    Rows are numbered from 0 as they came; a row that was replaced or removed is dead.

    The matrix has room to spare, which the next ones use: rows beyond ``len(records)`` are none of
    this one's business. That is sound because each is followed by one next only, under the lock of
    whoever keeps them (:class:`coverdex.search.snapshot.Snapshot`).
    """

    def __init__(
        self,
        room: NDArray[np.float32],
        records: list[Mapping[str, Any]],
        alive: NDArray[np.bool_],
        position: dict[str, int],
    ) -> None:
        self._room = room
        self.records = records
        self.alive = alive
        self.position = position

    @classmethod
    def nothing(cls, dimension: int) -> Added:
        """Start without any."""
        return cls(np.empty((0, dimension), np.float32), [], np.empty(0, np.bool_), {})

    @property
    def matrix(self) -> NDArray[np.float32]:
        """Embeddings of all rows, dead ones too, shape (n_rows, dimension), float32."""
        return self._room[: len(self.records)]

    @property
    def n_alive(self) -> int:
        """How many there are."""
        return len(self.position)

    def after(self, changes: list[Change]) -> Added:
        """Apply changes in their order."""
        records = list(self.records)
        position = dict(self.position)
        dead = []
        first = len(records)
        blocks = []
        for change in changes:
            for performance_id in change.performance_ids:
                if performance_id in position:
                    dead.append(position.pop(performance_id))
            if change.operation is Operation.PUT:
                for record in change.performances:
                    position[record["performance_id"]] = len(records)
                    records.append(record)
                blocks.append(change.embeddings)
        room = self._with_room_for(len(records))
        if blocks:
            np.concatenate(blocks, out=room[first : len(records)])
        alive = np.ones(len(records), np.bool_)
        alive[:first] = self.alive
        alive[dead] = False
        return Added(room, records, alive, position)

    def _with_room_for(self, n_rows: int) -> NDArray[np.float32]:
        if n_rows <= len(self._room):
            return self._room
        room = np.empty((max(64, 2 * n_rows), self._room.shape[1]), np.float32)
        room[: len(self.records)] = self.matrix
        return room
