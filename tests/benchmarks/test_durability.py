from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from coverdex.benchmarks import durability as module
from coverdex.benchmarks.commands import benchmark
from coverdex.benchmarks.durability import measure_durability
from coverdex.benchmarks.durability_fault import Fault
from coverdex.benchmarks.durability_history import Kind, Step, state_in
from coverdex.search import Index
from typer.testing import CliRunner


def test_the_history_is_drawn_again_from_seed_number_and_ids() -> None:
    there = [f"P_{i}" for i in range(40)]
    steps = [Step.of(4, number, there) for number in range(200)]
    assert {step.kind for step in steps} == set(Kind)
    for number, step in enumerate(steps):
        again = Step.of(4, number, set(there))
        assert again.kind == step.kind
        assert list(again.put) == list(step.put)
        assert again.remove == step.remove
        assert (set(step.put) <= set(there)) == (step.kind is not Kind.ADD)
        changed = step.apply_to_state(dict.fromkeys(there, ("x", b"")))
        known = set(step.remove) & set(there)
        assert len(changed) == 40 + len(step.put) * (step.kind is Kind.ADD) - len(known)


def test_a_killed_editor_loses_nothing(tmp_path: Path) -> None:
    seen = []
    found = measure_durability(
        tmp_path / "i", rounds=6, seed=1, progress=lambda done, total: seen.append((done, total))
    )
    assert found.failures == []
    assert found.rounds == 6
    assert seen[-1] == (6, 6)
    assert found.kills["clock"].total() == 3
    assert set(found.kills["moment"]) == {
        "between two changes",
        "a record cut short",
        "a record written and not flushed",
    }
    assert found.acknowledged.total() > 0
    assert len(state_in(Index.open(tmp_path / "i"))) > 0


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        (Fault.ACKNOWLEDGES_FIRST, "not what was acknowledged"),
        (Fault.KEEPS_REMAINS, "does not open|ended by itself"),
    ],
)
def test_the_check_finds_an_editor_that_is_broken(
    tmp_path: Path, fault: Fault, finding: str
) -> None:
    found = measure_durability(tmp_path / "i", rounds=30, seed=1, fault=fault)
    assert len(found.failures) == 1
    assert re.search(finding, found.failures[0])


def test_the_command_prints_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(folder: Path, **asked: object) -> module.Durability:
        found = module.Durability(seed=int(str(asked["seed"])), rounds=2)
        found.acknowledged.update(add=3, remove=1)
        found.kills["clock"]["between two changes"] = 2
        found.under_way["arrived"] = 1
        if asked["fault"]:
            found.failures.append("round 3: lost")
        return found

    monkeypatch.setattr(module, "measure_durability", measured)
    options = ["durability", "--rounds", "2", "--seed", "9", "--in", str(tmp_path)]
    told = CliRunner().invoke(benchmark, options)
    assert told.exit_code == 0
    text = " ".join(told.stdout.split())
    assert "2 rounds, seed 9: 4 operations acknowledged (3 add, 1 remove)" in text
    assert "0 failures" in text
    failed = CliRunner().invoke(benchmark, [*options, "--fault", "keeps-remains", "--json"])
    assert failed.exit_code == 1
    document = json.loads(failed.stdout)
    assert document["failures"] == ["round 3: lost"]
    assert document["acknowledged"] == {"add": 3, "remove": 1}
