"""A contender: one program for approximate search, brought to a common form.

Every contender gets the same float32 vectors of length 1 and the same queries, and gives row
numbers. It builds once, into a folder of its own, and is then asked at growing *effort*: the one
parameter that trades time for recall (lists visited, length of the candidate list). A second
parameter, where there is one, takes a few fixed values, each a *ladder* of efforts; the quickest
ladder counts.

What is fair: one thread; settings that the program's own documentation recommends for high recall;
the same recall for all, as near above the wanted one as the effort's steps allow.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BUILT = "built.json"
#: The effort of a program that has planned its own.
AS_PLANNED = "as planned"


@dataclass(frozen=True)
class Ladder:
    """Settings of growing effort.

    Parameters
    ----------
    effort : str
        The parameter that is swept.
    low, high : int
        From where to where.
    fixed : mapping
        The other parameters.
    """

    effort: str
    low: int
    high: int
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def setting(self, effort: int) -> dict[str, Any]:
        """Return all parameters at one effort."""
        return {**self.fixed, self.effort: effort}


@dataclass(frozen=True)
class Built:
    """What a build came to.

    Parameters
    ----------
    cpu_seconds : float
        Of all threads.
    n_bytes : int
        What must be in memory to answer, codes, graph and vectors for refinement; on disk, where
        that is the same.
    """

    cpu_seconds: float
    n_bytes: int

    def write(self, folder: Path) -> None:
        """Mark the build in ``folder`` as complete."""
        (folder / _BUILT).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Built | None:
        """Return what an earlier run has built in ``folder``; None if nothing is complete."""
        path = folder / _BUILT
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


class Contender(ABC):
    """One program; see the module. Made anew in each process that works with it."""

    #: As it stands in the table.
    name: str
    #: Modules that must be installed.
    needs: Sequence[str] = ()
    #: More vectors than this take hours: built only where somebody asks for this program by name.
    most_vectors: int = 1 << 62
    #: How it was built, in a few words.
    settings: str = ""

    @property
    def folder_name(self) -> str:
        """A name for the folder that keeps what it builds."""
        return "".join(c if c.isalnum() else "-" for c in self.name.lower()).strip("-")

    def missing(self) -> str | None:
        """Say why it cannot take part; None if it can."""
        absent = [module for module in self.needs if find_spec(module) is None]
        return f"{', '.join(absent)} is not installed" if absent else None

    def environment(self) -> Mapping[str, str]:
        """Give environment variables that its process needs, for one thread or a connection."""
        return {}

    def other_cpu_seconds(self) -> float:
        """Give CPU seconds spent so far on its behalf in other processes, such as a server."""
        return 0.0

    @abstractmethod
    def build(self, vectors: NDArray[np.float32], folder: Path) -> None:
        """Index the vectors, on one thread, and keep the result in ``folder``."""

    @abstractmethod
    def n_bytes(self, folder: Path) -> int:
        """Return :attr:`Built.n_bytes`."""

    @abstractmethod
    def open(self, folder: Path, n: int) -> None:
        """Make what was built ready to answer."""

    @abstractmethod
    def ladders(self, n: int) -> Sequence[Ladder]:
        """Return the ladders that are swept; one of a single step for a fixed setting."""

    @abstractmethod
    def search(
        self, queries: NDArray[np.float32], limit: int, setting: Mapping[str, Any]
    ) -> NDArray[np.int64]:
        """Answer queries, in one call where the program takes many; shape (n_queries, limit)."""


def bytes_of(folder: Path) -> int:
    """Count the bytes of all files of a folder, but for the mark of a complete build."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != _BUILT)
    return sum(p.stat().st_size for p in files)


def list_count(n: int) -> int:
    """Return the number of an inverted file's lists, for those that plan none themselves."""
    return int(2 ** round(np.log2(4 * np.sqrt(n))))
