from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from coverdex.encoder import IncompatibleError, NotFoundError
from coverdex.search import (
    Index,
    IndexEditor,
    IndexFormatError,
    IndexPlanError,
    InvalidQueryError,
    PerformanceExistsError,
    verify_index,
)

from .history import state_in, state_of, steps
from .made_up import DIMENSION, ENCODER_ID, MadeUp, make_up, unit


def vectors(n: int, seed: int = 50) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((n, DIMENSION)))


def ids_of(candidates: list) -> list[str]:
    return [candidate.performance_id for candidate in candidates]


def slow_ranking(index: Index, query: np.ndarray, leave_out: str = "") -> list[str]:
    names = index.performances.column("performance_id").to_pylist()
    similarities = (index.embeddings.astype(np.float64) @ query).round(6)
    return [n for _, n in sorted(zip(-similarities, names, strict=True)) if n != leave_out]


@pytest.mark.parametrize("seed", range(4))
def test_the_index_holds_the_history_at_every_step(
    folder: Path, catalogue: MadeUp, seed: int
) -> None:
    state = state_of(catalogue)
    follower = Index.open(folder, follow=True)
    query = vectors(1)[0]
    with IndexEditor(folder) as editor:
        for number, step in enumerate(islice(steps(seed), 25)):
            step.apply_to(editor)
            state = step.apply_to_state(state)
            assert state_in(follower) == state
            if number % 8 == 5:
                editor.compact()
                assert editor.index.n_changes == (0, 0)
                assert state_in(follower) == state
                assert follower.manifest.generation == editor.index.manifest.generation
            if number % 4 == 0:
                found = ids_of(follower.search(query, limit=30))
                assert found == slow_ranking(follower, query)[:30]
                assert set(found) <= set(state)
                one = min(state)
                near = ids_of(follower.search_by_id(one, limit=7))
                assert near == slow_ranking(follower, follower.embedding(one), one)[:7]
    assert state_in(Index.open(folder)) == state
    assert verify_index(folder).problems == []


def test_a_change_is_seen_by_the_next_query(editor: IndexEditor, catalogue: MadeUp) -> None:
    new = vectors(2)
    report = editor.add(
        [
            {"performance_id": "P_new", "work_id": "W_n", "title": "New", "year": 2026},
            {"performance_id": "A_new", "key": "C"},
        ],
        new,
        encoder_id=ENCODER_ID,
    )
    assert sorted(report.added) == ["A_new", "P_new"]
    index = editor.index
    assert len(index) == 122
    first = index.search(new[0], limit=1)[0]
    assert (first.performance_id, first.work_id, first.title) == ("P_new", "W_n", "New")
    assert dict(first.metadata)["year"] == 2026
    assert first.similarity == pytest.approx(1)
    np.testing.assert_array_equal(index.embedding("A_new"), new[1])
    assert ids_of(index.search(new[1], where="key=C", limit=1)) == ["A_new"]
    assert ids_of(index.search(new[0], where="year>2000")) == ["P_new"]
    assert "P_new" not in ids_of(index.search(new[0], exclude_works="W_n", limit=500))
    assert "P_new" not in ids_of(index.search_by_id("P_new", limit=500))

    assert editor.remove("P_new").removed == ["P_new"]
    assert "P_new" not in index
    assert ids_of(index.search(new[0], where="year>2000")) == []
    with pytest.raises(NotFoundError):
        index.search_by_id("P_new")

    replaced = editor.update(
        [{"performance_id": "P_7", "title": "Again"}], new[:1], encoder_id=ENCODER_ID
    )
    assert replaced.updated == ["P_7"]
    assert ids_of(index.search(new[0], limit=1)) == ["P_7"]
    assert index.metadata("P_7")["title"] == "Again"
    assert index.metadata("P_7")["work_id"] is None
    assert "P_7" not in ids_of(index.search(catalogue.embeddings[7], limit=2))


def test_equal_similarities_of_stored_and_added_stand_in_the_order_of_ids(
    editor: IndexEditor, catalogue: MadeUp
) -> None:
    twin = catalogue.embeddings[[7, 7]]
    rows = [{"performance_id": "P_699"}, {"performance_id": "P_701"}]
    editor.add(rows, twin, encoder_id=ENCODER_ID)
    for limit in (1, 2, 3):
        found = ids_of(editor.index.search(catalogue.embeddings[7], limit=limit))
        assert found == ["P_699", "P_7", "P_701"][:limit]
    before = editor.index.search(catalogue.embeddings[7], limit=50)
    editor.compact()
    assert editor.index.search(catalogue.embeddings[7], limit=50) == before


