"""One editor at a time, and only in the folder that it opened."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from coverdex.search import Index, IndexEditor, IndexLockedError, change_log, locks, verify_index

from .history import state_in, state_of
from .made_up import ENCODER_ID, MadeUp, make_up
from .test_editor import vectors


def test_one_editor_at_a_time(folder: Path, catalogue: MadeUp, editor: IndexEditor) -> None:
    with pytest.raises(IndexLockedError, match=f"process id {os.getpid()}"):
        IndexEditor(folder)
    code = "import sys; from coverdex.search import IndexEditor; IndexEditor(sys.argv[1])"
    other = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert other.returncode == 1
    assert f"being changed by another process (process id {os.getpid()})" in other.stderr
    with pytest.raises(IndexLockedError):
        catalogue.write(folder, overwrite=True)
    editor.close()
    with IndexEditor(folder) as next_one:
        next_one.remove("P_0")
        with pytest.raises(IndexLockedError, match="closed"):
            editor.remove("P_1")
        editor.close()  # again, which must not take the lock from the next one
        with pytest.raises(IndexLockedError, match="process id"):
            IndexEditor(folder)


def test_a_copy_under_the_lock_keeps_changes_away_and_goes_by_no_editors_name(
    folder: Path, catalogue: MadeUp, tmp_path: Path
) -> None:
    with IndexEditor(folder) as editor:
        editor.remove("P_0")
    with (folder / locks.LOCK_NAME).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as flock(1) does for a backup
        with pytest.raises(IndexLockedError, match="process id unknown"):
            IndexEditor(folder)
        shutil.copytree(folder, tmp_path / "copy")
    assert verify_index(tmp_path / "copy").whole
    with IndexEditor(tmp_path / "copy") as restored:
        assert len(restored.index) == len(catalogue.ids) - 1


@pytest.mark.parametrize("fate", ["moved", "replaced", "removed"])
def test_an_editor_says_that_its_index_has_gone(
    folder: Path, catalogue: MadeUp, tmp_path: Path, fate: str
) -> None:
    make_up(9, seed=9).write(tmp_path / "another")
    with IndexEditor(folder) as editor:
        editor.remove("P_0")
        folder.rename(tmp_path / "old")
        if fate == "replaced":
            (tmp_path / "another").rename(folder)
        if fate == "removed":
            shutil.rmtree(tmp_path / "old")
        changes: list[Callable[[], object]] = [
            lambda: editor.add([{"performance_id": "new"}], vectors(1), encoder_id=ENCODER_ID),
            lambda: editor.remove("P_1"),
            editor.compact,
            editor.tune,
        ]
        for change in changes:
            with pytest.raises(IndexLockedError, match="moved away, replaced or removed"):
                change()
    if fate != "removed":
        expected = {name: held for name, held in state_of(catalogue).items() if name != "P_0"}
        assert state_in(Index.open(tmp_path / "old")) == expected
    if fate == "replaced":
        assert len(Index.open(folder)) == 9
        with IndexEditor(folder) as next_one:
            next_one.remove("P_1")


def test_a_change_is_not_acknowledged_into_an_index_that_goes_meanwhile(
    folder: Path, editor: IndexEditor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = change_log._flush

    def flush_and_move(file: int) -> None:
        flush(file)
        folder.rename(tmp_path / "old")

    editor.remove("P_0")
    monkeypatch.setattr(change_log, "_flush", flush_and_move)
    with pytest.raises(IndexLockedError, match="moved away"):
        editor.remove("P_1")


def test_old_generations_are_removed_where_only_writers_get_exclusive_locks(
    folder: Path, editor: IndexEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def flock_of_nfs(file: int, mode: int) -> None:
        if mode & fcntl.LOCK_EX and fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(file, mode)

    monkeypatch.setattr(locks.fcntl, "flock", flock_of_nfs)
    for name in ("P_0", "P_1"):
        editor.remove(name)
        editor.compact()
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["generation-000003", "manifest.json", "writer.lock"]


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_an_index_is_read_and_not_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_locks(file: int, mode: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    assert len(Index.open(folder)) == 120
    with pytest.raises(IndexLockedError, match=f"no locks .*{os.strerror(code)}.* local disk"):
        IndexEditor(folder)
