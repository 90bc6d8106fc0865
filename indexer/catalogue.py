"""A catalogue: many performances, each with a record and its chroma.

Catalogues come as a folder in the layout of Da-TACOS (:mod:`.datacos_catalogue`), as one Parquet
file (:mod:`.parquet_catalogue`) or as sound files (:mod:`.sound_files`); :func:`open_catalogue`
tells which. Opening one reads metadata and names, never the chroma: it is read performance by
performance as the catalogue is iterated, so a catalogue may be far larger than memory.

What is wrong with a performance never stops the others: it becomes a
:class:`~coverdex.indexer.Rejection` in ``rejections``, which is complete once the catalogue has
been iterated to its end.

To read with several processes, :meth:`Catalogue.parts` cuts a catalogue into parts that can be sent
to another process and read there. The cut depends on the catalogue alone, not on the machine, so
that a build that was interrupted finds the same parts again.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..encoder.chroma import Chroma, ChromaKind
from ..encoder.errors import CoverdexError, NotFoundError
from .file_names import check_is_text
from .performance import PerformanceRecord
from .rejection import Rejection

_log = logging.getLogger(__name__)

#: The name that opens the demo catalogue.
DEMO = "demo"


@dataclass(frozen=True, eq=False)
class Reading:
    """One performance as it was read.

    Parameters
    ----------
    record : PerformanceRecord
    chroma : Chroma
    path : pathlib.Path
        The file that it was read from.
    """

    record: PerformanceRecord
    chroma: Chroma
    path: Path


class CataloguePart(Protocol):
    """Some performances of a catalogue; can be pickled, so that another process can read it."""

    def __len__(self) -> int:
        """How many performances it holds."""
        ...

    def __str__(self) -> str:
        """Say where it lies, for a message."""
        ...

    def fingerprint(self) -> str:
        """Digest of what would be read, without reading it: names, sizes, times, metadata."""
        ...

    def contents(self) -> str:
        """Digest of what every machine sees of it, wherever it lies: sizes, metadata."""
        ...

    def read(self) -> Iterator[Reading | Rejection]:
        """Read each performance, or say why it is rejected."""
        ...


class Catalogue(ABC):
    """What every catalogue offers; iterating yields a record and its chroma at a time.

    Parameters
    ----------
    source : str
        Where it came from, for the manifest of an index.
    kind : ChromaKind
        The kind of chroma that it yields.
    rejections : iterable of Rejection, default empty
        What opening it found to be wrong.

    Attributes
    ----------
    rejections : list of Rejection
        What opening found, and once the catalogue has been iterated, what reading found too.
    found_when_opened : tuple of Rejection
        What opening found.
    shard_size : int
        Least performances of a shard of embeddings, which is what an interrupted build can lose.
    small_below : int
        Of fewer performances, reading takes less time than starting processes for it.
    most_readers : int
        More reading processes than this only wait for the encoder.
    """

    #: Two groups of the encoder, half a minute of work.
    shard_size = 512
    small_below = 200
    most_readers = 8

    def __init__(
        self, *, source: str, kind: ChromaKind, rejections: Iterable[Rejection] = ()
    ) -> None:
        self.source = source
        self.kind = kind
        self.rejections = list(rejections)
        self.found_when_opened = tuple(self.rejections)

    @property
    @abstractmethod
    def performances(self) -> Sequence[PerformanceRecord]:
        """Metadata of every performance that has a feature, sorted by performance id."""

    def performance_ids(self) -> list[str]:
        """Ids that the performances will have once they are read, in no certain order."""
        return [record.performance_id for record in self.performances]

    @abstractmethod
    def __len__(self) -> int:
        """How many performances are to be read."""

    @abstractmethod
    def parts(self) -> Sequence[CataloguePart]:
        """Cut the catalogue into parts for reading processes, in a fixed order."""

    def __iter__(self) -> Iterator[tuple[PerformanceRecord, Chroma]]:
        """Read chroma one performance at a time."""
        self.rejections = list(self.found_when_opened)
        for part in self.parts():
            for outcome in part.read():
                if isinstance(outcome, Rejection):
                    self.rejections.append(outcome)
                else:
                    yield outcome.record, outcome.chroma


def file_state(path: Path) -> tuple[int, int] | None:
    """Size in bytes and time of change in ns, None where there is no file: tells a changed one."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def open_catalogue(
    path: str | Path,
    *,
    kind: ChromaKind | str = ChromaKind.HPCP,
    subset: str | None = None,
    metadata: str | Path | None = None,
) -> Catalogue:
    """Open a catalogue.

    Parameters
    ----------
    path : path-like or "demo"
        A folder in the layout of Da-TACOS (its root or one feature folder), a folder of loose
        ``.h5`` or ``.hdf5`` files, a folder of sound files at any depth, a Parquet file of chroma,
        or ``"demo"`` for the catalogue that Coverdex ships, unless a file, a catalogue, an index or
        shards of that name lie here.
    kind : ChromaKind or str, default "hpcp"
        Which chroma to read: the one that the encoder was trained for.
    subset : {"benchmark", "coveranalysis"}, optional
        Which subset of a Da-TACOS root that holds both.
    metadata : path-like, optional
        The metadata file of a Da-TACOS folder, where it is not at its usual place.

    Raises
    ------
    NotFoundError
        If there is nothing at ``path``.
    CoverdexError
        If what is there is no catalogue, or holds no chroma of this kind, or a name is not UTF-8.
    """
    try:
        kind = ChromaKind(kind)
    except ValueError:
        raise CoverdexError(
            f"chroma kind is {kind!r}; give one of {', '.join(ChromaKind)}"
        ) from None
    if str(path) == DEMO and not hides_demo(Path(DEMO)):
        path = demo_catalogue_path()
    try:
        return _opened(Path(path), kind, subset, metadata)
    except CoverdexError as error:
        if hint := demo_in_the_way(path):
            raise CoverdexError(f"{error}{hint}") from error
        raise


