"""Building an index: a catalogue, or shards embedded elsewhere, becomes one index folder.

Two steps that can be taken on different machines:

1. *Embedding* (:mod:`.embedding`) fills a work folder beside the target, ``my.index.building``,
   with shards. A build that is killed leaves the folder, and the next one goes on there.
2. *Assembly* puts the shards together, sorts them by performance id and writes the index
   (:func:`coverdex.search.write_index`), which appears complete or not at all. Then the work folder
   is removed.

The same catalogue and encoder give the same index, byte for byte, however often the build was
interrupted and in whatever order the files lie. The exceptions are in the manifest: the time of
creation, which too is fixed where the environment sets ``SOURCE_DATE_EPOCH`` (seconds since 1970,
see https://reproducible-builds.org/specs/source-date-epoch/), and the speed that is measured where
the index is an approximate one.

What could not be indexed is in the rejection report beside the index (:mod:`.rejection`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..encoder.encoder import Encoder
from ..encoder.errors import CoverdexError
from ..search.manifest import Manifest
from ..search.writer import check_target, write_index
from .catalogue import Catalogue, open_catalogue
from .embedding import ProgressCallback, embed_into
from .embedding_shards import ShardPlan
from .index_options import IndexOptions, time_to_claim
from .rejection import Rejection, rejection_report_path, summarise_rejections, write_rejections
from .shard_reading import ShardContents, read_shards, read_shards_at
from .target_folder import check_name, only_maker


class RejectedError(CoverdexError):
    """A strict build that met something it could not index.

    Parameters
    ----------
    message : str
        How many and why, and where the report is.
    rejections : tuple of Rejection
    """

    def __init__(self, message: str, rejections: tuple[Rejection, ...]) -> None:
        super().__init__(message)
        self.rejections = rejections


@dataclass(frozen=True)
class BuildReport:
    """What a build came to.

    Parameters
    ----------
    index : pathlib.Path
    n_indexed : int
        Performances in the index.
    n_kept : int
        Of these, how many embeddings an earlier, interrupted build had left.
    rejections : tuple of Rejection
        What is not in it.
    rejection_report : pathlib.Path
        The same as a file.
    manifest : Manifest
        Of the index.
    seconds : float
        From start to end.
    """

    index: Path
    n_indexed: int
    n_kept: int
    rejections: tuple[Rejection, ...]
    rejection_report: Path
    manifest: Manifest
    seconds: float

    def as_document(self) -> dict[str, Any]:
        """Return the report as plain values, for ``--json``."""
        return {
            "index": str(self.index),
            "n_indexed": self.n_indexed,
            "n_kept": self.n_kept,
            "n_rejected": len(self.rejections),
            "rejections": [asdict(rejection) for rejection in self.rejections],
            "rejection_report": str(self.rejection_report),
            "encoder_id": self.manifest.encoder_id,
            "factory": self.manifest.factory,
            "seconds": round(self.seconds, 3),
        }


def build_index(
    catalogue: Catalogue | str | Path,
    out: str | Path,
    *,
    encoder: Encoder | str | Path | None = None,
    workers: int = 0,
    shard_size: int | None = None,
    progress: ProgressCallback | None = None,
    **options: Any,
) -> BuildReport:
    """Embed a catalogue and write its index.

    Parameters
    ----------
    catalogue : Catalogue or path-like or "demo"
        What to index; a path is opened by :func:`~coverdex.indexer.open_catalogue` for the
        encoder's kind of chroma.
    out : path-like
        The index folder. A work folder ``<out>.building`` and the report
        ``<out>.rejected.parquet`` lie beside it.
    encoder : Encoder or str or path-like, optional
        An encoder, or what :meth:`coverdex.encoder.Encoder.load` takes; by default the shipped one.
    workers : int, default 0
        Reading processes beside this one; 0 reads in this process.
    shard_size : int, optional
        Performances that an interruption can cost; by default 512, and 64 of sound files.
    progress : callable, optional
        ``progress(done, total)``.
    **options
        ``strict``, ``overwrite``, ``factory``, ``memory`` and ``recall``, see
        :class:`IndexOptions`.

    Raises
    ------
    RejectedError
        If ``strict`` and something was rejected. The embeddings wait in the work folder for the
        next build.
    IndexExistsError
        If something lies at ``out`` and may not be replaced.
    IndexFormatError, IndexPlanError
        If FAISS does not know the factory string, or the recall is no share.
    CoverdexError
        If nothing is left to index, or ``out`` has no name that can be written down.
    """
    started = time.monotonic()
    out, wanted = Path(out), IndexOptions(**options)
    check_name(out)
    check_target(out, overwrite=wanted.overwrite)
    created = time_to_claim()
    if not isinstance(encoder, Encoder):
        encoder = Encoder.load(encoder)
    wanted.check(encoder.dimension)
    if not isinstance(catalogue, Catalogue):
        catalogue = open_catalogue(catalogue, kind=encoder.kind)
    with only_maker(out) as work_folder:
        if not len(catalogue):
            found = catalogue.found_when_opened
            _report_rejections(out, found, wanted)
            raise _nothing_to_index(out, found, f"the catalogue {catalogue.source}")
        embedded = embed_into(
            catalogue,
            work_folder,
            encoder=encoder,
            workers=workers,
            shard_size=shard_size,
            progress=progress,
        )
        contents = read_shards(embedded.shards, encoder_id=encoder.id, encoder_name=encoder.name)
        contents.rejections[:0] = catalogue.found_when_opened
        report = _assemble(
            contents,
            out,
            wanted,
            given=f"the catalogue {catalogue.source}",
            source={"catalogue": catalogue.source, "kind": str(catalogue.kind)},
            n_kept=embedded.n_kept,
            created=created,
            started=started,
        )
        shutil.rmtree(work_folder)
    return report


def build_index_from_shards(
    path: str | Path,
    out: str | Path,
    *,
    encoder_id: str | None = None,
    encoder_name: str | None = None,
    **options: Any,
) -> BuildReport:
    """Write an index from embeddings that were made before or elsewhere.

    Parameters
    ----------
    path : path-like
        A folder of shards or one Parquet file; :mod:`.embedding_shards` describes them.
    out : path-like
        The index folder.
    encoder_id, encoder_name : str, optional
        Who made them, where they do not say.
    **options
        As for :func:`build_index`.

    Raises
    ------
    NotFoundError
        If there is nothing at ``path``.
    CoverdexError
        If shards are missing or damaged, or of different encoders, or another process is writing
        the index.
    """
    started = time.monotonic()
    path, out, wanted = Path(path), Path(out), IndexOptions(**options)
    check_name(out)
    check_target(out, overwrite=wanted.overwrite)
    created = time_to_claim()
    contents = read_shards_at(path, encoder_id=encoder_id, encoder_name=encoder_name)
    plan = ShardPlan.read(path)
    source = {"shards": str(path), **({"catalogue": plan.source} if plan else {})}
    with only_maker(out):
        return _assemble(
            contents,
            out,
            wanted,
            given=str(path),
            source=source,
            n_kept=len(contents.embeddings),
            created=created,
            started=started,
        )


def _assemble(
    contents: ShardContents,
    out: Path,
    wanted: IndexOptions,
    *,
    given: str,
    source: Mapping[str, Any],
    n_kept: int,
    created: str | None,
    started: float,
) -> BuildReport:
    rejections = tuple(contents.rejections)
    report_path = _report_rejections(out, rejections, wanted)
    if not len(contents.embeddings):
        raise _nothing_to_index(out, rejections, given)
    manifest = write_index(
        out,
        embeddings=contents.embeddings,
        performances=contents.performances,
        encoder_id=contents.encoder_id,
        encoder_name=contents.encoder_name,
        source=source,
        factory=wanted.factory,
        memory=wanted.memory,
        recall=wanted.recall,
        overwrite=wanted.overwrite,
        created=created,
    )
    return BuildReport(
        index=out,
        n_indexed=len(contents.embeddings),
        n_kept=n_kept,
        rejections=rejections,
        rejection_report=report_path,
        manifest=manifest,
        seconds=time.monotonic() - started,
    )


def _report_rejections(out: Path, rejections: tuple[Rejection, ...], wanted: IndexOptions) -> Path:
    """Write the rejection report; end a strict build if there is something in it."""
    report_path = write_rejections(rejection_report_path(out), rejections)
    if wanted.strict and rejections:
        said = summarise_rejections(rejections)
        raise RejectedError(
            f"{said}, and the build is strict: no index written; {report_path} lists them",
            rejections,
        )
    return report_path


def _nothing_to_index(out: Path, rejections: Sequence[Rejection], given: str) -> CoverdexError:
    if not rejections:
        return CoverdexError(f"nothing to index: {given} is empty; give one with performances")
    return CoverdexError(
        f"nothing to index: {summarise_rejections(rejections)}; {rejection_report_path(out)} lists "
        "them"
    )
