"""The measurement of speed measures what it says (never how fast this machine is)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from coverdex.benchmarks.baselines import Qmax
from coverdex.benchmarks.baselines.speed import (
    LEAST,
    Speed,
    essentia_scores,
    made_up_performances,
    main,
    measure,
)


def test_all_engines_are_measured_on_the_pairs_they_name() -> None:
    speeds = measure(n_frames=40, n_performances=8, rounds=1, threads=[1])
    by_engine = {speed.engine: speed for speed in speeds}
    assert by_engine["numpy, 1 thread"].n_pairs == 3
    if "compiled, 1 thread" in by_engine:
        assert by_engine["compiled, 1 thread"].n_pairs == 36
    rates = [speed.pairs_per_second for speed in speeds]
    assert rates == sorted(rates, reverse=True)


def test_pairs_per_second() -> None:
    assert Speed("x", n_pairs=30, seconds=2.0).pairs_per_second == 15


def test_essentia_does_the_same_work() -> None:
    pytest.importorskip("essentia")
    chromas = made_up_performances(3, 60)
    system = Qmax(engine="numpy")
    tracks = system.prepare(chromas)
    theirs = essentia_scores(chromas)
    for i in range(3):
        ours = system.scores(tracks, i, np.arange(i, 3))
        # essentia leaves out the last state of each, so paths may end a step or two earlier
        np.testing.assert_allclose(theirs[i, i:], ours, atol=2.5)


def test_command_prints_json_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--frames", "30", "--performances", "4", "--rounds", "1"]
    main([*asked, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["frames"] == 30
    assert {"engine", "n_pairs", "seconds", "pairs_per_second"} <= document["engines"][0].keys()
    main(asked)
    printed = capsys.readouterr().out
    assert "| numpy, 1 thread |" in printed
    assert "all pairs" not in printed


def test_a_catalogue_is_measured_by_every_aligner(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--frames", "30", "--performances", "2", "--rounds", "1", "--catalogue", "3"]
    main(asked)
    printed = capsys.readouterr().out
    assert "all pairs of 3" in printed
    for name in ("Qmax", "Dmax", "SiMPle"):
        assert f"| {name} | 6 |" in printed


@pytest.mark.parametrize(
    "option", ["--frames=0", "--frames=9", "--performances=0", "--rounds=0", "--catalogue=-3"]
)
def test_a_number_that_cannot_be_measured_is_wrong_usage(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main([option])
    assert refused.value.code == 2
    assert f"error: {option.replace('=', ' is ')}; give " in capsys.readouterr().err


def test_the_least_numbers_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main([f"--{name}={least}" for name, least in LEAST.items()])
    assert "numpy, 1 thread" in capsys.readouterr().out
