"""Changes an index until it is killed; see `test_change_log.py`.

Reads lines of FOLDER SEED N. For each it forks a process that goes on with the history of SEED
behind its Nth step, printing the number of each step as it is acknowledged, and compacting now and
then. It prints that process's id first, and "gone" when it is.

Forking is what makes this quick, and safe because nothing here has run FAISS yet.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from itertools import islice
from pathlib import Path
from types import ModuleType


def load(name: str) -> ModuleType:
    """Import a module of this folder, which is no package outside of pytest."""
    full = f"mortal_tests.{name}"
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(full, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    spec.loader.exec_module(module)
    return module


def live(folder: str, seed: int, done: int) -> None:
    """Change the index for ever."""
    editor = IndexEditor(folder)
    for number, step in islice(enumerate(history.steps(seed), 1), done, None):
        step.apply_to(editor)
        os.write(1, f"{number}\n".encode())
        if number % 4 == 0:
            editor.compact()


if __name__ == "__main__":
    sys.modules["mortal_tests"] = ModuleType("mortal_tests")
    sys.modules["mortal_tests"].__path__ = [str(Path(__file__).parent)]
    history = load("history")
    from coverdex.search import IndexEditor

    for line in sys.stdin:
        folder, seed, done = line.rsplit(maxsplit=2)
        child = os.fork()
        if child == 0:
            os.write(1, f"{os.getpid()}\n".encode())
            live(folder, int(seed), int(done))
        os.waitpid(child, 0)
        print("gone", flush=True)
