"""Changes of a query, and the table of what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from coverdex.benchmarks.robustness import (
    STRENGTHS,
    as_markdown,
    changed,
    measure_robustness,
    robustness_table,
)
from coverdex.encoder import Chroma, InvalidChromaError

RNG = np.random.default_rng(0)


class MeanEncoder:
    """Stands in for an encoder: the mean chroma, which transposition changes and tempo does not."""

    dimension = 12

    def prepare(self, chroma: Chroma) -> Chroma:
        if not chroma.values.any():
            raise InvalidChromaError("chroma is silent", reason="no-energy")
        return chroma

    def embed_many(self, chromas: Iterable[Chroma]) -> Iterator[np.ndarray]:
        for chroma in chromas:
            mean = chroma.values.mean(axis=0)
            yield mean / np.linalg.norm(mean)


def performance(seed: int, n_frames: int = 400) -> Chroma:
    rng = np.random.default_rng(seed)
    return Chroma((rng.random((n_frames, 12)) ** 4 * rng.random(12)).astype(np.float32), 10.0)


def test_each_change_is_what_it_says() -> None:
    chroma = performance(0)
    np.testing.assert_array_equal(
        changed(chroma, "transposition", 2, RNG).values[:, 2], chroma.values[:, 0]
    )
    assert changed(chroma, "tempo", 2.0, RNG).duration == pytest.approx(chroma.duration / 2)
    middle = changed(chroma, "excerpt", 4, RNG)
    np.testing.assert_array_equal(middle.values, chroma.values[180:220])
    assert changed(chroma, "excerpt", 1000, RNG).n_frames == 400
    np.testing.assert_array_equal(
        changed(chroma, "duration", 0.25, RNG).values, chroma.values[:100]
    )
    noisy = changed(chroma, "noise", 0.5, np.random.default_rng(1))
    np.testing.assert_allclose(noisy.values.max(axis=1), chroma.values.max(axis=1), rtol=1e-5)
    assert np.abs(noisy.values - chroma.values).mean() > 0.05
    with pytest.raises(ValueError, match="give one of"):
        changed(chroma, "reverb", 1, RNG)


def test_an_encoder_that_hears_key_falls_with_transposition_alone() -> None:
    performances = [(f"w{i // 2}", performance(i // 2)) for i in range(12)]
    rows = measure_robustness(MeanEncoder(), performances)  # type: ignore[arg-type]
    assert len(rows) == 1 + sum(len(s) for s in STRENGTHS.values())
    by_change: dict[str, list[float]] = {}
    for row in rows:
        by_change.setdefault(row.change, []).append(row.map)
        assert row.low <= row.map <= row.high
    assert by_change["none"] == [1.0]
    assert min(by_change["tempo"]) == 1.0
    assert np.mean(by_change["transposition"]) < 0.8
    table = as_markdown(rows)
    assert "| unchanged | 1.000 (1.000-1.000) | 1.0 |" in table
    assert "transposition 6 semitones" in table


def test_one_work_has_no_interval() -> None:
    performances = [("a", performance(0)), ("a", performance(1))]
    rows = measure_robustness(MeanEncoder(), performances)[:2]  # type: ignore[arg-type]
    assert "| unchanged | 1.000 | 1.0 |" in as_markdown(rows)
    assert list(robustness_table(rows, title="").columns[2].cells) == ["one work"] * 2
    assert rows[0].summary()["map_interval_95"] is None


def test_silence_is_ranked_last_and_stops_nothing() -> None:
    """One performance is silent in the middle, one throughout."""
    half = performance(1).values.copy()
    half[50:350] = 0.0  # so its excerpt of 30 s from the middle is silence
    silent = Chroma(np.zeros((400, 12)), 10.0)
    performances = [
        ("a", performance(0)),
        ("a", performance(0)),
        ("b", performance(1)),
        ("b", Chroma(half, 10.0)),
        ("b", silent),
    ]
    rows = measure_robustness(MeanEncoder(), performances)  # type: ignore[arg-type]
    by_what = {row.what: row for row in rows}
    # For a: 1, 1. For b, its silent third comes last of four: (1 + 2 / 4) / 2 twice, and the silent
    # one ranks nothing, so all four candidates are tied.
    assert by_what["unchanged"].map == pytest.approx((1 + 1 + 0.75 + 0.75 + TIED) / 5)
    assert by_what["excerpt 30 s"].map < by_what["unchanged"].map
    with_table = robustness_table(rows, title="[b]made up[/b]")
    assert with_table.row_count == len(rows)


#: Average precision to expect of two covers among four candidates in no order: the mean over the
#: six ways to place them.
TIED = np.mean([np.mean([1 / i, 2 / j]) for i in range(1, 5) for j in range(i + 1, 5)])
