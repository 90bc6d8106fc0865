"""Batches of cliques of recordings: the batch source ``cliques``.

::

    [data]
    source = "cliques"
    catalogue = "da-tacos"          # a catalogue with covers
    subset = "coveranalysis"        # of a Da-TACOS root that holds both
    benchmark = true                # stop if an id is in the benchmark too
    benchmark_ids = "ids.csv"       # the benchmark's list, where its metadata are not beside it
    held_out = 0.1                  # share of the works
    works_per_batch = 64
    shortest_seconds = 60.0         # views of recordings, see :mod:`.recording_views`
    longest_seconds = 120.0
    tempo = 1.25
    noise = 0.03

Rows i and i + ``works_per_batch`` of a batch are views of two performances of one work; the works
of a batch are all different, by id and by title (:mod:`.same_titles`), so every other row is a
negative. In an epoch each work comes once, in an order that the seed and the epoch decide; the last
batch is filled up with the first works of that order. The catalogue is read once and prepared on
disk (:mod:`.prepared_tracks`).

Fine-tuning goes with ``run.frozen_statistics``: batch normalisation then keeps the statistics of
the checkpoint, so that the first step starts from the very function that the checkpoint is (a last
layer in closed form, :mod:`.discriminant`, would else be scaled away), whatever is in a batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from ..chroma import MAX_DURATION
from ..encoder import PreparedChroma, padded
from ..errors import TrainingError
from ..training_list import TrainedPerformance, TrainingList
from . import provenance
from .batch import Batch, SourceContext, register_batch_source
from .benchmark_overlap import find_benchmark_ids, refuse_overlap
from .config import HELD_OUT_WORKS, SettingsTable, read_settings
from .pairs import TRAIN, split_works
from .prepared_tracks import PreparedTracks, prepare_tracks
from .recording_views import RecordingViews
from .same_titles import batches_apart, groups_by_title
from .validation import ValidationSet, locate
from .world import Catalogue

#: Draws of the held-out works are apart from those of training by this first number of their seed.
_HELD_OUT_STREAM = 1_000_003


class CliqueSettings(SettingsTable):
    """Settings of the batch source ``cliques``; see the module's text."""

    catalogue: str
    subset: str | None = None
    benchmark: bool = False
    benchmark_ids: str | None = None
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.1
    works_per_batch: Annotated[int, Field(ge=2)] = 64
    shortest_seconds: Annotated[float, Field(gt=0)] = 60.0
    longest_seconds: Annotated[float, Field(gt=0, le=MAX_DURATION)] = 120.0
    tempo: Annotated[float, Field(ge=1, le=2)] = 1.25
    noise: Annotated[float, Field(ge=0, le=1)] = 0.03


@dataclass(frozen=True, eq=False)
class CliqueBatches:
    """Batches of two performances of each of some works.

    Parameters
    ----------
    tracks : PreparedTracks
    trained, held : list of numpy.ndarray of int64
        The tracks of each work, two or more: works that are trained on and works that are not.
    views : RecordingViews
    works_per_batch : int
    seed : int
    origin : mapping
        Where the tracks came from, for the record.
    """

    tracks: PreparedTracks
    trained: list[NDArray[np.int64]]
    held: list[NDArray[np.int64]]
    views: RecordingViews
    works_per_batch: int
    seed: int
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n_different = len(np.unique(self._groups))
        if n_different < self.works_per_batch:
            raise TrainingError(
                f"[data] works_per_batch is {self.works_per_batch}, but only {n_different} "
                "different works of the training part have two performances; lower it, or give "
                "more works"
            )

    @cached_property
    def _groups(self) -> NDArray[np.int64]:
        return self._grouped(self.trained)

    def _grouped(self, cliques: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        return groups_by_title([[self.tracks.titles[int(t)] for t in c] for c in cliques])

    @property
    def steps_per_epoch(self) -> int:
        """Batches that hold every work once, the last one filled up."""
        return -(-len(self.trained) // self.works_per_batch)

    @property
    def work_ids(self) -> Collection[str]:
        """Works that training sees."""
        return {self.tracks.works[int(clique[0])] for clique in self.trained}

    def batch(self, step: int) -> Batch:
        """Make the batch of a step."""
        epoch, within = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, 21, epoch]).permutation(len(self.trained))
        apart = batches_apart(order, self._groups, self.works_per_batch)
        chosen = next(islice(apart, within, None))
        rng = np.random.default_rng([self.seed, 22, step])
        return self._batch([self.trained[i] for i in chosen], rng)

    def held_out(self) -> Iterator[Batch]:
        """Make batches of the held-out works, always the same ones."""
        groups = self._grouped(self.held)
        alone = [self.held[i] for i in np.unique(groups)]  # the first work of each group
        for first in range(0, len(alone), self.works_per_batch):
            cliques = alone[first : first + self.works_per_batch]
            if len(cliques) > 1:
                yield self._batch(cliques, np.random.default_rng([_HELD_OUT_STREAM, first]))

    def held_out_recordings(self) -> ValidationSet | None:
        """Give the whole recordings of the held-out works, for MAP before and after."""
        if not self.held:
            return None
        rows = sorted(int(track) for clique in self.held for track in clique)
        chroma = [PreparedChroma(self.tracks.frames(row)) for row in rows]
        return ValidationSet(HELD_OUT_WORKS, chroma, [self.tracks.works[r] for r in rows], 0)

    def training_list(self) -> TrainingList:
        """List the performances of the works that are trained on."""
        tracks = self.tracks
        return TrainingList.of(
            TrainedPerformance(tracks.works[t], tracks.performances[t], tracks.titles[t])
            for clique in self.trained
            for t in clique.tolist()
        )

    def describe(self) -> dict[str, Any]:
        """Give counts and settings."""
        return {
            **self.origin,
            "performances": len(self.tracks),
            "training works": len(self.trained),
            "different titles": len(np.unique(self._groups)),
            "training performances": sum(map(len, self.trained)),
            "held-out works": len(self.held),
            "works per batch": self.works_per_batch,
            "views": asdict(self.views),
            **({"left out": dict(self.tracks.left_out)} if self.tracks.left_out else {}),
        }

    def _batch(self, cliques: list[NDArray[np.int64]], rng: np.random.Generator) -> Batch:
        chosen = np.stack([rng.choice(clique, 2, replace=False) for clique in cliques])
        rows = chosen.T.ravel().tolist()
        x, n_valid = padded([self.views.draw(self.tracks, row, rng) for row in rows])
        return Batch(x, n_valid, torch.arange(len(cliques)).repeat(2))


