"""A catalogue: many performances, each with a record and its chroma.

Catalogues come as a folder in the layout of Da-TACOS (:mod:`.datacos_catalogue`) or as one Parquet
file (:mod:`.parquet_catalogue`); :func:`open_catalogue` tells which. Opening one reads metadata and
names, never the chroma: it is read performance by performance as the catalogue is iterated, so a
catalogue may be far larger than memory.

What is wrong with a performance never stops the others: it becomes a
:class:`~coverdex.indexer.Rejection` in ``rejections``, which is complete once the catalogue has
been iterated to its end.

To read with several processes, :meth:`Catalogue.parts` cuts a catalogue into parts that can be sent
to another process and read there. The cut depends on the catalogue alone, not on the machine, so
that a build that was interrupted finds the same parts again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ..encoder.chroma import Chroma, ChromaKind
from ..encoder.errors import CoverdexError, NotFoundError
from .performance import PerformanceRecord
from .rejection import Rejection

#: The name that opens the demo catalogue.
DEMO = "demo"


class CataloguePart(Protocol):
    """Some performances of a catalogue; can be pickled, so that another process can read it."""

    def __len__(self) -> int:
        """How many performances it holds."""
        ...

    def read(self) -> Iterator[tuple[PerformanceRecord, Chroma] | Rejection]:
        """Yield record and chroma of each performance, or why it is rejected."""
        ...


class Catalogue(Protocol):
    """What every catalogue offers."""

    #: Where it came from, for the manifest of an index.
    source: str
    #: The kind of chroma that it yields.
    kind: ChromaKind
    #: Metadata of every performance that has a feature, sorted by performance id.
    performances: Sequence[PerformanceRecord]
    #: What is wrong with the rest; complete after an iteration.
    rejections: list[Rejection]

    def __len__(self) -> int:
        """How many performances are to be read."""
        ...

    def __iter__(self) -> Iterator[tuple[PerformanceRecord, Chroma]]:
        """Read chroma one performance at a time."""
        ...

    def parts(self) -> Sequence[CataloguePart]:
        """Cut the catalogue into parts for reading processes, in a fixed order."""
        ...


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
        A folder in the layout of Da-TACOS (its root or one feature folder), a Parquet file of
        chroma, or ``"demo"`` for the catalogue that Coverdex ships.
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
        If what is there is no catalogue, or holds no chroma of this kind.
    """
    try:
        kind = ChromaKind(kind)
    except ValueError:
        raise CoverdexError(
            f"chroma kind is {kind!r}; give one of {', '.join(ChromaKind)}"
        ) from None
    if str(path) == DEMO and not Path(DEMO).exists():
        path = demo_catalogue_path()
    path = Path(path)
    if path.is_dir():
        from .datacos_catalogue import DatacosCatalogue

        return DatacosCatalogue(path, kind=kind, subset=subset, metadata=metadata)
    if not path.exists():
        raise NotFoundError(
            f"no catalogue at {path}; give a Da-TACOS folder, a Parquet file of chroma, or 'demo'"
        )
    if subset is not None or metadata is not None:
        raise CoverdexError(f"{path} is a file; subset and metadata are for Da-TACOS folders")
    from .parquet_catalogue import ParquetCatalogue

    return ParquetCatalogue(path, kind=kind)


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
