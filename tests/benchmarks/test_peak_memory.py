"""Peak memory is that of the process's own work."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from coverdex.benchmarks.peak_memory import own_peak, peak_of_children

SIZE = 300_000_000
CHILD = """
import numpy as np
from coverdex.benchmarks.peak_memory import own_peak
before = own_peak()
np.ones({size}, np.uint8)
print(before, own_peak())
"""


def in_child(size: int) -> tuple[int, int]:
    run = [sys.executable, "-c", CHILD.format(size=size)]
    told = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    return int(told[0]), int(told[1])


def test_a_process_is_told_by_its_own_peak() -> None:
    before, after = in_child(SIZE)
    assert after - before > 0.8 * SIZE
    assert peak_of_children() > 0.8 * SIZE


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere getrusage is all there is")
def test_what_the_parent_holds_is_not_counted() -> None:
    held = np.ones(4 * SIZE, np.uint8)
    assert own_peak() > held.nbytes
    before, after = in_child(1)
    assert before <= after < SIZE
