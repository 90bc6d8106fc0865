from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from coverdex.search import (
    Condition,
    Index,
    IndexEditor,
    InvalidQueryError,
    answering,
    write_index,
)
from coverdex.search.nearest import Found
from coverdex.search.snapshot import Snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from .made_up import DIMENSION, ENCODER_ID, MadeUp, unit

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


def test_a_filter_of_few_is_answered_in_full_from_a_graph(tmp_path: Path) -> None:
    n = 2_000  # many more than a search of a graph keeps in view
    vectors = unit(np.random.default_rng(2).standard_normal((n, DIMENSION)))
    write_index(
        tmp_path / "i",
        embeddings=vectors,
        performances=pa.table(
            {"performance_id": [f"P_{i:04d}" for i in range(n)], "year": np.arange(n) % 100}
        ),
        encoder_id="made-up-0",
        encoder_name="made-up",
        source="random directions",
        factory="HNSW16",
    )
    opened = Index.open(tmp_path / "i")
    for query in vectors[:10]:
        wanted = opened.search(query, limit=20, where="year=7", exact=True)
        found = opened.search(query, limit=20, where="year=7")
        assert ids_of(found) == ids_of(wanted)
        assert len(found) == 20


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


@pytest.mark.parametrize("blank", ["", " ", "\u3000"])
def test_blank_works_are_unknown_ones(catalogue: MadeUp, tmp_path: Path, blank: str) -> None:
    works = pa.array([blank] * 119 + ["W_1"])
    table = catalogue.performances.drop(["work_id"]).append_column("work_id", works)
    catalogue.write(tmp_path / "i", performances=table)
    query = catalogue.embeddings[0]
    with IndexEditor(tmp_path / "i") as editor:
        row = {"performance_id": "P_0", "work_id": blank, "title": blank, "key": blank}
        editor.update([row], query[None], encoder_id=ENCODER_ID)
        assert editor.index.metadata("P_0")["title"] is None
        assert editor.index.metadata("P_0")["key"] == blank  # no column that we know
        assert len(editor.index.search(query, limit=500, one_per_work=True)) == 120
        assert len(editor.index.search(query, limit=500, where="work_id=null")) == 119


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
        ("", "not a condition"),
        ("year ~ 3", "not a condition"),
        ("artist==Artist 3", r"equality is a single =, and .* quotes"),
        ("year>==1900", "equality"),
        ("year<>1900", "write !="),
        ("key in (C, Am)", "parentheses"),
        ("title='Round Midnight", "whole value into quotes of the other kind"),
        ('title="Weird" Al', "begins with a quote"),
        ("title in Misty,'Round Midnight", "begins with a quote"),
        ("key in C,null", "null on 'key' goes with = and !="),
        ("year in 1900,", "'' is no value for 'year'"),
        ("keyin C", "not a condition"),
        (Condition("year", "=", 1900.5), "1900.5 is no value for 'year'"),
        (Condition("year", "in", [1900, 2**40]), "no value for 'year'"),
        (Condition("title", "=", "\ud800"), "no value for 'title'"),
        (3, "no condition"),
        ([("year", "=", 3)], "no condition"),
        ("instrumental=perhaps", "no value for 'instrumental'"),
    ],
)
def test_filters_that_mean_nothing_are_refused(index: Index, where: Any, message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        index.search_by_id("P_1", where=where)
    with pytest.raises(InvalidQueryError, match=message):
        index.search(index.embedding("P_1"), where=where)


@pytest.mark.parametrize(
    ("operator", "value"),
    [("~", 1), ("in", 3), ("=", [3]), ("<", None), ("like", "x"), ("in", [1900, None])],
)
def test_conditions_that_mean_nothing_are_refused(operator: str, value: Any) -> None:
    with pytest.raises(InvalidQueryError):
        Condition("year", operator, value)


@pytest.mark.parametrize(
    ("text", "column", "operator", "value"),
    [
        ("artist = The Corries ", "artist", "=", "The Corries"),
        ('artist="The Corries"', "artist", "=", "The Corries"),
        ("artist != ' The Corries '", "artist", "!=", " The Corries "),
        ("title='Don''t'", "title", "=", "Don't"),
        ('title=Don\'t, "no"', "title", "=", 'Don\'t, "no"'),
        ('title="\'Round Midnight"', "title", "=", "'Round Midnight"),
        ("title='=='", "title", "=", "=="),
        ("title=", "title", "=", ""),
        ("title=one\ntwo", "title", "=", "one\ntwo"),
        ("title!=null", "title", "!=", None),
        ("title='null'", "title", "=", "null"),
        ("title=in", "title", "=", "in"),
        (
            "artist in 'Crosby, Stills & Nash' , Bread",
            "artist",
            "in",
            "Crosby, Stills & Nash|Bread",
        ),
        ('artist in"a","b ""c"""', "artist", "in", 'a|b "c"'),
        ("artist in 'null',in", "artist", "in", "null|in"),
        ("key in C,,", "key", "in", "C||"),
        ("key in (C), D", "key", "in", "(C)|D"),
        ("my-key=C", "my-key", "=", "C"),
        ("'my key' in C", "my key", "in", "C"),
        ('"my ""key"""in C,D', 'my "key"', "in", "C|D"),
        ("'a=b'>=3", "a=b", ">=", "3"),
        ("tempo.bpm<3", "tempo.bpm", "<", "3"),
        ("年=1960", "年", "=", "1960"),
    ],
)
def test_text_is_read_as_it_is_meant(
    text: str, column: str, operator: str, value: str | None
) -> None:
    wanted = value.split("|") if operator == "in" and value is not None else value
    assert Condition.parse(text) == Condition(column, operator, wanted)


@given(
    column=st.text(min_size=1),
    operator=st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "in"]),
    values=st.lists(st.text(), min_size=1),
    mark=st.sampled_from(["'", '"']),
)
@settings(max_examples=100, deadline=None)
def test_anything_can_be_said_in_quotes(
    column: str, operator: str, values: list[str], mark: str
) -> None:
    said = [mark + text.replace(mark, 2 * mark) + mark for text in (column, *values)]
    if operator == "in":
        text, wanted = f"{said[0]} in {', '.join(said[1:])}", values
    else:
        text, wanted = f"{said[0]} {operator} {said[1]}", values[0]
    assert Condition.parse(text) == Condition(column, operator, wanted)


