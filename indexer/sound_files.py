"""Sound files as a catalogue: HPCP is computed as they are read.

A folder of music, at any depth, is indexed without feature files in between:
:func:`~coverdex.encoder.extract_hpcp` reads each file with the parameters of Da-TACOS, in the
reading processes of a build. That takes a hundred times as long as reading features, so the shards
are small, and an interrupted build loses little. Where several indexes are to be built of the same
music, features written once are quicker (docs/datasets.md).

The id of a performance is its path below the folder, without the ending: ``Help/01 Yesterday`` for
``Help/01 Yesterday.mp3``; of a file given by itself it is the name alone. Title, artist and year
are those of its tags, where it has any. Its work is not known: :func:`coverdex.benchmarks.evaluate`
takes that from a list.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..encoder.chroma import ChromaKind
from ..encoder.errors import CoverdexError, InvalidChromaError, NotFoundError
from ..encoder.hpcp import extract_hpcp, load_essentia, read_tags
from .catalogue import Reading
from .feature_files import FeatureFile, FeatureFileCatalogue
from .file_names import is_text, shown
from .performance import PerformanceRecord
from .rejection import LISTED_TWICE, NO_FEATURE_FILE, UNREADABLE, UNRECOGNISED_FILE, Rejection

#: How the names of sound files end, in small letters.
SOUND_FILE_ENDINGS = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".wma",
)  # fmt: skip


def is_sound_file(path: str | Path) -> bool:
    """Tell by its name whether a file holds sound; hidden files are none."""
    path = Path(path)
    return path.suffix.lower() in SOUND_FILE_ENDINGS and not path.name.startswith(".")


def sound_files_below(
    folder: Path, on_error: Callable[[OSError], None] | None = None
) -> Iterator[Path]:
    """Find the sound files of a folder at any depth; what is hidden or a link is passed over."""
    for where, folders, names in os.walk(folder, onerror=on_error):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(where, name) for name in sorted(names) if is_sound_file(name))


@dataclass(frozen=True)
class SoundFile(FeatureFile):
    """A sound file and the id of the performance that it is."""

    def read(self, _kind: ChromaKind) -> Reading | Rejection:
        """Compute the chroma, or say why it is rejected."""
        name = self.record.performance_id
        try:
            chroma = extract_hpcp(self.path)
        except NotFoundError as error:  # was there when the catalogue was opened
            return Rejection(str(self.path), name, NO_FEATURE_FILE, str(error))
        except InvalidChromaError as error:
            return Rejection(str(self.path), name, error.reason, f"{self.path}: {error}")
        except (CoverdexError, OSError) as error:
            return Rejection(str(self.path), name, UNREADABLE, str(error))
        tags = read_tags(self.path)
        record = replace(self.record, title=tags.title, artist=tags.artist, year=tags.year)
        return Reading(record, chroma, self.path)


class SoundFileCatalogue(FeatureFileCatalogue):
    """A catalogue of sound files.

    Parameters
    ----------
    paths : iterable of path-like
    kind : ChromaKind or str, default "hpcp"
        What the encoder reads; HPCP is all that is computed here.
    base : path-like, optional
        The folder from which ids count; without it they are names of files.
    source : str, default "files"
    rejections : iterable of Rejection, default empty
        What was already found to be wrong.

    Raises
    ------
    CoverdexError
        If there are no paths, another kind of chroma is wanted, or essentia is not installed.
    """

    files_per_part = 1
    #: Two minutes of a core, for songs of four minutes.
    shard_size = 64
    small_below = 4
    most_readers = 256

    def __init__(
        self,
        paths: Iterable[str | Path],
        *,
        kind: ChromaKind | str = ChromaKind.HPCP,
        base: str | Path | None = None,
        source: str = "files",
        rejections: Iterable[Rejection] = (),
    ) -> None:
        if ChromaKind(kind) is not ChromaKind.HPCP:
            raise CoverdexError(
                f"{kind} is wanted, and HPCP is all that is computed of sound; give feature files"
            )
        load_essentia()  # that it is missing is to be said once
        files: dict[str, SoundFile] = {}
        rejections = list(rejections)
        for path in sorted({Path(path) for path in paths}):
            if not is_text(path):
                message = f"the name {shown(path)} is not UTF-8; rename it"
                rejections.append(Rejection(shown(path), None, UNRECOGNISED_FILE, message))
                continue
            named = Path(path.name) if base is None else path.relative_to(base)
            performance_id = named.with_suffix("").as_posix()
            if performance_id in files:
                message = (
                    f"{performance_id} already comes from {files[performance_id].path}; "
                    "leave one of the two out"
                )
                rejections.append(Rejection(str(path), performance_id, LISTED_TWICE, message))
                continue
            files[performance_id] = SoundFile(PerformanceRecord(performance_id), path)
        if not (files or rejections):
            raise CoverdexError("no sound files given; name at least one")
        super().__init__(files.values(), kind=ChromaKind.HPCP, source=source, rejections=rejections)

    @classmethod
    def below(cls, folder: Path, *, kind: ChromaKind | str = ChromaKind.HPCP) -> SoundFileCatalogue:
        """Open all sound files of a folder, at any depth."""
        rejections = []

        def cannot_list(error: OSError) -> None:
            where = str(error.filename)
            message = f"cannot list: {error.strerror}"
            rejections.append(Rejection(shown(where), None, UNREADABLE, message))

        paths = list(sound_files_below(folder, cannot_list))
        return cls(paths, kind=kind, base=folder, source=str(folder), rejections=rejections)
