"""A run of the speed benchmark: its sizes, the vectors that its parts share, and the parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...encoder.errors import NotFoundError
from .contender import Contender
from .data import USUAL_SEEDS, described, extended_path, extended_vectors, real_embeddings
from .part_result import Column, PartResult
from .simulated_embeddings import RealEmbeddings


@dataclass(frozen=True)
class SpeedRun:
    """See the module; each part is a method of its name.

    Parameters
    ----------
    work : Path
        Keeps vectors and indexes.
    seeds : Path or None
        Folder of symbolic music; where it usually lies if None.
    n_real, n_queries : int
        Covers that are simulated and embedded, and further ones that ask.
    sizes, approximate_sizes, edit_sizes, build_sizes : tuple of int
        Of the parts; ``batch`` takes the last of ``sizes``.
    n_long : int
        Performances of realistic length of the part ``build``.
    encoder : str or None
    contenders : tuple of str
        Names of the part ``approximate``, built however long it takes; if empty all whose builds
        do not take hours.
    threads : int
        Of the part ``batch``.
    rounds : int or None
        Of each measurement; each part's own if None.

    Raises
    ------
    NotFoundError
        If there is no contender of a name; said before hours are spent on vectors.
    """

    work: Path
    seeds: Path | None
    n_real: int
    n_queries: int
    sizes: tuple[int, ...]
    approximate_sizes: tuple[int, ...]
    edit_sizes: tuple[int, ...]
    build_sizes: tuple[int, ...]
    n_long: int
    encoder: str | None
    contenders: tuple[str, ...]
    threads: int
    rounds: int | None

    def __post_init__(self) -> None:
        if self.contenders:
            self._contenders()

    @cached_property
    def data(self) -> RealEmbeddings:
        """The real embeddings and the queries."""
        from ...encoder import Encoder

        seeds = self.seeds or (USUAL_SEEDS if USUAL_SEEDS.is_dir() else None)
        encoder = Encoder.load(self.encoder)
        return real_embeddings(
            seeds, self.work, n=self.n_real, n_queries=self.n_queries, encoder=encoder
        )

    def prepare(self, parts: Sequence[str]) -> None:
        """Make what the parts need."""
        from .approximate import prepare_approximate
        from .build import prepare_build
        from .measured_index import measured_index

        if "build" in parts:
            prepare_build(self.work, n_realistic=self.n_long, sizes=self.build_sizes)
        flat = {*self.sizes} if {"query", "batch"} & {*parts} else set()
        flat |= {*self.edit_sizes} if "edit" in parts else set()
        for n in sorted(flat):
            vectors = extended_vectors(self.data, n, self.work)
            measured_index(vectors, self.work / f"flat-{n}.index")
        if "approximate" in parts:
            for n in self.approximate_sizes:
                path = extended_path(self.data, n, self.work)
                prepare_approximate(
                    path,
                    self.data.queries,
                    self.work,
                    contenders=self._contenders(),
                    patient=bool(self.contenders),
                )

    def query(self) -> PartResult:
        """Measure one exact query."""
        from .query import measure_query

        vectors = extended_vectors(self.data, max(self.sizes), self.work)
        source = described(self.data, self.sizes)
        return measure_query(
            vectors, self.data, self.work, sizes=self.sizes, rounds=self.rounds, source=source
        )

    def batch(self) -> PartResult:
        """Measure a batch of exact queries."""
        from .batch import measure_batch

        vectors = extended_vectors(self.data, self.sizes[-1], self.work)
        return measure_batch(
            vectors,
            self.data,
            self.work,
            n_queries=self.n_queries,
            threads=self.threads,
            rounds=self.rounds or 3,
            source=described(self.data, self.sizes[-1:]),
        )

    def approximate(self) -> PartResult:
        """Measure programs for approximate search."""
        from .approximate import measure_approximate

        return measure_approximate(
            [extended_path(self.data, n, self.work) for n in self.approximate_sizes],
            self.data.queries,
            self.work,
            source=described(self.data, self.approximate_sizes),
            contenders=self._contenders(),
            patient=bool(self.contenders),
            rounds=self.rounds or 5,
        )

    def likeness(self) -> PartResult:
        """Compare extended embeddings with real ones."""
        from .likeness import PROBES, likeness

        return PartResult(
            part="likeness",
            title="Recall@10 against lists visited, real and extended embeddings",
            settings={"source": self.data.source},
            columns=(
                Column("vectors", "vectors"),
                Column("n", "number", ",d"),
                Column("nearest", "a query's nearest, distance", ".3f"),
                *(Column(f"recall_at_{probe}", f"{probe} lists", ".3f") for probe in PROBES),
            ),
            rows=likeness(self.data.base, self.data.queries),
            notes=("an inverted file of float32 vectors, one list per 64; real queries",),
        )

    def build(self) -> PartResult:
        """Measure builds."""
        from .build import measure_build

        return measure_build(
            self.work, n_realistic=self.n_long, sizes=self.build_sizes, encoder=self.encoder
        )

    def edit(self) -> PartResult:
        """Measure changes."""
        from .edit import measure_edit

        vectors = extended_vectors(self.data, max(self.edit_sizes), self.work)
        source = described(self.data, self.edit_sizes)
        return measure_edit(vectors, self.data, self.work, sizes=self.edit_sizes, source=source)

    def _contenders(self) -> tuple[type[Contender], ...]:
        from .approximate import CONTENDERS

        by_name = {kind.name.lower(): kind for kind in CONTENDERS}
        wanted = [name.lower() for name in self.contenders]
        if unknown := [name for name in wanted if name not in by_name]:
            names = ", ".join(kind.name for kind in CONTENDERS)
            raise NotFoundError(f"no contender {unknown[0]!r}; there are {names}")
        return tuple(by_name[name] for name in wanted) or CONTENDERS