def test_columns_of_lists_can_be_known_and_not_compared(catalogue: MadeUp, tmp_path: Path) -> None:
    tags = pa.array([["a", "b"] if i else None for i in range(120)])
    table = catalogue.performances.append_column("my tags", tags)
    catalogue.write(tmp_path / "i", performances=table)
    opened = Index.open(tmp_path / "i")
    query = catalogue.embeddings[5]
    assert ids_of(opened.search(query, where="'my tags'=null")) == ["P_0"]
    for condition in (Condition("my tags", "in", [["a"]]), Condition("my tags", "=", "a")):
        with pytest.raises(InvalidQueryError, match="my tags"):
            opened.search(query, where=condition)


@pytest.mark.parametrize("said", [[None], [3], 3, "\ud800", ["W_1", None]])
@pytest.mark.parametrize("option", ["exclude", "exclude_works"])
def test_what_is_left_out_is_text(index: Index, catalogue: MadeUp, option: str, said: Any) -> None:
    with pytest.raises(InvalidQueryError, match="give text"):
        index.search(catalogue.embeddings[0], **{option: said})


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


def test_queries_for_which_many_rows_are_found_are_answered_in_small_batches(
    index: Index, catalogue: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"limit": 30, "one_per_work": True}
    whole = index.search(catalogue.embeddings, **options)
    assert all(len(answer) == 30 for answer in whole)
    nearest, found = Snapshot.nearest, []

    def watched(*arguments: Any, **more: Any) -> Found:
        found.append(nearest(*arguments, **more))
        return found[-1]

    monkeypatch.setattr(answering, "MOST_FOUND", 500)
    monkeypatch.setattr(Snapshot, "nearest", watched)
    assert index.search(catalogue.embeddings, **options) == whole
    assert max(one.rows.shape[1] for one in found) == 120  # some had to ask for all there is
    assert max(one.rows.size for one in found) <= 500
