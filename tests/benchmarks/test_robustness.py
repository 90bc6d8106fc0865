"""Changes of a query, and the table of what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from coverdex.benchmarks.robustness import STRENGTHS, as_markdown, changed, measure_robustness
from coverdex.encoder import Chroma

RNG = np.random.default_rng(0)


class MeanEncoder:
    """Stands in for an encoder: the mean chroma, which transposition changes and tempo does not."""

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
