from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from coverdex.encoder import IncompatibleError, NotFoundError
from coverdex.search import Candidate, Index, IndexFormatError, InvalidQueryError

from .made_up import DIMENSION, ENCODER_ID, MadeUp, make_up, unit


def ids_of(candidates: list) -> list[str]:
    return [candidate.performance_id for candidate in candidates]


def named(candidates: list[Candidate]) -> list[tuple[float, str]]:
    return [(c.similarity, c.performance_id) for c in candidates]


def test_search_ranks_like_the_slow_way(index: Index, catalogue: MadeUp) -> None:
    queries = unit(np.random.default_rng(5).standard_normal((6, DIMENSION)))
    for query in queries:
        found = index.search(query, limit=17)
        assert ids_of(found) == catalogue.ranking(query)[:17]
        assert [candidate.rank for candidate in found] == list(range(1, 18))
        expected = catalogue.embeddings[[catalogue.ids.index(name) for name in ids_of(found)]]
        similarities = [candidate.similarity for candidate in found]
        np.testing.assert_allclose(similarities, expected @ query, atol=1e-6)


def test_candidates_carry_the_metadata_of_their_performance(
    index: Index, catalogue: MadeUp
) -> None:
    rows = {row["performance_id"]: row for row in catalogue.performances.to_pylist()}
    found = index.search(catalogue.embeddings[0], limit=120)
    assert len(found) == 120
    for candidate in found:
        row = rows[candidate.performance_id]
        assert (candidate.work_id, candidate.title, candidate.artist) == (
            row["work_id"],
            row["title"],
            row["artist"],
        )
        assert candidate.metadata["year"] == row["year"]
        assert candidate.metadata["key"] == row["key"]
        assert candidate.metadata["duration"] is None
        with pytest.raises(KeyError):
            candidate.metadata["tempo"]


@pytest.mark.parametrize(("asked", "twin"), [("P_4", "P_17"), ("P_17", "P_4")])
def test_a_twin_stays_when_a_performance_asks(tmp_path: Path, asked: str, twin: str) -> None:
    catalogue = make_up(30)
    catalogue.embeddings[17] = catalogue.embeddings[4]
    catalogue.write(tmp_path / "i")
    found = ids_of(Index.open(tmp_path / "i").search_by_id(asked, limit=29))
    assert found[0] == twin
    assert asked not in found
    assert len(found) == 29


def test_equal_similarities_stand_in_the_order_of_ids_wherever_the_list_is_cut(
    tmp_path: Path,
) -> None:
    catalogue = make_up(90)
    catalogue.embeddings[10:80] = catalogue.embeddings[10]
    query = catalogue.embeddings[10]
    expected = catalogue.ranking(query)
    catalogue.shuffled(3).write(tmp_path / "i")
    opened = Index.open(tmp_path / "i")
    for limit in (1, 5, 33, 69, 70, 71, 90):
        assert ids_of(opened.search(query, limit=limit)) == expected[:limit]


def test_the_order_of_the_catalogue_changes_nothing(catalogue: MadeUp, tmp_path: Path) -> None:
    answers = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        catalogue.shuffled(seed).write(folder, created="2024-01-01T00:00:00+00:00")
        answers.append([Index.open(folder).search_by_id(name) for name in catalogue.ids])
    assert answers[0] == answers[1]
    files = [sorted(path for path in (tmp_path / str(seed)).iterdir()) for seed in (1, 2)]
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_ties_are_cut_the_same_way_in_batches_and_long_lists(tmp_path: Path) -> None:
    # FAISS keeps its best in other ways for batches and for lists of a hundred and more.
    catalogue = make_up(1_200)
    catalogue.embeddings[100:1_100] = catalogue.embeddings[100]
    catalogue.write(tmp_path / "i")
    opened = Index.open(tmp_path / "i")
    queries = np.tile(catalogue.embeddings[100], (8, 1))
    expected = catalogue.ranking(queries[0])
    for limit in (5, 150):
        assert ids_of(opened.search(queries[0], limit=limit)) == expected[:limit]
        for answer in opened.search(queries, limit=limit):
            assert ids_of(answer) == expected[:limit]


