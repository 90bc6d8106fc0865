from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from coverdex.benchmarks import RankingSimilarity, evaluate, evaluate_embeddings
from coverdex.benchmarks import cover_ranks as ranks
from coverdex.benchmarks.cover_ranks import Cliques
from coverdex.benchmarks.similarity import EmbeddingSimilarity, InvalidSimilarityError
from hypothesis import given, settings
from hypothesis import strategies as st

from . import naive

# --- golden values, worked out by hand --------------------------------------------------------


def test_six_performances(six, six_works):
    result = evaluate(six, six_works)
    assert result.average_precision == pytest.approx([0.75, 0.75, 0.416667, 0.25, 0.5], abs=5e-7)
    assert result.first_rank.tolist() == [1, 1, 3, 4, 2]
    assert result.map == pytest.approx(0.533333, abs=5e-7)
    assert result.mr1 == pytest.approx(2.2)
    assert result.mrr == pytest.approx(0.616667, abs=5e-7)
    assert result.hit_at(1).sum() == 2
    assert result.hits_at_1 == pytest.approx(2 / 5)
    assert result.hits_at_10 == 1


def test_a_notebook_shows_one_line(six, six_works):
    assert repr(evaluate(six, six_works)) == "<Evaluation of 5 queries: MAP 0.5333, MR1 2.20>"
    assert repr(evaluate(six, list("abcdef"))) == "<Evaluation of 0 queries: MAP nan, MR1 nan>"


def test_counts(six, six_works):
    counts = evaluate(six, six_works).counts
    assert (counts.n_performances, counts.n_works, counts.n_noise) == (6, 3, 1)
    assert (counts.n_queries, counts.n_query_works) == (5, 2)


def test_all_similarities_equal(six_works):
    result = evaluate(np.full((6, 6), 0.3), six_works)
    assert result.map == pytest.approx(0.5382, abs=5e-5)
    assert result.mr1 == pytest.approx(2.4)
    assert result.n_tied == 5


def test_self_is_left_out_by_position_not_by_rank(six, six_works):
    before = evaluate(six, six_works)
    for own in (-5.0, 0.45, 7.0):  # last, tied with candidates, first
        np.fill_diagonal(six, own)
        after = evaluate(six, six_works)
        assert after.average_precision.tolist() == before.average_precision.tolist()
        assert after.first_rank.tolist() == before.first_rank.tolist()


def test_noise_is_a_candidate_and_no_query(six, six_works):
    with_noise = evaluate(six, six_works)
    without = evaluate(six[:5, :5], six_works[:5])
    assert with_noise.queries.tolist() == [0, 1, 2, 3, 4]
    assert without.mr1 < with_noise.mr1


@pytest.mark.parametrize("unknown", [None, "", " ", np.nan])
def test_performances_of_unknown_works_are_no_covers_of_each_other(six, unknown):
    known = evaluate(six, ["a", "a", "a", "x", "y", "z"])
    result = evaluate(six, ["a", "a", "a", unknown, unknown, unknown])
    assert result.summary() == known.summary()
    assert result.counts.n_noise == 3


class NotAvailable:
    """Neither equal nor unequal to anything, as the NA of pandas."""

    __hash__ = object.__hash__

    def __ne__(self, other):
        return self

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")


def test_works_in_columns_of_arrow_in_bytes_and_missing_ones_of_pandas(six):
    known = evaluate(six, ["a", "a", "a", "x", "y", "z"])
    works = ["a", "a", "a", None, None, None]
    for given_works in (pa.array(works), pa.chunked_array([works[:2], works[2:]])):
        result = evaluate(six, given_works)
        assert result.summary() == known.summary()
        assert result.per_query(pa.array(list("abcdef")), given_works).equals(
            known.per_query(list("abcdef"), works)
        )
    in_bytes = np.array([b"a", b"a", b"a", b"", b"", b""])
    result = evaluate(six, in_bytes)  # as HDF5 holds them
    assert result.summary() == known.summary()
    table = result.per_query(np.array(list("abcdef"), dtype="S"), in_bytes)
    assert table.equals(known.per_query(list("abcdef"), works))
    missing = [NotAvailable()] * 3
    assert evaluate(six, ["a", "a", "a", *missing]).summary() == known.summary()


def test_nothing_is_a_query():
    result = evaluate(np.eye(3), ["a", "b", "c"])
    assert result.counts.n_queries == 0
    assert np.isnan(result.map)
    assert result.summary()["map"] is None
    assert result.per_query().num_rows == 0


