"""An open index: the embeddings of a catalogue, and what is nearest to a query.

The answer to a query does not depend on how it is asked. Similarities are computed from the
float32 embeddings by one formula, whether a query comes alone or in a batch of thousands; equal
similarities stand in the order of performance ids. (An approximate index without float32 vectors in
memory gives the similarities of its codes instead; its factory string tells.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .answering import NO_ROWS, Terms, answer, answers, plain_answer
from .candidate import Candidate
from .errors import IncompatibleError, InvalidQueryError, NotFoundError
from .following import Following
from .given import listed
from .manifest import Manifest
from .queries import (
    DEFAULT_LIMIT,
    QueryOptions,
    QueryVector,
    QueryVectors,
    SearchOptions,
    checked_names,
    checked_queries,
)
from .snapshot import Snapshot


class Index:
    """An index folder, open for queries. Safe to share between threads.

    Open one with :meth:`open`.

    Examples
    --------
    >>> index = Index.open("my.index")                    # doctest: +SKIP
    >>> index.search_by_id("P_80000", limit=10)           # doctest: +SKIP
    """

    def __init__(self, following: Following) -> None:
        self._following = following

    @classmethod
    def open(cls, path: str | Path, *, mmap: bool = True, follow: bool = False) -> Index:
        """Open the index in a folder.

        Parameters
        ----------
        path : path
            The folder.
        mmap : bool, default True
            Memory-map the vectors: opening is quick, and processes share the pages.
        follow : bool, default False
            Look at each use whether the index was changed on the disk, and if so go on with the
            changed one: for processes that run for long. Otherwise this stays what it was when it
            was opened, until :meth:`refresh`. Each single call sees one consistent state in either
            case; to see one state over several calls of a following index, use :meth:`pinned`.

        Raises
        ------
        NotFoundError
            When there is no such folder.
        IndexFormatError
            When it is not an index, is damaged, or is of a later format. Sizes, counts and the
            encoder's id are compared here; :func:`~coverdex.search.verify.verify_index` compares
            every byte.
        """
        return cls(Following.open(Path(path), mmap=mmap, follow=follow))

    def refresh(self) -> None:
        """Go on with the index as it is on the disk now."""
        self._following.refresh()

    def pinned(self) -> Index:
        """Return the index as it is now, which stays so whatever happens on the disk."""
        return Index(self._following.pinned())

    @property
    def path(self) -> Path:
        """The index's folder."""
        return self._following.folder

    @property
    def manifest(self) -> Manifest:
        """What the files of the index say about themselves; changes made since are not in it."""
        return self._now().generation.manifest

    @property
    def performances(self) -> pa.Table:
        """Metadata, one row per performance, in the order of :attr:`embeddings`."""
        return self._now().performances

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Return some columns of :attr:`performances`, in the same order.

        The same as ``performances.select(names)``; of an index that was changed since its files
        were written the other columns are not put together for it.

        Raises
        ------
        KeyError
            When there is no such column.
        """
        return self._now().columns(names)

    @property
    def schema(self) -> pa.Schema:
        """Columns of :attr:`performances` and their types, without making that table."""
        return self._now().generation.performances.schema

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """All embeddings, shape (n, dimension), float32, read-only; sorted by performance id."""
        return self._now().embeddings

    @property
    def n_changes(self) -> tuple[int, int]:
        """Performances that were added and removed since the files were written.

        A replaced one counts as both. :meth:`~coverdex.search.editor.IndexEditor.compact` folds
        them into the files.
        """
        now = self._now()
        return now.added.n_alive, len(now.removed)

    def __len__(self) -> int:
        return self._now().count

    def __contains__(self, performance_id: object) -> bool:
        return isinstance(performance_id, str) and self._now().find(performance_id) is not None

    def __repr__(self) -> str:
        return f"<Index {self.path} of {len(self)} performances by {self.manifest.encoder_id}>"

    def check_encoder(self, encoder_id: str) -> None:
        """Refuse an encoder that did not make this index.

        Raises
        ------
        IncompatibleError
            Naming both encoders and what to do.
        """
        manifest = self.manifest
        if encoder_id != manifest.encoder_id:
            raise IncompatibleError(
                f"the index {self.path} holds embeddings of encoder {manifest.encoder_id}, the "
                f"query is of encoder {encoder_id}, and similarities between the two mean nothing; "
                f"use encoder {manifest.encoder_name!r}, or build the index again with yours"
            )

    def embedding(self, performance_id: str) -> NDArray[np.float32]:
        """Return one performance's embedding, shape (dimension,), float32.

        Raises
        ------
        NotFoundError
            When the index has no such performance.
        InvalidQueryError
            When the id is not text.
        """
        now = self._now()
        return now.embedding(self._row(now, performance_id))

    def metadata(self, performance_id: str) -> Mapping[str, Any]:
        """Return all columns of one performance, by name.

        Raises
        ------
        NotFoundError
            When the index has no such performance.
        InvalidQueryError
            When the id is not text.
        """
        now = self._now()
        return now.metadata(self._row(now, performance_id))

    @overload
    def search(self, vectors: QueryVector, **options: Unpack[QueryOptions]) -> list[Candidate]: ...

    @overload
    def search(
        self, vectors: QueryVectors, **options: Unpack[QueryOptions]
    ) -> list[list[Candidate]]: ...

    def search(
        self,
        vectors: NDArray[np.float32],
        *,
        limit: int = DEFAULT_LIMIT,
        exclude: str | Iterable[str] = (),
        where: Any = (),
        exclude_works: str | Iterable[str] = (),
        one_per_work: bool = False,
        exact: bool = False,
    ) -> list[Candidate] | list[list[Candidate]]:
        """Find the performances nearest to one embedding or to each of many.

        Parameters
        ----------
        vectors : ndarray, shape (dimension,) or (n_queries, dimension), float32
            L2-normalised, made by the encoder of this index (:meth:`check_encoder`). Type checkers
            take an array of unknown rank for one query; annotate a batch as ``QueryVectors``.
        limit : int, default 10
            How many candidates at most.
        exclude : str or iterable of str
            Ids of performances to leave out; unknown ones are no error.
        where : str, Condition, or list of either
            Conditions on the metadata that every candidate meets
            (:mod:`coverdex.search.filters`), such as ``["year>=1960", "instrumental=false"]``.
        exclude_works : str or iterable of str
            Works whose performances are left out.
        one_per_work : bool, default False
            Give only the nearest performance of each work.
        exact : bool, default False
            Compare with every embedding in float32, also where the index is approximate. Loads
            ``embeddings.parquet`` into memory at the first time, unless the index is flat.

        Returns
        -------
        list of Candidate, or list of lists
            In descending order of similarity, equal ones by performance id; a list per query if
            ``vectors`` has two dimensions.

        Raises
        ------
        InvalidQueryError
            When a vector has the wrong dimension, is not finite or not of length 1, ``limit`` is
            below 1, something to leave out is not text, or a condition has a value of another type
            than its column, or (``UnknownColumnError``) names none.
        """
        now = self._following.snapshot()
        try:
            is_plain = not (exclude or where or exclude_works or one_per_work or where == "")
        except ValueError:  # an array has no truth value
            is_plain = False
        if is_plain:
            usual = plain_answer(now, vectors, limit)
            if usual is not None:
                return usual
        queries, alone = checked_queries(vectors, now.dimension)
        terms = Terms.of(now, limit, where, exclude_works, one_per_work, exact)
        left_out = checked_names(exclude)
        excluded = now.known_rows(left_out) if left_out else NO_ROWS
        if alone:
            return answer(now, queries, terms, excluded)
        return answers(now, queries, terms, [excluded] * len(queries))

    def search_by_id(
        self, performance_id: str, **options: Unpack[SearchOptions]
    ) -> list[Candidate]:
        """Find the performances nearest to one of this index, itself left out by its id.

        Parameters
        ----------
        performance_id : str
            The query.
        **options
            ``limit``, ``where``, ``exclude_works``, ``one_per_work`` and ``exact`` as in
            :meth:`search`.

        Returns
        -------
        list of Candidate

        Raises
        ------
        NotFoundError
            When the index has no such performance.
        InvalidQueryError
            As :meth:`search`.
        """
        return self.search_by_ids([performance_id], **options)[0]

    def search_by_ids(
        self,
        performance_ids: str | Iterable[str],
        *,
        limit: int = DEFAULT_LIMIT,
        where: Any = (),
        exclude_works: str | Iterable[str] = (),
        one_per_work: bool = False,
        exact: bool = False,
    ) -> list[list[Candidate]]:
        """Ask :meth:`search_by_id` for many performances at once.

        Parameters
        ----------
        performance_ids : str or iterable of str
            The queries.
        **options
            As :meth:`search_by_id`.

        Returns
        -------
        list of lists of Candidate
            One per performance asked, in their order.
        """
        now = self._now()
        terms = Terms.of(now, limit, where, exclude_works, one_per_work, exact)
        rows = [self._row(now, name) for name in listed(performance_ids)]
        if not rows:
            return []
        return answers(now, now.embeddings_of(rows), terms, [frozenset([row]) for row in rows])

    def _now(self) -> Snapshot:
        return self._following.snapshot()

    def _row(self, now: Snapshot, performance_id: str) -> int:
        if not isinstance(performance_id, str):
            raise InvalidQueryError(
                f"{performance_id!r} is no performance id; give text, such as 'P_22'"
            )
        row = now.find(performance_id)
        if row is None:
            raise NotFoundError(f"the index {self.path} has no performance {performance_id!r}")
        return row
