"""Both ways of the speed measurement give the same figures; no time is asserted."""

from __future__ import annotations

import pytest
from coverdex.benchmarks.evaluator_speed import counted, measured, sorted_in_full
from coverdex.benchmarks.planted_catalogue import planted_embeddings, works_of_sizes

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