def test_performances_of_unknown_work_are_no_covers_of_each_other():
    result = evaluate(np.eye(4), ["a", "a", None, ""])
    assert result.counts.n_queries == 2
    assert result.counts.n_noise == 2


def test_per_query_table(six, six_works):
    table = evaluate(six, six_works).per_query(["a1", "a2", "a3", "b1", "b2", "n"], six_works)
    rows = table.to_pylist()
    assert [r["performance_id"] for r in rows] == ["a1", "a2", "a3", "b1", "b2"]
    assert rows[3] == {
        "performance_id": "b1",
        "work_id": "b",
        "n_covers": 1,
        "n_candidates": 5,
        "average_precision": 0.25,
        "first_rank": 4.0,
        "reciprocal_rank": 0.25,
        "hit_at_1": 0.0,
        "hit_at_10": 1.0,
        "covers_in_10": 1.0,
        "normalised_rank": pytest.approx((4 - 1) / 5),
        "tied": False,
        "average_precision_best": 0.25,
        "average_precision_worst": 0.25,
        "first_rank_best": 4.0,
        "first_rank_worst": 4.0,
    }


def test_ids_that_are_numbers_and_ids_that_are_too_few(six):
    result = evaluate(six, [1, 1, 1, 2, 2, 3])
    table = result.per_query([10, 11, 12, 13, 14, 15], [1, 1, 1, 2, 2, 3])
    assert table["performance_id"].to_pylist() == ["10", "11", "12", "13", "14"]
    assert table["work_id"].to_pylist() == ["1", "1", "1", "2", "2"]
    for ids in (list("abcde"), list("abcdefg")):
        with pytest.raises(InvalidSimilarityError, match=f"{len(ids)} performances.* 6 were"):
            result.per_query(ids)
    with pytest.raises(InvalidSimilarityError, match="0 works"):
        result.per_query(works=[])


def test_recall_precision_and_normalised_rank(six, six_works):
    result = evaluate(six, six_works)
    # Ranks of the covers: a1 1, 4; a2 1, 4; a3 3, 4; b1 4; b2 2 (of 5 candidates each).
    assert result.recall_at(1).tolist() == [0.5, 0.5, 0, 0, 0]
    assert result.recall_at(3).tolist() == [0.5, 0.5, 0.5, 0, 1]
    assert result.recall_curve([1, 4, 5]) == pytest.approx([0.2, 1, 1])
    assert result.precision_at_10 == pytest.approx((2 + 2 + 2 + 1 + 1) / 50)
    ranks = [(2.5 - 1.5) / 5, (2.5 - 1.5) / 5, (3.5 - 1.5) / 5, (4 - 1) / 5, (2 - 1) / 5]
    assert result.normalised_rank == pytest.approx(ranks)
    assert result.nar == pytest.approx(np.mean(ranks))


def test_best_and_worst_case_enclose_the_expectation(six_works):
    result = evaluate(np.full((6, 6), 0.3), six_works)
    bounds = result.summary()["over_ties"]
    assert bounds["map"] == {"best": 1.0, "worst": pytest.approx(_worst_map())}
    assert bounds["mr1"] == {"best": 1.0, "worst": pytest.approx((3 * 4 + 2 * 5) / 5)}
    assert bounds["map"]["worst"] < result.map < bounds["map"]["best"]
    assert result.is_tied.all()


def _worst_map():
    with_two, with_one = (1 / 4 + 2 / 5) / 2, 1 / 5
    return (3 * with_two + 2 * with_one) / 5


# --- against the naive loop -------------------------------------------------------------------


@st.composite
def tied_catalogues(draw):
    """Few performances and few distinct similarities: ties everywhere, every order enumerable."""
    n = draw(st.integers(2, 6))
    works = draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    values = st.sampled_from([-1.0, 0.0, 0.25, 0.5])
    rows = draw(
        st.lists(st.lists(values, min_size=n, max_size=n), min_size=n, max_size=n),
    )
    return rows, works


