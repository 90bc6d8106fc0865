"""A planted catalogue with the ids and the exact clique structure of Da-TACOS, at full size."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from coverdex.benchmarks import PROTOCOLS, check_protocol, evaluate_embeddings, read_work_list
from coverdex.benchmarks.planted_catalogue import (
    DATACOS_SIZES,
    planted_embeddings,
    works_of_sizes,
)

from . import naive


def test_planted_covers_are_found_the_better_the_less_noise():
    works = works_of_sizes([4] * 30 + [1] * 40)
    figures = [evaluate_embeddings(planted_embeddings(works, noise=n), works) for n in (0, 1.5, 50)]
    assert figures[0].map == pytest.approx(1)
    assert figures[0].map > figures[1].map > figures[2].map
    assert figures[2].nar == pytest.approx(0.5, abs=0.1)  # nothing but noise


def test_sizes_are_those_of_the_protocol():
    works = works_of_sizes()
    assert len(works) == PROTOCOLS["da-tacos-benchmark"].n_performances == sum(DATACOS_SIZES)


def test_there_is_never_a_full_matrix():
    works = works_of_sizes([13] * 100 + [1] * 2700)
    embeddings = planted_embeddings(works)
    tracemalloc.start()
    evaluate_embeddings(embeddings, works)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 48 * 2**20  # 4,000 x 4,000 in float32 alone would be 61 MiB


def test_whole_benchmark_against_a_loop_on_a_sample(shared_data):
    listed = read_work_list(shared_data / "datacos_sample" / "da-tacos_benchmark_ids.csv")
    assert check_protocol(PROTOCOLS["da-tacos-benchmark"], listed).comparable
    embeddings = planted_embeddings(listed.works)
    result = evaluate_embeddings(embeddings, listed.works)
    assert result.counts.n_queries == 13_000
    assert result.counts.n_noise == 2_000
    assert result.n_covers.tolist() == [12] * 13_000
    for at in np.random.default_rng(0).choice(13_000, 25, replace=False):
        query = int(result.queries[at])
        row = embeddings.astype(np.float64) @ embeddings[query].astype(np.float64)
        order = [int(c) for c in np.argsort(-row, kind="stable") if c != query]
        expected = naive.of_order(order, query, listed.works)
        # Rounded to float32, two of the 15,000 similarities may tie and share their places.
        assert result.first_rank[at] == pytest.approx(expected.first, abs=1)
        assert result.average_precision[at] == pytest.approx(expected.ap, rel=2e-3)
        assert result.normalised_rank[at] == pytest.approx(
            (expected.mean_rank - 13 / 2) / 14_999, abs=1e-4
        )
