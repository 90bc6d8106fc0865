"""A real file system that runs full: nothing acknowledged is lost, and work goes on after."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coverdex.search import (
    Index,
    IndexEditor,
    export_embeddings,
    nearest_pairs,
    verify_index,
    write_table,
)

from .history import State, Step, state_in, state_of
from .made_up import DIMENSION, make_up, unit


def step(number: int, n: int = 10) -> Step:
    vectors = unit(np.random.default_rng(number).standard_normal((n, DIMENSION)))
    return Step({f"N_{number}_{i}": (f"step {number}", v) for i, v in enumerate(vectors)}, [])


def refused_by(change: Callable[[], object]) -> OSError | None:
    """Try a change; return what the full disk said against it."""
    try:
        change()
    except OSError as error:
        return error
    return None


def is_clear(error: OSError) -> bool:
    return error.errno == errno.ENOSPC and "No space left" in str(error) and bool(error.filename)


def add_until_full(editor: IndexEditor, state: State, start: int) -> tuple[State, int]:
    """Change the index until the disk refuses, which must say so and change nothing."""
    for number in range(start, start + 10_000):
        change = step(number)
        error = refused_by(partial(change.apply_to, editor))
        if error is not None:
            assert is_clear(error)
            assert "changes-00000" in str(error)
            assert state_in(editor.index) == state
            return state, number
        state = change.apply_to_state(state)
    raise AssertionError("the disk never ran full")


def test_an_editor_on_a_full_disk_loses_nothing_and_goes_on(small_disk: Any) -> None:
    folder = small_disk.folder / "i"
    catalogue = make_up(12)
    catalogue.write(folder)
    state = state_of(catalogue)
    follower = Index.open(folder, follow=True)
    small_disk.fill(but=200_000)
    with IndexEditor(folder) as editor:
        state, number = add_until_full(editor, state, 0)
        assert number > 3
        small_disk.fill()
        with pytest.raises(OSError, match="No space left"):
            step(number).apply_to(editor)
        with pytest.raises(OSError, match="No space left"):
            editor.compact()
        assert not list(folder.glob("*generation*"))
        assert state_in(editor.index) == state_in(follower) == state
        assert state_in(Index.open(folder)) == state

        small_disk.free()
        step(number).apply_to(editor)
        state = step(number).apply_to_state(state)
        assert state_in(follower) == state
    small_disk.fill()
    # With not a byte to spare an index still opens, for reading and for changing.
    assert state_in(Index.open(folder)) == state
    with IndexEditor(folder) as editor:
        state, _ = add_until_full(editor, state, 5_000)
        small_disk.free()
        editor.compact()
        assert state_in(editor.index) == state_in(follower) == state
    assert verify_index(folder).problems == []


def test_a_compaction_that_the_disk_refuses_leaves_nothing(small_disk: Any) -> None:
    folder = small_disk.folder / "i"
    catalogue = make_up(300)
    catalogue.write(folder)
    with IndexEditor(folder) as editor:
        editor.remove("P_0")
        state = state_in(editor.index)
        names = {path.name for path in folder.iterdir()}
        refused = 0
        for room in range(0, 400_000, 4_096):
            small_disk.free()
            small_disk.fill(but=room)
            error = refused_by(editor.compact)
            if error is None:
                break
            assert is_clear(error)
            refused += 1
            assert {path.name for path in folder.iterdir()} == names
            assert state_in(editor.index) == state
        assert refused > 5
        assert editor.index.n_changes == (0, 0)
        assert state_in(editor.index) == state
    assert verify_index(folder).problems == []


@pytest.mark.parametrize("made", ["index", "parquet", "numpy", "faiss"])
def test_an_index_and_an_export_appear_whole_or_not_at_all(
    small_disk: Any, tmp_path: Path, made: str
) -> None:
    catalogue = make_up(300)
    catalogue.write(tmp_path / "whole")
    out = small_disk.folder / "out"
    if made == "index":
        write = partial(catalogue.write, out)
    else:
        index = Index.open(tmp_path / "whole")
        write = partial(export_embeddings, index, out, file_format=made)
    for room in (0, 4_096, 40_960, 73_728):
        small_disk.fill(but=room)
        error = refused_by(write)
        assert error is not None
        assert is_clear(error)
        small_disk.free()
        assert list(small_disk.folder.iterdir()) == []
    write()
    assert any(out.iterdir())


def test_a_table_that_the_disk_refuses_is_named(small_disk: Any, tmp_path: Path) -> None:
    make_up(300).write(tmp_path / "i")
    index = Index.open(tmp_path / "i")
    for file_format in ("parquet", "csv", "jsonl"):
        out = small_disk.folder / f"pairs.{file_format}"
        small_disk.fill(but=4_096)
        error = refused_by(partial(write_table, nearest_pairs(index), out, file_format=file_format))
        assert error is not None
        assert is_clear(error)
        assert error.filename == str(out)
        small_disk.free()
        assert list(small_disk.folder.iterdir()) == []
