"""Answers that are as long as was asked for, though the structure looks at some rows only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from coverdex.search import Condition, Index, IndexEditor

from .made_up import DIMENSION, ENCODER_ID, MadeUp, unit

N = 2_000
CORNERS = 8


@pytest.fixture(scope="module")
def corners() -> MadeUp:
    """Performances in eight far corners, and the corner of each as metadata."""
    rng = np.random.default_rng(4)
    corner = rng.integers(CORNERS, size=N)
    centres = rng.standard_normal((CORNERS, DIMENSION))
    vectors = unit(centres[corner] + 0.2 * rng.standard_normal((N, DIMENSION)))
    table = pa.table({"performance_id": [f"P_{i:04d}" for i in range(N)], "corner": corner})
    return MadeUp(vectors, table)


@pytest.fixture(
    scope="module",
    params=[
        ("HNSW16", {}),
        ("HNSW16,RFlat", {}),
        ("PCA32,HNSW16", {}),
        ("IVF32,SQfp16", {"nprobe": 1}),
        ("IVF32_HNSW4,SQfp16", {"nprobe": 1}),
        ("IVF32,PQ64x4fsr,Refine(SQfp16)", {"nprobe": 1, "k_factor": 4, "gap": 0.01}),
    ],
    ids=lambda param: param[0],
)
def folder(
    request: pytest.FixtureRequest, corners: MadeUp, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    factory, parameters = request.param
    folder = tmp_path_factory.mktemp("long") / "i"
    corners.write(folder, factory=factory, search_parameters=parameters)
    return folder


@pytest.mark.parametrize("limit", [100, 1_500, N, 2 * N])
def test_an_answer_has_as_many_candidates_as_are_asked_for(
    folder: Path, corners: MadeUp, limit: int
) -> None:
    opened = Index.open(folder)
    queries = corners.embeddings[:4]
    for answer in [*opened.search(queries, limit=limit), opened.search(queries[0], limit=limit)]:
        ids = [candidate.performance_id for candidate in answer]
        assert len(ids) == len(set(ids)) == min(limit, N)
    others = opened.search_by_id("P_0007", limit=limit)
    assert len(others) == min(limit, N - 1)


def test_so_has_one_under_a_filter_of_what_is_far(folder: Path, corners: MadeUp) -> None:
    opened = Index.open(folder)
    of_corner = corners.performances.column("corner").to_numpy()
    for query, corner in zip(corners.embeddings[:20], of_corner, strict=False):
        elsewhere = int((of_corner != corner).sum())
        for limit in (10, 1_000, N):
            found = opened.search(query, limit=limit, where=f"corner!={corner}")
            assert len(found) == min(limit, elsewhere)
            assert all(candidate.metadata["corner"] != corner for candidate in found)


def test_so_has_one_where_what_is_near_was_removed(folder: Path, corners: MadeUp) -> None:
    query = corners.embeddings[0]
    with IndexEditor(folder) as editor:
        near = corners.ranking(query)[:300]
        editor.remove(near)
        found = editor.index.search(query, limit=N)
        assert len(found) == N - 300
        assert not {candidate.performance_id for candidate in found} & set(near)
        rows = [corners.ids.index(name) for name in near]
        table = corners.performances.take(pa.array(rows))
        editor.add(table, corners.embeddings[rows], encoder_id=ENCODER_ID)
        assert len(editor.index.search(query, limit=N)) == N


def test_a_long_answer_leaves_the_shared_index_as_it_was(folder: Path, corners: MadeUp) -> None:
    opened = Index.open(folder)
    query = corners.embeddings[5]
    before = opened.search(query, limit=20)
    opened.search(query, limit=N)
    assert opened.search(query, limit=20) == before


@pytest.mark.parametrize("factory", ["IVF128,SQfp16", "IVF128,PQ64x4fsr,Refine(SQfp16)"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.98])
def test_a_filter_that_leaves_out_the_query_s_own_region_is_answered_well(
    tmp_path: Path, factory: str, share: float
) -> None:
    # The neighbours that nprobe was chosen for are all left out; what is nearest lies scattered.
    rng = np.random.default_rng(5)
    n, n_styles = 12_000, 100
    style = rng.integers(n_styles, size=n)
    centres = rng.standard_normal((n_styles, DIMENSION))
    vectors = unit(0.8 * centres[style] + rng.standard_normal((n, DIMENSION)))
    table = pa.table({"performance_id": [f"P_{i:05d}" for i in range(n)], "style": style})
    parameters = {"nprobe": 4, "k_factor": 32} if "PQ" in factory else {"nprobe": 4}
    folder = tmp_path / "i"
    MadeUp(vectors, table).write(folder, factory=factory, search_parameters=parameters)
    opened = Index.open(folder)
    found = []
    for row in rng.integers(n, size=40).tolist():
        others = np.setdiff1d(np.arange(n_styles), style[row])
        kept = rng.choice(others, int(share * n_styles), replace=False)
        where = Condition("style", "in", kept)
        answers = [opened.search(vectors[row], where=where, exact=exact) for exact in (False, True)]
        ids = [{candidate.performance_id for candidate in answer} for answer in answers]
        found.append(len(ids[0] & ids[1]) / 10)
    assert np.mean(found) >= 0.9


def test_a_work_that_is_left_out_takes_no_more_lists(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    n = 8_000
    vectors = unit(rng.standard_normal((n, DIMENSION)))
    works = [f"W_{row // 4}" for row in range(n)]
    table = pa.table({"performance_id": [f"P_{i:05d}" for i in range(n)], "work_id": works})
    folder = tmp_path / "i"
    # Two lists hold a thirty-second of the rows, which is too little for a good answer.
    MadeUp(vectors, table).write(folder, factory="IVF64,SQfp16", search_parameters={"nprobe": 2})
    opened = Index.open(folder)
    for row in range(0, n, 400):
        plain = opened.search(vectors[row], limit=14)
        others = [
            found.performance_id for found in plain if found.metadata["work_id"] != works[row]
        ]
        without = opened.search(vectors[row], limit=10, exclude_works=works[row])
        assert [found.performance_id for found in without] == others[:10]
