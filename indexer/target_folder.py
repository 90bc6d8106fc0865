"""The folder that a build makes: what it may be called, and where the build keeps its work."""

from __future__ import annotations

from pathlib import Path

from ..encoder.errors import CoverdexError
from .file_names import check_is_text


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
