"""Rankings of any system, from a file: an index, a similarity matrix, a run.

=====================  ============================================================================
what lies at the path  what is evaluated
=====================  ============================================================================
an index folder        its embeddings against each other, exactly; its own works, if it has any
``.npy``               a similarity matrix (n, n), memory-mapped: it may be larger than memory
``.parquet``           a run with the columns query, candidate, similarity (or rank)
anything else          a run in TREC's format
=====================  ============================================================================

All but an index that knows its works need a list of them (:mod:`.work_lists`), in whose order a
matrix stands.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..encoder.errors import CoverdexError, NotFoundError
from .run_files import RunSimilarity, read_run
from .similarity import (
    EmbeddingSimilarity,
    InvalidSimilarityError,
    MatrixSimilarity,
    SimilaritySource,
)
from .work_lists import WorkList, read_work_list

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Something to evaluate, with the works of its performances.

    Parameters
    ----------
    name : str
        For titles.
    source : SimilaritySource
        Row i: performance i.
    listed : WorkList
        The performances.
    encoder_id, encoder_name : str or None
        What made it, where that is known, and the name under which it may be loaded.
    titles : list of str or None, optional
        Of the performances, where the ranking knows them.
    """

    name: str
    source: SimilaritySource
    listed: WorkList
    encoder_id: str | None = None
    encoder_name: str | None = None
    titles: list[str | None] | None = None


def open_ranking(
    path: str | Path, works: str | Path | WorkList | None = None, *, distances: bool = False
) -> Ranking:
    """Open a ranking.

    Parameters
    ----------
    path : path-like
        Index folder, ``.npy`` matrix, Parquet or TREC run.
    works : path-like or WorkList, optional
        List of works; needed for all but an index that has works of its own, for which it is
        refused. Performances of the list that an index does not have are warned of.
    distances : bool, default False
        A matrix holds distances: smaller is closer. Refused for anything else.

    Raises
    ------
    NotFoundError
        If there is nothing at ``path`` or ``works``.
    CoverdexError
        If they do not fit together.
    """
    path = Path(path)
    is_matrix = path.suffix.lower() == ".npy" and not path.is_dir()
    if distances and path.exists() and not is_matrix:
        raise CoverdexError(
            f"{path} is no .npy matrix, and distances are taken from a matrix only; leave "
            "--distances out, and give a run scores of which larger is closer"
        )
    if path.is_dir():
        return _open_index(path, works)
    if not path.exists():
        raise NotFoundError(
            f"nothing at {path}; give an index folder, a .npy similarity matrix, or a run file"
        )
    if works is None:
        raise CoverdexError(
            f"{path} does not say which performances are covers; give the list of works, in the "
            "order of a matrix's rows, with --works"
        )
    listed = works if isinstance(works, WorkList) else read_work_list(works)
    if not is_matrix:
        return Ranking(path.name, read_run(path, listed.performances), listed)
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InvalidSimilarityError(f"{path} is no array of numpy ({error})") from error
    return Ranking(path.name, MatrixSimilarity(matrix, larger_is_closer=not distances), listed)


def _open_index(path: Path, works: str | Path | WorkList | None) -> Ranking:
    from ..search import Index

    index = Index.open(path)
    table = index.columns(["performance_id", "work_id", "title"])
    performances = table.column("performance_id").to_pylist()
    own_works = table.column("work_id")
    if works is None:
        listed = WorkList(performances, own_works.to_pylist())
    elif own_works.null_count < len(own_works):
        raise CoverdexError(f"{path} is an index and knows its works; leave --works out")
    else:
        given = works if isinstance(works, WorkList) else read_work_list(works)
        listed = _in_order_of(performances, given, path)
    source = EmbeddingSimilarity(index.embeddings)
    manifest = index.manifest
    return Ranking(
        index.path.name,
        source,
        listed,
        manifest.encoder_id,
        manifest.encoder_name,
        table.column("title").to_pylist(),
    )


def _in_order_of(performances: list[str], given: WorkList, path: Path) -> WorkList:
    """Give the works of a list to the performances of an index; None where it has none."""
    work_of = dict(zip(given.performances, given.works, strict=True))
    listed = WorkList(performances, [work_of.pop(name, None) for name in performances])
    if len(work_of) == len(given.performances):
        raise CoverdexError(
            f"{path} has none of the {len(work_of)} performances of the list of works; give the "
            "ids that it has"
        )
    if work_of:
        some = ", ".join(islice(work_of, 5)) + (", ..." if len(work_of) > 5 else "")
        _log.warning("%s lacks %d performances of the list of works: %s", path, len(work_of), some)
    return listed


def share_listed(ranking: Ranking, queries: NDArray[np.int64]) -> float:
    """Share of the candidates of ``queries`` that the ranking orders; 1 unless a run is cut off."""
    source = ranking.source
    return source.share_listed(queries) if isinstance(source, RunSimilarity) else 1.0


def queries_left_out(ranking: Ranking, queries: NDArray[np.int64]) -> int:
    """Count those of ``queries`` that a run does not answer: all their candidates are tied."""
    source = ranking.source
    return source.queries_left_out(queries) if isinstance(source, RunSimilarity) else 0


def listed_in_words(share: float, n_left_out: int = 0) -> str:
    """Write a share below 1 as a percentage that is never 100, and the queries that have none."""
    text = f"{min(share, 0.999):.1%} of the candidates"
    return text + (f", for {n_left_out:,} of the queries none" if n_left_out else "")
