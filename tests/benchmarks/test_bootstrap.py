from __future__ import annotations

import numpy as np
import pytest
from coverdex.benchmarks import evaluate
from coverdex.benchmarks.bootstrap import WorkBootstrap


def test_means_are_those_of_the_drawn_works():
    works = ["b", "a", "b", "c"]
    values = np.array([1.0, 2.0, 3.0, 10.0])
    bootstrap = WorkBootstrap.of(works, draws=50, seed=1)
    by_hand = []
    for a, b, c in bootstrap.times_drawn:  # works in the order of their names
        drawn = [2.0] * int(a) + [1.0, 3.0] * int(b) + [10.0] * int(c)
        by_hand.append(np.mean(drawn))
    assert bootstrap.means(values) == pytest.approx(by_hand)
    assert bootstrap.times_drawn.sum(axis=1).tolist() == [3] * 50


def test_interval_has_the_width_that_theory_gives():
    # 400 works of two equal queries: the spread of the mean is that of 400 values, not of 800.
    rng = np.random.default_rng(5)
    per_work = rng.normal(size=400)
    works = np.repeat(np.arange(400), 2)
    interval = WorkBootstrap.of(works.tolist()).interval(per_work[works])
    assert interval is not None
    expected = 2 * 1.96 * per_work.std() / np.sqrt(400)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.06)
    assert interval.low < per_work.mean() < interval.high


def test_order_of_the_catalogue_changes_nothing():
    rng = np.random.default_rng(2)
    works = [f"W_{i % 7}" for i in range(20)]
    similarity = rng.normal(size=(20, 20))
    order = rng.permutation(20)
    one = evaluate(similarity, works)
    other = evaluate(similarity[order][:, order], [works[i] for i in order])
    for name, interval in one.intervals.items():
        again = other.intervals[name]
        assert interval is not None
        assert again is not None
        assert (again.low, again.high) == pytest.approx((interval.low, interval.high))


def test_one_work_has_no_interval():
    assert WorkBootstrap.of(["a", "a"]).interval(np.array([0.0, 1.0])) is None
    assert evaluate(np.eye(3), ["a", "a", "a"]).summary()["intervals_95"]["map"] is None
    assert evaluate(np.eye(2), ["a", "b"]).summary()["intervals_95"]["map"] is None


def test_draws_and_means_do_not_depend_on_how_many_are_made_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works = [f"W_{i % 300}" for i in range(900)]
    values = np.random.default_rng(3).random(900)
    at_once = WorkBootstrap.of(works, draws=40)
    monkeypatch.setattr("coverdex.benchmarks.bootstrap._TOGETHER", 700)
    in_blocks = WorkBootstrap.of(works, draws=40)
    assert in_blocks.times_drawn.tobytes() == at_once.times_drawn.tobytes()
    assert in_blocks.means(values) == pytest.approx(at_once.means(values), abs=1e-12)
    assert in_blocks.times_drawn.nbytes == 40 * 300  # one byte each: there may be 100,000 works
