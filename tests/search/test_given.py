"""Arrays and scalars of NumPy, Arrow and others, where ids and conditions are asked for."""

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
    IndexFormatError,
    InvalidQueryError,
    nearest_pairs,
)

from .made_up import DIMENSION, ENCODER_ID, MadeUp


def names(answer: list[Any]) -> list[str]:
    return [candidate.performance_id for candidate in answer]


IN_ARRAYS = [np.array, pa.array, lambda ids: pa.chunked_array([ids[:1], ids[1:]]), iter]


@pytest.mark.parametrize("hold", IN_ARRAYS)
@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_what_is_left_out_may_stand_in_an_array(
    index: Index, catalogue: MadeUp, hold: Callable[[list[str]], Any], n: int
) -> None:
    query = catalogue.embeddings[0]
    for option, value in (("exclude", "performance_id"), ("exclude_works", "work_id")):
        said = [f"{'P' if option == 'exclude' else 'W'}_{i}" for i in range(n)]
        if hold is not iter and not said and hold is not np.array:
            held: Any = pa.array([], pa.string())
        else:
            held = hold(said)
        answer = index.search(query, **{option: held})
        assert names(answer) == names(index.search(query, **{option: said}))
        assert not {candidate.metadata[value] for candidate in answer} & set(said)


def test_one_id_in_an_array_without_dimensions(index: Index, catalogue: MadeUp) -> None:
    query = catalogue.embeddings[0]
    assert names(index.search(query, exclude=np.array("P_0"))) == names(
        index.search(query, exclude="P_0")
    )


def test_conditions_may_stand_in_an_array(index: Index, catalogue: MadeUp) -> None:
    query, where = catalogue.embeddings[0], ["year>=1920", "key in C,Am"]
    assert names(index.search(query, where=np.array(where))) == names(
        index.search(query, where=where)
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (("year", "=", np.int64(1921)), ("year", "=", 1921)),
        (("year", ">=", np.array(1921)), ("year", ">=", 1921)),
        (("year", "in", np.array([1921, 1922])), ("year", "in", [1921, 1922])),
        (("key", "in", pa.array(["C", None])), ("key", "in", ["C", None])),
        (("instrumental", "=", np.bool_(True)), ("instrumental", "=", True)),
    ],
)
def test_conditions_take_values_of_numpy(given: tuple, meant: tuple) -> None:
    if None in np.atleast_1d(np.array(meant[2], dtype=object)):
        with pytest.raises(InvalidQueryError, match="null on 'key'"):
            Condition(*given)
        return
    assert Condition(*given) == Condition(*meant)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (("year", "=", np.bool_(True)), "True is no value for 'year'"),  # as True is not
        (("year", "=", np.array([1921, 1922])), "`in` takes a list"),
        ((np.array(["year", "key"]), "=", 1921), "is no name of a column"),
        (("year", np.array(["=", "<"]), 1921), "unknown operator"),
    ],
)
def test_conditions_of_arrays_that_mean_nothing_are_refused(
    index: Index, catalogue: MadeUp, condition: tuple, message: str
) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        index.search(catalogue.embeddings[0], where=Condition(*condition))


def test_queries_by_id_may_stand_in_an_array(index: Index) -> None:
    asked = ["P_3", "P_7"]
    expected = [names(answer) for answer in index.search_by_ids(asked)]
    assert [names(answer) for answer in index.search_by_ids(np.array(asked))] == expected
    assert [names(answer) for answer in index.search_by_ids("P_3")] == expected[:1]
    with pytest.raises(InvalidQueryError, match="None is no performance id"):
        index.search_by_ids(None)  # type: ignore[arg-type]


def test_all_pairs_take_arrays_too(index: Index) -> None:
    works = np.array(["W_0", "W_1"])
    (table,) = nearest_pairs(index, limit=3, exclude_works=works)
    assert not set(table.column("candidate_work").to_pylist()) & set(works.tolist())


def test_vectors_of_different_lengths_are_no_query(index: Index) -> None:
    with pytest.raises(InvalidQueryError, match="is no array"):
        index.search([[1.0, 0.0], [1.0]])  # type: ignore[call-overload]


def test_an_editor_takes_arrays_of_ids(folder: Path) -> None:
    with IndexEditor(folder) as editor:
        report = editor.remove(np.array(["P_0", "P_1", "P_nowhere"]))
        assert (report.removed, report.unknown) == (["P_0", "P_1"], ["P_nowhere"])
        for wrong in (np.arange(2), 5, None):
            with pytest.raises(IndexFormatError, match="is no performance id"):
                editor.remove(wrong)  # type: ignore[arg-type]


def test_an_editor_says_what_a_performance_is(folder: Path) -> None:
    one = np.eye(1, DIMENSION, dtype=np.float32)
    with IndexEditor(folder) as editor:
        for wrong in ({"performance_id": ["P_n"]}, "P_n", [3]):
            with pytest.raises(IndexFormatError, match="is no performance; give"):
                editor.add(wrong, one, encoder_id=ENCODER_ID)  # type: ignore[arg-type]
        with pytest.raises(IndexFormatError, match="embeddings are no array"):
            editor.add([{"performance_id": "P_n"}], [[1.0], [1.0, 0.0]], encoder_id=ENCODER_ID)  # type: ignore[arg-type]


@pytest.mark.parametrize("nothing", [[], pa.table({"performance_id": pa.array([], pa.string())})])
def test_adding_nothing_changes_nothing(folder: Path, nothing: Any) -> None:
    with IndexEditor(folder) as editor:
        report = editor.add(nothing, np.empty((0, DIMENSION), np.float32), encoder_id=ENCODER_ID)
        assert not report.added
        assert not report.updated
    assert not (folder / "changes-000001.log").exists()
