"""What a retrieval system is to the evaluator: chroma of a catalogue in, a similarity matrix out.

The baselines of the literature, and anything else that is to be compared with them, have this one
face. A system is a small frozen dataclass: its fields are its parameters, so that a report can
print them, and building one costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...encoder.chroma import Chroma

#: Called now and then with the work done and the work in all, in the same unit.
Progress = Callable[[int, int], None]


@runtime_checkable
class System(Protocol):
    """Something that ranks every performance of a catalogue against every other."""

    @property
    def name(self) -> str:
        """The name that tables print, such as ``"Qmax"``."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What distinguishes this system from another of the same name."""

    def similarity_matrix(
        self, chromas: Sequence[Chroma], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Compare all performances with all.

        Parameters
        ----------
        chromas : sequence of Chroma, length n
            One chroma a performance.
        progress : callable, optional
            Called as ``progress(done, total)``.

        Returns
        -------
        ndarray, shape (n, n), float32
            Row i holds the similarities of query i; larger is closer. Finite everywhere; the
            diagonal means nothing and is left out by the evaluator.
        """


def progress_unit_of(system: System) -> str:
    """Say what a system's progress counts: its ``progress_unit``, else performances."""
    return str(getattr(system, "progress_unit", "performances"))


def parameters_of(system: Any) -> dict[str, Any]:
    """Return the fields of a dataclass system by name."""
    return {field.name: getattr(system, field.name) for field in fields(system)}
