"""A catalogue in the folder layout of Da-TACOS.

Da-TACOS (Yesiler et al. 2019, https://github.com/MTG/da-tacos) unpacks to one root folder::

    da-tacos_metadata/da-tacos_benchmark_subset_metadata.json
    da-tacos_benchmark_subset_hpcp/W_163930_hpcp/P_546633_hpcp.h5       one folder per feature, or
    da-tacos_benchmark_subset_single_files/W_14/P_15.h5                 all features in one file

and the same with ``coveranalysis`` for its other subset. Either the root or one of the feature
folders can be given. Where both layouts are there, the feature folder is read: it is smaller.

Metadata and feature files are matched by performance id, and both sides must agree:

* a feature file that the metadata does not know is rejected, and so is metadata without a file;
* of two files for one performance the one in the folder of the work that the metadata names is
  used, else the first by path; the other is rejected;
* without any metadata file everything is indexed, with ids from the paths and one warning.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..encoder.chroma import ChromaKind
from ..encoder.chroma_file import ids_in_path
from ..encoder.errors import CoverdexError, NotFoundError
from .datacos_metadata import DatacosMetadata, read_datacos_metadata
from .feature_files import FeatureFile, FeatureFileCatalogue
from .file_names import is_text, shown
from .performance import PerformanceRecord
from .rejection import (
    LISTED_TWICE,
    METADATA_DISAGREES,
    NO_FEATURE_FILE,
    NO_METADATA,
    UNREADABLE,
    UNRECOGNISED_FILE,
    Rejection,
)

SUBSETS = ("benchmark", "coveranalysis")
METADATA_FOLDER = "da-tacos_metadata"

#: How each kind is called in the names of feature folders.
_FEATURE_NAMES = {
    ChromaKind.HPCP: ("hpcp",),
    ChromaKind.CREMA: ("crema",),
    ChromaKind.CENS: ("cens", "chroma_cens"),
}
_FEATURE_FOLDER = re.compile(rf"^da-tacos_({'|'.join(SUBSETS)})_subset_(\w+)$")

_log = logging.getLogger(__name__)


class DatacosCatalogue(FeatureFileCatalogue):
    """A folder in the layout of Da-TACOS, opened for reading.

    Parameters
    ----------
    path : path-like
        The root folder, or one feature folder.
    kind : ChromaKind or str, default "hpcp"
    subset : {"benchmark", "coveranalysis"}, optional
        Needed only for a root that holds this kind of feature for both.
    metadata : path-like, optional
        The metadata file, where it is not in ``da-tacos_metadata`` of the root.

    Attributes
    ----------
    folder : pathlib.Path
        The feature folder that is read.
    metadata_path : pathlib.Path or None
    performances : list of PerformanceRecord
        Sorted by performance id.
    rejections : list of Rejection
        Grows while the catalogue is iterated.

    Raises
    ------
    NotFoundError
        If there is no such folder, subset or metadata file.
    CoverdexError
        If the folder is not in the layout of Da-TACOS or holds no feature of this kind.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        kind: ChromaKind | str = ChromaKind.HPCP,
        subset: str | None = None,
        metadata: str | Path | None = None,
    ) -> None:
        kind = ChromaKind(kind)
        self.folder, subset = _find_feature_folder(Path(path), kind, subset)
        self.metadata_path = (
            Path(metadata) if metadata is not None else _find_metadata(self.folder, subset)
        )
        rejections: list[Rejection] = []
        found = list(_feature_files(self.folder, rejections))
        if not found:
            raise CoverdexError(
                f"{self.folder} holds no feature files; "
                "give a folder with files such as W_14_hpcp/P_15_hpcp.h5"
            )
        if self.metadata_path is None:
            _log.warning(
                "no metadata beside %s: indexing its %d files with the ids of their paths and "
                "without titles",
                self.folder,
                len(found),
            )
            files = _match_by_path(found, rejections)
        else:
            known = read_datacos_metadata(self.metadata_path)
            rejections += known.rejections
            files = _match_with_metadata(found, known, rejections)
        super().__init__(files, kind=kind, source=str(path), rejections=rejections)


def is_datacos_folder(path: Path) -> bool:
    """Tell whether a folder looks like a Da-TACOS root or feature folder."""
    return _FEATURE_FOLDER.match(path.name) is not None or any(
        child.is_dir() and (_FEATURE_FOLDER.match(child.name) or ids_in_path(child / "x")[0])
        for child in path.iterdir()
    )


def _find_feature_folder(
    path: Path, kind: ChromaKind, subset: str | None
) -> tuple[Path, str | None]:
    """Return the feature folder to read and the subset that it belongs to, None if unknown."""
    if not path.is_dir():
        raise NotFoundError(f"no folder {path}; give the root of a Da-TACOS download")
    if subset is not None and subset not in SUBSETS:
        raise NotFoundError(f"no subset {subset!r}; give one of {', '.join(SUBSETS)}")
    named = _FEATURE_FOLDER.match(path.resolve().name)
    if named:
        if subset not in (None, named[1]):
            raise CoverdexError(f"{path} is of the {named[1]} subset, not of {subset}")
        if named[2] not in (*_FEATURE_NAMES[kind], "single_files"):
            raise CoverdexError(
                f"{path} holds {named[2]} and {kind} is wanted; give the folder of {kind}, or a "
                f"kind and an encoder made for {named[2]}"
            )
        return path, named[1]
    candidates = [
        (folder, name)
        for name in ((subset,) if subset else SUBSETS)
        if (folder := _folder_of_subset(path, name, kind)) is not None
    ]
    if len(candidates) > 1:
        raise CoverdexError(
            f"{path} holds {kind} of both subsets ({' and '.join(SUBSETS)}); choose one as subset"
        )
    if candidates:
        return candidates[0]
    if any(child.is_dir() and ids_in_path(child / "x")[0] for child in path.iterdir()):
        return path, subset  # a feature folder under a name of its own
    there = ", ".join(sorted(child.name for child in path.iterdir())[:5]) or "nothing"
    whose = f" of the {subset} subset" if subset else ""
    raise CoverdexError(
        f"{path} holds no {kind} features{whose} in the layout of Da-TACOS (it holds {there}); "
        f"give a folder with da-tacos_{subset or SUBSETS[0]}_subset_{_FEATURE_NAMES[kind][0]}"
        "/W_.../P_....h5"
        + ("" if subset else ", or one of .h5 files; those in folders below: coverdex embed --list")
    )


