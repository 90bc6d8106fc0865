"""The most memory that a process has had: what its work needed, in bytes.

``getrusage`` gives the largest resident set, and on Linux counts what a process was before its
program started too: a copy of the process that started it, which may hold a million vectors. The
high-water mark of the present address space (``VmHWM``, proc(5)) begins with the program.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_KIB = 1024


def own_peak() -> int:
    """Return the most bytes that this process has had in memory since its program started."""
    if not _STATUS.exists():
        return _largest(resource.RUSAGE_SELF)
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * _KIB


def peak_of_children() -> int:
    """Return the most bytes that a process which this one has waited for had in memory.

    On Linux with what it was before its program started.
    """
    return _largest(resource.RUSAGE_CHILDREN)


def _largest(who: int) -> int:
    largest = resource.getrusage(who).ru_maxrss
    return largest if sys.platform == "darwin" else largest * _KIB
