"""Compaction: an index's changes folded into a new generation of files.

The new files go into a folder of their own inside the index, ``generation-000002`` for the second.
Until the manifest that names them takes the place of the old one, they are no part of the index,
and what is left of an interrupted compaction is removed by the next one who changes the index.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from .change_log import log_name
from .durability import folder_in_the_making, publish_folder
from .errors import IndexPlanError
from .locks import LOCK_NAME, is_read
from .manifest import MANIFEST_NAME, Manifest
from .parts import FILE_NAMES, write_parts
from .plan import DEFAULT_RECALL
from .snapshot import Snapshot
from .structure import build_structure
from .writer import now_in_utc, software_versions

_GENERATION_FOLDERS = "generation-"


def compacted(folder: Path, snapshot: Snapshot, factory: str) -> Manifest:
    """Write what ``snapshot`` holds as the next generation of the index in ``folder``.

    Raises
    ------
    IndexPlanError
        When it is more than fits into the memory that the index was planned for.
    OSError
        When the disk refuses. The index is then what it was.
    """
    old = snapshot.generation.manifest
    number = old.generation + 1
    target = folder / f"{_GENERATION_FOLDERS}{number:06d}"
    if target.exists():  # of a compaction that was killed before its manifest was in place
        shutil.rmtree(target)
    said_by_hand = factory == old.factory and "measured" not in old.plan
    with folder_in_the_making(target) as made:
        try:
            structure = build_structure(
                snapshot.embeddings,
                factory=factory,
                search_parameters=old.search_parameters if said_by_hand else None,
                memory=old.plan.get("memory_budget"),
                recall=old.plan.get("recall_wanted", DEFAULT_RECALL),
            )
        except IndexPlanError as error:
            raise IndexPlanError(
                f"{folder} has outgrown what it was planned for ({str(error).partition(';')[0]}); "
                "compact it with a factory string, such as Flat or SQ8, or build it again with "
                "more memory"
            ) from None
        records = write_parts(
            made,
            structure.index,
            snapshot.embeddings,
            snapshot.performances,
            encoder_id=old.encoder_id,
            encoder_name=old.encoder_name,
        )
        publish_folder(made, target)
    moved = {
        part: replace(record, path=f"{target.name}/{record.path}")
        for part, record in records.items()
    }
    manifest = replace(
        old,
        count=snapshot.count,
        factory=structure.factory,
        created=now_in_utc(),
        files={**old.files, **moved},
        search_parameters=structure.search_parameters,
        plan=structure.plan,
        made_by=software_versions(),
        generation=number,
    )
    try:
        manifest.write(folder)
    except BaseException:
        if Manifest.read(folder).generation != number:  # nobody reads it, and the disk may be full
            shutil.rmtree(target, ignore_errors=True)
        raise
    return manifest


def remove_unread(folder: Path, manifest: Manifest) -> list[str]:
    """Remove files of other generations than ``manifest``'s that no process reads.

    Only for whoever may change the index. Files that Coverdex did not write are left alone.

    Returns
    -------
    list of str
        What was removed.
    """
    current = {record.path.split("/")[0] for record in manifest.files.values()}
    keep = {*current, MANIFEST_NAME, LOCK_NAME, log_name(manifest.generation)}
    removed = []
    for path in sorted(folder.iterdir()):
        if path.name in keep or not _is_ours(path) or _is_in_use(path):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        removed.append(path.name)
    return removed


def _is_ours(path: Path) -> bool:
    name = path.name
    if path.is_dir():
        return name.startswith(_GENERATION_FOLDERS) or (
            name.startswith(f".{_GENERATION_FOLDERS}") and name.endswith(".tmp")
        )
    ours = name in FILE_NAMES.values()
    is_log = name.startswith("changes-") and name.endswith(".log")
    is_manifest = name.startswith(f".{MANIFEST_NAME}.") and name.endswith(".tmp")
    return ours or is_log or is_manifest


def _is_in_use(path: Path) -> bool:
    """Say whether a process reads the generation that ``path`` belongs to."""
    if path.is_dir():
        vectors = path / FILE_NAMES["vectors"]
    elif path.name in FILE_NAMES.values():
        vectors = path.with_name(FILE_NAMES["vectors"])
    else:
        return False
    return vectors.exists() and is_read(vectors)
