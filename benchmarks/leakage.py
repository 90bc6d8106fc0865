"""Leakage: what an encoder may have seen in training of the catalogue that it is evaluated on.

An encoder that was trained on a work knows its covers; its figures on that work say nothing about
other works. Between a *training list* and the evaluated catalogue this looks for

* the same work ids and the same performance ids,
* the same recordings under other ids: chroma that is equal to the last bit, and, where an encoder
  is at hand, embeddings that nearly agree,
* works under the same name: titles with the same words once remarks ("live", "remix") are gone.

Within the catalogue it looks for recordings that are in it twice, by their chroma and by embeddings
that nearly agree, and for one title under several works, which is how cliques that belong together
show. Ids mean something only within one source of ids; names and recordings always do.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..encoder.errors import CoverdexError, NotFoundError
from .titles import without_remarks

if TYPE_CHECKING:
    from ..encoder import Chroma
    from ..indexer import PerformanceRecord
    from .similarity import SimilaritySource

    Embed = Callable[[Chroma], NDArray[np.float32] | None]

#: Embeddings that agree to this cosine are taken for one recording.
NEAR_DUPLICATE = 0.999
#: Titles of one word this short are too common to mean anything.
_SHORTEST_TITLE = 3
_BLOCK = 256


@dataclass(frozen=True)
class Known:
    """One performance of a training list or a catalogue, as far as it is known.

    Parameters
    ----------
    performance_id, work_id, title : str or None
    digest : str or None
        Of its chroma (:func:`chroma_digest`).
    embedding : array, shape (dimension,), or None
        Of length 1.
    """

    performance_id: str | None = None
    work_id: str | None = None
    title: str | None = None
    digest: str | None = None
    embedding: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, record: PerformanceRecord, chroma: Chroma, embed: Embed | None = None) -> Known:
        """Make one of what a catalogue gives; ``embed`` may return None (silence)."""
        embedding = None if embed is None else embed(chroma)
        digest = chroma_digest(chroma)
        return cls(record.performance_id, record.work_id, record.title, digest, embedding)


@dataclass(frozen=True)
class Leakage:
    """What was found; each list sorted.

    Parameters
    ----------
    training : str or None
        The training list, None if none was given: then nothing about training is known.
    n_training : int
        Its performances.
    shared_works, shared_performances : list of str
        Ids on both sides.
    shared_recordings : list of (str, str)
        Performance of the training list and of the catalogue with equal chroma.
    shared_embeddings : list of (str, str, float)
        Performance of the training list and of the catalogue, and the cosine of their embeddings,
        at least 0.999.
    shared_titles : list of str
        Titles, without remarks, on both sides.
    duplicates : list of (str, str)
        Performances of the catalogue with equal chroma.
    near_duplicates : list of (str, str, float)
        Performances of the catalogue whose embeddings have at least this cosine.
    titles_of_several_works : list of (str, list of str)
        Title without remarks, and the works of the catalogue that bear it.
    """

    training: str | None = None
    n_training: int = 0
    shared_works: list[str] = field(default_factory=list)
    shared_performances: list[str] = field(default_factory=list)
    shared_recordings: list[tuple[str, str]] = field(default_factory=list)
    shared_embeddings: list[tuple[str, str, float]] = field(default_factory=list)
    shared_titles: list[str] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    near_duplicates: list[tuple[str, str, float]] = field(default_factory=list)
    titles_of_several_works: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """One line."""
        if self.training is None:
            return "no training list was given: whether the encoder knows these works is unknown"
        found = {
            "works": len(self.shared_works),
            "performances": len(self.shared_performances),
            "recordings": len(self.shared_recordings),
            "near-duplicate recordings": len(self.shared_embeddings),
            "titles": len(self.shared_titles),
        }
        named = [f"{count:,} {what}" for what, count in found.items() if count]
        return (
            f"shared with training: {', '.join(named)}"
            if named
            else "nothing shared with the training list was found"
        )

    def summary(self) -> dict[str, Any]:
        """Give all for JSON."""
        return {"verdict": self.verdict, **asdict(self)}


def check_leakage(
    catalogue: Sequence[Known],
    training: Sequence[Known] | None = None,
    *,
    training_name: str | None = None,
    near_duplicates: Iterable[tuple[str, str, float]] = (),
) -> Leakage:
    """Compare a catalogue with a training list and with itself.

    Parameters
    ----------
    catalogue, training : sequences of Known
    training_name : str, optional
        Where the training list came from.
    near_duplicates : iterable
        From :func:`near_duplicates_of`.
    """
    seen = training or ()
    ours, theirs = _by_digest(catalogue), _by_digest(seen)
    return Leakage(
        training=None if training is None else training_name or "given",
        n_training=len(seen),
        shared_works=_shared(catalogue, seen, "work_id"),
        shared_performances=_shared(catalogue, seen, "performance_id"),
        shared_recordings=sorted(
            (there, here)
            for digest in ours.keys() & theirs.keys()
            for there in theirs[digest]
            for here in ours[digest]
        ),
        shared_embeddings=_embedded_alike(seen, catalogue),
        shared_titles=sorted(_by_title(catalogue).keys() & _by_title(seen).keys()),
        duplicates=sorted(
            (names[i], other)
            for names in map(sorted, ours.values())
            for i in range(len(names))
            for other in names[i + 1 :]
        ),
        near_duplicates=sorted(near_duplicates),
        titles_of_several_works=sorted(
            (title, sorted(works))
            for title, works in _by_title(catalogue).items()
            if len(works) > 1
        ),
    )


def chroma_digest(chroma: Chroma) -> str:
    """SHA-256, in hex, of the values (float32, little-endian) and the frame rate of a chroma."""
    digest = hashlib.sha256(f"{chroma.kind} {chroma.frame_rate!r} ".encode())
    digest.update(np.ascontiguousarray(chroma.values, dtype="<f4").tobytes())
    return digest.hexdigest()


def near_duplicates_among(known: Sequence[Known]) -> list[tuple[str, str, float]]:
    """Find pairs with nearly the same embedding among those that have one."""
    from .similarity import EmbeddingSimilarity

    embedded = [(k.performance_id or "?", k.embedding) for k in known if k.embedding is not None]
    if not embedded:
        return []
    source = EmbeddingSimilarity(np.stack([embedding for _, embedding in embedded]))
    return near_duplicates_of(source, [name for name, _ in embedded])


def near_duplicates_of(
    source: SimilaritySource, performances: Sequence[str], *, threshold: float = NEAR_DUPLICATE
) -> list[tuple[str, str, float]]:
    """Find pairs of performances whose similarity reaches ``threshold``."""
    found = []
    for start in range(0, source.n, _BLOCK):
        which = np.arange(start, min(start + _BLOCK, source.n))
        block = source.rows(which)
        rows, columns = np.nonzero(block >= threshold)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if start + row < column:
                pair = sorted((performances[start + row], performances[column]))
                found.append((pair[0], pair[1], float(block[row, column])))
    return found


def read_training_list(path: str | Path, *, embed: Embed | None = None) -> list[Known]:
    """Read what an encoder was trained on.

    Parameters
    ----------
    path : path-like
        A Parquet or CSV file with a column ``work_id`` and, as far as known, ``performance_id`` (or
        ``version_id``, ``track_id``) and ``title``; or a catalogue, whose chroma is then compared
        too.
    embed : callable, optional
        From chroma to an embedding, for catalogues.

    Raises
    ------
    NotFoundError
        If there is nothing at ``path``.
    CoverdexError
        If it has no column ``work_id``.
    """
    at = Path(path)
    if str(path) != "demo" and not at.exists():
        raise NotFoundError(f"no training list at {path}")
    if at.suffix not in {".csv", ".parquet"} or _has_chroma(at):
        from ..indexer import open_catalogue

        return [Known.of(record, chroma, embed) for record, chroma in open_catalogue(path)]
    return [_known(row) for row in _rows(at)]


def _has_chroma(path: Path) -> bool:
    import pyarrow.parquet as pq

    return path.suffix == ".parquet" and "chroma" in pq.read_schema(path).names


def _rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow.csv
    import pyarrow.parquet as pq

    wanted = ("work_id", "performance_id", "version_id", "track_id", "title")
    if path.suffix == ".csv":
        table = pyarrow.csv.read_csv(path)
    else:
        names = pq.read_schema(path).names
        table = pq.read_table(path, columns=[name for name in wanted if name in names])
    if "work_id" not in table.column_names:
        raise CoverdexError(f"training list {path} has no column work_id; add it")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _known(row: Mapping[str, Any]) -> Known:
    ids = (row.get(name) for name in ("performance_id", "version_id", "track_id"))
    own = next((str(value) for value in ids if value is not None), None)
    return Known(own, str(row["work_id"]), row.get("title"))


def _embedded_alike(
    training: Sequence[Known], catalogue: Sequence[Known]
) -> list[tuple[str, str, float]]:
    there = [k for k in training if k.embedding is not None]
    here = [k for k in catalogue if k.embedding is not None]
    if not there or not here:
        return []
    ours = np.stack([k.embedding for k in here if k.embedding is not None])
    found = []
    for known in there:
        assert known.embedding is not None
        cosines = ours @ known.embedding
        for at in np.flatnonzero(cosines >= NEAR_DUPLICATE).tolist():
            pair = (known.performance_id or "?", here[at].performance_id or "?")
            found.append((*pair, float(cosines[at])))
    return sorted(found)


def _shared(one: Sequence[Known], other: Sequence[Known], name: str) -> list[str]:
    return sorted(
        ({getattr(k, name) for k in one} & {getattr(k, name) for k in other}) - {None, ""}
    )


def _by_digest(known: Sequence[Known]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for one in known:
        if one.digest:
            grouped[one.digest].append(one.performance_id or "?")
    return grouped


def _by_title(known: Sequence[Known]) -> dict[str, set[str]]:
    grouped: dict[str, set[str]] = defaultdict(set)
    for one in known:
        title = without_remarks(one.title or "")
        if len(title) >= _SHORTEST_TITLE:
            grouped[title].add(one.work_id or one.performance_id or "?")
    return grouped