@pytest.mark.parametrize("n_queries", [1, 2, 5, 40])
def test_a_batch_gives_bit_for_bit_what_its_queries_give_alone(
    index: Index, n_queries: int
) -> None:
    queries = unit(np.random.default_rng(6).standard_normal((n_queries, DIMENSION)))
    batch = index.search(queries, limit=9)
    assert batch == [index.search(query, limit=9) for query in queries]


def test_a_query_in_another_form_gets_the_same_answer(index: Index) -> None:
    query = unit(np.random.default_rng(7).standard_normal(DIMENSION))
    expected = index.search(query, limit=8)
    strided = np.repeat(query, 2)[::2]
    assert not strided.flags.c_contiguous
    for same in (strided, query.astype(">f4"), query.tolist(), query.astype(np.float64)):
        assert index.search(same, limit=8) == expected
    assert index.search(query, limit=np.int64(8)) == expected
    assert index.search(query, limit=8, exact=True) == expected
    assert index.search(query, limit=8, exclude="P_unknown") == expected


def test_threads_that_ask_for_lists_of_different_lengths_get_their_own(
    index: Index, catalogue: MadeUp
) -> None:
    asked = [(i, 1 + i % 7) for i in range(len(catalogue.embeddings))]
    alone = [named(index.search(catalogue.embeddings[i], limit=limit)) for i, limit in asked]

    def ask(pair: tuple[int, int]) -> list[tuple[float, str]]:
        return named(index.search(catalogue.embeddings[pair[0]], limit=pair[1]))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, asked * 20)) == alone * 20


def test_a_candidate_that_is_sent_to_another_process_is_small_and_whole(
    index: Index, catalogue: MadeUp
) -> None:
    first = index.search(catalogue.embeddings[3], limit=1)[0]
    sent = pickle.dumps(first)
    assert len(sent) < 1_000
    arrived = pickle.loads(sent)
    assert arrived == first
    assert arrived.performance_id == "P_3"
    assert dict(arrived.metadata) == dict(first.metadata)
    assert repr(arrived) == repr(first)
    assert index.search(catalogue.embeddings[4], limit=1)[0] != first
    with pytest.raises(AttributeError):
        first.rank = 2  # type: ignore[misc]


def test_limit_beyond_the_catalogue_gives_all_of_it(index: Index, catalogue: MadeUp) -> None:
    assert len(index.search(catalogue.embeddings[0], limit=10_000)) == 120
    assert len(index.search_by_id("P_0", limit=10_000)) == 119


def test_excluded_performances_are_left_out(index: Index, catalogue: MadeUp) -> None:
    query = catalogue.embeddings[0]
    first = catalogue.ranking(query)[:3]
    found = index.search(query, limit=5, exclude=[*first, "P_unknown"])
    assert ids_of(found) == catalogue.ranking(query)[3:8]
    assert ids_of(index.search(query, limit=2, exclude=first[0])) == catalogue.ranking(query)[1:3]


def test_embeddings_and_performances_share_their_rows(index: Index, catalogue: MadeUp) -> None:
    assert index.performances.column("performance_id").to_pylist() == sorted(catalogue.ids)
    assert index.embeddings.shape == (120, DIMENSION)
    for name in ("P_0", "P_77", "P_119"):
        expected = catalogue.embeddings[catalogue.ids.index(name)]
        np.testing.assert_array_equal(index.embedding(name), expected)
        row = index.performances.column("performance_id").to_pylist().index(name)
        np.testing.assert_array_equal(index.embeddings[row], expected)
    with pytest.raises(ValueError, match="read-only"):
        index.embeddings[0] = 0
    assert "P_77" in index
    assert "P_120" not in index
    assert len(index) == 120


