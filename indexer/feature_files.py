"""Feature files of a catalogue: one HDF5 file per performance, read a batch at a time.

A folder of Da-TACOS (:mod:`.datacos_catalogue`) and a plain list of files
(:class:`FileListCatalogue`) differ in where the metadata comes from. Once it is known which record
belongs to which file, they are read alike: here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ..encoder.chroma import ChromaKind
from ..encoder.chroma_file import ids_in_file, ids_in_path, read_chroma
from ..encoder.errors import CoverdexError, FeatureFileError, InvalidChromaError, NotFoundError
from .catalogue import Catalogue, CataloguePart, Reading, file_state
from .file_names import is_text, shown
from .performance import PerformanceRecord
from .rejection import LISTED_TWICE, NO_FEATURE_FILE, UNRECOGNISED_FILE, Rejection

#: How the names of feature files end.
FEATURE_FILE_ENDINGS = (".h5", ".hdf5")

#: Files per part: about a tenth of a second of decoding, so that several reading processes share
#: the work evenly and little waits in memory.
FILES_PER_PART = 8


@dataclass(frozen=True)
class FeatureFile:
    """A feature file and the record of the performance that it should hold.

    Parameters
    ----------
    record : PerformanceRecord
    path : pathlib.Path
    named_by_path : bool, default True
        The path says whose file it is, so that attributes that say otherwise are a fault. False:
        the attributes know better than a free file name.
    """

    record: PerformanceRecord
    path: Path
    named_by_path: bool = True

    def performance_id(self) -> str | None:
        """Return the id that the performance will have; None if the file cannot be read."""
        if self.named_by_path:
            return self.record.performance_id
        try:
            return self.identified().performance_id
        except FeatureFileError:
            return None

    def identified(self) -> PerformanceRecord:
        """Return the record with the ids that reading will give it; no chroma is read.

        Raises
        ------
        FeatureFileError
            If the ids stand in the file and it cannot be read.
        """
        if self.named_by_path and self.record.work_id is not None:
            return self.record
        try:
            return self._with_ids(*ids_in_file(self.path))
        except NotFoundError:  # it has no other ids
            return self.record

    def read(self, kind: ChromaKind) -> Reading | Rejection:
        """Read the chroma, or say why it is rejected."""
        named = self.named_by_path
        try:
            found = read_chroma(
                self.path,
                kind=kind,
                expect_work=self.record.work_id if named else None,
                expect_performance=self.record.performance_id if named else None,
            )
        except (FeatureFileError, InvalidChromaError) as error:
            return Rejection(str(self.path), self.record.performance_id, error.reason, str(error))
        except NotFoundError as error:  # was there when the catalogue was opened
            return Rejection(
                str(self.path), self.record.performance_id, NO_FEATURE_FILE, str(error)
            )
        identified = self._with_ids(found.work_id, found.performance_id)
        return Reading(identified, found.chroma, self.path)

    def _with_ids(self, work_id: str | None, performance_id: str | None) -> PerformanceRecord:
        return replace(
            self.record,
            performance_id=performance_id or self.record.performance_id,
            work_id=work_id or self.record.work_id,
        )


@dataclass(frozen=True)
class FeatureFileBatch:
    """Some feature files: what a reading process takes at a time."""

    files: tuple[FeatureFile, ...]
    kind: ChromaKind

    def __len__(self) -> int:
        return len(self.files)

    def __str__(self) -> str:
        first, last = self.files[0].path, self.files[-1].path
        return str(first) if first == last else f"{len(self)} files from {first} to {last}"

    def fingerprint(self) -> str:
        """Digest of the records and of each file's path, size and time of change."""
        digest = hashlib.sha256(self.kind.encode())
        for file in self.files:
            digest.update(repr((file.record, str(file.path), file_state(file.path))).encode())
        return digest.hexdigest()

    def contents(self) -> str:
        """Digest of the records and of each file's name and size."""
        digest = hashlib.sha256(self.kind.encode())
        for file in self.files:
            size, _ = file_state(file.path) or (None, None)
            digest.update(repr((file.record, file.path.name, size)).encode())
        return digest.hexdigest()

    def read(self) -> Iterator[Reading | Rejection]:
        """Read each file, or say why it is rejected."""
        for file in self.files:
            yield file.read(self.kind)


