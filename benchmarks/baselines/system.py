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

from ...encoder.chroma import N_PITCH_CLASSES, Chroma
from ...encoder.errors import CoverdexError

#: Called now and then with the work done and the work in all, in the same unit.
Progress = Callable[[int, int], None]


class InvalidParameterError(CoverdexError, ValueError):
    """A parameter with which a system would not do what it is named for."""


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


def require(system: System, name: str, fits: bool, wanted: str) -> None:
    """Refuse a parameter when a system is made: most wrong ones would give numbers all the same.

    Parameters
    ----------
    system : System
    name : str
        Of the parameter.
    fits : bool
        Whether its value will do.
    wanted : str
        What to give, for the message.

    Raises
    ------
    InvalidParameterError
        If it does not fit.
    """
    if not fits:
        value = getattr(system, name)
        raise InvalidParameterError(f"{name} of {system.name} is {value!r}; give {wanted}")


def require_shared(system: Any) -> None:
    """Check the parameters that several systems have; see :func:`require`."""
    require(system, "rate", system.rate > 0, "frames per second, above 0")
    require(system, "aggregation", system.aggregation in ("mean", "median"), "mean or median")


def require_pairing(system: Any) -> None:
    """Check the parameters of systems that compare pair by pair; see :func:`require`."""
    count, threads = system.n_transpositions, system.n_threads
    require(system, "n_transpositions", 1 <= count <= N_PITCH_CLASSES, f"1 to {N_PITCH_CLASSES}")
    require(system, "n_threads", threads is None or threads >= 1, "1 or more, or None")
