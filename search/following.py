"""Following an index on the disk: from the snapshot at hand to the one of now.

Three things change in an index's folder. The log of changes grows, and then its new records are
applied to the snapshot; its last record is taken back, because the disk refused it after it could
be read, and then the log is read from its beginning; or the manifest is replaced, by a compaction
or by a new index of the same name, and then all of it is opened anew. Looking whether that happened
costs two calls of ``stat``, a few microseconds.

File systems tell times in ticks of some milliseconds, so a record that was replaced by another of
its length within one tick leaves no trace in ``stat``. While a log is younger than :data:`YOUNG` it
is therefore looked into at each query.

Whoever holds an old snapshot keeps it: its files are open.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Lock

from .change_log import BEGINNING, LogPlace, LogTakenBackError, log_name, read_log
from .changes import Change
from .errors import IndexFormatError, NotFoundError
from .generation import ATTEMPTS, Generation
from .manifest import MANIFEST_NAME, Manifest
from .snapshot import Snapshot

#: Identity of a file's content: device and inode, time of change, size.
Stamp = tuple[int, int, int, int]
#: Of no file.
_OF_NONE: Stamp = (0, 0, 0, 0)
#: Nanoseconds for which a log that was changed may have been changed again with the same stamp.
YOUNG = 50_000_000
#: Readings of a log after which it is damaged: one can mix a record that is taken back with the one
#: that is written in its place.
LOG_ATTEMPTS = 3


class Following:
    """The latest snapshot of an index; made by :meth:`open`. Safe to share between threads."""

    _snapshot: Snapshot

    def __init__(self, folder: Path, *, mmap: bool, follow: bool) -> None:
        self.folder = folder
        self._place = folder.absolute()  # a process may change its working directory later
        self._mmap = mmap
        self._follow = follow
        self._lock = Lock()
        self._manifest_path = str(self._place / MANIFEST_NAME)
        self._stamp: Stamp | None = None
        self._log_path = ""
        self._log_stamp: Stamp | None = None
        self._log_may_be_newer = False
        self._log_place = BEGINNING

    @classmethod
    def open(cls, folder: Path, *, mmap: bool, follow: bool) -> Following:
        """Open the index in ``folder``; see ``Index.open``."""
        Manifest.read(folder)  # says what is wrong with a folder that is no index
        following = cls(folder, mmap=mmap, follow=follow)
        following.refresh()
        return following

    def snapshot(self) -> Snapshot:
        """Return the snapshot of now, or the one at hand where changes are not followed."""
        if self._follow and self._is_stale():
            self.refresh()
        return self._snapshot

    def pinned(self) -> Following:
        """Return one that stays at the snapshot of now."""
        self.snapshot()
        copy = object.__new__(Following)
        with self._lock:  # the snapshot and how far its log was read go together
            copy.__dict__.update(self.__dict__)
        copy._follow = False
        copy._lock = Lock()
        # A refresh opens all anew: of one snapshot only one next may be made (`Added`).
        copy._stamp = _OF_NONE
        return copy

    def refresh(self) -> None:
        """Take in what has changed on the disk."""
        with self._lock:
            for _ in range(ATTEMPTS):
                stamp = _stamp(self._manifest_path)
                if stamp is None and self._stamp is not None:
                    return  # somebody removed the index: what is open stays
                try:
                    if stamp != self._stamp or stamp is None:
                        self._reopen()
                    else:
                        self._follow_log(self._snapshot, self._log_path, self._log_place)
                except (IndexFormatError, NotFoundError):
                    # Of a log that belongs to the index that took this one's place meanwhile; or
                    # this one went away.
                    if _stamp(self._manifest_path) == stamp:
                        raise
                    continue
                # A compaction meanwhile takes the log away that was to be read: look again.
                if _stamp(self._manifest_path) == stamp:
                    self._stamp = stamp
                    return
        raise IndexFormatError(f"{self.folder} is replaced again and again while it is opened")

    @property
    def log_place(self) -> LogPlace:
        """Behind the last record of the log that was taken in."""
        return self._log_place

    def _is_stale(self) -> bool:
        return (
            self._log_may_be_newer
            or _stamp(self._log_path) != self._log_stamp
            or _stamp(self._manifest_path) != self._stamp
        )

    def _reopen(self) -> None:
        snapshot = Snapshot.of(Generation.open(self._place, mmap=self._mmap))
        path = str(self._place / log_name(snapshot.generation.manifest.generation))
        self._follow_log(snapshot, path, BEGINNING)

    def _follow_log(self, snapshot: Snapshot, path: str, after: LogPlace) -> None:
        """Take in what has changed in a log, and remember by what to see the next change.

        All is remembered at the end: until then, and where this fails, what is at hand stays whole,
        for whoever asks without the lock and for the next attempt.
        """
        for attempt in range(1, LOG_ATTEMPTS + 1):
            stamp = _stamp(path)  # before reading: what comes meanwhile changes it
            is_young = stamp is not None and time.time_ns() - stamp[2] < YOUNG
            try:
                latest, place = _read_on(snapshot, Path(path), after)
            except IndexFormatError:
                is_same = not is_young and _stamp(path) == stamp
                if is_same or attempt == LOG_ATTEMPTS:
                    raise
            else:
                break
        self._snapshot, self._log_path, self._log_place = latest, path, place
        self._log_stamp, self._log_may_be_newer = stamp, is_young


def _read_on(snapshot: Snapshot, log: Path, after: LogPlace) -> tuple[Snapshot, LogPlace]:
    """Apply the records of a log behind a place to the snapshot as it is there."""
    try:
        changes, place = _read_log(snapshot, log, after)
    except LogTakenBackError:
        snapshot = Snapshot.of(snapshot.generation)
        changes, place = _read_log(snapshot, log, BEGINNING)
    return snapshot.after(changes) if changes else snapshot, place


def _read_log(snapshot: Snapshot, log: Path, after: LogPlace) -> tuple[list[Change], LogPlace]:
    manifest = snapshot.generation.manifest
    return read_log(log, generation=manifest.generation, dimension=manifest.dimension, after=after)


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (at each query, and half as dear as Path.stat)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
