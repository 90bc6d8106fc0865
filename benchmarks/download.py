"""Getting Da-TACOS: archives that are fetched, checked and unpacked.

Da-TACOS (Yesiler et al. 2019) publishes features, not audio: one zip archive per subset and
feature, about 17 GB for the two of HPCP. Addresses and MD5 checksums are those of mirdata's loader
(Bittner et al. 2019, "mirdata: software for reproducible usage of datasets"). mirdata itself starts
an interrupted download anew, which over 17 GB never ends on a bad line; here

* bytes go to ``<archive>.part``, and a later call asks the server for the rest (HTTP ``Range``);
* the archive gets its name only when its checksum is right; wrong bytes are thrown away;
* it is unpacked into a folder beside its place, renamed when complete; what is complete is not
  fetched again.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..encoder import CoverdexError, NotFoundError

#: Bytes read from the network or from disk at a time.
CHUNK = 1 << 20
#: Seconds without a byte after which a connection counts as dead.
TIMEOUT = 60.0

#: Called with (file name, bytes there, bytes in all or None).
DownloadProgress = Callable[[str, int, int | None], None]


class DownloadError(CoverdexError):
    """A download that did not arrive, or arrived damaged."""


@dataclass(frozen=True)
class Archive:
    """One zip archive of a dataset.

    Parameters
    ----------
    url : str
        Where it is.
    filename : str
        Its name; without ``.zip``, the folder that it unpacks to.
    md5 : str
        Its checksum, 32 hexadecimal digits.
    """

    url: str
    filename: str
    md5: str

    @property
    def folder(self) -> str:
        """Name of the folder that the archive unpacks to."""
        return self.filename.removesuffix(".zip")


def datacos_archives() -> dict[str, Archive]:
    """Name the parts of Da-TACOS as mirdata knows them.

    Raises
    ------
    DownloadError
        mirdata is not installed.
    """
    try:
        from mirdata.datasets import da_tacos
    except ImportError as error:
        raise DownloadError(
            "downloading needs mirdata, which is not installed: pip install 'coverdex[download]'"
        ) from error
    return {
        part: Archive(remote.url, remote.filename, remote.checksum)
        for part, remote in da_tacos.REMOTES.items()
    }


def download_datacos(
    parts: Sequence[str],
    folder: Path,
    *,
    keep_archives: bool = False,
    progress: DownloadProgress | None = None,
    archives: Mapping[str, Archive] | None = None,
) -> list[str]:
    """Download, check and unpack parts of Da-TACOS.

    Parameters
    ----------
    parts : sequence of str
        Such as ``["metadata", "benchmark_hpcp"]``.
    folder : path
        The root of the dataset; made where it is absent.
    keep_archives : bool, default False
        Keep the zip files after unpacking.
    progress : callable, optional
        See :data:`DownloadProgress`.
    archives : mapping, optional
        Part to archive; by default :func:`datacos_archives`.

    Returns
    -------
    list of str
        The parts, all of them complete.

    Raises
    ------
    NotFoundError
        No such part.
    DownloadError
        No network, a refusing server, a full disk, or a checksum that does not fit. What has
        arrived is kept and the next call goes on from there.
    """
    known = datacos_archives() if archives is None else archives
    unknown = [part for part in parts if part not in known]
    if unknown or not parts:
        asked = f"there is no part {unknown[0]!r}" if unknown else "no part was named"
        raise NotFoundError(f"{asked}; Da-TACOS has {', '.join(sorted(known))}")
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        archive = known[part]
        if not (folder / archive.folder).is_dir():
            path = fetch(archive, folder, progress=progress)
            unpack(path, folder / archive.folder)
            if not keep_archives:
                path.unlink()
    return list(parts)


def fetch(archive: Archive, folder: Path, *, progress: DownloadProgress | None = None) -> Path:
    """Bring one archive into ``folder``, going on where an earlier call stopped; return its path.

    Raises
    ------
    DownloadError
        As :func:`download_datacos`.
    """
    path = folder / archive.filename
    if path.exists():
        _check(path, archive)
        return path
    part = path.with_name(path.name + ".part")
    try:
        _fetch_rest(archive, part, progress)
    except (OSError, http.client.HTTPException) as error:
        if _is_of_the_disk(error):
            raise DownloadError(
                f"{part} cannot be written: {error}; once it can, call again, it goes on from the "
                f"{_size(part):,} bytes that are there"
            ) from error
        reason = getattr(error, "reason", None) or error
        raise DownloadError(
            f"could not download {archive.filename}: {reason}; check the network and call again, "
            f"it goes on from the {_size(part):,} bytes that are there"
        ) from error
    _check(part, archive)
    return part.rename(path)


def unpack(path: Path, folder: Path) -> None:
    """Unpack the zip file ``path`` as ``folder``, which appears when it is complete.

    Raises
    ------
    DownloadError
        The file is no zip archive, or the disk has no room for what is in it. Nothing is left of
        what was unpacked; the archive is.
    """
    unfinished = folder.with_name(folder.name + ".unpacking")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(unfinished)
    except zipfile.BadZipFile as error:
        raise DownloadError(
            f"{path} is no zip archive: {error}; delete it and call again"
        ) from error
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise DownloadError(
            f"{path} cannot be unpacked to {folder}: {error}; the archive is kept, call again once "
            "there is room"
        ) from error
    # The archives hold one folder of their own name; files without one are taken as its contents.
    inner = unfinished / folder.name
    if inner.is_dir():
        inner.rename(folder)
        shutil.rmtree(unfinished)
    else:
        unfinished.rename(folder)


def _fetch_rest(archive: Archive, part: Path, progress: DownloadProgress | None) -> None:
    """Append to ``part`` what is missing of the archive."""
    there = _size(part)
    request = urllib.request.Request(archive.url)
    if there:
        request.add_header("Range", f"bytes={there}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and there:
            return  # nothing is left to send; the checksum says whether what is there is right
        raise
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            there = 0  # the server sends everything from the start
        length = response.headers.get("Content-Length")
        total = there + int(length) if length else None
        with part.open("ab" if there else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                there += len(chunk)
                if progress is not None:
                    progress(archive.filename, there, total)
    if total is not None and there < total:
        raise http.client.IncompleteRead(b"", total - there)


def _is_of_the_disk(error: Exception) -> bool:
    """Tell what the file refused from what the network did, whose errors name no file."""
    if not isinstance(error, OSError) or error.errno is None:
        return False
    return error.filename is not None or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _check(path: Path, archive: Archive) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != archive.md5:
        path.unlink()
        raise DownloadError(
            f"{archive.filename} arrived damaged: its MD5 is {digest.hexdigest()} and should be "
            f"{archive.md5}; it was deleted, call again"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
