"""The FAISS structure of an index: planned, trained, filled, and measured on its own vectors.

Where a planned inverted file does not reach the wanted recall on these vectors, or is not
:data:`~coverdex.search.tuning.WORTH_IT` times as quick as comparing one by one, the next simpler
structure is tried (:data:`~coverdex.search.plan.KINDS`), down to comparing one by one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FactoryError, IndexFormatError
from .inverted_file import inverted_file_in, rotate_without_mean
from .plan import AUTO, DEFAULT_RECALL, KINDS, Plan, plan
from .tuning import is_worth_it, measure, training_rows
from .vectors import faiss

_log = logging.getLogger(__name__)

#: Where in its source FAISS found an error, which it says before what the error is.
_WHERE = re.compile(r"^Error in .* at \S+:\d+: (Error: )?")
#: Parts of factory strings that FAISS reads and cannot fill: no lists, or too few neighbours.
_HOLLOW = re.compile(r"IVF0+(?!\d)|(?:HNSW|NSG)(?:0+|0*1)(?!\d)")


@dataclass(frozen=True)
class Structure:
    """A FAISS index and what the manifest says about it.

    Parameters
    ----------
    index : faiss.Index
        Filled.
    factory : str
        Its factory string.
    search_parameters, plan : mapping
        See :class:`~coverdex.search.manifest.Manifest`.
    """

    index: Any
    factory: str
    search_parameters: Mapping[str, Any]
    plan: Mapping[str, Any]


def build_structure(
    embeddings: NDArray[np.float32],
    *,
    factory: str = AUTO,
    search_parameters: Mapping[str, Any] | None = None,
    memory: int | None = None,
    recall: float = DEFAULT_RECALL,
) -> Structure:
    """Plan, train, fill and measure the FAISS structure of an index.

    Parameters
    ----------
    embeddings : ndarray, shape (n, dimension), float32
    factory : str, default "auto"
        FAISS factory string; ``"auto"`` plans one (:func:`~coverdex.search.plan.plan`).
    search_parameters : mapping, optional
        How it shall be asked; measured if not given and it is an inverted file.
    memory, recall
        See :func:`~coverdex.search.plan.plan`.

    Raises
    ------
    FactoryError
        As :func:`check_factory`.
    IndexFormatError
        When there are too few vectors to train it.
    IndexPlanError
        As :func:`~coverdex.search.plan.plan`.
    """
    if factory == AUTO:
        return _build_planned(embeddings, search_parameters, memory, recall)
    check_factory(factory, embeddings.shape[1])
    index = build_vectors(embeddings, factory)
    said: dict[str, Any] = {}
    if search_parameters is None and _can_be_measured(index, embeddings):
        search_parameters, measured = measure(index, embeddings, recall=recall)
        said = {"recall_wanted": recall, "measured": measured}
    return Structure(index, factory, dict(search_parameters or {}), said)


def _build_planned(
    embeddings: NDArray[np.float32],
    search_parameters: Mapping[str, Any] | None,
    memory: int | None,
    recall: float,
) -> Structure:
    """Build what is planned; what turns out to gain nothing makes way for the next kind."""
    kinds: Sequence[str] = KINDS
    given_up: dict[str, Any] = {}
    while True:
        planned = plan(*embeddings.shape, memory=memory, recall=recall, kinds=kinds)
        index = build_vectors(embeddings, planned.factory)
        said: dict[str, Any] = {**planned.to_dict(), **given_up}
        if search_parameters is not None or not _can_be_measured(index, embeddings):
            return Structure(index, planned.factory, dict(search_parameters or {}), said)
        found, measured = measure(index, embeddings, recall=recall)
        if is_worth_it(measured):
            if given_up:  # or nobody would see why a simpler structure was taken
                said["given_up"] = given_up["measured"]
            said["measured"] = measured
            return Structure(index, planned.factory, found, said)
        given_up = {"measured": {"factory": planned.factory, **measured}}
        kinds = _after(planned)


def _after(planned: Plan) -> Sequence[str]:
    """Return the kinds that come after a plan's."""
    return KINDS[KINDS.index(planned.kind) + 1 :]


