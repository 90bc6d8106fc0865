"""Both ways of the speed measurement give the same figures; no time is asserted."""

from __future__ import annotations

import json

import pytest
from coverdex.benchmarks import evaluator_speed
from coverdex.benchmarks.evaluator_speed import counted, measured, sorted_in_full
from coverdex.benchmarks.planted_catalogue import planted_embeddings, works_of_sizes
from coverdex.benchmarks.report.commands import benchmark
from typer.testing import CliRunner

SIZES = (5,) * 12 + (1,) * 9


def test_both_ways_agree():
    works = works_of_sizes(SIZES)
    embeddings = planted_embeddings(works)
    ours = counted(embeddings, works)
    assert ours == pytest.approx(sorted_in_full(embeddings, works), rel=1e-5)
    assert 0 < ours["map"] < 1


def test_measuring_gives_figures_and_costs():
    result = measured("coverdex", SIZES, threads=1)
    assert result["peak_mib"] >= result["peak_mib_before"] > 0
    assert result["map"] == pytest.approx(
        counted(planted_embeddings(works_of_sizes(SIZES)), works_of_sizes(SIZES))["map"]
    )


def test_command_puts_both_side_by_side():
    arguments = ["evaluator-speed", "--works", "6", "--noise-works", "4", "--threads", "1"]
    result = CliRunner().invoke(benchmark, [*arguments, "--json"], catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["n_performances"] == 6 * 13 + 4
    assert document["coverdex"]["map"] == pytest.approx(document["plain"]["map"], rel=1e-5)
    ours, plain = document["coverdex"], document["plain"]
    assert document["times_faster"] == pytest.approx(plain["seconds"] / ours["seconds"])
    table = CliRunner().invoke(benchmark, arguments, catch_exceptions=False).stdout
    assert f"{document['coverdex']['map']:.5f}" in table
    assert "ratio" in table


def test_a_way_that_dies_is_told(monkeypatch):
    failed = {"failed": "the process died, probably for want of memory"}
    ours = measured("coverdex", SIZES, threads=1)
    monkeypatch.setattr(
        evaluator_speed, "measured", lambda way, *_: failed if way == "plain" else ours
    )
    arguments = ["evaluator-speed", "--works", "2", "--noise-works", "1"]
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert "died" in result.stdout
    assert "ratio" not in result.stdout