def test_removing_most_of_an_index_leaves_the_rest_findable(
    editor: IndexEditor, catalogue: MadeUp
) -> None:
    editor.remove(catalogue.ids[:115])
    found = ids_of(editor.index.search(catalogue.embeddings[0], limit=10))
    left = set(catalogue.ids[115:])
    assert found == [name for name in catalogue.ranking(catalogue.embeddings[0]) if name in left]
    editor.remove(catalogue.ids)
    assert editor.index.search(catalogue.embeddings[0]) == []
    editor.compact()
    assert len(editor.index) == 0


def test_adding_what_exists_and_removing_what_does_not(editor: IndexEditor) -> None:
    rows = [{"performance_id": "P_new"}, {"performance_id": "P_3"}]
    with pytest.raises(PerformanceExistsError, match="such as 'P_3'; nothing was added"):
        editor.add(rows, vectors(2), encoder_id=ENCODER_ID)
    assert "P_new" not in editor.index
    report = editor.add(rows, vectors(2), encoder_id=ENCODER_ID, update=True)
    assert (report.added, report.updated) == (["P_new"], ["P_3"])
    with pytest.raises(NotFoundError, match="such as 'P_none'"):
        editor.update([{"performance_id": "P_none"}], vectors(1), encoder_id=ENCODER_ID)
    report = editor.remove(["P_none", "P_3", "P_3", "P_new"])
    assert (report.removed, report.unknown) == (["P_3", "P_new"], ["P_none"])
    assert editor.remove(["P_3"]).unknown == ["P_3"]


