"""Additions: today's releases, embedded and put into an index that is being served.

A catalogue is embedded as for a build (:mod:`.embedding`) but goes into an existing index by way of
:class:`coverdex.search.IndexEditor`, in batches. Each batch is durable and visible to queries as
soon as it is in. So a long addition that is interrupted has added whole batches, and is finished by
running it again with ``update``. What can be found to be wrong before the first batch is: whether
the performances exist, and whether their metadata fits the index.

The index decides which columns there are: a metadata column that it does not have is left out of
the addition, and named in the report. So are columns that an update empties: what replaces a
performance replaces its metadata too, and feature files alone have neither titles nor artists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..encoder.encoder import Encoder, PreparedChroma
from ..encoder.errors import CoverdexError, IncompatibleError, NotFoundError
from ..search.editor import IndexEditor
from ..search.errors import PerformanceExistsError
from .catalogue import Catalogue
from .embedding import ProgressCallback
from .metadata_fitting import check_records_fit, fitted
from .performance import records_table
from .preparation import PreparedPerformance, beside_readers, prepared_parts
from .rejection import LISTED_TWICE, Rejection
from .shard_reading import ShardContents

#: Performances that are added together; what an interruption can cost.
BATCH = 256


@dataclass
class AdditionReport:
    """What an addition came to.

    Parameters
    ----------
    added, updated : list of str
        Performance ids that came and that were replaced.
    rejections : list of Rejection
        What could not be added.
    columns_left_out : list of str
        Metadata columns that the index does not have.
    columns_emptied : dict of str to int
        Metadata columns of the index, and of how many replaced performances they said something
        and say nothing now.
    """

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    columns_left_out: list[str] = field(default_factory=list)
    columns_emptied: dict[str, int] = field(default_factory=dict)


class UnfinishedAdditionError(CoverdexError):
    """An addition that failed when some of it was in already, and stays in.

    Parameters
    ----------
    message : str
        What failed, how many performances are in, how to go on.
    report : AdditionReport
        What is in.
    """

    def __init__(self, message: str, report: AdditionReport) -> None:
        super().__init__(message)
        self.report = report


def add_catalogue(
    editor: IndexEditor,
    catalogue: Catalogue,
    *,
    encoder: Encoder,
    update: bool = False,
    must_exist: bool = False,
    workers: int = 0,
    progress: ProgressCallback | None = None,
) -> AdditionReport:
    """Embed a catalogue and add it to an index.

    Parameters
    ----------
    editor : IndexEditor
    catalogue : Catalogue
    encoder : Encoder
        The one that made the index.
    update : bool, default False
        Replace performances that the index has already.
    must_exist : bool, default False
        Only replace: performances that the index does not have are an error.
    workers : int, default 0
        Reading processes.
    progress : callable, optional
        ``progress(done, total)``.

    Raises
    ------
    IncompatibleError
        If another encoder made the index, or the catalogue is of another kind of chroma.
    PerformanceExistsError
        If the index has one of the performances and ``update`` is false; nothing is added then.
    NotFoundError
        If ``must_exist`` and one is not there; nothing is changed then.
    IndexFormatError
        If metadata does not fit the columns of the index; nothing is added then.
    UnfinishedAdditionError
        If it fails later, when some batches are in: a full disk, say.
    """
    editor.index.check_encoder(encoder.id)
    if encoder.kind is not catalogue.kind:
        raise IncompatibleError(
            f"the catalogue gives {catalogue.kind} and encoder {encoder.name} reads {encoder.kind}"
        )
    check_existence(editor, catalogue.performance_ids(), update=update, must_exist=must_exist)
    check_records_fit(catalogue.performances, editor.index.schema)
    addition = _Addition(
        editor,
        encoder.id,
        update=update or must_exist,
        rejections=catalogue.found_when_opened,
    )
    with addition.telling_what_is_in():
        _add_batches(addition, catalogue, encoder, workers, progress)
    return addition.report


def _add_batches(
    addition: _Addition,
    catalogue: Catalogue,
    encoder: Encoder,
    workers: int,
    progress: ProgressCallback | None,
) -> None:
    done, seen = 0, set[str]()
    if progress is not None:
        progress(0, len(catalogue))
    for batch in _batches(catalogue, encoder, workers):
        good: list[PreparedPerformance] = []
        for outcome in batch:
            if isinstance(outcome, Rejection):
                addition.report.rejections.append(outcome)
            elif outcome.record.performance_id in seen:
                addition.report.rejections.append(_repeated(catalogue, outcome))
            else:
                seen.add(outcome.record.performance_id)
                good.append(outcome)
        if good:
            with beside_readers(workers, encoder):
                vectors = list(encoder.embed_many(PreparedChroma(p.values) for p in good))
            addition.put(addition.without_strangers(_table(good)), np.array(vectors))
        done += len(batch)
        if progress is not None:
            progress(done, len(catalogue))


def add_embeddings(
    editor: IndexEditor,
    contents: ShardContents,
    *,
    update: bool = False,
    must_exist: bool = False,
    progress: ProgressCallback | None = None,
) -> AdditionReport:
    """Add embeddings that were made before or elsewhere (:mod:`.embedding_shards`).

    ``progress`` and the rest are as for :func:`add_catalogue`.

    Raises
    ------
    IncompatibleError, PerformanceExistsError, NotFoundError, IndexFormatError
        As for :func:`add_catalogue`; nothing is added then.
    UnfinishedAdditionError
        As for :func:`add_catalogue`.
    """
    editor.index.check_encoder(contents.encoder_id)
    ids = contents.performances.column("performance_id").to_pylist()
    check_existence(editor, ids, update=update, must_exist=must_exist)
    addition = _Addition(
        editor,
        contents.encoder_id,
        update=update or must_exist,
        rejections=contents.rejections,
    )
    known = addition.without_strangers(contents.performances)
    table, order = fitted(known, editor.index.schema)
    with addition.telling_what_is_in():
        for start in range(0, len(ids), BATCH):
            if progress is not None:
                progress(start, len(ids))
            rows = order[start : start + BATCH]
            addition.put(table.slice(start, BATCH), contents.embeddings[rows])
    if progress is not None:
        progress(len(ids), len(ids))
    return addition.report


def check_existence(
    editor: IndexEditor, performance_ids: Sequence[str], *, update: bool, must_exist: bool
) -> None:
    """Refuse an addition before anything is embedded, let alone added.

    Raises
    ------
    PerformanceExistsError, NotFoundError
        See :func:`add_catalogue`.
    """
    index = editor.index
    exist = [name for name in performance_ids if name in index]
    if must_exist and len(exist) < len(performance_ids):
        known = set(exist)
        missing = [name for name in performance_ids if name not in known]
        raise NotFoundError(
            f"{len(missing)} of {len(performance_ids)} performances to update are not in "
            f"{index.path}, such as {missing[0]}; nothing was changed: add them instead"
        )
    if exist and not (update or must_exist):
        raise PerformanceExistsError(
            f"{len(exist)} of {len(performance_ids)} performances are in {index.path} already, "
            f"such as {exist[0]}; nothing was added: give --update, or leave them out"
        )


def _batches(
    catalogue: Catalogue, encoder: Encoder, workers: int
) -> Iterator[list[PreparedPerformance | Rejection]]:
    parts = prepared_parts(catalogue.parts(), encoder.preprocessing, workers=workers)
    outcomes = chain.from_iterable(parts)
    while batch := list(islice(outcomes, BATCH)):
        yield batch


def _table(performances: list[PreparedPerformance]) -> pa.Table:
    table = records_table([performance.record for performance in performances])
    for name in ("duration", "frame_rate"):
        values: list[Any] = [getattr(performance, name) for performance in performances]
        table = table.append_column(name, pa.array(values, pa.float64()))
    return table


class _Addition:
    """Batches on their way into one index, and what became of them."""

    def __init__(
        self, editor: IndexEditor, encoder_id: str, *, update: bool, rejections: Iterable[Rejection]
    ) -> None:
        self._editor = editor
        self._encoder_id = encoder_id
        self._update = update
        self._columns = editor.index.schema.names
        self.report = AdditionReport(rejections=list(rejections))

    def without_strangers(self, table: pa.Table) -> pa.Table:
        """Leave out the columns that the index does not have, and remember which."""
        strangers = [name for name in table.column_names if name not in self._columns]
        left_out = self.report.columns_left_out
        left_out += [name for name in strangers if name not in left_out]
        return table.drop_columns(strangers)

    def put(self, table: pa.Table, embeddings: NDArray[np.float32]) -> None:
        # Without `update` no performance of the index is replaced.
        emptied = self._emptied_by(table) if self._update else Counter[str]()
        change = self._editor.add(
            table,
            embeddings,
            encoder_id=self._encoder_id,
            update=self._update,
        )
        self.report.added += change.added
        self.report.updated += change.updated
        told = self.report.columns_emptied
        for name, count in emptied.items():
            told[name] = told.get(name, 0) + count

    def _emptied_by(self, table: pa.Table) -> Counter[str]:
        """Count, by column, the performances that lose what the index knows of them."""
        index = self._editor.index.pinned()
        silent = {
            name: table.column(name).is_null().to_pylist() if name in table.column_names else None
            for name in self._columns
        }
        emptied: Counter[str] = Counter()
        for row, performance_id in enumerate(table.column("performance_id").to_pylist()):
            if performance_id not in index:
                continue
            known = index.metadata(performance_id)
            emptied.update(
                name
                for name, nulls in silent.items()
                if (nulls is None or nulls[row]) and known[name] is not None
            )
        return emptied

    @contextmanager
    def telling_what_is_in(self) -> Iterator[None]:
        """Say of an error how much was added before it, and how to go on."""
        try:
            yield
        except (CoverdexError, OSError) as error:
            n_in = len(self.report.added) + len(self.report.updated)
            if not n_in:
                raise
            again = "the same command goes on" if self._update else "--update makes it go on"
            raise UnfinishedAdditionError(
                f"{error}; {n_in} performances were put in before that and stay: once the cause is "
                f"gone, {again}",
                self.report,
            ) from error


def _repeated(catalogue: Catalogue, performance: PreparedPerformance) -> Rejection:
    performance_id = performance.record.performance_id
    message = f"{performance_id} comes twice; the first is used, leave one out"
    return Rejection(catalogue.source, performance_id, LISTED_TWICE, message)
