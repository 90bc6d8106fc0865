"""Embedding a catalogue: chroma in, a folder of embedding shards out, from where it stopped.

A catalogue is planned as shards of about 512 performances, by a rule that looks at the catalogue
alone; so every run, on any machine, with any number of reading processes, makes the same plan. A
shard is embedded as one stream of its own, so its bytes depend on its performances and the encoder
and on nothing else, such as what was done before an interruption.

A shard that is already there is kept if its fingerprint is right: same encoder, same files of the
same size and time of change, same metadata. Otherwise it is made again.

Memory
------
What is held is independent of the catalogue's length, apart from its list of files and records
(about 5 kB per performance of a Da-TACOS folder): the encoder and its working memory (a group of
at most 256 tracks or 96 MB, see :meth:`coverdex.encoder.Encoder.embed_many`), one shard of results
(under 1 MB), and about 256 prepared tracks on their way from the reading processes, 160 kB each for
five minutes of music at 11 frames per second. ``docs/bulk-indexing.md`` has measurements.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ..encoder.encoder import Encoder, PreparedChroma
from ..encoder.errors import CoverdexError, IncompatibleError
from ..search.manifest import MANIFEST_NAME
from .catalogue import Catalogue, CataloguePart
from .embedding_shards import (
    FINGERPRINT_KEY,
    ShardPlan,
    read_shard_header,
    shard_name,
    write_shard,
)
from .file_names import check_is_text
from .only_writer import only_writer
from .preparation import Prepared, PreparedPerformance, beside_readers, prepared_parts
from .rejection import Rejection

#: Vectors that the encoder gives at once.
GROUP = 256

#: Shards of a catalogue that has become shorter make way, unless it lost this share of them.
MOST_LOST = 0.9

#: Called with how many performances are done and how many there are in all.
ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class EmbeddingReport:
    """What embedding a catalogue came to.

    Parameters
    ----------
    folder : pathlib.Path
        Where the shards lie.
    shards : tuple of pathlib.Path
        All shards of this run's share of the catalogue, in order.
    n_embedded : int
        Performances in those shards.
    n_kept : int
        Of these, how many were there already.
    rejections : tuple of Rejection
        What could not be embedded, those that opening the catalogue found included.
    """

    folder: Path
    shards: tuple[Path, ...]
    n_embedded: int
    n_kept: int
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True)
class _PlannedShard:
    path: Path
    parts: tuple[CataloguePart, ...]
    fingerprint: str
    contents: str

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def is_there(self) -> bool:
        try:
            return read_shard_header(self.path).fingerprint == self.fingerprint
        except CoverdexError:  # absent, or damaged: make it again
            return False


def embed_catalogue(
    catalogue: Catalogue,
    folder: str | Path,
    *,
    encoder: Encoder,
    workers: int = 0,
    shard_size: int | None = None,
    share: tuple[int, int] = (1, 1),
    progress: ProgressCallback | None = None,
) -> EmbeddingReport:
    """Embed a catalogue into shards, going on where an earlier run stopped.

    Parameters
    ----------
    catalogue : Catalogue
    folder : path-like
        Where the shards go; made if need be, and held with :func:`only_writer`.
    encoder : Encoder
        Of the catalogue's kind of chroma.
    workers : int, default 0
        Reading processes beside this one; see
        :func:`~coverdex.indexer.preparation.prepared_parts`.
    shard_size : int, optional
        Least performances per shard (but for the last); by default 512, and 64 of sound files.
    share : (int, int), default (1, 1)
        ``(i, n)``: make every n-th shard only, beginning with the i-th, so that n machines share
        the work.
    progress : callable, optional
        ``progress(done, total)``, performances that are embedded or rejected.

    Raises
    ------
    IncompatibleError
        If the encoder reads another kind of chroma.
    CoverdexError
        If another process writes there, if a reading process is killed, if shards of unknown
        origin or of other performances lie in the folder, if it is an index, or if its name is not
        UTF-8.
    """
    check_is_text(folder)
    if (Path(folder) / MANIFEST_NAME).is_file():
        raise CoverdexError(f"{folder} is an index; give the shards a folder of their own")
    with only_writer(Path(folder), share):
        return embed_into(
            catalogue,
            Path(folder),
            encoder=encoder,
            workers=workers,
            shard_size=shard_size,
            share=share,
            progress=progress,
            keep_others=True,
        )


def embed_into(
    catalogue: Catalogue,
    folder: Path,
    *,
    encoder: Encoder,
    workers: int,
    shard_size: int | None,
    share: tuple[int, int] = (1, 1),
    progress: ProgressCallback | None,
    keep_others: bool = False,
) -> EmbeddingReport:
    """Do what :func:`embed_catalogue` does, in a folder that the caller holds.

    Shards of other performances make way, unless the caller wants them kept: then they are refused.
    """
    if encoder.kind is not catalogue.kind:
        raise IncompatibleError(
            f"the catalogue gives {catalogue.kind} and encoder {encoder.name} reads "
            f"{encoder.kind}; open the catalogue with kind={str(encoder.kind)!r}"
        )
    position, n_shares = share
    if shard_size is None:
        shard_size = catalogue.shard_size
    plan = _plan(catalogue.parts(), folder, encoder, shard_size)
    if keep_others:
        _refuse_shards_of_others(folder, plan, catalogue)
    ShardPlan(
        source=catalogue.source,
        encoder_id=encoder.id,
        n_shards=len(plan),
        rejections=catalogue.found_when_opened,
        contents=tuple(shard.contents for shard in plan),
    ).write(folder)
    if n_shares == 1:
        _remove_leftovers(folder, keep=plan)
    plan = plan[position - 1 :: n_shares]
    kept = [shard for shard in plan if shard.is_there()]
    there = {shard.path for shard in kept}
    missing = [shard for shard in plan if shard.path not in there]
    total, done = sum(map(len, plan)), sum(map(len, kept))
    if progress is not None:
        progress(done, total)
    parts = (part for shard in missing for part in shard.parts)
    with (
        beside_readers(workers, encoder),
        closing(prepared_parts(parts, encoder.preprocessing, workers=workers)) as prepared,
    ):
        for shard in missing:
            done += _embed_shard(shard, prepared, encoder, progress, done, total)
    headers = [read_shard_header(shard.path) for shard in plan]
    return EmbeddingReport(
        folder=folder,
        shards=tuple(shard.path for shard in plan),
        n_embedded=sum(header.n_rows for header in headers),
        n_kept=sum(h.n_rows for shard, h in zip(plan, headers, strict=True) if shard.path in there),
        rejections=(
            *catalogue.found_when_opened,
            *(rejection for header in headers for rejection in header.rejections),
        ),
    )


def _plan(
    parts: Sequence[CataloguePart], folder: Path, encoder: Encoder, shard_size: int
) -> list[_PlannedShard]:
    """Cut the parts into shards of at least ``shard_size`` performances, in their order."""
    shards: list[_PlannedShard] = []
    waiting: list[CataloguePart] = []
    for number, part in enumerate(parts, start=1):
        waiting.append(part)
        if sum(map(len, waiting)) >= shard_size or number == len(parts):
            path = folder / shard_name(len(shards))
            fingerprint = _joint(encoder, (member.fingerprint() for member in waiting))
            contents = _joint(encoder, (member.contents() for member in waiting))
            shards.append(_PlannedShard(path, tuple(waiting), fingerprint, contents))
            waiting = []
    return shards


def _joint(encoder: Encoder, digests: Iterable[str]) -> str:
    """Make one digest of an encoder and of those of parts."""
    digest = hashlib.sha256(encoder.id.encode())
    for each in digests:
        digest.update(each.encode())
    return digest.hexdigest()


def _embed_shard(
    shard: _PlannedShard,
    prepared: Iterator[list[Prepared]],
    encoder: Encoder,
    progress: ProgressCallback | None,
    done: int,
    total: int,
) -> int:
    """Embed one shard and write it; return how many performances it took care of."""
    taken: list[PreparedPerformance] = []
    rejections: list[Rejection] = []
    n_seen = 0

    def stream() -> Iterator[PreparedChroma]:
        nonlocal n_seen
        for part in islice(prepared, len(shard.parts)):
            for outcome in part:
                n_seen += 1
                if isinstance(outcome, Rejection):
                    rejections.append(outcome)
                else:
                    taken.append(outcome.without_values())
                    yield PreparedChroma(outcome.values)

    vectors = []
    for vector in encoder.embed_many(stream()):
        vectors.append(vector)
        # The encoder gives vectors by the group: a report inside one would have a rate of its own.
        if progress is not None and len(vectors) % GROUP == 0:
            progress(done + len(vectors) + len(rejections), total)
    write_shard(
        shard.path,
        records=[performance.record for performance in taken],
        embeddings=np.array(vectors, dtype=np.float32).reshape(-1, encoder.dimension),
        durations=[performance.duration for performance in taken],
        frame_rates=[performance.frame_rate for performance in taken],
        rejections=rejections,
        encoder_id=encoder.id,
        encoder_name=encoder.name,
        fingerprint=shard.fingerprint,
        contents=shard.contents,
    )
    if progress is not None:
        progress(done + n_seen, total)
    return n_seen


def _refuse_shards_of_others(
    folder: Path, plan: Sequence[_PlannedShard], catalogue: Catalogue
) -> None:
    """Refuse a folder whose shards would be lost, and next to nothing of them made again.

    That is so if none is of a part of this catalogue, and hardly any of their performances is one
    of its: three files of a catalogue are not to take the place of all its shards. Shards of an
    earlier state of it, or by another encoder, make way.
    """
    contents = {shard.contents for shard in plan}
    ids: set[str] = set()
    for path in sorted(folder.glob("shard-*.parquet")):
        try:
            header = read_shard_header(path)
        except CoverdexError:  # damaged: nothing to lose
            continue
        if header.contents in contents:
            return
        if header.fingerprint is not None:
            ids.update(pq.read_table(path, columns=["performance_id"])[0].to_pylist())
    lost = ids.difference(catalogue.performance_ids())
    if lost and len(lost) >= MOST_LOST * len(ids):
        raise CoverdexError(
            f"{folder} holds embeddings of {len(lost)} other performances, such as {min(lost)}, "
            "and they would be lost; give another folder, or name all that is to be in this one at "
            "once"
        )


def _remove_leftovers(folder: Path, *, keep: Sequence[_PlannedShard]) -> None:
    """Remove shards of an earlier, longer catalogue, and files that a killed run left half."""
    for path in folder.glob(".shard-*.parquet.tmp"):
        path.unlink()
    planned = {shard.path for shard in keep}
    for path in set(folder.glob("shard-*.parquet")) - planned:
        header = read_shard_header(path)
        if header.fingerprint is None:
            raise CoverdexError(
                f"{path} was not made by Coverdex and would be mixed with this catalogue's shards; "
                f"move it away (it lacks {FINGERPRINT_KEY.decode()!r})"
            )
        path.unlink()
