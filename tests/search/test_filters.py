from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coverdex.search import Condition, Index, InvalidQueryError
from hypothesis import given, settings
from hypothesis import strategies as st

from .made_up import DIMENSION, MadeUp, unit

Row = dict[str, Any]

#: A filter, and the same in plain Python.
FILTERS: list[tuple[Any, Callable[[Row], bool]]] = [
    ("year>=1930", lambda row: row["year"] is not None and row["year"] >= 1930),
    ("year != 1901", lambda row: row["year"] is not None and row["year"] != 1901),
    ("year=null", lambda row: row["year"] is None),
    ("title!=null", lambda row: row["title"] is not None),
    ("instrumental=false", lambda row: not row["instrumental"]),
    ("artist = Artist 3", lambda row: row["artist"] == "Artist 3"),
    ("key in C, Am", lambda row: row["key"] in ("C", "Am")),
    (Condition("year", "in", [1901, 1902]), lambda row: row["year"] in (1901, 1902)),
    (["year<1940", "key=G"], lambda row: (row["year"] or 9999) < 1940 and row["key"] == "G"),
    (Condition("performance_id", "=", "P_11"), lambda row: row["performance_id"] == "P_11"),
    ("artist=nobody", lambda row: False),
]


def ids_of(candidates: list) -> list[str]:
    return [candidate.performance_id for candidate in candidates]


@pytest.fixture(
    scope="module",
    params=[
        "Flat",
        "SQfp16",
        "IVF4,SQfp16",
        "PCA32,IVF4,PQ32x4fsr,Refine(SQfp16)",
        "IVF4,PQ64x4fsr,Refine(SQfp16)",
        "HNSW16",
        "PQ16x4fs",  # these FAISS cannot restrict to some rows
        "NSG16",
        "Flat,RFlat",
        "IVF4,RQ4x4",
    ],
)
def filtered_index(
    request: pytest.FixtureRequest, catalogue: MadeUp, tmp_path_factory: pytest.TempPathFactory
) -> Index:
    folder = tmp_path_factory.mktemp("filters") / "i"
    parameters = {"nprobe": 4} if "IVF" in request.param else {}
    catalogue.write(folder, factory=request.param, search_parameters=parameters)
    return Index.open(folder)


@pytest.mark.parametrize(("where", "holds"), FILTERS, ids=lambda value: str(value)[:40])
def test_a_filter_finds_what_plain_python_finds(
    filtered_index: Index, catalogue: MadeUp, where: Any, holds: Callable[[Row], bool]
) -> None:
    index = filtered_index
    rows = catalogue.performances.to_pylist()
    expected = {row["performance_id"] for row in rows if holds(row)}
    query = catalogue.embeddings[40]
    # More than there are: everything that the filter allows, and nothing else.
    found = ids_of(index.search(query, limit=500, where=where))
    assert set(found) == expected
    exact = ids_of(index.search(query, limit=4, where=where, exact=True))
    assert exact == [name for name in catalogue.ranking(query) if name in expected][:4]
    if index.manifest.factory == "Flat":
        queries = unit(np.random.default_rng(1).standard_normal((7, DIMENSION)))
        batch = index.search(queries, limit=4, where=where)
        assert batch == [index.search(one, limit=4, where=where) for one in queries]


def test_a_filter_leaves_the_shared_index_as_it_was(
    filtered_index: Index, catalogue: MadeUp
) -> None:
    query = catalogue.embeddings[3]
    before = filtered_index.search(query, limit=20)
    filtered_index.search(query, where="key=G")
    assert filtered_index.search(query, limit=20) == before


