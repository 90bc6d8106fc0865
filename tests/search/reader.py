"""Opens an index, asks it about everything, and says what memory its files take.

Started as a program with a folder. Prints "open" when every page was touched; then, for a line on
stdin, one JSON object per file of the index that is mapped: bytes by the names of
``/proc/self/smaps``. Under "anonymous" how much memory of its own the process took for opening and
searching.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
from coverdex.search import Index

_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ .*")


def mapped_files(folder: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    name = ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if _MAPPING.match(line):
            path = line.split(maxsplit=5)[5] if len(line.split(maxsplit=5)) == 6 else ""
            name = Path(path).name if path.startswith(folder) else ""
        elif name and line.endswith(" kB"):
            key, value, _ = line.split()
            sizes = found.setdefault(name, {})
            sizes[key.rstrip(":")] = sizes.get(key.rstrip(":"), 0) + int(value) * 1024
    return found


def own_memory() -> int:
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"RssAnon:\s+(\d+) kB", status)[0]) * 1024


def main() -> None:
    folder = sys.argv[1]
    warm = Index.open(sys.argv[2])  # so that what libraries take at first is not counted
    query = warm.embeddings[0]
    warm.search(query, limit=3)
    before = own_memory()
    index = Index.open(folder)
    queries = np.random.default_rng(0).standard_normal((20, len(query))).astype(np.float32)
    for one in queries / np.linalg.norm(queries, axis=1, keepdims=True):
        for candidate in index.search(one, limit=50):
            assert candidate.title is not None
    names = index.performances.column("performance_id")
    assert sum(len(name) for name in names.slice(0, 100).to_pylist()) > 0
    took = own_memory() - before
    print("open", flush=True)
    sys.stdin.readline()
    print(json.dumps({**mapped_files(folder), "anonymous": took}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
