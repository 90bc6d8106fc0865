"""Embeddings of simulated covers: vectors that lie as those of a real catalogue do.

An index is only as quick as its vectors let it be. Gaussian noise fills all 64 dimensions evenly
and defeats every approximate structure; synthetic clusters flatter an inverted file. So speed is
measured on what the shipped encoder makes of music: covers simulated from symbolic tables
(:mod:`coverdex.encoder.training.simulator`), 32 seconds each. Each work of the tables is also
played backwards, mirrored in pitch, and both, which makes other works of the same style of it:
2,440 works become 9,760. Covers of one work lie near each other, works of one style nearer than
others, and the directions that the encoder does not use stay empty.

Covers are drawn in blocks from ``(seed, block)``, so a catalogue's embeddings and the queries,
which come from blocks of their own, are of the same works and never the same cover. Blocks are
written one by one: making them takes minutes, and goes on where it stopped.

Where no tables are given the demo catalogue's 140 performances stand in
(:func:`demo_embeddings`); 140 vectors that are extended to a million are a poor likeness, and the
result says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ...encoder import Encoder
    from ...encoder.training.simulator import CoverSimulator

#: Covers per block; the least that an interruption costs.
BLOCK = 4_096
#: Covers that are simulated and embedded together: their arrays stay in the processor's caches.
_TOGETHER = 32
#: Length of a cover, in seconds.
SECONDS = 32.0
#: Share of the covers that start somewhere in the first six tenths of the work, not with it.
_ANCHORED = 0.3
#: Blocks of queries are numbered from here.
_QUERY_BLOCKS = 1_000_000


@dataclass(frozen=True, eq=False)
class RealEmbeddings:
    """Embeddings to measure on.

    Parameters
    ----------
    base : ndarray, shape (n, dimension), float32
        The catalogue.
    queries : ndarray, shape (n_queries, dimension), float32
        Not in it.
    source : str
        What they are of, in one line for the report.
    """

    base: NDArray[np.float32]
    queries: NDArray[np.float32]
    source: str


def simulated_embeddings(
    seeds: Sequence[Path],
    folder: Path,
    *,
    n: int,
    n_queries: int,
    encoder: Encoder,
    seconds: float = SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> RealEmbeddings:
    """Simulate covers and embed them, or read those that an earlier run has left.

    Parameters
    ----------
    seeds : sequence of Path
        Tables of symbolic music, see :mod:`coverdex.encoder.training.seeds`.
    folder : Path
        Keeps the blocks, ``base-00000.npy`` and so on.
    n, n_queries : int
        How many.
    encoder : Encoder
    seconds : float
        Length of a cover.
    progress : callable, optional
        ``progress(done, total)``, embeddings.
    """
    from ...encoder.training.corpus import RollCorpus
    from ...encoder.training.seeds import read_seeds
    from ...encoder.training.simulator import CoverSimulator, SimulatorConfig

    work = folder / f"embeddings-{encoder.id}-{seconds:g}s"
    work.mkdir(parents=True, exist_ok=True)
    wanted = [*_blocks(n, 0), *_blocks(n_queries, _QUERY_BLOCKS)]
    missing = [block for block, _ in wanted if not _path(work, block).exists()]
    if missing:
        config = SimulatorConfig(frame_rate=encoder.preprocessing.frame_rate)
        simulator = CoverSimulator(RollCorpus.from_versions(read_seeds(seeds)), config)
        for done, block in enumerate(missing):
            if progress is not None:
                progress(done * BLOCK, len(missing) * BLOCK)
            vectors = _simulated_block(simulator, encoder, block, seconds)
            partial = _path(work, block).with_suffix(".tmp.npy")
            np.save(partial, vectors)
            partial.rename(_path(work, block))
    base, queries = (
        np.concatenate([np.load(_path(work, block))[:size] for block, size in part])
        for part in (list(_blocks(n, 0)), list(_blocks(n_queries, _QUERY_BLOCKS)))
    )
    names = ", ".join(path.stem for path in seeds)
    source = f"{n:,} covers of {seconds:g} s, simulated from {names}, embedded by {encoder.id}"
    return RealEmbeddings(base, queries, source)


def demo_embeddings(encoder: Encoder, *, n_queries: int) -> RealEmbeddings:
    """Embed the demo catalogue; every seventh performance's copies, slightly moved, are queries."""
    from ...indexer import open_catalogue

    chromas = [chroma for _, chroma in open_catalogue("demo")]
    vectors = np.stack(list(encoder.embed_many(chromas)))
    asking = np.arange(len(vectors)) % 7 == 3
    rng = np.random.default_rng(5)
    moved = vectors[asking][rng.integers(0, int(asking.sum()), n_queries)]
    queries = unit(moved + 0.02 * rng.standard_normal(moved.shape).astype(np.float32))
    source = f"the demo catalogue's {int((~asking).sum())} performances, embedded by {encoder.id}"
    return RealEmbeddings(vectors[~asking], queries, source)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide each row by its length."""
    scaled: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def _blocks(n: int, first: int) -> Iterator[tuple[int, int]]:
    """Give the numbers of the blocks that hold ``n`` embeddings, and how many of each are used."""
    for start in range(0, n, BLOCK):
        yield first + start // BLOCK, min(BLOCK, n - start)


def _path(folder: Path, block: int) -> Path:
    kind = "queries" if block >= _QUERY_BLOCKS else "base"
    return folder / f"{kind}-{block % _QUERY_BLOCKS:05d}.npy"


def _simulated_block(
    simulator: CoverSimulator, encoder: Encoder, block: int, seconds: float
) -> NDArray[np.float32]:
    """Simulate and embed one block; each work is drawn as often as any other."""
    import torch

    from ...encoder.training.cover_batches import scale_tracks

    rng = np.random.default_rng([7, block])
    versions_of = simulator.corpus.versions_by_work()
    scaling, exponent = encoder.preprocessing.scaling, encoder.preprocessing.exponent
    n_frames = max(1, round(seconds * simulator.config.frame_rate))
    vectors = []
    with torch.inference_mode():
        for _ in range(0, BLOCK, _TOGETHER):
            works = rng.integers(0, simulator.corpus.n_works, _TOGETHER)
            versions = np.array([rng.choice(versions_of[work]) for work in works])
            anchored = np.where(rng.random(_TOGETHER) < _ANCHORED, rng.random(_TOGETHER), 0.0)
            turned = rng.random((2, _TOGETHER)) < 0.5  # backwards; mirrored
            views, n_valid = simulator.views(
                versions, n_frames, rng, anchors=0.6 * anchored, flags=turned
            )
            scaled = scale_tracks(views, n_valid, scaling, exponent)
            vectors.append(encoder.network(scaled, n_valid).numpy())
    return np.concatenate(vectors)