def test_works_are_left_out_or_collapsed(index: Index, catalogue: MadeUp) -> None:
    rows = {row["performance_id"]: row for row in catalogue.performances.to_pylist()}
    query = catalogue.embeddings[6]
    ranking = catalogue.ranking(query)
    without = [name for name in ranking if rows[name]["work_id"] not in ("W_2", "W_5")]
    assert ids_of(index.search(query, limit=200, exclude_works=["W_2", "W_5"])) == without
    best: dict[str, str] = {}
    for name in ranking:
        best.setdefault(rows[name]["work_id"], name)
    for limit in (1, 5, 39, 40, 200):
        found = index.search(query, limit=limit, one_per_work=True)
        assert ids_of(found) == list(best.values())[:limit]
        assert [candidate.rank for candidate in found] == list(range(1, len(found) + 1))


def test_unknown_works_are_not_one_work(catalogue: MadeUp, tmp_path: Path) -> None:
    table = catalogue.performances.drop(["work_id"])
    catalogue.write(tmp_path / "i", performances=table)
    opened = Index.open(tmp_path / "i")
    assert len(opened.search(catalogue.embeddings[0], limit=500, one_per_work=True)) == 120
    assert len(opened.search(catalogue.embeddings[0], limit=500, exclude_works="W_1")) == 120


def test_the_options_go_together(index: Index, catalogue: MadeUp) -> None:
    rows = {row["performance_id"]: row for row in catalogue.performances.to_pylist()}
    found = index.search_by_id(
        "P_6", limit=5, where="instrumental=true", exclude_works="W_9", one_per_work=True
    )
    works = [candidate.work_id for candidate in found]
    assert len(set(works)) == 5
    assert "W_9" not in works
    assert all(rows[candidate.performance_id]["instrumental"] for candidate in found)
    assert "P_6" not in ids_of(found)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("tempo>100", "no column 'tempo'; it has performance_id"),
        ("year>=long ago", "'long ago' is no value for 'year'"),
        ("year", "not a condition"),
        ("year ~ 3", "not a condition"),
        (3, "no condition"),
        ([("year", "=", 3)], "no condition"),
        ("instrumental=perhaps", "no value for 'instrumental'"),
    ],
)
def test_filters_that_mean_nothing_are_refused(index: Index, where: Any, message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        index.search_by_id("P_1", where=where)


@pytest.mark.parametrize(
    ("operator", "value"), [("~", 1), ("in", 3), ("=", [3]), ("<", None), ("like", "x")]
)
def test_conditions_that_mean_nothing_are_refused(operator: str, value: Any) -> None:
    with pytest.raises(InvalidQueryError):
        Condition("year", operator, value)


@given(
    column=st.sampled_from(["year", "work_id"]),
    operator=st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
    value=st.integers(-5, 3000),
)
@settings(max_examples=30, deadline=None)
def test_text_and_condition_are_the_same(column: str, operator: str, value: int) -> None:
    for text in (f"{column}{operator}{value}", f" {column}  {operator} {value} "):
        assert Condition.parse(text) == Condition(column, operator, str(value))


def test_thousands_of_queries_in_one_batch(index: Index, catalogue: MadeUp) -> None:
    queries = np.tile(catalogue.embeddings, (18, 1))
    answers = index.search(queries, limit=2)
    assert len(answers) == 2160
    assert answers[:120] * 18 == answers
    by_id = index.search_by_ids(catalogue.ids, limit=3)
    assert by_id == [index.search_by_id(name, limit=3) for name in catalogue.ids]
    assert index.search_by_ids([]) == []


def test_exact_mode_is_exact_where_the_index_is_not(catalogue: MadeUp, tmp_path: Path) -> None:
    catalogue.write(tmp_path / "i", factory="IVF16,SQ8", search_parameters={"nprobe": 1})
    opened = Index.open(tmp_path / "i")
    queries = unit(np.random.default_rng(8).standard_normal((20, DIMENSION)))
    expected = [catalogue.ranking(query)[:10] for query in queries]
    rough = [ids_of(found) for found in opened.search(queries, limit=10)]
    exact = [ids_of(found) for found in opened.search(queries, limit=10, exact=True)]
    assert rough != expected  # else this test shows nothing
    assert exact == expected
