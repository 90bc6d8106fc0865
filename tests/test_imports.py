"""The house: imports run one way, and the light parts stay light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = ("encoder", "search", "indexer", "service", "benchmarks")

#: folder -> the folders that it may import.
MAY_IMPORT = {
    "encoder": set(),
    "search": {"encoder"},
    "indexer": {"search", "encoder"},
    "service": {"indexer", "search", "encoder"},
    "benchmarks": {"indexer", "search", "encoder"},
}


def imported_folders(source: str, *, folder: str, depth: int) -> set[str]:
    """Name the Coverdex folders that a module imports, itself excepted.

    ``depth`` is how many packages below the repository's root the module lies (1 for
    ``search/index.py``): a relative import with ``depth + 1`` dots starts at the root.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == 0:
                names = [module] + [f"{module}.{alias.name}" for alias in node.names]
            elif node.level == depth + 1:
                names = [
                    f"coverdex.{module}" if module else f"coverdex.{alias.name}"
                    for alias in node.names
                ]
            elif node.level > depth + 1:
                raise AssertionError(f"import reaches above the package: {ast.unparse(node)}")
        for name in names:
            parts = name.split(".")
            if parts[0] == "coverdex" and len(parts) > 1:
                found.add(parts[1])
    return (found & {*FOLDERS, "cli"}) - {folder}


def modules(repository: Path) -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((repository / folder).rglob("*.py"))]


def test_the_reader_of_imports_sees_every_form_of_import() -> None:
    source = "\n".join(
        [
            "import coverdex.search",
            "from coverdex import indexer",
            "from coverdex.service import app",
            "def f():",
            "    from ..benchmarks.metrics import evaluate",
            "from .index import Index",
        ]
    )
    found = imported_folders(source, folder="encoder", depth=1)
    assert found == {"search", "indexer", "service", "benchmarks"}
    assert imported_folders("from ... import search", folder="encoder", depth=2) == {"search"}


def test_imports_run_one_way(repository: Path) -> None:
    seen = 0
    for path in modules(repository):
        relative = path.relative_to(repository)
        folder = relative.parts[0]
        found = imported_folders(path.read_text(), folder=folder, depth=len(relative.parts) - 1)
        wrong = found - MAY_IMPORT[folder]
        assert not wrong, f"{relative} imports {', '.join(sorted(wrong))}"
        seen += 1
    assert seen >= len(FOLDERS)


@pytest.mark.parametrize("name", ["utils", "util", "helpers", "helper", "common", "misc"])
def test_no_room_without_a_name(repository: Path, name: str) -> None:
    for path in modules(repository):
        assert name not in (path.stem, *(parent.name for parent in path.parents)), path


def loaded_by(statement: str) -> set[str]:
    """Run ``statement`` in a fresh interpreter and name the top-level modules that it loaded."""
    report = "import json, sys\nprint(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    code = f"{statement}\n{report}"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(out.stdout.splitlines()[-1]))


HEAVY = {"torch", "faiss", "h5py", "pyarrow", "fastapi", "matplotlib", "numba"}


@pytest.mark.parametrize("folder", ["", *(f".{folder}" for folder in FOLDERS)])
def test_front_doors_load_nothing_heavy(folder: str) -> None:
    assert not loaded_by(f"import coverdex{folder}") & HEAVY


def test_command_line_help_loads_nothing_heavy() -> None:
    statement = (
        "import sys\nsys.argv = ['coverdex', '--help']\nfrom coverdex.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code"
    )
    assert not loaded_by(statement) & {*HEAVY, "numpy"}


def test_search_imports_neither_h5py_nor_training(repository: Path) -> None:
    loaded = loaded_by("import coverdex.search as s\nfor name in s.__all__: getattr(s, name)")
    assert "faiss" in loaded
    assert not loaded & {"h5py", "torch"}
    for path in (repository / "search").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert "training" not in (node.module or "").split("."), path


def test_every_public_name_of_the_front_doors_exists() -> None:
    for package in ("coverdex", *(f"coverdex.{folder}" for folder in FOLDERS)):
        module = __import__(package, fromlist=["*"])
        for name in module.__all__:
            assert getattr(module, name) is not None