class FeatureFileCatalogue(Catalogue):
    """A catalogue whose chroma lies in one file per performance.

    Parameters
    ----------
    files : iterable of FeatureFile
        In any order; sorted by performance id here, so that the order in which a file system lists
        them changes nothing.
    kind : ChromaKind
    source : str
        Where they come from, for the manifest of an index.
    rejections : iterable of Rejection, default empty
        What was already found to be wrong.
    """

    files_per_part = FILES_PER_PART

    def __init__(
        self,
        files: Iterable[FeatureFile],
        *,
        kind: ChromaKind,
        source: str,
        rejections: Iterable[Rejection] = (),
    ) -> None:
        self.files = sorted(files, key=lambda f: (f.record.performance_id, str(f.path)))
        super().__init__(source=source, kind=kind, rejections=rejections)

    @property
    def performances(self) -> Sequence[PerformanceRecord]:
        """Records of the performances that have a file, sorted by performance id."""
        return [file.record for file in self.files]

    def performance_ids(self) -> list[str]:
        """Ids as reading will give them; a loose file's stands in the file."""
        found = (file.performance_id() for file in self.files)
        return [name for name in found if name is not None]

    def __len__(self) -> int:
        return len(self.files)

    def parts(self) -> list[CataloguePart]:
        """Cut the catalogue into batches of ``files_per_part`` files, in order."""
        return [
            FeatureFileBatch(tuple(self.files[start : start + self.files_per_part]), self.kind)
            for start in range(0, len(self.files), self.files_per_part)
        ]


class FileListCatalogue(FeatureFileCatalogue):
    """Feature files given one by one, without metadata: new releases, say.

    Ids come from the attributes of each file, else from names of the form
    ``W_14_hpcp/P_15_hpcp.h5``, else the performance id is the file name without its ending.

    Parameters
    ----------
    paths : iterable of path-like
    kind : ChromaKind or str, default "hpcp"
    source : str, default "files"

    Raises
    ------
    CoverdexError
        If there are no paths.
    """

    def __init__(
        self,
        paths: Iterable[str | Path],
        *,
        kind: ChromaKind | str = ChromaKind.HPCP,
        source: str = "files",
    ) -> None:
        files: dict[str, FeatureFile] = {}
        rejections = []
        for path in sorted({Path(path) for path in paths}):
            if not is_text(path):
                message = f"the name {shown(path)} is not UTF-8; rename it"
                rejections.append(Rejection(shown(path), None, UNRECOGNISED_FILE, message))
                continue
            work_id, named = ids_in_path(path)
            record = PerformanceRecord(named or path.stem, work_id)
            file = FeatureFile(record, path, named_by_path=named is not None)
            if record.performance_id in files:
                file = _by_its_own_id(file)
            performance_id = file.record.performance_id
            if performance_id in files:
                message = (
                    f"{performance_id} already comes from {files[performance_id].path}; leave one "
                    "of the two out, or give it an id of its own: another name, or an attribute "
                    "track_id"
                )
                rejections.append(Rejection(str(path), performance_id, LISTED_TWICE, message))
                continue
            files[performance_id] = file
        if not (files or rejections):
            raise CoverdexError("no feature files given; name at least one")
        super().__init__(
            files.values(), kind=ChromaKind(kind), source=source, rejections=rejections
        )

    @cached_property
    def performances(self) -> Sequence[PerformanceRecord]:
        """Records with the ids in the files, sorted by performance id; opens every file.

        Of a file that cannot be read, the record has what its path says.
        """
        return sorted(map(_known_of, self.files), key=lambda record: record.performance_id)


def _known_of(file: FeatureFile) -> PerformanceRecord:
    try:
        return file.identified()
    except FeatureFileError:
        return file.record


def _by_its_own_id(file: FeatureFile) -> FeatureFile:
    """Look into a file whose name another one has, too: ``P_1/hpcp.h5`` beside ``P_2/hpcp.h5``."""
    found = file.performance_id()
    if found is None:  # it cannot be read, which reading it will say
        found = str(file.path)
    return replace(file, record=replace(file.record, performance_id=found))
