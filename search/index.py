"""An open index: the embeddings of a catalogue, and what is nearest to a query.

The answer to a query does not depend on how it is asked. Similarities are computed from the
float32 embeddings by one formula, whether a query comes alone or in a batch of thousands; equal
similarities stand in the order of performance ids. (An approximate index without float32 vectors in
memory gives the similarities of its codes instead; its factory string tells.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .candidate import Candidate, RowMetadata
from .errors import IncompatibleError, InvalidQueryError, NotFoundError
from .generation import Generation
from .manifest import Manifest
from .writer import LENGTH_TOLERANCE

#: Similarities closer than this are taken for equal when the list is cut: FAISS's float32 sums
#: differ by about 1e-7 with the order of summation.
TIE = 2e-6
#: Rows asked of FAISS beyond the limit, so that a tie at the cut is usually seen at once.
MARGIN = 6


class Index:
    """An index folder, open for queries. Safe to share between threads.

    Open one with :meth:`open`.

    Examples
    --------
    >>> index = Index.open("my.index")                    # doctest: +SKIP
    >>> index.search_by_id("P_80000", limit=10)           # doctest: +SKIP
    """

    def __init__(self, generation: Generation) -> None:
        self._generation = generation

    @classmethod
    def open(cls, path: str | Path, *, mmap: bool = True) -> Index:
        """Open the index in a folder.

        Parameters
        ----------
        path : path
            The folder.
        mmap : bool, default True
            Memory-map the vectors: opening is quick, and processes share the pages.

        Raises
        ------
        NotFoundError
            When there is no such folder.
        IndexFormatError
            When it is not an index, is damaged, or is of a later format. Sizes, counts and the
            encoder's id are compared here; `verify` compares every byte.
        """
        return cls(Generation.open(Path(path), mmap=mmap))

    @property
    def path(self) -> Path:
        """The index's folder."""
        return self._generation.folder

    @property
    def manifest(self) -> Manifest:
        """What the index says about itself."""
        return self._generation.manifest

    @property
    def performances(self) -> pa.Table:
        """Metadata, one row per performance, in the order of :attr:`embeddings`."""
        return self._generation.performances

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """All embeddings, shape (n, dimension), float32, read-only; sorted by performance id."""
        return self._generation.embeddings

    def __len__(self) -> int:
        return self.manifest.count

    def __contains__(self, performance_id: object) -> bool:
        return isinstance(performance_id, str) and self._generation.find(performance_id) is not None

    def __repr__(self) -> str:
        return f"<Index {self.path} of {len(self)} performances by {self.manifest.encoder_id}>"

    def check_encoder(self, encoder_id: str) -> None:
        """Refuse an encoder that did not make this index.

        Raises
        ------
        IncompatibleError
            Naming both encoders and what to do.
        """
        if encoder_id != self.manifest.encoder_id:
            raise IncompatibleError(
                f"the index {self.path} holds embeddings of encoder "
                f"{self.manifest.encoder_id}, the query is of encoder {encoder_id}, and "
                "similarities between the two mean nothing; "
                f"use encoder {self.manifest.encoder_name!r}, or build the index again with yours"
            )

    def embedding(self, performance_id: str) -> NDArray[np.float32]:
        """Return one performance's embedding, shape (dimension,), float32.

        Raises
        ------
        NotFoundError
            When the index has no such performance.
        """
        return self._generation.embedding(self._row(performance_id))

    def metadata(self, performance_id: str) -> Mapping[str, Any]:
        """Return all columns of one performance, by name.

        Raises
        ------
        NotFoundError
            When the index has no such performance.
        """
        return RowMetadata(self._generation.performances, self._row(performance_id))

    def search(
        self,
        vectors: NDArray[np.float32],
        *,
        limit: int = 10,
        exclude: str | Iterable[str] = (),
    ) -> Any:
        """Find the performances nearest to one embedding or to each of many.

        Parameters
        ----------
        vectors : ndarray, shape (dimension,) or (n_queries, dimension), float32
            L2-normalised, made by the encoder of this index (:meth:`check_encoder`).
        limit : int, default 10
            How many candidates at most.
        exclude : str or iterable of str
            Ids of performances to leave out; unknown ones are no error.

        Returns
        -------
        list of Candidate, or list of lists
            In descending order of similarity, equal ones by performance id; a list per query if
            ``vectors`` has two dimensions.

        Raises
        ------
        InvalidQueryError
            When a vector has the wrong dimension, is not finite or not of length 1, or ``limit`` is
            below 1.
        """
        queries, alone = self._checked_queries(vectors)
        names = [exclude] if isinstance(exclude, str) else list(exclude)
        rows = self._generation.find_many(names)
        excluded = [frozenset(int(row) for row in rows if row >= 0)] * len(queries)
        answers = self._answers(queries, _checked_limit(limit), excluded)
        return answers[0] if alone else answers

    def search_by_id(self, performance_id: str, *, limit: int = 10) -> list[Candidate]:
        """Find the performances nearest to one of this index, itself left out by its id.

        Parameters
        ----------
        performance_id : str
            The query.
        limit : int, default 10
            How many candidates at most.

        Raises
        ------
        NotFoundError
            When the index has no such performance.
        InvalidQueryError
            When ``limit`` is below 1.
        """
        row = self._row(performance_id)
        query = self._generation.embedding(row)[np.newaxis]
        return self._answers(query, _checked_limit(limit), [frozenset([row])])[0]

    def _row(self, performance_id: str) -> int:
        row = self._generation.find(performance_id)
        if row is None:
            raise NotFoundError(f"the index {self.path} has no performance {performance_id!r}")
        return row

    def _checked_queries(self, vectors: Any) -> tuple[NDArray[np.float32], bool]:
        array = np.asarray(vectors)
        dimension = self.manifest.dimension
        if (
            array.ndim not in (1, 2)
            or array.shape[-1] != dimension
            or array.dtype.kind not in "fiu"
        ):
            raise InvalidQueryError(
                f"the query has shape {array.shape} and dtype {array.dtype}; this index wants "
                f"({dimension},) or (n_queries, {dimension}) float32"
            )
        queries = np.ascontiguousarray(np.atleast_2d(array), dtype=np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries))
        if not (np.abs(lengths - 1) <= LENGTH_TOLERANCE).all():  # also false for NaN
            worst = lengths[~(np.abs(lengths - 1) <= LENGTH_TOLERANCE)][0]
            raise InvalidQueryError(
                f"a query embedding has length {worst:g}; give finite, L2-normalised vectors"
            )
        return queries, array.ndim == 1

    def _answers(
        self,
        queries: NDArray[np.float32],
        limit: int,
        excluded: Sequence[frozenset[int]],
    ) -> list[list[Candidate]]:
        most = max(map(len, excluded), default=0)
        answers: list[list[Candidate] | None] = [None] * len(queries)
        open_queries = list(range(len(queries)))
        ask = min(limit + most + MARGIN, self._generation.count)
        while len(open_queries):
            similarities, rows = self._generation.nearest(queries[open_queries], ask)
            still_open = []
            for i, query in enumerate(open_queries):
                ranking = _cut(
                    similarities[i], rows[i], limit, excluded[query], self._generation.count
                )
                if ranking is None:
                    still_open.append(query)
                else:
                    answers[query] = self._generation.candidates(*ranking)
            open_queries = still_open
            ask = min(2 * ask, self._generation.count)
        return [answer for answer in answers if answer is not None]


def _cut(
    similarities: NDArray[np.float32],
    rows: NDArray[np.int64],
    limit: int,
    excluded: frozenset[int],
    count: int,
) -> tuple[list[float], list[int]] | None:
    """Rank what was found, leave out what is excluded, and cut the list at ``limit``.

    None if equal similarities may lie beyond what was found, so that more must be asked for.
    """
    complete = len(rows) >= count or rows[-1] < 0
    least = float(similarities[-1]) if len(rows) else 0.0
    ranked = sorted(
        (-similarity, row)
        for similarity, row in zip(similarities.tolist(), rows.tolist(), strict=True)
        if row >= 0 and row not in excluded
    )
    if not complete and (len(ranked) < limit or -ranked[limit - 1][0] - least <= TIE):
        return None
    kept = ranked[:limit]
    return [-negated for negated, _ in kept], [row for _, row in kept]


def _checked_limit(limit: Any) -> int:
    if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 1:
        raise InvalidQueryError(f"limit is {limit!r}; give a whole number, 1 or more")
    return int(limit)
