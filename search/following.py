"""Following an index on the disk: from the snapshot at hand to the one of now.

Two things change in an index's folder. The log of changes grows, and then its new records are
applied to the snapshot; or the manifest is replaced, by a compaction or by a new index of the same
name, and then all of it is opened anew. Looking whether that happened costs two calls of ``stat``,
a few microseconds.

Whoever holds an old snapshot keeps it: its files are open.
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock

from .change_log import HEADER_SIZE, log_name, read_log
from .errors import IndexFormatError
from .generation import ATTEMPTS, Generation
from .manifest import MANIFEST_NAME, Manifest
from .snapshot import Snapshot

#: Identity of a manifest file: device and inode, time of change, size.
Stamp = tuple[int, int, int, int]


class Following:
    """The latest snapshot of an index; made by :meth:`open`. Safe to share between threads."""

    _snapshot: Snapshot

    def __init__(self, folder: Path, *, mmap: bool, follow: bool) -> None:
        self.folder = folder
        self._mmap = mmap
        self._follow = follow
        self._lock = Lock()
        self._manifest_path = str(folder / MANIFEST_NAME)
        self._stamp: Stamp | None = None
        self._log_path = ""
        self._log_end = self._log_sequence = 0

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
        return copy

    def refresh(self) -> None:
        """Take in what has changed on the disk."""
        with self._lock:
            for _ in range(ATTEMPTS):
                stamp = _stamp(self._manifest_path)
                if stamp is None and self._stamp is not None:
                    return  # somebody removed the index: what is open stays
                if stamp != self._stamp or stamp is None:
                    self._reopen()
                else:
                    self._read_log_on(self._snapshot)
                # A compaction meanwhile takes the log away that was to be read: look again.
                if _stamp(self._manifest_path) == stamp:
                    self._stamp = stamp
                    return
        raise IndexFormatError(f"{self.folder} is replaced again and again while it is opened")

    @property
    def log_end(self) -> int:
        """The byte behind the last record that was taken in; 0 if the log has not begun."""
        return self._log_end

    @property
    def log_sequence(self) -> int:
        """The number of the last record that was taken in."""
        return self._log_sequence

    def _is_stale(self) -> bool:
        # A record that is only half there keeps this true until it is complete or taken away.
        log = _stamp(self._log_path)
        size = 0 if log is None else log[-1]
        return size != self._log_end or _stamp(self._manifest_path) != self._stamp

    def _reopen(self) -> None:
        snapshot = Snapshot.of(Generation.open(self.folder, mmap=self._mmap))
        self._log_path = str(self.folder / log_name(snapshot.generation.manifest.generation))
        self._log_end = self._log_sequence = 0
        self._read_log_on(snapshot)

    def _read_log_on(self, snapshot: Snapshot) -> None:
        """Apply the records behind the last one taken in, and make the result the snapshot."""
        path = Path(self._log_path)
        manifest = snapshot.generation.manifest
        changes = []
        end, sequence = self._log_end, self._log_sequence
        for change, record_end in read_log(
            path,
            generation=manifest.generation,
            dimension=manifest.dimension,
            start=end,
            sequence=sequence,
        ):
            changes.append(change)
            end, sequence = record_end, sequence + 1
        if changes:
            snapshot = snapshot.after(changes)
        elif end == 0 and path.exists() and path.stat().st_size >= HEADER_SIZE:
            end = HEADER_SIZE  # the log has begun, and nothing is in it
        self._snapshot = snapshot
        self._log_end, self._log_sequence = end, sequence


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (at each query, and half as dear as Path.stat)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
