"""The trials of inference embed what the network embeds; no time is asserted."""

from __future__ import annotations

import numpy as np
import pytest
from coverdex.benchmarks.inference_trials import Trial, as_markdown, run_trials
from coverdex.encoder import Encoder

WORKS = ["a", "a", "b", "b"]


@pytest.fixture(scope="module")
def results() -> dict[str, Trial]:
    rng = np.random.default_rng(0)
    tracks = [(rng.random((n, 12)) ** 3).astype(np.float32) for n in (90, 40, 70, 33)]
    only = ["arranged (used)", "4 tracks", "assembled", "int8"]
    found = run_trials(Encoder.load("coverdex-64"), tracks, WORKS, only=only, rounds=1)
    return {trial.name: trial for trial in found}


def test_trials_in_float32_give_the_same_vectors(results: dict[str, Trial]) -> None:
    plain = results["plain, one by one"]
    assert plain.largest_difference == 0
    for name in ("arranged (used)", "padded, 4 tracks", "padded, assembled and folded"):
        assert results[name].largest_difference < 1e-5, name
        assert results[name].map == plain.map
        assert results[name].seconds > 0


def test_a_trial_in_eight_bits_differs_or_says_why_it_cannot_run(results: dict[str, Trial]) -> None:
    trial = results["padded, dynamic int8"]
    assert trial.failed or 1e-5 < trial.largest_difference < 0.5


def test_what_fails_is_in_the_table() -> None:
    results = [Trial("plain, one by one", 1.0, 2.0, 0.0, 0.5), Trial("other", failed="a | b")]
    table = as_markdown(results)
    assert "| plain, one by one | 1.000 | 2.000 | 1.00 | 0.0e+00 | 0.5000 |" in table
    assert "| other | | | | a / b | |" in table