@register_batch_source("cliques")
def clique_batches(settings: Mapping[str, Any], context: SourceContext) -> CliqueBatches:
    """Prepare a catalogue on disk and group it by work.

    Raises
    ------
    TrainingError
        A setting is wrong, the catalogue holds too little, or a benchmark shares something with it.
    NotFoundError
        No such catalogue or list.
    """
    chosen = read_settings(CliqueSettings, settings, where="[data]")
    if chosen.shortest_seconds > chosen.longest_seconds:
        raise TrainingError(
            f"[data] shortest_seconds is {chosen.shortest_seconds:g}, more than longest_seconds "
            f"({chosen.longest_seconds:g}); give less"
        )
    if chosen.benchmark_ids is not None and not chosen.benchmark:
        raise TrainingError(
            "[data] benchmark_ids is given, but nothing is compared with it unless benchmark = "
            "true; set that, or leave benchmark_ids out"
        )
    if context.world is None:
        raise TrainingError("the source 'cliques' needs a world to open catalogues; hand one down")
    location = locate(chosen.catalogue, context.base)
    subset = {} if chosen.subset is None else {"subset": chosen.subset}
    catalogue = context.world.open_catalogue(location, kind=context.kind, **subset)
    origin: dict[str, Any] = {"catalogue": chosen.catalogue, **subset}
    origin |= provenance.hash_of(catalogue)
    benchmark = None
    if chosen.benchmark:
        given = None if chosen.benchmark_ids is None else context.path(chosen.benchmark_ids)
        benchmark = find_benchmark_ids(given, Path(location))
        origin["compared with"] = {
            "list": benchmark.name,
            **refuse_overlap(*_ids(catalogue), benchmark, context.world),
        }
    tracks = prepare_tracks(catalogue, context.folder, context.preprocessing, origin=origin)
    trained, held = _cliques(tracks, chosen.held_out, context.seed)
    rate = context.preprocessing.frame_rate
    return CliqueBatches(
        tracks,
        trained,
        held,
        RecordingViews(
            shortest=max(1, round(chosen.shortest_seconds * rate)),
            longest=max(1, round(chosen.longest_seconds * rate)),
            tempo=chosen.tempo,
            noise=chosen.noise,
        ),
        chosen.works_per_batch,
        context.seed,
        origin,
    )


def _ids(catalogue: Catalogue) -> tuple[set[str], set[str]]:
    """Give the ids of works and performances that an open catalogue names, before it is read."""
    records = catalogue.performances
    works = {record.work_id for record in records if record.work_id is not None}
    return works, {record.performance_id for record in records}


def _cliques(
    tracks: PreparedTracks, held_out: float, seed: int
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Group tracks by work, works of one performance left out; divide works in two parts."""
    rows: dict[str, list[int]] = {}
    for row, work in enumerate(tracks.works):
        rows.setdefault(work, []).append(row)
    cliques = {work: np.array(of_work) for work, of_work in rows.items() if len(of_work) > 1}
    groups = groups_by_title([[tracks.titles[t] for t in of_work] for of_work in cliques.values()])
    group_of = dict(zip(cliques, groups.tolist(), strict=True))
    part = split_works(list(cliques), held_out, seed, group_of=group_of)
    trained = [cliques[work] for work in sorted(cliques) if part[work] == TRAIN]
    held = [cliques[work] for work in sorted(cliques) if part[work] != TRAIN]
    return trained, held
