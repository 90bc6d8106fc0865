"""Damage, death and full disks: what was acknowledged stays, what was not never half counts."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coverdex.search import (
    Index,
    IndexEditor,
    IndexFormatError,
    Manifest,
    change_log,
    durability,
    following,
    verify,
    verify_index,
)
from coverdex.search.change_log import HEADER_SIZE

from .history import state_in, state_of, steps
from .made_up import ENCODER_ID, MadeUp, make_up, unit

LOG = "changes-000001.log"


@pytest.fixture
def small() -> MadeUp:
    return make_up(12)


@pytest.fixture
def changed(small: MadeUp, tmp_path: Path) -> tuple[Path, list[dict], list[int]]:
    """An index with three changes; its states before and after each, and the log's lengths."""
    folder = tmp_path / "i"
    small.write(folder)
    states, ends = [state_of(small)], [HEADER_SIZE]
    with IndexEditor(folder) as editor:
        for step in islice(steps(11), 3):
            step.apply_to(editor)
            states.append(step.apply_to_state(states[-1]))
            ends.append((folder / LOG).stat().st_size)
    return folder, states, ends


def test_a_record_that_is_cut_off_never_was(
    changed: tuple[Path, list[dict], list[int]], tmp_path: Path
) -> None:
    folder, states, ends = changed
    log = folder / LOG
    whole = log.read_bytes()
    for length in [*range(0, ends[0] + 28, 3), *range(ends[2] - 1, ends[3] + 1, 29), ends[3]]:
        log.write_bytes(whole[:length])
        complete = sum(length >= end for end in ends[1:])
        assert state_in(Index.open(folder)) == states[complete], length
    # The next change takes the place of what was cut off.
    log.write_bytes(whole[: ends[2] - 1])
    follower = Index.open(folder, follow=True)
    with IndexEditor(folder) as editor:
        assert editor.remove("P_11").removed == ["P_11"]
    expected = {name: held for name, held in states[1].items() if name != "P_11"}
    assert state_in(Index.open(folder)) == expected
    assert state_in(follower) == expected


def test_space_that_a_power_cut_left_empty_is_no_record(
    changed: tuple[Path, list[dict], list[int]],
) -> None:
    folder, states, _ = changed
    with (folder / LOG).open("ab") as log:
        log.write(bytes(4096))
    assert state_in(Index.open(folder)) == states[3]


@pytest.mark.parametrize("n_behind", [0, 4096])
def test_a_record_of_which_a_power_cut_left_zeros_never_was(
    changed: tuple[Path, list[dict], list[int]], n_behind: int
) -> None:
    folder, states, ends = changed
    log = folder / LOG
    whole = log.read_bytes()
    for length in [*range(ends[2], ends[2] + 28), *range(ends[2] + 28, ends[3] - 3, 29)]:
        log.write_bytes(whole[:length] + bytes(len(whole) - length + n_behind))
        assert state_in(Index.open(folder)) == states[2], length
        assert verify_index(folder).problems == []
    # Of a record with another behind it, zeros are damage.
    log.write_bytes(whole[: ends[2] - 100] + bytes(100) + whole[ends[2] :])
    with pytest.raises(IndexFormatError, match="record 2"):
        Index.open(folder)


def test_a_flipped_bit_in_the_log_is_an_error(
    changed: tuple[Path, list[dict], list[int]],
) -> None:
    folder, _, ends = changed
    log = folder / LOG
    whole = log.read_bytes()
    rng = np.random.default_rng(0)
    places = {*range(ends[0] + 28), *range(ends[3] - 6, ends[3])}
    for place in sorted(places | set(rng.integers(0, len(whole), 30).tolist())):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        log.write_bytes(damaged)
        with pytest.raises(IndexFormatError, match="damaged"):
            Index.open(folder)
        assert verify_index(folder).problems, place
    log.write_bytes(whole)
    found = verify_index(folder)
    assert found.problems == []
    assert LOG in found.files