@settings(max_examples=150, deadline=None)
@given(tied_catalogues())
def test_ties_are_the_mean_over_every_order(catalogue):
    rows, works = catalogue
    oracle = naive.evaluate(rows, works)
    result = evaluate(np.array(rows), works)
    assert result.queries.tolist() == [r.query for r in oracle]
    assert result.average_precision == pytest.approx([r.ap for r in oracle])
    assert result.first_rank == pytest.approx([r.first for r in oracle])
    assert result.reciprocal_rank == pytest.approx([r.reciprocal for r in oracle])
    for k in (1, 2, 3, 10):
        assert result.hit_at(k) == pytest.approx([r.hits[k] for r in oracle])
    assert result.covers_within(10) == pytest.approx([r.covers_within_10 for r in oracle])
    n_covers = result.n_covers
    excess = [r.mean_rank - (c + 1) / 2 for r, c in zip(oracle, n_covers, strict=True)]
    assert result.normalised_rank == pytest.approx(np.array(excess) / (len(works) - 1))


@pytest.mark.parametrize("block_bytes", [1, 4 * 40 * 7, 2**25])
def test_untied_catalogue_in_blocks_of_any_size(block_bytes):
    rng = np.random.default_rng(7)
    works = rng.integers(0, 12, size=40).tolist()
    similarity = rng.normal(size=(40, 40)).astype(np.float32)
    oracle = naive.evaluate(similarity.tolist(), works)
    result = evaluate(similarity, works, block_bytes=block_bytes)
    assert result.average_precision == pytest.approx([r.ap for r in oracle])
    assert result.first_rank.tolist() == [r.first for r in oracle]


# --- properties -------------------------------------------------------------------------------


