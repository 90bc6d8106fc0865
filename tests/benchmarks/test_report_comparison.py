"""The figures of two systems compared, query by query."""

from __future__ import annotations

import numpy as np
import pytest
from coverdex.benchmarks import WorkBootstrap, evaluate
from coverdex.benchmarks.report.comparison import compare, difference_of
from coverdex.encoder.errors import CoverdexError


def test_difference_counts_queries_and_draws_works():
    bootstrap = WorkBootstrap.of(["a", "a", "b", "c"])
    a, b = np.array([0.5, 0.5, 1.0, 0.2]), np.array([0.6, 0.5, 0.5, 0.4])
    d = difference_of(a.copy(), b.copy(), bootstrap, True)
    assert (d.won, d.lost, d.drawn) == (2, 1, 1)
    assert d.difference == pytest.approx((0.1 + 0 - 0.5 + 0.2) / 4)
    assert d.interval is not None
    assert d.interval.low == pytest.approx(-0.5)  # work b alone
    ranks = difference_of(a, b, bootstrap, False)
    assert (ranks.won, ranks.lost) == (1, 2)


def test_verdict_needs_an_interval_without_zero():
    works = [f"W_{i}" for i in range(50)]
    rng = np.random.default_rng(0)
    a = rng.random(50)
    bootstrap = WorkBootstrap.of(works)
    assert difference_of(a, a + 0.1, bootstrap, True).verdict == "better"
    assert difference_of(a, a + 0.1, bootstrap, False).verdict == "worse"
    assert difference_of(a, a + rng.normal(size=50), bootstrap, True).verdict == "undecided"
    assert difference_of(a, a.copy(), bootstrap, True).verdict == "undecided"


def test_works_enough_need_no_caution():
    works = [f"W_{i // 2}" for i in range(24)]
    table = evaluate(np.eye(24), works).per_query(works=works)
    assert compare(table, table).caution == ""
    one = table.slice(0, 2)
    assert compare(one, one).caution == ""


def test_compare_matches_queries_by_id(six, six_works):
    names = ["a1", "a2", "a3", "b1", "b2", "n"]
    a = evaluate(six, six_works).per_query(names, six_works)
    perfect = np.equal.outer(six_works, six_works).astype(float)
    b = evaluate(perfect, six_works).per_query(names, six_works).take([4, 2, 0, 1])
    compared = compare(a, b)
    assert (compared.n_queries, compared.n_only_a, compared.n_only_b) == (4, 1, 0)
    assert compared.summary()["n_works"] == 2
    assert "of 2 works the intervals are too narrow" in compared.caution
    assert compared.differences["map"].a == pytest.approx((0.75 + 0.75 + 0.416667 + 0.5) / 4)
    assert compared.differences["map"].b == 1
    assert compared.differences["mr1"].won == 2  # a3 and b2; a1 and a2 were right already
    with pytest.raises(CoverdexError, match="no query in common"):
        compare(a, b.slice(0, 0))
