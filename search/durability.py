"""Durable files: complete or absent, never half, also after the machine loses power.

A rename within one file system is atomic: whoever opens the name finds the old thing or the new
one. It says nothing about what a power cut leaves, because file contents and folder entries wait in
memory until they are flushed. So whatever Coverdex writes is written beside its place under a
temporary name, every file is flushed (``fsync``), the folder too, and only then is it renamed
(Pillai et al. 2014, "All file systems are not created equal", OSDI, on why each step counts).

A symbolic link stays one: what it points to is replaced. Folders are exchanged in one step where
the system can (:mod:`..encoder.folder_exchange`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..encoder.folder_exchange import exchange

_BLOCK = 1 << 20


def sha256_of(file: Path | BinaryIO) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal, read in blocks."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return sha256_of(opened)
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Flush a file or a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Write a small file in one step: temporary name, flush, rename, flush the folder.

    Raises
    ------
    OSError
        When the disk refuses; ``path`` is then what it was.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path):
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # which would hide what went wrong
            temporary.unlink()
        raise
    sync(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the name of a file into what the system says against writing it.

    A full disk is reported by number alone to who writes to an open file, and a folder that may not
    be written with the temporary name, ``.NAME.something``, which nobody asked for.
    """
    try:
        yield
    except OSError as error:
        named = error.filename
        if error.errno is None or not (named is None or _is_temporary(named, path)):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def _is_temporary(named: str | bytes | int, path: Path) -> bool:
    """Tell whether the system names what is to become ``path``."""
    if isinstance(named, int):
        return False
    temporary = Path(os.fsdecode(named))
    return temporary.parent == path.parent and temporary.name.startswith(f".{path.name}.")


@contextmanager
def folder_in_the_making(target: Path) -> Iterator[Path]:
    """Give an empty folder beside ``target``, on the same file system; remove it at the end.

    Whoever completes it moves it away with :func:`publish_folder` before the block ends.
    """
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with naming(target):
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    folder.chmod(0o777 & ~_umask())  # mkdtemp keeps others out; an index is an ordinary folder
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish_folder(made: Path, target: Path) -> None:
    """Let the complete folder ``made`` take the name ``target``; remove what was there.

    The files of ``made`` are flushed already; this flushes the folder entries, swaps the names, and
    removes the old content under the temporary name.
    """
    target = target.resolve()
    for folder in [made, *(path for path in made.rglob("*") if path.is_dir())]:
        sync(folder)
    if target.exists():
        exchange(made, target)
        sync(target.parent)
        shutil.rmtree(made, ignore_errors=True)
    else:
        made.rename(target)
        sync(target.parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
