"""The process that changes an index until it is killed, and the moments at which it can die.

Killed by the clock, a process dies where it spends its time, which is in flushing files. The other
moments are short, and some of them are those that a mistake would hide in. So a victim can also be
told to kill itself with SIGKILL at the n-th coming of one of them: its code is wrapped at the calls
that carry a change to the disk. A record can be cut short there as a kill in the middle of a long
write would leave it.

Each victim also says at any time which moment it passed last, in memory that it shares with the
process that kills it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..search import Index, IndexEditor, change_log, compaction, editor
from ..search.manifest import Manifest
from .durability_fault import Fault
from .durability_history import Step


class Moment(StrEnum):
    """Where a process can be when it dies."""

    BETWEEN = "between two changes"
    CUT_SHORT = "a record cut short"
    NOT_FLUSHED = "a record written and not flushed"
    FLUSHED = "a record flushed and not acknowledged"
    PARTS = "the files of a new generation under way"
    PUBLISHED = "a new generation complete and not yet the index"
    COMMITTED = "a new generation in place and its log not begun"


MOMENTS = tuple(Moment)


@dataclass(frozen=True)
class Orders:
    """What a victim is to do.

    Parameters
    ----------
    folder : str
        The index.
    seed : int
        Of the history.
    done : int
        How many steps of it were done before.
    moment : Moment or None
        Where it is to kill itself; None to wait for the clock.
    times : int
        At which coming of the moment.
    fault : Fault or None
        What is wrong with it.
    """

    folder: str
    seed: int
    done: int
    moment: Moment | None = None
    times: int = 1
    fault: Fault | None = None


def live(orders: Orders, acknowledge: Connection, passed: Any) -> None:
    """Change the index for ever, and send the number of each step when it is acknowledged.

    Parameters
    ----------
    orders : Orders
    acknowledge : Connection
        Gets each number as text.
    passed : ctypes int, shared
        Place in ``MOMENTS`` of the moment passed last.
    """
    reach = _Reaching(orders, passed)
    if orders.fault is Fault.KEEPS_REMAINS:
        _keep_remains()
    with IndexEditor(orders.folder) as changing:
        there = set(_ids(changing.index))
        _wrap(reach)
        for number in count(orders.done + 1):
            step = Step.of(orders.seed, number, there)
            if orders.fault is Fault.ACKNOWLEDGES_FIRST:
                acknowledge.send_bytes(str(number).encode())
            step.apply_to(changing)
            if orders.fault is not Fault.ACKNOWLEDGES_FIRST:
                acknowledge.send_bytes(str(number).encode())
            there = (there | set(step.put)) - set(step.remove)
            reach(Moment.BETWEEN)


class _Reaching:
    """Notes each moment, and dies at the one that was ordered."""

    def __init__(self, orders: Orders, passed: Any) -> None:
        self._orders = orders
        self._left = orders.times
        self._passed = passed

    def __call__(self, moment: Moment) -> None:
        if self.comes_last(moment):
            self.die_at(moment)
        self._passed.value = MOMENTS.index(moment)

    def comes_last(self, moment: Moment) -> bool:
        """Count a coming of ``moment``; true if it is the fatal one."""
        if moment is not self._orders.moment:
            return False
        self._left -= 1
        return self._left == 0

    def die_at(self, moment: Moment) -> None:
        """Leave as if the power of the process had been cut."""
        self._passed.value = MOMENTS.index(moment)
        os.kill(os.getpid(), signal.SIGKILL)


def _wrap(reach: _Reaching) -> None:
    """Put the moments into the code that changes an index, for this process."""
    write, flush = os.pwrite, change_log._flush

    def pwrite(file: int, content: bytes, at: int) -> int:
        if reach.comes_last(Moment.CUT_SHORT):
            write(file, content[: len(content) * 2 // 3], at)
            reach.die_at(Moment.CUT_SHORT)
        written = write(file, content, at)
        reach(Moment.NOT_FLUSHED)
        return written

    def flushed(file: int) -> None:
        flush(file)
        reach(Moment.FLUSHED)

    system: Any = os
    system.pwrite = pwrite
    change_log._flush = flushed
    module: Any = compaction
    module.write_parts = _before_and_after(module.write_parts, reach, Moment.PARTS)
    module.publish_folder = _after(module.publish_folder, reach, Moment.PUBLISHED)
    manifest: Any = Manifest
    manifest.write = _after(manifest.write, reach, Moment.COMMITTED)


def _before_and_after(call: Callable[..., Any], reach: _Reaching, moment: Moment) -> Any:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        reach(moment)
        result = call(*arguments, **named)
        reach(moment)
        return result

    return wrapped


def _after(call: Callable[..., Any], reach: _Reaching, moment: Moment) -> Any:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        result = call(*arguments, **named)
        reach(moment)
        return result

    return wrapped


def _keep_remains() -> None:
    """Make the editor take whatever the log holds for good."""
    log = change_log.ChangeLog

    class Trusting(log):  # type: ignore[misc, valid-type]
        def __init__(self, path: Path, *, end: int, **rest: Any) -> None:
            super().__init__(path, end=max(end, path.stat().st_size if end else 0), **rest)

    module: Any = editor
    module.ChangeLog = Trusting


def _ids(index: Index) -> list[str]:
    names: list[str] = index.performances.column("performance_id").to_pylist()
    return names
