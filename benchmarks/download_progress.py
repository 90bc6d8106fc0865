"""Progress of a download: a bar on a terminal, plain lines in a log; both on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .download import DownloadProgress

#: Seconds between two lines of a log.
LOG_INTERVAL = 10.0


@contextmanager
def shown_download() -> Iterator[DownloadProgress]:
    """Give a callback that shows how far each file is."""
    if not sys.stderr.isatty():
        yield _LogLines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, object] = {}

        def show(name: str, there: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=there, total=total)  # type: ignore[arg-type]

        yield show


class _LogLines:
    """Prints a line every ten seconds and when a file is complete."""

    def __init__(self) -> None:
        self._printed_at = float("-inf")

    def __call__(self, name: str, there: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._printed_at < LOG_INTERVAL and there != total:
            return
        self._printed_at = now
        of = f" of {total:,}" if total is not None else ""
        print(f"{name}: {there:,}{of} bytes", file=sys.stderr, flush=True)
