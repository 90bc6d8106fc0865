"""What a long run says of itself, on a terminal and in a log."""

from __future__ import annotations

import io
import sys

import pytest
from coverdex.indexer.progress import shown_progress


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("coverdex.indexer.progress.time", clock)
    return clock


def test_a_log_gets_a_line_every_ten_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown_progress("embedding") as progress:
        for second in range(31):
            clock.now = 100.0 + second
            progress(100 + 10 * second, 400)  # 100 were done before
        progress(400, 400)
    assert capsys.readouterr().err.splitlines() == [
        "embedding: 100 of 400 performances",
        "embedding: 200 of 400 performances, 10.0/s, 0:00:20 left",
        "embedding: 300 of 400 performances, 10.0/s, 0:00:10 left",
        "embedding: 400 of 400 performances, 10.0/s, 0:00:00 left",
    ]


def test_other_things_than_performances_are_counted(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown_progress("Qmax", "pairs") as progress:
        progress(5, 9730)
    assert capsys.readouterr().err.splitlines() == ["Qmax: 5 of 9730 pairs"]


def test_hours_are_told(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress("embedding") as progress:
        progress(0, 100_000)
        clock.now += 10
        progress(100, 100_000)
    assert capsys.readouterr().err.splitlines()[-1].endswith("10.0/s, 2:46:30 left")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with shown_progress("embedding") as progress:
        progress(0, 8)
        progress(8, 8)
    assert "8/8" in terminal.getvalue()
    assert "embedding" in terminal.getvalue()
    assert "/s" in terminal.getvalue()