@pytest.mark.parametrize(
    ("rows", "new", "message"),
    [
        ([{"performance_id": "P_n"}], vectors(2), "2 embeddings for 1"),
        ([{"performance_id": "P_n"}], vectors(1) * 3, "not L2-normalised"),
        ([{"performance_id": "P_n"}], unit(np.ones((1, 12))), "dimension 12"),
        ([{"performance_id": "P_n", "tempo": 3}], vectors(1), "no column 'tempo'"),
        (
            [{"performance_id": "P_a", "year": "1900"}, {"performance_id": "P_n", "year": "MCM"}],
            vectors(2),
            "performance 'P_n' has 'MCM' in the column 'year', which holds int32",
        ),
        (
            [{"performance_id": "P_a", "year": 1900}, {"performance_id": "P_n", "year": 2**40}],
            vectors(2),
            f"performance 'P_n' has {2**40} in the column 'year'",
        ),
        (
            [{"performance_id": "P_n", "year": 2**64}],
            vectors(1),
            f"performance 'P_n' has {2**64} in the column 'year'",
        ),
        (
            [{"performance_id": f"P_n{i}", "key": "C" if i < 2 else "\ud800"} for i in range(4)],
            vectors(4),
            r"performance 'P_n2' has '\\ud800' in the column 'key', which holds string",
        ),
        (
            [{"performance_id": "P_a", "key": "C"}, {"performance_id": "P_n", "key": 3}],
            vectors(2),
            "performance 'P_n' has 3 in the column 'key'",
        ),
        (
            [{"performance_id": "P_a", "title": "A" * 999 + "\udfff"}],
            vectors(1),
            r"has 'AAAA.*A\.\.\. in the column 'title'",
        ),
        ([{"performance_id": "P_n", "year": [1900]}], vectors(1), "'year' .*int32"),
        ([{"performance_id": "\ud800"}], vectors(1), "in the column 'performance_id'"),
        ([{"performance_id": "P_n", "key": 3.5}], vectors(1), "key|metadata"),
        ([{"title": "x"}], vectors(1), "performance_id"),
        ([{"performance_id": "P_n"}, {"performance_id": "P_n"}], vectors(2), "more than once"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    editor: IndexEditor, folder: Path, rows: list, new: np.ndarray, message: str
) -> None:
    if message.startswith("key"):
        editor.add(rows, new, encoder_id=ENCODER_ID)  # a number becomes text as Arrow casts it
        assert editor.index.metadata("P_n")["key"] == "3.5"
        return
    with pytest.raises(IndexFormatError, match=message):
        editor.add(rows, new, encoder_id=ENCODER_ID)
    assert not list(folder.glob("changes-*"))


def test_whole_numbers_that_only_their_column_holds_are_taken(
    catalogue: MadeUp, tmp_path: Path
) -> None:
    large = pa.array([2**64 - 1] * len(catalogue.ids), pa.uint64())
    catalogue.write(tmp_path / "i", performances=catalogue.performances.append_column("n", large))
    with IndexEditor(tmp_path / "i") as editor:
        rows = [{"performance_id": "P_n", "n": 2**64 - 2}, {"performance_id": "P_m", "n": 3}]
        editor.add(rows, vectors(2), encoder_id=ENCODER_ID)
        with pytest.raises(IndexFormatError, match="'P_o' has -1 in the column 'n'"):
            editor.add([{"performance_id": "P_o", "n": -1}], vectors(1), encoder_id=ENCODER_ID)
        with pytest.raises(IndexFormatError, match="'P_7' has 'x' in the column 'n'"):
            editor.update([{"performance_id": "P_7", "n": "x"}], vectors(1), encoder_id=ENCODER_ID)
        editor.compact()
        assert editor.index.metadata("P_n")["n"] == 2**64 - 2


@pytest.mark.parametrize("kind", [pa.null(), pa.string(), pa.float64(), pa.list_(pa.int64())])
def test_a_column_that_says_nothing_fits_whatever_type_it_came_in(
    catalogue: MadeUp, tmp_path: Path, kind: pa.DataType
) -> None:
    said = {"tags": ["a"], "facts": {"a": 1}, "nothing": None, "year": 1960}
    columns = {name: [value] * len(catalogue.ids) for name, value in said.items()}
    table = pa.table({"performance_id": catalogue.ids, **columns})
    catalogue.write(tmp_path / "i", performances=table)
    unknown = {name: pa.nulls(1, kind) for name in columns}
    with IndexEditor(tmp_path / "i") as editor:
        new = pa.table({"performance_id": ["P_n"], **unknown})
        editor.add(new, vectors(1), encoder_id=ENCODER_ID)
        editor.compact()
        found = editor.index.metadata("P_n")
        assert [found[name] for name in columns] == [None] * 4
        assert editor.index.schema.field("tags").type == pa.list_(pa.string())


def test_vectors_of_another_encoder_are_refused(editor: IndexEditor) -> None:
    with pytest.raises(IncompatibleError, match="stranger"):
        editor.add([{"performance_id": "P_n"}], vectors(1), encoder_id="stranger-00")


def test_tables_are_taken_too(editor: IndexEditor) -> None:
    table = pa.table({"performance_id": ["P_b", "P_a"], "year": [1, 2]})
    new = vectors(2)
    editor.add(table, new, encoder_id=ENCODER_ID)
    np.testing.assert_array_equal(editor.index.embedding("P_b"), new[0])
    assert editor.index.metadata("P_a")["year"] == 2


def test_an_addition_may_have_any_of_the_columns(catalogue: MadeUp, tmp_path: Path) -> None:
    tempo = pa.array(range(len(catalogue.ids)))
    catalogue.write(
        tmp_path / "i", performances=catalogue.performances.append_column("tempo", tempo)
    )
    with IndexEditor(tmp_path / "i") as editor:
        rows = [{"performance_id": "P_n", "tempo": 77}]  # of key and tempo only the second
        editor.add(rows, vectors(1), encoder_id=ENCODER_ID)
        found = editor.index.metadata("P_n")
        assert (found["tempo"], found["key"], found["year"]) == (77, None, None)


def test_compacting_without_changes_does_nothing(folder: Path, editor: IndexEditor) -> None:
    before = (folder / "manifest.json").read_bytes()
    editor.compact()
    assert (folder / "manifest.json").read_bytes() == before
    assert editor.compact(factory="SQfp16").factory == "SQfp16"
    assert editor.index.manifest.generation == 2


def test_changes_that_undo_each_other_are_compacted_too(
    folder: Path, editor: IndexEditor, catalogue: MadeUp
) -> None:
    for _ in range(3):
        editor.add([{"performance_id": "P_new"}], vectors(1), encoder_id=ENCODER_ID)
        editor.remove("P_new")
    assert editor.compact().generation == 2
    assert not list(folder.glob("changes-*"))
    assert state_in(Index.open(folder)) == state_of(catalogue)
    assert editor.compact().generation == 2


def test_changes_need_an_index(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        IndexEditor(tmp_path / "none")
    with pytest.raises(IndexFormatError):
        IndexEditor(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("factory", ["IVF4,SQfp16", "SQ8"])
def test_approximate_indexes_are_changed_too(
    catalogue: MadeUp, tmp_path: Path, factory: str
) -> None:
    parameters: dict[str, Any] = {"nprobe": 4} if factory.startswith("IVF") else {}
    catalogue.write(tmp_path / "i", factory=factory, search_parameters=parameters)
    state = state_of(catalogue)
    with IndexEditor(tmp_path / "i") as editor:
        for step in islice(steps(3), 10):
            step.apply_to(editor)
            state = step.apply_to_state(state)
        assert state_in(editor.index) == state
        query = vectors(1)[0]
        exact = slow_ranking(editor.index, query)[:5]
        assert ids_of(editor.index.search(query, limit=5, exact=True)) == exact
        editor.compact()
        assert state_in(editor.index) == state
        assert editor.index.manifest.search_parameters == parameters
        assert ids_of(editor.index.search(query, limit=5, exact=True)) == exact


def test_many_performances_ask_of_an_approximate_index(catalogue: MadeUp, tmp_path: Path) -> None:
    catalogue.write(tmp_path / "i", factory="SQfp16")
    with IndexEditor(tmp_path / "i") as editor:
        editor.add([{"performance_id": "P_new"}], vectors(1), encoder_id=ENCODER_ID)
        names = [*catalogue.ids[:40], "P_new"]
        together = editor.index.search_by_ids(names, limit=4)
        assert together == [editor.index.search_by_id(name, limit=4) for name in names]


def test_tuning_changes_how_the_index_is_asked_and_nothing_else(tmp_path: Path) -> None:
    catalogue = make_up(1_500, versions=5)
    folder = tmp_path / "i"
    catalogue.write(folder, factory="IVF32,SQfp16", search_parameters={"nprobe": 32})
    follower = Index.open(folder, follow=True)
    with IndexEditor(folder) as editor:
        editor.remove(catalogue.ids[0])
        before = editor.index.manifest
        manifest = editor.tune(recall=0.6)
        assert manifest.search_parameters["nprobe"] < 32
        assert manifest.plan["recall_wanted"] == 0.6
        assert manifest.plan["measured"]["reached"]
        same = replace(manifest, search_parameters=before.search_parameters, plan=before.plan)
        assert same == before
        assert follower.manifest == manifest == editor.index.manifest
        assert catalogue.ids[0] not in follower
        editor.remove(catalogue.ids[1])  # into the same log
        assert follower.n_changes == (0, 2)
        again = editor.tune()
        assert again.plan["recall_wanted"] == 0.6
        with pytest.raises(IndexPlanError, match="the recall wanted is 0"):
            editor.tune(recall=0)
        assert editor.compact().plan["recall_wanted"] == 0.6
    assert verify_index(folder).whole
    assert len(Index.open(folder)) == 1_498


def test_there_is_nothing_to_tune_where_all_are_compared(editor: IndexEditor, folder: Path) -> None:
    before = (folder / "manifest.json").read_bytes()
    assert editor.tune(recall=0.5) == editor.index.manifest
    assert (folder / "manifest.json").read_bytes() == before


def test_ids_that_are_no_text_are_refused_or_become_it(folder: Path) -> None:
    with IndexEditor(folder) as editor:
        for wrong in (5, None, b"P_1"):
            with pytest.raises(IndexFormatError, match="is no performance id; give text"):
                editor.remove(["P_1", wrong])  # type: ignore[list-item]
            for ask in (editor.index.search_by_id, editor.index.embedding, editor.index.metadata):
                with pytest.raises(InvalidQueryError, match="is no performance id; give text"):
                    ask(wrong)  # type: ignore[arg-type]
        assert "P_1" in editor.index
        for number in range(2):  # as whole numbers from a table of somebody else
            table = pa.table({"performance_id": [7, 8], "year": [1960 + number] * 2})
            change = editor.update if number else editor.add
            change(table, vectors(2), encoder_id=ENCODER_ID)
            assert editor.index.metadata("7")["year"] == 1960 + number
        with pytest.raises(IndexFormatError, match="has no id"):
            editor.update([{"performance_id": None}], vectors(1), encoder_id=ENCODER_ID)


def test_some_columns_are_those_of_the_whole_table(catalogue: MadeUp, tmp_path: Path) -> None:
    catalogue.write(tmp_path / "i")
    with IndexEditor(tmp_path / "i") as editor:
        for change in (False, True):
            if change:
                first, second, *_ = sorted(catalogue.ids)
                vector = editor.index.embedding(first)[np.newaxis]
                new = {"performance_id": f"{first}_again", "title": "new"}
                editor.add([new], vector, encoder_id=ENCODER_ID)
                editor.remove([second])
            names = ["title", "performance_id"]
            some = editor.index.pinned().columns(names)
            assert some.equals(editor.index.performances.select(names))
        with pytest.raises(KeyError, match="tempo"):
            editor.index.columns(["tempo"])