@st.composite
def embedded_catalogues(draw):
    """Unit vectors, some of them exact copies of each other."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n = draw(st.integers(2, 40))
    vectors = rng.normal(size=(n, 64)).astype(np.float32)
    vectors = vectors[rng.integers(0, n, size=n)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, rng.integers(0, max(1, n // 3), size=n), rng.permutation(n)


@settings(max_examples=40, deadline=None)
@given(embedded_catalogues())
def test_permuting_the_catalogue_changes_nothing(catalogue):
    vectors, works, order = catalogue
    one = evaluate_embeddings(vectors, works.tolist())
    other = evaluate_embeddings(vectors[order], works[order].tolist(), block_bytes=700)
    back = np.argsort(order[other.queries])  # where each query of `one` went
    assert other.average_precision[back].tolist() == one.average_precision.tolist()
    assert other.first_rank[back].tolist() == one.first_rank.tolist()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=30))
def test_perfect_ranking_gives_one_and_one(works):
    result = evaluate(np.equal.outer(works, works).astype(float), works)
    if result.counts.n_queries:
        assert result.map == pytest.approx(1)
        assert result.mr1 == 1
        assert result.hits_at_1 == 1


@settings(max_examples=25, deadline=None)
@given(embedded_catalogues(), st.sampled_from([0.001, 1.0, 37.0]))
def test_any_growing_function_of_the_similarity_gives_the_same(catalogue, scale):
    vectors, works, _ = catalogue
    similarity = EmbeddingSimilarity(vectors).rows(np.arange(len(vectors)))
    one = evaluate(similarity, works.tolist())
    other = evaluate(np.exp(scale * similarity.astype(np.float64)), works.tolist())
    assert one.first_rank.tolist() == other.first_rank.tolist()
    assert one.map == pytest.approx(other.map, nan_ok=True)


@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "uint8"])
def test_covers_of_a_large_work_stand_where_counting_finds_them(kind, monkeypatch):
    rng = np.random.default_rng(0)
    works = ["large"] * 70 + ["small"] * 3 + ["n"]
    similarity = rng.normal(100, 30, size=(74, 74)).clip(0, 255).round().astype(kind)
    if similarity.dtype.kind == "f":
        np.fill_diagonal(similarity, np.nan)
        similarity[5, 6:9] = -np.inf
    sorted_rows = evaluate(similarity, works)
    monkeypatch.setattr(ranks, "SORTED_FROM", 75)
    counted = evaluate(similarity, works)
    assert sorted_rows.n_tied > 60
    for name in ("query", "ahead", "size", "covers"):
        found, expected = (getattr(e.groups, name).tolist() for e in (sorted_rows, counted))
        assert found == expected, name


def test_a_large_work_is_not_counted_level_by_level(monkeypatch):
    passes = []
    count = np.count_nonzero
    monkeypatch.setattr(np, "count_nonzero", lambda row: passes.append(1) or count(row))
    similarity = np.random.default_rng(0).random((200, 200))
    assert evaluate(similarity, ["large"] * 200).map == pytest.approx(1)
    assert len(passes) == 0


# --- sources ----------------------------------------------------------------------------------


def test_equal_embeddings_have_equal_similarity_wherever_they_lie():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(301, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[np.arange(0, 301, 17)] = vectors[5]
    source = EmbeddingSimilarity(vectors)
    for start, stop in [(0, 301), (5, 6), (2, 9), (100, 117)]:
        block = source.rows(np.arange(start, stop))
        copies = block[:, ::17]
        assert (copies == copies[:, :1]).all()
        exact = vectors[start:stop].astype(np.float64) @ vectors.T.astype(np.float64)
        assert np.abs(block - exact).max() < 2**-23


def test_vectors_of_any_length_are_compared_by_inner_product():
    vectors = np.array([[3e6, 0], [1e6, 1e6], [0.1, -1.0]])
    block = EmbeddingSimilarity(vectors).rows(np.arange(3))
    norms = np.linalg.norm(vectors, axis=1)
    assert (np.abs(block - vectors @ vectors.T) < np.outer(norms, norms) * 2**-21).all()


@pytest.mark.parametrize("scale", [1e-100, 1e-25, 1e5, 1e30, 1e100])
def test_one_long_vector_does_not_blur_the_others_nor_does_any_scale(scale):
    rng = np.random.default_rng(0)
    works = [f"W_{i // 3}" for i in range(90)]
    vectors = rng.normal(size=(30, 16)).repeat(3, axis=0) + rng.normal(size=(90, 16))
    vectors[7] *= 1e9
    expected = evaluate(vectors @ vectors.T, works)
    result = evaluate_embeddings(vectors * scale, works)
    assert expected.n_tied == result.n_tied == 0
    assert result.first_rank.tolist() == expected.first_rank.tolist()


def test_distances():
    from coverdex.benchmarks import MatrixSimilarity

    works = ["a", "a", "b"]
    distance = np.array([[0, 1, 2], [1, 0, 2], [2, 2, 0]])
    assert evaluate(MatrixSimilarity(distance, larger_is_closer=False), works).map == 1
    assert evaluate(distance, works).map == pytest.approx(0.5)


def test_ranking_of_positions(six, six_works):
    ranking = np.argsort(-six, axis=1, kind="stable")
    result = evaluate(RankingSimilarity(ranking), six_works)
    assert result.map == pytest.approx(evaluate(six, six_works).map)


def test_candidates_that_a_ranking_leaves_out_are_tied_last(six_works):
    ranking = np.full((6, 1), -1)
    result = evaluate(RankingSimilarity(ranking), six_works)
    assert result.map == pytest.approx(0.5382, abs=5e-5)


@pytest.mark.parametrize(
    ("similarity", "message"),
    [
        (np.zeros((6, 5)), "square"),
        (np.zeros((5, 5)), "5 performances and works for 6"),
        (np.full((6, 6), np.nan), "row 0 .* NaN"),
        (np.full((6, 6), "x"), "real numbers"),
        (RankingSimilarity(np.zeros((6, 2), dtype=int)), "lists a candidate twice"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(similarity, message, six_works):
    with pytest.raises(InvalidSimilarityError, match=message):
        evaluate(similarity, six_works)


@pytest.mark.parametrize("ranking", [np.full((3, 2), 3), np.full((3, 2), -2), np.zeros((3, 2))])
def test_ranking_out_of_range_is_refused(ranking):
    with pytest.raises(InvalidSimilarityError, match="ranking"):
        RankingSimilarity(ranking)


def test_a_column_of_vectors_is_taken_as_embeddings(six_works):
    vectors = np.random.default_rng(0).normal(size=(6, 4))
    column = np.empty(6, dtype=object)  # as pandas holds it
    column[:] = list(vectors)
    expected = evaluate_embeddings(vectors, six_works).average_precision.tolist()
    for embeddings in (pa.array(vectors.tolist()), pa.chunked_array([vectors.tolist()]), column):
        found = evaluate_embeddings(embeddings, six_works)
        assert found.average_precision.tolist() == expected


@pytest.mark.parametrize(
    "embeddings", [np.zeros(6), np.full((6, 2), np.inf), [[1.0], [1.0, 2.0]], [["x"]] * 6]
)
def test_embeddings_that_are_none_are_refused(embeddings, six_works):
    with pytest.raises(InvalidSimilarityError, match="embeddings"):
        evaluate_embeddings(embeddings, six_works)


def test_cliques_by_first_appearance():
    cliques = Cliques.of(["b", "a", None, "b"])
    assert [m.tolist() for m in cliques.members] == [[0, 3], [1], [2]]
    assert cliques.queries.tolist() == [0, 3]