def _folder_of_subset(root: Path, subset: str, kind: ChromaKind) -> Path | None:
    for name in (*_FEATURE_NAMES[kind], "single_files"):
        folder = root / f"da-tacos_{subset}_subset_{name}"
        if folder.is_dir():
            return folder
    return None


def _find_metadata(folder: Path, subset: str | None) -> Path | None:
    if subset is None:
        return None
    path = folder.resolve().parent / METADATA_FOLDER / f"da-tacos_{subset}_subset_metadata.json"
    return path if path.is_file() else None


def _feature_files(folder: Path, rejections: list[Rejection]) -> Iterator[tuple[str, str, Path]]:
    """Yield (performance id, work id, path) of every feature file, sorted by path.

    Hidden files are passed over: systems leave them everywhere. Any other file that is not where
    a feature file belongs is a rejection.
    """
    for work_folder in _visible(folder):
        if not (is_text(work_folder) and work_folder.is_dir()):
            rejections.append(_unrecognised(work_folder))
            continue
        try:
            paths = _visible(work_folder)
        except OSError as error:
            rejections.append(
                Rejection(str(work_folder), None, UNREADABLE, f"cannot list: {error}")
            )
            continue
        for path in paths:
            work_id, performance_id = ids_in_path(path)
            if performance_id is None or work_id is None or not is_text(path):
                rejections.append(_unrecognised(path))
            else:
                yield performance_id, work_id, path


def _visible(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    return [folder / name for name in names]


def _unrecognised(path: Path) -> Rejection:
    if not is_text(path):
        message = f"the name {shown(path)} is not UTF-8; rename it"
        return Rejection(shown(path), None, UNRECOGNISED_FILE, message)
    return Rejection(
        str(path),
        ids_in_path(path)[1],
        UNRECOGNISED_FILE,
        f"{path} is not named like a feature file of Da-TACOS; "
        "name it W_<work>_<feature>/P_<performance>_<feature>.h5",
    )


def _match_by_path(
    found: list[tuple[str, str, Path]], rejections: list[Rejection]
) -> list[FeatureFile]:
    files: dict[str, FeatureFile] = {}
    for performance_id, work_id, path in found:
        if performance_id in files:
            rejections.append(_second_file(performance_id, path, files[performance_id].path))
        else:
            files[performance_id] = FeatureFile(PerformanceRecord(performance_id, work_id), path)
    return list(files.values())


def _match_with_metadata(
    found: list[tuple[str, str, Path]], known: DatacosMetadata, rejections: list[Rejection]
) -> list[FeatureFile]:
    files: dict[str, FeatureFile] = {}
    wrong_work: list[tuple[str, str, Path]] = []
    # Whose entry contradicts itself is listed, and has its rejection already.
    contradicted = {rejection.performance for rejection in known.rejections}
    for performance_id, work_id, path in found:
        record = next(
            (r for r in known.records.get(performance_id, ()) if r.work_id == work_id), None
        )
        if performance_id not in known.records and performance_id in contradicted:
            continue
        if performance_id not in known.records:
            message = f"{path}: {known.path.name} does not list {performance_id}; add it there"
            rejections.append(Rejection(str(path), performance_id, NO_METADATA, message))
        elif record is None:
            wrong_work.append((performance_id, work_id, path))
        elif performance_id in files:
            rejections.append(_second_file(performance_id, path, files[performance_id].path))
        else:
            files[performance_id] = FeatureFile(record, path)
    with_a_file = {performance_id for performance_id, _, _ in wrong_work} | set(files)
    for performance_id, work_id, path in wrong_work:
        if performance_id in files:
            rejections.append(_second_file(performance_id, path, files[performance_id].path))
            continue
        works = ", ".join(str(r.work_id) for r in known.records[performance_id])
        message = (
            f"{path} lies in the folder of {work_id} but the metadata lists {performance_id} "
            f"under {works}; move the file or correct the metadata"
        )
        rejections.append(Rejection(str(path), performance_id, METADATA_DISAGREES, message))
    rejections += _unmatched_metadata(known, files, with_a_file)
    return list(files.values())


def _unmatched_metadata(
    known: DatacosMetadata, files: dict[str, FeatureFile], with_a_file: set[str]
) -> Iterator[Rejection]:
    for performance_id, records in known.records.items():
        if performance_id not in with_a_file:
            message = f"metadata lists {performance_id} but there is no feature file for it"
            yield Rejection(str(known.path), performance_id, NO_FEATURE_FILE, message)
        elif len(records) > 1:
            used = files[performance_id].record.work_id if performance_id in files else "none"
            works = ", ".join(str(record.work_id) for record in records)
            message = (
                f"metadata lists {performance_id} under {works}; used: {used}, where its feature "
                "file lies. Leave the other entries out"
            )
            yield Rejection(str(known.path), performance_id, LISTED_TWICE, message)


def _second_file(performance_id: str, path: Path, kept: Path) -> Rejection:
    message = f"{performance_id} already comes from {kept}; leave one of the two out"
    return Rejection(str(path), performance_id, LISTED_TWICE, message)
