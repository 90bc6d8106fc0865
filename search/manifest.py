"""The manifest: what an index says about itself, in ``manifest.json``.

It names the encoder whose vectors the index holds, how many there are and of what dimension, the
FAISS factory string and the search parameters that go with it, when and from what it was built, and
every other file of the index with its size and SHA-256. The manifest checks itself too: its last
entry is the SHA-256 of its own bytes with that entry's 64 digits set to zeros, so that one flipped
bit anywhere in the index is found (``docs/index-format.md``).

Replacing the manifest in one step is what publishes a change of files: it holds the generation
number, and names the files of that generation and no other.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .durability import sha256_of, write_file
from .errors import IndexFormatError, NotFoundError

MANIFEST_NAME = "manifest.json"
FORMAT = "coverdex-index"
#: The version that this release writes. It reads every version up to this one.
FORMAT_VERSION = 1
METRIC = "inner_product"

#: The parts that every index has, by the names that the manifest gives them.
VECTORS = "vectors"
PERFORMANCES = "performances"
EMBEDDINGS = "embeddings"
#: The metadata once more, to be mapped; indexes that were written before it came have none.
MAPPED = "mapped_performances"
PARTS = (VECTORS, PERFORMANCES, EMBEDDINGS)

_NO_DIGEST = "0" * 64
_OWN_DIGEST = re.compile(rb'"manifest_sha256": "([0-9a-f]{64})"')


@dataclass(frozen=True)
class FileRecord:
    """One file of an index: where it lies in the folder, its size, its checksum.

    Parameters
    ----------
    path : str
        Relative to the index's folder, with forward slashes.
    size : int
        In bytes.
    sha256 : str
        Of all its bytes, hexadecimal.
    """

    path: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path, folder: Path) -> FileRecord:
        """Measure the file ``path`` of the index in ``folder``."""
        return cls(path.relative_to(folder).as_posix(), path.stat().st_size, sha256_of(path))


@dataclass(frozen=True)
class Manifest:
    """What an index says about itself.

    Parameters
    ----------
    encoder_id : str
        Content-derived id of the encoder whose embeddings the index holds.
    encoder_name : str
        The name under which that encoder can be loaded.
    dimension, count : int
        Of the vectors; their number.
    factory : str
        FAISS factory string of ``vectors.faiss``.
    created : str
        When the index was written, ISO 8601 in UTC.
    source : str or mapping
        What it was built from.
    files : mapping of str to FileRecord
        Every other file, by the name of its part.
    search_parameters : mapping
        How the FAISS index is asked, such as ``{"nprobe": 16}``; empty for an exact one.
    plan : mapping
        What was measured when the factory and the parameters were chosen; empty if nothing was.
    made_by : str
        Versions of the software that wrote it.
    generation : int
        Counts the compactions of a changed index, from 1.
    metric : str
        Always ``"inner_product"``.
    format_version : int
        Of the folder's layout.
    """

    encoder_id: str
    encoder_name: str
    dimension: int
    count: int
    factory: str
    created: str
    source: str | Mapping[str, Any]
    files: Mapping[str, FileRecord]
    search_parameters: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    made_by: str = ""
    generation: int = 1
    metric: str = METRIC
    format_version: int = FORMAT_VERSION

    def to_bytes(self) -> bytes:
        """Render the manifest as JSON, its own checksum last."""
        document = {"format": FORMAT, **asdict(self), "manifest_sha256": _NO_DIGEST}
        text = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
        digest = hashlib.sha256(text).hexdigest()
        at = text.rindex(_NO_DIGEST.encode())
        return text[:at] + digest.encode() + text[at + len(digest) :]

    def write(self, folder: Path) -> None:
        """Put the manifest into ``folder`` in one step, replacing the one that is there."""
        write_file(folder / MANIFEST_NAME, self.to_bytes())

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and check the manifest of the index in ``folder``.

        Raises
        ------
        NotFoundError
            When there is no such folder.
        IndexFormatError
            When it holds no manifest, or one that is damaged or of a later format.
        """
        path = folder / MANIFEST_NAME
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            if not folder.exists():
                raise NotFoundError(
                    f"there is no index at {folder}; build one with `coverdex index build`"
                ) from None
            raise IndexFormatError(
                f"{folder} is not an index: it holds no {MANIFEST_NAME}"
            ) from None
        except NotADirectoryError:
            raise IndexFormatError(f"{folder} is a file; an index is a folder") from None
        return cls.from_bytes(content, path)

    @classmethod
    def from_bytes(cls, content: bytes, path: Path) -> Manifest:
        """Read a manifest from the bytes of ``path``; see :meth:`read`."""
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise IndexFormatError(f"{path} is damaged: it is not JSON ({error})") from None
        if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
            raise IndexFormatError(f"{path} is not the manifest of a Coverdex index")
        version = document.get("format_version")
        if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
            raise IndexFormatError(
                f"{path} is of format version {version!r}; this release of Coverdex reads versions "
                f"1 to {FORMAT_VERSION}: install a later one"
            )
        _check_own_digest(content, path)
        document.pop("manifest_sha256")
        try:
            files = {name: FileRecord(**record) for name, record in document.pop("files").items()}
            manifest = cls(files=files, **document)
        except (TypeError, KeyError, AttributeError) as error:
            raise IndexFormatError(
                f"{path} lacks or has an unknown entry ({error}); rebuild it"
            ) from None
        if missing := [part for part in PARTS if part not in files]:
            raise IndexFormatError(f"{path} names no file for {', '.join(missing)}; rebuild it")
        return manifest


def is_index(folder: Path) -> bool:
    """Say whether a folder has the manifest of an index, be it damaged, and not somebody else's."""
    try:
        content = (folder / MANIFEST_NAME).read_bytes()
    except OSError:
        return False
    return f'"{FORMAT}"'.encode() in content


def _check_own_digest(content: bytes, path: Path) -> None:
    found = _OWN_DIGEST.search(content)
    if found is not None:
        blank = content[: found.start(1)] + _NO_DIGEST.encode() + content[found.end(1) :]
        if hashlib.sha256(blank).hexdigest().encode() == found.group(1):
            return
    raise IndexFormatError(
        f"{path} does not match its own checksum: it was damaged, or changed by hand; "
        "restore it or build the index again"
    )
