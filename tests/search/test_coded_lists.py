from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coverdex.search.coded_lists import CodedLists
from coverdex.search.parts import write_vectors
from coverdex.search.probing import probes_of, probes_of_one
from coverdex.search.selection import Selection
from coverdex.search.structure import build_vectors
from coverdex.search.tuning import measure
from coverdex.search.vectors import MOST_BY_GAP, Vectors, faiss, nearest_exactly
from numpy.typing import NDArray

from .made_up import make_up, unit

CODES = "IVF32,PQ64x4fsr,Refine(SQfp16)"
EVERYTHING = 2.0  # no two unit vectors are farther apart


@pytest.fixture(scope="module")
def embeddings() -> NDArray[np.float32]:
    return make_up(3_000, versions=5).embeddings


@pytest.fixture(scope="module")
def queries() -> NDArray[np.float32]:
    made = make_up(3_000, versions=5).embeddings[::20]
    return unit(made + 0.05 * np.random.default_rng(3).standard_normal(made.shape))


@pytest.fixture(scope="module")
def index(embeddings: NDArray[np.float32]) -> Any:
    return build_vectors(embeddings, CODES)


def opened(index: Any) -> CodedLists:
    lists = CodedLists.of(index)
    assert lists is not None
    return lists


def chosen_slowly(query: NDArray[np.float32], centres: NDArray[np.float32], gap: float) -> set[int]:
    """The rule in plain words: of the greatest of each group the tenth, minus the gap."""
    products = [float(query @ centre) for centre in centres]
    each = max(1, len(products) // 64)
    n_groups = len(products) // each
    greatest = sorted(max(products[g * each : (g + 1) * each]) for g in range(n_groups))
    reference = greatest[-10] if n_groups >= 10 else greatest[0]
    return {number for number, product in enumerate(products) if product >= reference - gap}


@pytest.mark.parametrize("n_lists", [1, 5, 64, 100, 128, 300])
@pytest.mark.parametrize("gap", [0.0, 0.07, 0.3])
def test_lists_are_chosen_by_their_gap_from_the_tenth(n_lists: int, gap: float) -> None:
    rng = np.random.default_rng(n_lists)
    centres = unit(rng.standard_normal((n_lists, 16)))
    queries = unit(rng.standard_normal((150, 16)))  # more than are computed together
    columns = np.ascontiguousarray(centres.T)
    together = probes_of(queries, columns, gap)
    assert together.lists.shape == together.similarities.shape == (150, together.counts.max())
    for query, lists, near, n in zip(queries, *together, strict=True):
        expected = chosen_slowly(query, centres, gap)
        assert set(lists[:n].tolist()) == expected
        assert (lists[n:] == -1).all()
        np.testing.assert_allclose(near[:n], centres[lists[:n]] @ query, atol=1e-6)
        alone = probes_of_one(query[np.newaxis], columns, gap)
        assert sorted(alone.lists[0].tolist()) == sorted(expected)
        assert (np.diff(alone.similarities[0]) <= 0).all()
        assert alone.counts.tolist() == [n]


def test_with_all_lists_and_all_rows_compared_again_the_answer_is_exact(
    index: Any, queries: NDArray[np.float32]
) -> None:
    lists = opened(index)
    similarities, rows = lists.search(queries, 10, gap=EVERYTHING, k_factor=300)
    halved = faiss.downcast_index(index.refine_index).reconstruct_n(0, index.ntotal)
    expected, truth = nearest_exactly(halved, queries, 10)
    np.testing.assert_allclose(similarities, expected, atol=1e-5)
    assert np.mean(rows == truth) > 0.99  # but for equal ones
    for i, query in enumerate(queries[:50]):
        alone = lists.search(query[np.newaxis], 10, gap=EVERYTHING, k_factor=300)
        assert np.array_equal(alone[0][0], similarities[i])
        assert set(alone[1][0]) == set(rows[i])


@pytest.mark.parametrize("gap", [0.02, 0.1])
def test_only_rows_of_the_chosen_lists_are_found(
    index: Any, queries: NDArray[np.float32], embeddings: NDArray[np.float32], gap: float
) -> None:
    inverted_file = faiss.downcast_index(index.base_index)
    centres = faiss.downcast_index(inverted_file.quantizer).reconstruct_n(0, 32)
    list_of = np.argmax(embeddings @ centres.T, axis=1)
    wanted = 1_200  # ten lists hold fewer
    many = opened(index).search(queries, wanted, gap=gap, k_factor=1)[1]
    for i, query in enumerate(queries):
        chosen = chosen_slowly(query, centres, gap)
        alone = opened(index).search(query[np.newaxis], wanted, gap=gap, k_factor=1)[1][0]
        for rows in (many[i], alone):
            found = rows[rows >= 0]
            assert {int(number) for number in list_of[found]} <= chosen
            assert len(found) == min(wanted, np.isin(list_of, list(chosen)).sum())
    assert (many < 0).any()


def test_a_batch_longer_than_is_answered_together(index: Any, queries: NDArray[np.float32]) -> None:
    lists = opened(index)
    long = np.tile(queries, (8, 1))
    assert len(long) > 1_024
    found = lists.search(long, 5, gap=0.1, k_factor=8)
    once = lists.search(queries, 5, gap=0.1, k_factor=8)
    for part, whole in zip(once, found, strict=True):
        assert np.array_equal(np.tile(part, (8, 1)), whole)


def test_where_nothing_more_is_found_the_least_similarity_stands(
    index: Any, queries: NDArray[np.float32]
) -> None:
    similarities, rows = opened(index).search(queries, 2_000, gap=0.0, k_factor=1)
    assert (rows < 0).any()
    assert (similarities[rows < 0] == np.finfo(np.float32).min).all()
    assert (similarities[rows >= 0] > -1.01).all()


@pytest.mark.parametrize(
    "factory",
    [
        "Flat",
        "IVF8,SQfp16",
        "IVF8,PQ64x4fsr",
        "IVF8,PQ64x4fs,Refine(SQfp16)",
        "IVF8,PQ64x4fsr,Refine(SQ8)",
        "PCA32,IVF8,PQ32x4fsr,Refine(SQfp16)",
    ],
)
def test_other_kinds_are_left_to_faiss(factory: str, embeddings: NDArray[np.float32]) -> None:
    index = build_vectors(embeddings[:600], factory)
    assert CodedLists.of(index) is None
    plainly = Vectors(index, {"nprobe": 8, "k_factor": 4})
    with_gap = Vectors(index, {"nprobe": 8, "k_factor": 4, "gap": 0.0})
    for one, other in zip(
        plainly.search(embeddings[:9], 5), with_gap.search(embeddings[:9], 5), strict=True
    ):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("mmap", [True, False])
def test_the_gap_holds_for_usual_answers_and_the_number_of_lists_for_others(
    index: Any,
    embeddings: NDArray[np.float32],
    queries: NDArray[np.float32],
    tmp_path: Path,
    mmap: bool,
) -> None:
    write_vectors(tmp_path / "vectors.faiss", index)
    # One list of 32, and a gap that takes all: which of them was used shows.
    parameters = {"nprobe": 1, "k_factor": 32, "gap": EVERYTHING}
    vectors = Vectors.open(tmp_path / "vectors.faiss", parameters, mmap=mmap)
    by_number = Vectors.open(tmp_path / "vectors.faiss", {"nprobe": 1, "k_factor": 32}, mmap=mmap)
    truth = nearest_exactly(embeddings, queries, 10)[1]

    def share(found: NDArray[np.int64]) -> float:
        return float((truth[:, :, None] == found[:, None, :10]).any(axis=2).mean())

    assert share(vectors.search(queries, 10)[1]) > 0.97
    alone = np.concatenate([vectors.search(query[np.newaxis], 10)[1] for query in queries])
    assert share(alone) > 0.97
    assert share(by_number.search(queries, 10)[1]) < 0.9
    for ask in (
        lambda v: v.search(queries, MOST_BY_GAP + 1),
        lambda v: v.search(queries, 10, Selection(np.ones(len(embeddings), np.bool_))),
        lambda v: v.search(queries, 10, exact=True),
    ):
        assert np.array_equal(ask(vectors)[1], ask(by_number)[1])


def test_the_least_gap_that_reaches_the_recall_is_measured(
    index: Any, embeddings: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    def last_by_gap(self: Any) -> Any:  # as if that had been the quickest
        return [entry for entry in self.tried if "gap" in entry][-1]

    monkeypatch.setattr("coverdex.search.tuning._Asked.best", last_by_gap)

    def is_enough(entry: dict[str, Any]) -> bool:
        return round(entry["recall_at_10"] - entry["recall_at_10_error"], 4) >= 0.9

    parameters, measured = measure(index, embeddings, recall=0.9)
    tried = measured["tried"]
    by_gap = [entry for entry in tried if "gap" in entry]
    assert all(is_enough(entry) for entry in by_gap)
    gaps = [entry["gap"] for entry in by_gap]
    assert gaps == sorted(gaps)  # fewer compared again need more lists
    chosen = by_gap[-1]
    by_number = [
        entry["nprobe"]
        for entry in tried
        if "gap" not in entry and entry["k_factor"] == chosen["k_factor"] and is_enough(entry)
    ]
    assert parameters == {
        "nprobe": by_number[0],
        "k_factor": chosen["k_factor"],
        "gap": chosen["gap"],
    }
    truth = nearest_exactly(embeddings, embeddings, 11)[1]
    found = Vectors(index, parameters).search(embeddings, 11)[1]
    share = (truth[:, :, None] == found[:, None]).any(axis=2).mean()
    assert share == pytest.approx(
        0.9, abs=0.06
    )  # a thousand asked, here all, and each finds itself
