"""Readers of an index while it changes: what each of them sees, and when."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from coverdex.search import (
    Index,
    IndexEditor,
    IndexFormatError,
    following,
)
from coverdex.search.generation import Generation

from .history import state_in, state_of
from .made_up import DIMENSION, ENCODER_ID, MadeUp, make_up, unit


def test_a_reader_keeps_its_snapshot_and_a_follower_goes_on(
    folder: Path, catalogue: MadeUp
) -> None:
    reader = Index.open(folder)
    follower = Index.open(folder, follow=True)
    with IndexEditor(folder) as editor:
        editor.remove(["P_0", "P_1"])
        pinned = follower.pinned()
        editor.compact()
        editor.remove("P_2")
        assert (len(reader), len(pinned), len(follower)) == (120, 118, 117)
        assert state_in(reader) == state_of(catalogue)
        assert "P_2" in pinned
        (nearest,) = reader.search(catalogue.embeddings[0], limit=1)
        assert nearest.performance_id == "P_0"
        assert follower.manifest.generation == 2
        reader.refresh()
        assert state_in(reader) == state_in(follower)


def test_files_of_an_old_generation_stay_while_they_are_read(folder: Path) -> None:
    reader = Index.open(folder)
    with IndexEditor(folder) as editor:
        editor.remove("P_0")
        editor.compact()
        assert (folder / "vectors.faiss").exists()
        del reader
        editor.remove("P_1")
        editor.compact()
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["generation-000003", "manifest.json", "writer.lock"]
    assert len(Index.open(folder)) == 118


def test_an_overwritten_index_is_followed(folder: Path) -> None:
    follower = Index.open(folder, follow=True)
    with IndexEditor(folder) as editor:
        editor.remove("P_0")
    assert len(follower) == 119
    make_up(9, seed=9).write(folder, overwrite=True)
    assert len(follower) == 9
    make_up(8, seed=9).write(folder, overwrite=True)  # neither has a log that could tell
    assert len(follower) == 8


def test_an_index_compacted_while_it_is_opened_is_opened_as_it_then_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with IndexEditor(folder) as editor:
        editor.remove("P_0")
        read_log = following.read_log
        compactions = []

        def compacted_just_before(log: Path, **options: Any) -> Any:
            compactions.append(1)
            monkeypatch.setattr(following, "read_log", read_log)
            editor.compact()  # takes the log away that was about to be read
            return read_log(log, **options)

        monkeypatch.setattr(following, "read_log", compacted_just_before)
        opened = Index.open(folder)
        assert compactions
        assert opened.manifest.generation == 2
        assert "P_0" not in opened
        assert len(opened) == 119


def test_queries_while_the_index_changes_see_whole_states(folder: Path, catalogue: MadeUp) -> None:
    # Each change moves the whole group G_0 ... G_4 at once, so a query sees all of it or nothing.
    group = [{"performance_id": f"G_{i}", "work_id": "W_g"} for i in range(5)]
    places = unit(np.random.default_rng(70).standard_normal((30, DIMENSION)))
    follower = Index.open(folder, follow=True)
    stop = threading.Event()
    seen: set[int] = set()
    wrong: list[object] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                found = follower.search(places[0], limit=300)
                members = [one for one in found if one.work_id == "W_g"]
                seen.add(len(members))
                if len({one.similarity for one in members}) > 1 or len(found) < 120:
                    wrong.append(found)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    with IndexEditor(folder) as editor:
        for number, place in enumerate(places):
            editor.add(group, np.tile(place, (5, 1)), encoder_id=ENCODER_ID, update=True)
            if number % 5 == 4:
                editor.remove([row["performance_id"] for row in group])
            if number % 10 == 9:
                editor.compact()
        editor.add(group, np.tile(places[0], (5, 1)), encoder_id=ENCODER_ID, update=True)
        while 5 not in seen and not wrong:
            time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert seen <= {0, 5}


def test_a_relative_path_stays_the_same_index_after_a_change_of_directory(
    folder: Path, catalogue: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    following = Index.open(folder.name, follow=True)
    assert following.path == Path(folder.name)
    with IndexEditor(folder.name) as editor:
        monkeypatch.chdir(tmp_path.parent)
        editor.remove("P_3")
        assert "P_3" not in following
        editor.compact()
        assert (len(following), following.n_changes) == (119, (0, 0))


def test_an_index_whose_log_is_another_ones_by_now_is_opened_as_it_then_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = unit(np.random.default_rng(3).standard_normal((9, 32)))
    other = MadeUp(small, pa.table({"performance_id": [f"S_{i}" for i in range(9)]}))
    other.write(tmp_path / "other")
    with IndexEditor(tmp_path / "other") as editor:
        editor.remove("S_0")
    following_one = Index.open(folder, follow=True)
    with IndexEditor(folder) as editor:
        editor.remove("P_0")
    read_log = following.read_log

    def replaced_just_before(log: Path, **options: Any) -> Any:
        monkeypatch.setattr(following, "read_log", read_log)
        folder.rename(tmp_path / "old")
        (tmp_path / "other").rename(folder)
        return read_log(log, **options)

    monkeypatch.setattr(following, "read_log", replaced_just_before)
    assert len(following_one) == 8
    assert following_one.manifest.dimension == 32


def test_an_index_that_goes_away_while_it_is_opened_anew_is_kept_as_it_was(
    folder: Path, catalogue: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Index.open(folder, follow=True)
    catalogue.write(folder, overwrite=True)
    open_generation = Generation.open

    def gone_just_before(place: Path, *, mmap: bool) -> Generation:
        folder.rename(tmp_path / "away")
        return open_generation(place, mmap=mmap)

    monkeypatch.setattr(Generation, "open", gone_just_before)
    assert len(follower) == 120
    assert follower.search_by_id("P_0")
    monkeypatch.setattr(Generation, "open", open_generation)
    make_up(12).write(folder)
    assert len(follower) == 12


def test_an_index_that_comes_back_is_followed_on(folder: Path, tmp_path: Path) -> None:
    make_up(12).write(tmp_path / "damaged")
    with IndexEditor(folder) as editor:
        editor.remove("P_0")
        editor.compact()
    with IndexEditor(tmp_path / "damaged") as editor:
        editor.remove("P_1")
    log = tmp_path / "damaged" / "changes-000001.log"
    log.write_bytes(log.read_bytes()[:-1] + b"?")
    follower = Index.open(folder, follow=True)
    folder.rename(tmp_path / "aside")
    (tmp_path / "damaged").rename(folder)
    with pytest.raises(IndexFormatError, match="damaged"):
        len(follower)
    folder.rename(tmp_path / "damaged")
    (tmp_path / "aside").rename(folder)
    assert len(follower) == 119
    with IndexEditor(folder) as editor:
        editor.remove("P_1")
    assert len(follower) == 118
    assert "P_1" not in follower
