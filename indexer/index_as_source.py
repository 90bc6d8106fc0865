"""An index, given where shards are wanted: its file of embeddings is one, but does not hold all.

``embeddings.parquet`` of an index has ids and embeddings of the performances as the files have
them: no metadata, nothing of what was added since, and everything that was removed since. An export
of the index has it right.
"""

from __future__ import annotations

import logging
from pathlib import Path

from ..encoder.errors import CoverdexError
from ..search.index import Index
from ..search.manifest import Manifest
from .catalogue import demo_in_the_way

_log = logging.getLogger(__name__)


def check_is_no_index(path: Path) -> None:
    """Refuse an index as a source; of a file in one, warn or refuse.

    Parameters
    ----------
    path : Path
        Of a folder or a file.

    Raises
    ------
    CoverdexError
        If it is an index, or belongs to one that has been changed since its files were written.
    """
    index = _index_of(path)
    if index is None:
        return
    better = f"write what it holds with `coverdex index export {index} --out DIR` and give DIR"
    if index == path:
        raise CoverdexError(f"{path} is an index already; {better}{demo_in_the_way(path)}")
    changes = _changes(index)
    if changes:
        raise CoverdexError(
            f"{path} does not know of {changes} changes that were made to the index {index} since "
            f"it was written; {better}"
        )
    _log.warning("%s is without the metadata of the index %s; to have it, %s", path, index, better)


def _index_of(path: Path) -> Path | None:
    """Return the index that a folder is, or that a file is a part of."""
    inside = path.absolute()
    for folder in (path, *inside.parents[:2]):  # files of a later generation lie one level down
        try:
            manifest = Manifest.read(folder)
        except (CoverdexError, OSError):  # a manifest.json of somebody else, or none
            continue
        files = [folder / file.path for file in manifest.files.values()]
        if folder == path or inside in files:
            return folder
    return None


def _changes(folder: Path) -> int:
    """Count the changes since the files were written; 0 where the index is too damaged to say."""
    try:
        return sum(Index.open(folder).n_changes)
    except (CoverdexError, OSError):  # its embeddings may be all that is left of it
        return 0
