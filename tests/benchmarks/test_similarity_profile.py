from __future__ import annotations

import numpy as np
import pytest
from coverdex.benchmarks import MatrixSimilarity, evaluate
from coverdex.benchmarks.similarity_profile import SimilarityProfile, similarity_profile


def profile_of(similarity, works, **options):
    cliques = evaluate(similarity, works).cliques
    return similarity_profile(MatrixSimilarity(similarity), cliques, **options)


def test_occurrences_against_a_loop():
    rng = np.random.default_rng(3)
    similarity = rng.normal(size=(30, 30)).astype(np.float32)
    works = [f"W_{i // 2}" for i in range(28)] + ["N_1", "N_2"]
    expected = np.zeros(30, dtype=int)
    for query in range(28):  # noise is no query
        others = [c for c in range(30) if c != query]
        for near in sorted(others, key=lambda c: -similarity[query, c])[:4]:
            expected[near] += 1
    assert profile_of(similarity, works, k=4).occurrences.tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint64", "float16"])
def test_occurrences_are_the_same_in_every_type_of_number(kind):
    similarity = np.array([np.random.default_rng(i).permutation(20) for i in range(20)])
    works = [f"W_{i // 2}" for i in range(20)]
    expected = profile_of(similarity.astype(np.float64), works, k=4).occurrences
    assert expected.max() > 4
    assert profile_of(similarity.astype(kind), works, k=4).occurrences.tolist() == expected.tolist()


def test_ties_at_the_last_place_make_no_hub_of_what_is_stored_first():
    works = [f"W_{i // 2}" for i in range(40)]
    constant = profile_of(np.zeros((40, 40)), works)
    assert constant.occurrences == pytest.approx(np.full(40, 10.0))
    assert constant.hubness == 0
    similarity = np.random.default_rng(5).integers(0, 4, (40, 40)).astype(np.float32)
    order = np.random.default_rng(6).permutation(40)
    moved = profile_of(similarity[np.ix_(order, order)], [works[i] for i in order])
    expected = profile_of(similarity, works).occurrences
    assert expected.sum() == pytest.approx(400)
    assert moved.occurrences == pytest.approx(expected[order])


def test_few_candidates_are_all_near():
    assert profile_of(np.zeros((3, 3)), ["a", "a", "n"]).occurrences.tolist() == [1, 1, 2]


def test_covers_are_all_pairs_and_others_are_no_covers(six, six_works):
    profile = profile_of(six.astype(np.float32), six_works)
    covers = [0.9, 0.4, 0.9, 0.35, 0.4, 0.35, 0.3, 0.3]
    assert profile.covers.tolist() == pytest.approx(covers)
    rest = [0.5, 0.2, 0.6, 0.1, 0.45, 0.7, 0.55, 0.15, 0.65, 0.8, 0.05]
    assert set(profile.others.astype(np.float32)) == set(np.float32(rest))


@pytest.mark.parametrize("offset", [0, 1e9])
def test_scores_that_differ_in_their_last_digits_are_told_apart(six, six_works, offset):
    profile = profile_of(offset + six, six_works)
    assert profile.separation == pytest.approx(profile_of(six, six_works).separation)


def test_separation_is_the_share_of_pairs_in_order():
    covers, others = np.float32([0.5, 0.9]), np.float32([0.1, 0.5, 0.95])
    profile = SimilarityProfile(covers, others, np.zeros(3))
    assert profile.separation == pytest.approx((1 + 0.5 + 0 + 1 + 1 + 0) / 6)


def test_covers_that_a_run_leaves_out_count_as_farthest():
    similarity = np.full((3, 3), -np.inf, dtype=np.float32)
    similarity[0, 1] = 0.9  # the first query finds its cover; the other ranks nothing
    profile = profile_of(similarity, ["a", "a", "n"])
    assert profile.covers.tolist() == [pytest.approx(0.9), -np.inf]
    assert profile.separation == pytest.approx((1 + 0.5) / 2)


def test_a_hub_shows_as_skewness():
    even = SimilarityProfile(np.empty(0), np.empty(0), np.full(100, 10.0))
    hub = np.zeros(100)
    hub[0] = 1000
    assert even.hubness == 0
    profile = SimilarityProfile(np.empty(0), np.empty(0), hub)
    assert profile.hubness == pytest.approx(((1 - 0.01) ** 3 * 0.01 - 0.01**3 * 0.99) / 0.0099**1.5)
    assert profile.share_never_near == pytest.approx(0.99)