def test_unknown_performances_are_named(index: Index) -> None:
    for ask in (index.search_by_id, index.embedding, index.metadata):
        with pytest.raises(NotFoundError, match="P_nobody"):
            ask("P_nobody")


def test_an_encoder_that_did_not_make_the_index_is_refused(index: Index) -> None:
    index.check_encoder(ENCODER_ID)
    with pytest.raises(IncompatibleError) as refusal:
        index.check_encoder("other-ffffffffffff")
    assert ENCODER_ID in str(refusal.value)
    assert "other-ffffffffffff" in str(refusal.value)
    assert "'made-up'" in str(refusal.value)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones(12, np.float32), r"shape \(12,\)"),
        (np.ones((2, 3, DIMENSION), np.float32), r"shape \(2, 3, 64\)"),
        (np.array(["a"] * DIMENSION), "dtype"),
        (np.full(DIMENSION, np.nan, np.float32), "length nan"),
        (np.ones(DIMENSION, np.float32), "length 8"),
        (np.zeros((2, DIMENSION), np.float32), "length 0"),
    ],
)
def test_bad_queries_are_refused(index: Index, vectors: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        index.search(vectors)


@pytest.mark.parametrize("limit", [0, -1, 2.5, True, "10"])
def test_bad_limits_are_refused(index: Index, catalogue: MadeUp, limit: object) -> None:
    with pytest.raises(InvalidQueryError, match="limit"):
        index.search(catalogue.embeddings[0], limit=limit)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "factory",
    [
        "Flat",
        "SQfp16",
        "IVF4,SQ8",
        "PCA32,IVF4,PQ32x4fsr,Refine(SQfp16)",
        "IVF4,PQ64x4fsr,Refine(SQfp16)",
    ],
)
def test_every_factory_answers_and_reads_exact_embeddings_back(
    catalogue: MadeUp, tmp_path: Path, factory: str
) -> None:
    parameters = {"nprobe": 4} if "IVF" in factory else {}
    catalogue.write(tmp_path / "i", factory=factory, search_parameters=parameters)
    for mmap in (True, False):
        opened = Index.open(tmp_path / "i", mmap=mmap)
        assert opened.manifest.factory == factory
        np.testing.assert_array_equal(opened.embedding("P_9"), catalogue.embeddings[9])
        expected = catalogue.ranking(catalogue.embeddings[9], {"P_9"})[:2]
        assert ids_of(opened.search_by_id("P_9", limit=2)) == expected
        assert len(opened.search_by_id("P_9", limit=500)) == 119


def test_an_empty_index_answers_with_nothing(tmp_path: Path) -> None:
    nothing = MadeUp(
        np.empty((0, DIMENSION), np.float32),
        pa.table({"performance_id": pa.array([], pa.string())}),
    )
    nothing.write(tmp_path / "i")
    opened = Index.open(tmp_path / "i")
    assert len(opened) == 0
    assert opened.search(unit(np.ones(DIMENSION))) == []
    assert opened.embeddings.shape == (0, DIMENSION)


def test_a_reader_keeps_its_snapshot_when_the_index_is_replaced(
    catalogue: MadeUp, tmp_path: Path
) -> None:
    catalogue.write(tmp_path / "i", factory="SQfp16")
    opened = Index.open(tmp_path / "i")
    make_up(9, seed=9).write(tmp_path / "i", overwrite=True)
    assert len(opened.embeddings) == 120  # read only now, from the files of then
    assert opened.metadata("P_100")["title"] is None
    assert len(opened.search_by_id("P_100", limit=200)) == 119
    assert len(Index.open(tmp_path / "i")) == 9


@pytest.mark.parametrize("mmap", [True, False])
def test_a_folder_whose_name_is_not_text_is_refused(
    catalogue: MadeUp, tmp_path: Path, mmap: bool
) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.index")
    catalogue.write(tmp_path / "i")
    try:
        (tmp_path / "i").rename(odd)
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    with pytest.raises(IndexFormatError, match=r"caf\\xe9\.index.* rename it"):
        Index.open(odd, mmap=mmap)
