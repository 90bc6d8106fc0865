"""The folder that a build or an export makes: its name, its maker, and what killed makers left.

It is made beside its place under the name that :mod:`coverdex.search.durability` gives to a folder
in the making, ``.my.index.k3x_9abc.tmp``, and takes its own name when it is complete. Who is killed
before leaves it there. The next maker removes it, and can tell that nobody is at work on it any
more because makers of one folder hold a lock: in the work folder beside it, ``my.index.building``,
where a build also keeps its shards. Where the name is a symbolic link, all of this is beside what
it points to, so that makers by the one name and by the other meet.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..encoder.errors import CoverdexError
from .file_names import check_is_text
from .only_writer import only_writer


def work_folder_of(out: Path) -> Path:
    """Return where the build of ``out`` keeps its shards: ``my.index.building``."""
    return out.with_name(out.name + ".building")


def check_name(out: Path) -> None:
    """Refuse a target that cannot be made beside its place and then take its name.

    Raises
    ------
    CoverdexError
        If it has no name of its own (``.``, ``..``, ``/``) or is not UTF-8.
    """
    if out.name in ("", ".."):
        raise CoverdexError(
            f"{out} cannot be the folder to write: it is made beside its place and then takes its "
            "name; give a name, such as my.index"
        )
    check_is_text(out)


@contextmanager
def only_maker(out: Path) -> Iterator[Path]:
    """Hold the name ``out`` against other makers, remove what killed ones left, give a work folder.

    The work folder is made, with its parents, and removed at the end if nothing was put into it.

    Raises
    ------
    CoverdexError
        If another process is making ``out``.
    """
    out = out.resolve()
    work_folder = work_folder_of(out)
    with only_writer(work_folder):
        try:
            _remove_leftovers(out)
            yield work_folder
        finally:
            if work_folder.is_dir() and all(path.name == "lock" for path in work_folder.iterdir()):
                shutil.rmtree(work_folder)


def _remove_leftovers(out: Path) -> None:
    """Remove folders in the making of ``out`` alone: not those of ``my.index.old``, say."""
    of_this = re.compile(rf"\.{re.escape(out.name)}\.[A-Za-z0-9_]{{8}}\.tmp")
    for path in out.parent.iterdir():
        if of_this.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
