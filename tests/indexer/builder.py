"""Builds an index in a process of its own, again and again, so that a test can kill it.

Started as a program with a catalogue and a checkpoint folder. For each line that it reads, the
seconds after which to kill (or "never") and the index to build, it forks, which takes milliseconds
where importing torch takes seconds, and prints the exit status of the build: -9 if it was killed.
Nothing has been computed before the fork and OpenMP has one thread, so that there are no threads
for a fork to lose.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback

import pyarrow as pa
from coverdex.encoder import Encoder
from coverdex.indexer import build_index


def main() -> None:
    catalogue, checkpoint = sys.argv[1:]
    encoder = Encoder.load(checkpoint)
    pa.Table.from_pylist([{"x": 1}])  # pyarrow looks for pandas, which takes a second, only once
    for line in sys.stdin:
        seconds, out = line.rstrip("\n").split(" ", 1)
        process = os.fork()
        if process == 0:
            try:
                build_index(catalogue, out, encoder=encoder, shard_size=4)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if seconds != "never":
            time.sleep(float(seconds))
            os.kill(process, signal.SIGKILL)  # unwaited for, so its id cannot be another's yet
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
