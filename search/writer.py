"""Writing an index: all of it beside its place, then one rename.

The parts of the folder are described in ``docs/index-format.md``. A reader finds the old index or
the new one, never half of one, and an interrupted build leaves nothing under the index's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .durability import folder_in_the_making, publish_folder, sync
from .errors import IndexExistsError, IndexFormatError
from .locks import WriterLock
from .manifest import MANIFEST_NAME, FileRecord, Manifest
from .parts import write_parts
from .performances import normalised
from .plan import AUTO, DEFAULT_RECALL
from .structure import build_structure
from .unknown_columns import with_text_for_unknown
from .vectors import faiss

#: How far from 1 an embedding's length may be; float16 copies of unit vectors stay within.
LENGTH_TOLERANCE = 1e-2
#: How a FAISS index may be asked: what there is to say, and the least that it can be.
_SEARCH_PARAMETERS = {"nprobe": 1, "efSearch": 1, "k_factor": 1, "gap": 0}


def write_index(
    folder: str | Path,
    *,
    embeddings: NDArray[np.float32],
    performances: pa.Table,
    encoder_id: str,
    encoder_name: str,
    source: str | Mapping[str, Any],
    factory: str = AUTO,
    search_parameters: Mapping[str, Any] | None = None,
    memory: int | None = None,
    recall: float = DEFAULT_RECALL,
    attachments: Mapping[str, pa.Table] | None = None,
    overwrite: bool = False,
    created: str | None = None,
) -> Manifest:
    """Write an index folder, complete or not at all.

    Parameters
    ----------
    folder : path
        The index to be; its parent is made if need be.
    embeddings : ndarray, shape (n, dimension), float32
        L2-normalised; row i belongs to row i of ``performances``. May be memory-mapped.
    performances : pyarrow.Table
        ``performance_id`` and metadata (:mod:`coverdex.search.performances`), in any order: the
        index is sorted by performance id.
    encoder_id, encoder_name : str
        Who made the embeddings: :attr:`coverdex.encoder.Encoder.id` and ``name``.
    source : str or mapping
        What the index is built from; goes into the manifest, so it must be JSON.
    factory : str, default "auto"
        FAISS factory string. ``"auto"`` plans one: ``Flat`` up to 250,000 vectors, see
        :mod:`coverdex.search.plan`.
    search_parameters : mapping, optional
        How the FAISS index is asked, such as ``{"nprobe": 16}``; if not given, measured where it
        matters (:mod:`coverdex.search.tuning`).
    memory : int, optional
        Bytes that the FAISS index may take when it is served.
    recall : float, default 0.99
        Share of the true nearest ten that searches are to find.
    attachments : mapping of str to pyarrow.Table, optional
        Further Parquet files to put into the folder under the index's checksums, such as
        ``{"rejected.parquet": ...}``.
    overwrite : bool, default False
        Replace what lies at ``folder``: an index or an empty folder, nothing else. The two swap
        names in one step where the operating system can (:mod:`coverdex.search.durability`).
    created : str, optional
        ISO 8601 time for the manifest; now if not given.

    Returns
    -------
    Manifest
        Of the index written.

    Raises
    ------
    IndexExistsError
        When something lies at ``folder`` and ``overwrite`` is false, or it is no index.
    IndexLockedError
        When the index to overwrite is being changed.
    IndexFormatError
        When embeddings and performances do not agree, embeddings are not finite or not of length
        1, an id is missing or listed twice, the factory string is unknown, or the index could not
        be asked with the search parameters.
    IndexPlanError
        When no FAISS index fits into ``memory``.
    OSError
        When the disk refuses; nothing of the index is then left behind.
    """
    target = Path(folder)
    check_target(target, overwrite=overwrite)
    _check_search_parameters(search_parameters or {})
    checked = checked_embeddings(embeddings, len(performances))
    table, order = normalised(performances)
    table = with_text_for_unknown(table)
    if not np.array_equal(order, np.arange(len(order))):
        checked = checked[order]
    with folder_in_the_making(target) as made:
        structure = build_structure(
            checked,
            factory=factory,
            search_parameters=search_parameters,
            memory=memory,
            recall=recall,
        )
        records = write_parts(
            made,
            structure.index,
            checked,
            table,
            encoder_id=encoder_id,
            encoder_name=encoder_name,
        )
        for name, attachment in (attachments or {}).items():
            pq.write_table(attachment, made / name)
            sync(made / name)
            records[Path(name).stem] = FileRecord.of(made / name, made)
        manifest = Manifest(
            encoder_id=encoder_id,
            encoder_name=encoder_name,
            dimension=checked.shape[1],
            count=len(checked),
            factory=structure.factory,
            created=created or now_in_utc(),
            source=source,
            files=records,
            search_parameters=structure.search_parameters,
            plan=structure.plan,
            made_by=software_versions(),
        )
        manifest.write(made)
        check_target(target, overwrite=overwrite)  # it may have come while this one was made
        if not (target / MANIFEST_NAME).exists():
            publish_folder(made, target)
            return manifest
        lock = WriterLock(target)  # nobody's changes may go down with the old one unnoticed
        try:
            publish_folder(made, target)
        finally:
            lock.release()
    return manifest


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuse to write where something lies that may not be replaced.

    Raises
    ------
    IndexExistsError, IndexLockedError
        See :func:`write_index`.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise IndexExistsError(f"{target} is a file; give the name of a folder for the index")
    if not any(target.iterdir()):
        return
    if not overwrite:
        raise IndexExistsError(
            f"{target} exists already; give another name, or ask to overwrite it"
        )
    if not (target / MANIFEST_NAME).is_file():
        raise IndexExistsError(
            f"{target} is not an index (it holds no {MANIFEST_NAME}), so it is not overwritten; "
            "remove it yourself or give another name"
        )
    WriterLock(target).release()  # locked is said now, not when hours of embedding are done


def _check_search_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse what would show at the first query, when the index is written."""
    for name, value in parameters.items():
        if name not in _SEARCH_PARAMETERS:
            raise IndexFormatError(
                f"unknown search parameter {name!r}; give some of {', '.join(_SEARCH_PARAMETERS)}"
            )
        least = _SEARCH_PARAMETERS[name]
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        may_be = is_whole or (isinstance(value, float) and name in ("k_factor", "gap"))
        if not (may_be and least <= value < 2**31):
            kind = "number" if name in ("k_factor", "gap") else "whole number"
            raise IndexFormatError(
                f"the search parameter {name} is {value!r}; give a {kind}, {least} or more"
            )