def test_the_log_of_another_index_is_refused(
    changed: tuple[Path, list[dict], list[int]],
) -> None:
    folder, _, _ = changed
    content = (folder / LOG).read_bytes()
    with IndexEditor(folder) as editor:
        editor.compact()
    (folder / "changes-000002.log").write_bytes(content)
    with pytest.raises(IndexFormatError, match="generation 1"):
        Index.open(folder)


@contextmanager
def files_no_larger_than(n_bytes: int) -> Iterator[None]:
    """Let the system refuse to make files larger, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_loses_nothing_that_was_acknowledged(small: MadeUp, tmp_path: Path) -> None:
    folder = tmp_path / "i"
    small.write(folder)
    acknowledged = set(small.ids)
    new = unit(np.random.default_rng(3).standard_normal((40, 64)))
    with IndexEditor(folder) as editor:
        refused = 0
        with files_no_larger_than(9_000):
            for number, vector in enumerate(new):
                row = [{"performance_id": f"N_{number}"}]
                try:
                    editor.add(row, vector[np.newaxis], encoder_id=ENCODER_ID)
                    acknowledged.add(f"N_{number}")
                except OSError:
                    refused += 1
                assert set(state_in(editor.index)) == acknowledged
            assert 0 < refused < 40
            assert set(state_in(Index.open(folder))) == acknowledged
        for limit in (500, 5_000):
            with files_no_larger_than(limit), pytest.raises(OSError, match="large"):
                editor.compact()  # needs more room than there is
            assert set(state_in(editor.index)) == acknowledged
            assert not list(folder.glob("*generation*"))
        # Once there is room, everything goes on.
        editor.add([{"performance_id": "N_last"}], new[:1], encoder_id=ENCODER_ID)
        editor.compact()
    assert set(state_in(Index.open(folder))) == {*acknowledged, "N_last"}
    assert verify_index(folder).problems == []


def test_a_full_disk_leaves_no_half_index(tmp_path: Path) -> None:
    catalogue = make_up(300)
    small = make_up(5)
    small.write(tmp_path / "i")
    for limit in (1_000, 20_000, 76_000, 77_000):
        with files_no_larger_than(limit), pytest.raises(OSError, match="large"):
            catalogue.write(tmp_path / "i", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["i"]
    assert state_in(Index.open(tmp_path / "i")) == state_of(small)


def vectors(n: int) -> np.ndarray:
    return unit(np.random.default_rng(5).standard_normal((n, 64)))


def add(editor: IndexEditor, *names: str) -> None:
    rows = [{"performance_id": name} for name in names]
    editor.add(rows, vectors(len(names)), encoder_id=ENCODER_ID)


@contextmanager
def flush_that_ends_with(error: BaseException, *readers: Index) -> Iterator[None]:
    """Let some readers see a record that is complete, and then its flush fail."""

    def flush(_file: int) -> None:
        for reader in readers:
            len(reader)
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(change_log, "_flush", flush)
        yield


@pytest.mark.parametrize("before", [[], ["N_1"]], ids=["first record", "second record"])
@pytest.mark.parametrize("refused", [["N_2"], ["N_2", "N_3"]], ids=["same length", "longer"])
@pytest.mark.parametrize("after", [[], ["N_4"], ["N_4", "N_5", "N_6"]], ids=len)
def test_followers_go_back_where_a_record_that_they_read_was_refused(
    small: MadeUp, tmp_path: Path, before: list[str], refused: list[str], after: list[str]
) -> None:
    folder = tmp_path / "i"
    small.write(folder)
    follower = Index.open(folder, follow=True)
    with IndexEditor(folder) as editor:
        for name in before:
            add(editor, name)
        with (
            flush_that_ends_with(OSError(28, "No space left on device"), follower, editor.index),
            pytest.raises(OSError, match="No space"),
        ):
            add(editor, *refused)
        held = {*small.ids, *before}
        if not after:
            assert set(state_in(follower)) == set(state_in(editor.index)) == held
        for number, name in enumerate(after, 1):
            add(editor, name)
            held.add(name)
            if number == len(after):  # the follower may have missed everything in between
                assert state_in(follower) == state_in(editor.index) == state_in(Index.open(folder))
        assert set(state_in(follower)) == held
        editor.remove("P_0")
        assert set(state_in(follower)) == held - {"P_0"}
    assert set(state_in(Index.open(folder))) == held - {"P_0"}


def test_what_is_pinned_stays_when_another_pinned_one_is_refreshed(
    small: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "i"
    small.write(folder)
    follower = Index.open(folder, follow=True)
    one, other = vectors(2)
    seen = []

    def refuses(_file: int) -> None:
        seen.append(follower.pinned())
        raise OSError(28, "No space left on device")

    with IndexEditor(folder) as editor:
        add(editor, "N_1")
        before = follower.pinned()
        monkeypatch.setattr(change_log, "_flush", refuses)
        with pytest.raises(OSError, match="No space"):
            editor.add([{"performance_id": "N_2"}], [one], encoder_id=ENCODER_ID)
        monkeypatch.undo()
        editor.add([{"performance_id": "N_3"}], [other], encoder_id=ENCODER_ID)
    before.refresh()
    np.testing.assert_array_equal(before.embedding("N_3"), other)
    np.testing.assert_array_equal(seen[0].embedding("N_2"), one)


@pytest.mark.parametrize("go_on", ["the same editor", "another editor"])
def test_a_change_that_is_interrupted_when_it_is_written_stays(
    small: MadeUp, tmp_path: Path, go_on: str
) -> None:
    folder = tmp_path / "i"
    small.write(folder)
    follower = Index.open(folder, follow=True)
    with IndexEditor(folder) as editor:
        editor.remove("P_0")  # so that it is a record and not the header that is interrupted
        with flush_that_ends_with(KeyboardInterrupt(), follower), pytest.raises(KeyboardInterrupt):
            add(editor, "N_1", "N_2")
        assert "N_1" in follower
        if go_on == "the same editor":
            add(editor, "N_3")
    if go_on == "another editor":
        with IndexEditor(folder) as another:
            add(another, "N_3")
    assert set(state_in(follower)) == {*small.ids[1:], "N_1", "N_2", "N_3"}
    assert state_in(Index.open(folder)) == state_in(follower)


def test_a_change_that_is_interrupted_half_written_never_was(
    small: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "i"
    small.write(folder)
    write = os.pwrite

    def half(file: int, content: bytes, at: int) -> int:
        write(file, content[: len(content) // 2], at)
        raise KeyboardInterrupt

    with IndexEditor(folder) as editor:
        add(editor, "N_1")
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", half)
            with pytest.raises(KeyboardInterrupt):
                add(editor, "N_2", "N_3", "N_4")
        add(editor, "N_5")  # shorter than what was left
    assert set(state_in(Index.open(folder))) == {*small.ids, "N_1", "N_5"}


def test_a_record_in_the_place_of_another_is_seen_within_one_tick_of_the_clock(
    small: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "YOUNG", 10**18)  # however slow this machine is
    logs = []
    for name in ("N_1", "N_2"):
        folder = tmp_path / name
        small.write(folder)
        with IndexEditor(folder) as editor:
            add(editor, name)
        logs.append((folder / LOG).read_bytes())
    assert len(logs[0]) == len(logs[1])
    log = tmp_path / "N_1" / LOG
    follower = Index.open(tmp_path / "N_1", follow=True)
    assert "N_1" in follower
    before = log.stat()
    log.write_bytes(logs[1])
    os.utime(log, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "N_1" not in follower
    assert "N_2" in follower


@pytest.mark.parametrize("module", [following, verify], ids=["follower", "verify"])
def test_a_reading_that_mixes_two_records_is_no_damage(
    changed: tuple[Path, list[dict], list[int]], monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    folder, states, _ = changed
    read, readings = change_log.read_log, []

    def mixed_at_first(path: Path, **options: Any) -> Any:
        readings.append(path)
        if len(readings) == 1:
            raise IndexFormatError("record 3 is damaged")
        return read(path, **options)

    monkeypatch.setattr(module, "read_log", mixed_at_first)
    if module is following:
        monkeypatch.setattr(following, "YOUNG", 10**18)  # however slow this machine is
        assert state_in(Index.open(folder)) == states[3]
    else:
        assert verify_index(folder).problems == []
    assert len(readings) > 1


@pytest.fixture(scope="module")
def mortal() -> Iterator[subprocess.Popen[str]]:
    """A process that forks one that changes an index, each time it is told to."""
    program = Path(__file__).with_name("mortal.py")
    process = subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


@pytest.mark.parametrize("seed", range(20))
def test_a_killed_editor_leaves_exactly_the_acknowledged_history(
    mortal: subprocess.Popen[str], small: MadeUp, tmp_path: Path, seed: int
) -> None:
    assert mortal.stdin is not None
    assert mortal.stdout is not None
    folder = tmp_path / "i"
    small.write(folder)
    victim = 0
    acknowledged = 0
    rounds = []
    rng = np.random.default_rng(seed)
    # Two lives in one index: the second starts from what the first one left.
    for life in range(2):
        print(folder, seed, acknowledged, file=mortal.stdin, flush=True)
        victim = int(mortal.stdout.readline())
        fatal = acknowledged + int(rng.integers(1, 10))
        while (line := mortal.stdout.readline().strip()) != "gone":
            acknowledged = int(line)
            if acknowledged == fatal:
                os.kill(victim, signal.SIGKILL)
        assert acknowledged >= fatal, f"life {life} ended by itself"
        states = [state_of(small)]
        for step in islice(steps(seed), acknowledged + 1):
            states.append(step.apply_to_state(states[-1]))
        found = state_in(Index.open(folder))
        # All that was acknowledged, and at most the one change that was under way.
        assert found in (states[acknowledged], states[acknowledged + 1])
        acknowledged += found != states[acknowledged]
        rounds.append(fatal)
    with IndexEditor(folder) as editor:
        editor.compact()
    assert state_in(Index.open(folder)) == found
    assert verify_index(folder).problems == []


@pytest.mark.parametrize("length", [HEADER_SIZE, 4096])
def test_a_log_that_a_power_cut_left_empty_holds_nothing(
    small: MadeUp, tmp_path: Path, length: int
) -> None:
    folder = tmp_path / "i"
    small.write(folder)
    (folder / LOG).write_bytes(bytes(length))
    assert state_in(Index.open(folder)) == state_of(small)
    with IndexEditor(folder) as editor:
        editor.remove("P_0")
    assert "P_0" not in Index.open(folder)
    assert verify_index(folder).problems == []


def test_the_folder_of_a_log_is_flushed_by_who_goes_on_with_it(
    changed: tuple[Path, list[dict], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who wrote its header may have been killed before the folder's entry was on the disk.
    folder, _, _ = changed
    flushed: list[Path] = []
    monkeypatch.setattr(change_log, "sync", flushed.append)
    with IndexEditor(folder) as editor:
        editor.remove("P_11")
    assert flushed == [folder]


@pytest.mark.parametrize("interrupted_by", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_what_follows_a_compaction_that_fails_when_it_is_in_place_is_not_lost(
    small: MadeUp,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupted_by: BaseException,
) -> None:
    folder = tmp_path / "i"
    small.write(folder)
    sync = durability.sync

    def fails_behind_the_manifest(path: Path) -> None:
        sync(path)
        if path == folder and Manifest.read(folder).generation == 2:
            raise interrupted_by

    with IndexEditor(folder) as editor:
        editor.remove("P_0")
        monkeypatch.setattr(durability, "sync", fails_behind_the_manifest)
        with pytest.raises(type(interrupted_by)):
            editor.compact()
        monkeypatch.undo()
        assert editor.index.manifest.generation == 2
        editor.remove("P_1")
        assert "P_1" not in editor.index
    expected = {name: held for name, held in state_of(small).items() if name not in ("P_0", "P_1")}
    assert state_in(Index.open(folder)) == expected