def _can_be_measured(index: Any, embeddings: NDArray[np.float32]) -> bool:
    return inverted_file_in(index) is not None and len(embeddings) > 1


def check_factory(factory: str, dimension: int) -> None:
    """Refuse a factory string that will not do for any vectors of this dimension.

    Whether there are enough of them to train on shows only when they are there.

    Raises
    ------
    FactoryError
        When FAISS does not know it, it does not fit the dimension, it is of another metric, it
        cannot be asked with parameters, or it
        asks for a graph or lists of nothing: FAISS makes those, and fails or ends the process when
        they are filled.
    """
    if factory == AUTO:
        return
    if hollow := _HOLLOW.search(factory):
        raise FactoryError(
            f"the factory string {factory!r} asks for {hollow[0]}, which cannot hold anything; "
            "give at least 1 list, as in IVF1024,SQfp16, and at least 2 neighbours, as in HNSW32"
        )
    try:
        made = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise FactoryError(
            f"FAISS cannot make {factory!r} of vectors of dimension {dimension}: {_reason(error)}; "
            "give a factory string of FAISS, such as Flat or IVF1024,SQfp16, or auto"
        ) from None
    _check_made(made, factory)


def _check_made(index: Any, factory: str) -> None:
    """Refuse a structure that FAISS makes and that cannot be asked as an index is."""
    _check_metric(index, factory)
    if isinstance(inverted_file_in(index), faiss.IndexIVFAdditiveQuantizerFastScan):
        raise FactoryError(
            f"FAISS takes no number of lists along with a query of {factory!r}, so its lists of "
            "additive codes cannot be searched; leave the 'fs' out, or give codes of another kind, "
            "such as IVF1024,PQ32x4fs or IVF1024,SQfp16"
        )
    if isinstance(index, (faiss.IndexIDMap, faiss.AdditiveCoarseQuantizer)):
        raise FactoryError(
            f"FAISS makes {factory!r} as something that vectors are not simply added to; rows are "
            "their own ids here, so leave IDMap out, and give a factory string such as Flat or "
            "IVF1024,SQfp16, or auto"
        )


def _check_metric(index: Any, factory: str) -> None:
    """Refuse a structure that FAISS makes under another metric than it was asked for."""
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise FactoryError(
            f"FAISS makes {factory!r} under another metric than the inner product, whatever it is "
            "asked for; give a factory string such as Flat, HNSW32 or IVF1024,SQfp16, or auto"
        )


def _reason(error: RuntimeError) -> str:
    return _WHERE.sub("", str(error).splitlines()[0])


def build_vectors(embeddings: NDArray[np.float32], factory: str) -> Any:
    """Make a FAISS index of embeddings.

    Parameters
    ----------
    embeddings : ndarray, shape (n, dimension), float32
    factory : str
        FAISS factory string, such as ``"Flat"`` or ``"IVF1024,SQfp16"``.

    Returns
    -------
    faiss.Index
        Trained on a seeded sample where it needs training, and filled.

    Raises
    ------
    IndexFormatError
        When FAISS does not know the factory string, makes it under another metric, or there are
        too few vectors to train it.
    """
    n, dimension = embeddings.shape
    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
        _check_made(index, factory)
        if not index.is_trained:
            inverted_file = inverted_file_in(index)
            n_lists = 256 if inverted_file is None else int(inverted_file.nlist)
            rows = training_rows(n, n_lists)
            sample = embeddings if rows is None else np.ascontiguousarray(embeddings[rows])
            _log.info("training %s on %s of %s vectors", factory, f"{len(sample):,}", f"{n:,}")
            rotate_without_mean(index, sample)
            index.train(sample)
            _log.info("filling it")
        index.add(embeddings)
    except RuntimeError as error:
        raise IndexFormatError(
            f"FAISS cannot make {factory!r} of {n} vectors of dimension {dimension}: "
            f"{_reason(error)}; give another factory string, such as Flat, or auto"
        ) from None
    return index