def now_in_utc() -> str:
    """Tell the time as manifests do: ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def software_versions() -> str:
    """Name the software that writes an index."""
    return f"coverdex {version('coverdex')}, faiss {faiss.__version__}, pyarrow {pa.__version__}"


def checked_embeddings(embeddings: Any, n_performances: int) -> NDArray[np.float32]:
    """Return embeddings as C-contiguous float32, shape (n_performances, dimension).

    Raises
    ------
    IndexFormatError
        When their shape or type is another, or one is not finite or not of length 1.
    """
    try:
        array = np.asarray(embeddings)
    except ValueError as error:  # of different lengths
        raise IndexFormatError(
            f"embeddings are no array ({error}); give (n, dimension) float32"
        ) from None
    if array.ndim != 2 or array.dtype.kind != "f":
        raise IndexFormatError(
            f"embeddings have shape {array.shape} and dtype {array.dtype}; give (n, dimension) "
            "float32"
        )
    if len(array) != n_performances:
        raise IndexFormatError(
            f"{len(array)} embeddings for {n_performances} performances; give one for each"
        )
    array = np.ascontiguousarray(array, dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", array, array))
    wrong = ~(np.abs(lengths - 1) <= LENGTH_TOLERANCE)  # also where the length is NaN
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise IndexFormatError(
            f"{int(wrong.sum())} of {len(array)} embeddings are not L2-normalised (row {row} has "
            f"length {lengths[row]:g}); divide each by its length"
        )
    return array
