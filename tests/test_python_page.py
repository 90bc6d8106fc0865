"""docs/python.md: its code runs, and it names all that is public."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
FRONT_DOORS = (
    "coverdex.encoder",
    "coverdex.encoder.training",
    "coverdex.search",
    "coverdex.indexer",
    "coverdex.benchmarks",
    "coverdex.benchmarks.baselines",
    "coverdex.service",
)


def test_the_blocks_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    seen: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), seen)
    assert seen["vectors"].shape == (2, 64)
    assert seen["evaluation"].map == pytest.approx(0.2898, abs=5e-4)


@pytest.mark.parametrize("door", FRONT_DOORS)
def test_every_public_name_is_in_its_table_and_no_other(door: str) -> None:
    public = set(importlib.import_module(door).__all__)
    assert public <= set(re.findall(r"`(\w+)`", PAGE))
    table = re.search(rf"^\| `{re.escape(door)}`.*?\n\n", PAGE, re.M | re.S)
    if table:
        assert set(re.findall(r"`(\w+)`", table[0])) == public


def test_the_names_of_the_package_itself_are_there() -> None:
    public = set(importlib.import_module("coverdex").__all__) - {"__version__"}
    assert public <= set(re.findall(r"`(\w+)`", PAGE.split("##")[0]))
