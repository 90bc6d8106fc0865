"""Progress of a long run: a bar on a terminal, plain lines in a log.

Both go to stderr and say the same: how much is done, how much a second, how long the rest will
take. What was done before this run started (a resumed build) does not count in the rate.

Training and measuring the structure of a large index cannot be counted and take minutes; their
steps are told one by one.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .embedding import ProgressCallback

#: Seconds between two lines of a log; a bar redraws itself.
LOG_INTERVAL = 10.0


@contextmanager
def shown_progress(title: str, unit: str = "performances") -> Iterator[ProgressCallback]:
    """Give a callback ``(done, total)`` that shows how far a run is, on stderr.

    Parameters
    ----------
    title : str
        What is going on, such as ``"embedding"``.
    unit : str, default "performances"
        What is counted, in the plural.
    """
    if sys.stderr.isatty():
        with _bar(title, unit) as callback:
            yield callback
    else:
        yield _LogLines(title, unit)


@contextmanager
def shown_steps() -> Iterator[None]:
    """Print the steps by which the structure of an index is made, on stderr.

    An index that is compared one by one has none. Within :func:`shown_progress`, not around it: a
    bar takes stderr over, to print what comes meanwhile above itself.
    """
    logger = logging.getLogger("coverdex.search")
    handler, level = logging.StreamHandler(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


@contextmanager
def _bar(title: str, unit: str) -> Iterator[ProgressCallback]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    pace = _Pace()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, rate="")

        def show(done: int, total: int) -> None:
            rate, _ = pace.at(done, total)
            bar.update(task, completed=done, total=total, rate=f"{rate:.1f}/s" if rate else "")

        yield show


class _LogLines:
    """Prints a line when the run begins, every ten seconds, and when it is complete."""

    def __init__(self, title: str, unit: str) -> None:
        self._title = title
        self._unit = unit
        self._pace = _Pace()
        self._printed_at: float | None = None
        self._printed_done: int | None = None

    def __call__(self, done: int, total: int) -> None:
        rate, left = self._pace.at(done, total)
        now = time.monotonic()
        due = self._printed_at is None or now - self._printed_at >= LOG_INTERVAL or done == total
        if not due or done == self._printed_done:
            return
        self._printed_at, self._printed_done = now, done
        pace = f", {rate:.1f}/s, {_clock(left)} left" if rate else ""
        print(f"{self._title}: {done} of {total} {self._unit}{pace}", file=sys.stderr, flush=True)


class _Pace:
    """Rate since the first report, and the time left at that rate."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def at(self, done: int, total: int) -> tuple[float, float]:
        """Return the rate per second (0 before the second report) and seconds left."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
        since, already = self._first
        rate = (done - already) / (now - since) if now > since else 0.0
        return rate, (total - done) / rate if rate else 0.0


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