def check_is_there(path: str | Path) -> None:
    """Refuse a catalogue that is not there, before an encoder is loaded for it.

    Raises
    ------
    NotFoundError
        If there is nothing at ``path``.
    """
    if str(path) != DEMO and not Path(path).exists():
        raise NotFoundError(
            f"no catalogue at {path}; give a Da-TACOS folder, a Parquet file of chroma, or 'demo'"
        )


def _opened(
    path: Path, kind: ChromaKind, subset: str | None, metadata: str | Path | None
) -> Catalogue:
    check_is_text(path)  # it goes into manifests and reports
    if metadata is not None:
        check_is_text(metadata)
    if path.is_dir():
        from .datacos_catalogue import DatacosCatalogue, is_datacos_folder
        from .feature_files import FEATURE_FILE_ENDINGS, FileListCatalogue
        from .sound_files import SoundFileCatalogue, sound_files_below

        loose = sorted(
            child
            for child in path.iterdir()
            if child.suffix in FEATURE_FILE_ENDINGS and not child.name.startswith(".")
        )
        if loose and not is_datacos_folder(path):
            _refuse_options_of_datacos(f"{path} is a folder of loose files", subset, metadata)
            return FileListCatalogue(loose, kind=kind, source=str(path))
        if not is_datacos_folder(path) and any(sound_files_below(path)):
            _refuse_options_of_datacos(f"{path} is a folder of sound files", subset, metadata)
            return SoundFileCatalogue.below(path, kind=kind)
        return DatacosCatalogue(path, kind=kind, subset=subset, metadata=metadata)
    check_is_there(path)
    _refuse_options_of_datacos(f"{path} is a file", subset, metadata)
    from .parquet_catalogue import ParquetCatalogue
    from .parquet_reading import begins_as_parquet

    if path.suffix != ".parquet" and not begins_as_parquet(path):
        raise CoverdexError(
            f"{path} is no Parquet file; give a Da-TACOS folder, feature files (.h5), a folder of "
            "sound files, a Parquet file of chroma, or 'demo'"
        )
    return ParquetCatalogue(path, kind=kind)


def _refuse_options_of_datacos(
    what_it_is: str, subset: str | None, metadata: str | Path | None
) -> None:
    if subset is not None or metadata is not None:
        raise CoverdexError(f"{what_it_is}; subset and metadata are for Da-TACOS folders")


def hides_demo(here: Path) -> bool:
    """Tell whether something called ``demo`` may be what is meant by the name.

    A folder without anything that Coverdex reads or writes is not, which is said: what it holds may
    have been meant for a catalogue.
    """
    if not here.is_dir():
        return here.exists()
    from .datacos_catalogue import METADATA_FOLDER, is_datacos_folder
    from .sound_files import SOUND_FILE_ENDINGS

    endings = {".h5", ".hdf5", ".parquet", ".json", *SOUND_FILE_ENDINGS}
    if is_datacos_folder(here) or (here / METADATA_FOLDER).exists():
        return True
    if any(child.suffix.lower() in endings for child in here.iterdir()):
        return True
    _log.warning(
        "the folder %s holds no catalogue, so %r is the one that Coverdex ships",
        here.absolute(),
        DEMO,
    )
    return False


def demo_in_the_way(path: str | Path) -> str:
    """Return a hint for the error about ``demo`` where something else has that name, else nothing.

    Whoever writes ``demo`` beside a folder of that name may have meant either.
    """
    if str(path) != DEMO or not Path(DEMO).exists():
        return ""
    return (
        f"; {Path(DEMO).absolute()} is in the way of the catalogue that Coverdex ships as "
        f"{DEMO!r}: for that one, go to another folder"
    )


def demo_catalogue_path() -> Path:
    """Return where the demo catalogue lies.

    Raises
    ------
    NotFoundError
        If this installation came without it.
    """
    path = Path(__file__).parent / "demo" / "catalogue.parquet"
    if not path.is_file():
        raise NotFoundError(
            f"the demo catalogue is missing at {path}; install Coverdex again, or render it with "
            "'python -m coverdex.indexer.demo.render'"
        )
    return path
