"""Changing an index: add, replace and remove performances while it is served.

A change is durable when the call returns: it is in the log and the log is on the disk. It is
visible to the next query of every process that follows the index (``Index.open`` with ``follow``)
and to every one that opens it. If the process is killed, the index holds exactly the changes whose
calls returned, and possibly the one that was under way; if the disk is full, the call fails and the
index is what it was.

Changes cost memory and a little time at each query, so :meth:`IndexEditor.compact` folds them into
new files, a new *generation*. Writing those takes as long as building; replacing the manifest in
one step then makes them the index. Processes that read the old generation keep it, and its files
are removed once none does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .change_log import ChangeLog, log_name
from .changes import Change, Operation
from .compaction import compacted, remove_unread
from .errors import IndexFormatError, NotFoundError, PerformanceExistsError
from .following import Following
from .given import listed
from .given_metadata import as_table, cast_table, ids_in
from .index import Index
from .locks import WriterLock
from .manifest import Manifest
from .performances import normalised
from .plan import AUTO, DEFAULT_RECALL, check_recall
from .snapshot import Snapshot
from .tuning import measure
from .writer import checked_embeddings


@dataclass(frozen=True)
class ChangeReport:
    """What a change did, by performance id.

    Parameters
    ----------
    added, updated, removed : list of str
        Performances that came, were replaced, went.
    unknown : list of str
        Performances that were to be removed and were not there.
    """

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


class IndexEditor:
    """The one that may change an index; safe to share between threads. Use it in a ``with`` block.

    Parameters
    ----------
    path : path
        The index's folder.
    durable : bool, default True
        Flush each change to the disk before its call returns. Without it changes are quicker, and
        survive the death of the process but not that of the machine.

    Raises
    ------
    IndexLockedError
        When another editor is at work on it, in this process or another; also from each change,
        when the folder was moved away or replaced since.
    NotFoundError, IndexFormatError
        As ``Index.open``.

    Examples
    --------
    >>> with IndexEditor("my.index") as editor:           # doctest: +SKIP
    ...     editor.remove(["P_22"])
    ...     editor.index.search_by_id("P_23")
    """

    def __init__(self, path: str | Path, *, durable: bool = True) -> None:
        folder = Path(path).absolute()  # a process may change its working directory later
        Manifest.read(folder)  # so that no lock appears in a folder that is no index
        self._lock = WriterLock(folder)
        try:
            self._durable = durable
            self._guard = RLock()
            self._log: ChangeLog | None = None
            self._following = Following.open(folder, mmap=True, follow=True)
            self._folder = folder
            remove_unread(folder, self._manifest)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> IndexEditor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def index(self) -> Index:
        """The index, following the changes."""
        return Index(self._following)

    def add(
        self,
        performances: pa.Table | Sequence[Mapping[str, Any]],
        embeddings: NDArray[np.float32],
        *,
        encoder_id: str,
        update: bool = False,
    ) -> ChangeReport:
        """Add performances, all or none.

        Parameters
        ----------
        performances : pyarrow.Table or sequence of mapping
            ``performance_id`` and any other columns of the index.
        embeddings : ndarray, shape (n, dimension), float32
            L2-normalised; row i belongs to ``performances[i]``.
        encoder_id : str
            Who made the embeddings.
        update : bool, default False
            Replace performances that exist.

        Raises
        ------
        PerformanceExistsError
            When one exists and ``update`` is false.
        IncompatibleError
            When another encoder made the index.
        IndexFormatError
            When ids are missing or listed twice, a column is not one of the index's, or the
            embeddings do not fit.
        OSError
            When the disk refuses. The index is then what it was.
        """
        with self._guard:
            now = self._ready()
            self.index.check_encoder(encoder_id)
            records, vectors = self._checked(performances, embeddings)
            names = [record["performance_id"] for record in records]
            exists = [name for name in names if now.find(name) is not None]
            if exists and not update:
                raise PerformanceExistsError(
                    f"{len(exists)} of {len(names)} performance(s) are in {self._folder} already, "
                    f"such as {exists[0]!r}; nothing was added: update them, or leave them out"
                )
            if records:  # a record of nothing would make the log longer
                self._append(Change(Operation.PUT, tuple(records), vectors))
            known = set(exists)
            return ChangeReport(added=[n for n in names if n not in known], updated=exists)

    def update(
        self,
        performances: pa.Table | Sequence[Mapping[str, Any]],
        embeddings: NDArray[np.float32],
        *,
        encoder_id: str,
    ) -> ChangeReport:
        """Replace performances that exist, metadata and embedding, all or none; see :meth:`add`.

        Raises
        ------
        NotFoundError
            When one does not exist.
        """
        with self._guard:
            now = self._ready()
            names = ids_in(as_table(performances, now.generation.performances.schema))
            missing = [name for name in names if now.find(name) is None]
            if missing:
                raise NotFoundError(
                    f"{len(missing)} of {len(names)} performance(s) to update are not in "
                    f"{self._folder}, such as {missing[0]!r}; nothing was changed"
                )
            return self.add(performances, embeddings, encoder_id=encoder_id, update=True)

    def remove(self, performance_ids: str | Iterable[str]) -> ChangeReport:
        """Remove performances, all that are there; the report names those that are not.

        Raises
        ------
        IndexFormatError
            When an id is not text; nothing is removed then.
        OSError
            When the disk refuses. The index is then what it was.
        """
        given = listed(performance_ids)
        for name in given:
            if not isinstance(name, str):
                raise IndexFormatError(f"{name!r} is no performance id; give text, such as 'P_22'")
        names = list(dict.fromkeys(given))
        with self._guard:
            now = self._ready()
            there = [name for name in names if now.find(name) is not None]
            if there:
                self._append(
                    Change(
                        Operation.REMOVE,
                        tuple({"performance_id": name} for name in there),
                        np.empty((0, self._manifest.dimension), np.float32),
                    )
                )
            gone = set(there)
            return ChangeReport(removed=there, unknown=[n for n in names if n not in gone])

    def compact(self, *, factory: str | None = None) -> Manifest:
        """Fold the changes into a new generation of files, and begin a new log.

        Takes as long as building an index of this size and about as much memory; changes wait
        meanwhile, queries do not.

        Parameters
        ----------
        factory : str, optional
            FAISS factory string of the new files, ``"auto"`` to plan it for what the index holds
            now. If not given, it is planned again if it was planned before, and stays otherwise.

        Returns
        -------
        Manifest
            Of the new generation; of the present one if there was nothing to do.

        Raises
        ------
        FactoryError
            When FAISS makes no index of this dimension from the factory string.
        IndexPlanError
            When it is planned, and holds more by now than fits into the memory that it was planned
            for; a factory string takes it all.
        OSError
            When the disk refuses. The index is then what it was, changes included.
        """
        with self._guard:
            now = self._ready()
            old = self._manifest
            # Changes that undo each other leave nothing but a log, which would grow for ever.
            is_changed = now.is_changed or self._following.log_place.sequence > 0
            if not is_changed and factory in (None, old.factory):
                return old
            if factory is None:
                factory = AUTO if "reason" in old.plan else old.factory
            manifest = compacted(self._folder, now, factory)
            self._close_log()
            self._following.refresh()
            del now
            remove_unread(self._folder, manifest)
            return manifest

    def tune(self, *, recall: float | None = None) -> Manifest:
        """Measure anew how the index is asked most quickly, on this machine, and remember it.

        For an index that was built by an earlier release or elsewhere, or from which another recall
        is wanted. Only the manifest changes: queries go on, and those that follow the index are
        soon answered in the new way. Changes since the files were written are not measured.

        Parameters
        ----------
        recall : float, optional
            Share of the true nearest ten to find; what was wanted before if not given.

        Returns
        -------
        Manifest
            The new one; the present one where the structure has no lists, so that there is nothing
            to measure.

        Raises
        ------
        IndexPlanError
            When ``recall`` is not in (0, 1].
        OSError
            When the disk refuses. The index is then what it was.
        """
        with self._guard:
            generation = self._ready().generation
            old = generation.manifest
            wanted = old.plan.get("recall_wanted", DEFAULT_RECALL) if recall is None else recall
            check_recall(wanted)
            vectors = generation.vectors
            if not vectors.n_lists or vectors.count < 2:
                return old
            found, measured = measure(vectors.faiss_index, generation.embeddings, recall=wanted)
            plan = {**old.plan, "recall_wanted": wanted, "measured": measured}
            manifest = replace(old, search_parameters=found, plan=plan)
            manifest.write(self._folder)
            self._following.refresh()
            return manifest

    def close(self) -> None:
        """Let others change the index."""
        with self._guard:
            self._close_log()
            self._lock.release()

    @property
    def _manifest(self) -> Manifest:
        return self._now().generation.manifest

    def _now(self) -> Snapshot:
        return self._following.snapshot()

    def _ready(self) -> Snapshot:
        """Return the snapshot that a change starts from."""
        self._lock.check()
        return self._now()

    def _append(self, change: Change) -> None:
        self._log_of(self._manifest).append(change)
        self._lock.check()  # nothing is acknowledged that went into a folder that is gone
        self._following.refresh()

    def _log_of(self, manifest: Manifest) -> ChangeLog:
        """Return the log of a generation, open.

        The one that is open is another's where a compaction failed, or was interrupted, after its
        manifest was in place.
        """
        if self._log is not None and self._log.generation != manifest.generation:
            self._close_log()
        if self._log is None:
            self._log = ChangeLog(
                self._folder / log_name(manifest.generation),
                generation=manifest.generation,
                dimension=manifest.dimension,
                after=self._following.log_place,
                durable=self._durable,
            )
        return self._log

    def _close_log(self) -> None:
        if self._log is not None:
            log, self._log = self._log, None
            log.close()

    def _checked(
        self, performances: Any, embeddings: Any
    ) -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
        """Bring what comes in into the index's form, or say what is wrong with it."""
        schema = self._now().generation.performances.schema
        table = as_table(performances, schema)
        vectors = checked_embeddings(embeddings, table.num_rows)
        if vectors.shape[1] != self._manifest.dimension:
            raise IndexFormatError(
                f"the embeddings have dimension {vectors.shape[1]}, the index has "
                f"{self._manifest.dimension}"
            )
        table, order = normalised(table)
        for missing in [name for name in schema.names if name not in table.column_names]:
            column = pa.nulls(table.num_rows, schema.field(missing).type)
            table = table.append_column(missing, column)
        return cast_table(table, schema).to_pylist(), vectors[order]
