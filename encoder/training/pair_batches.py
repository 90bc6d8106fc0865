"""Batches of labelled pairs of recordings: the batch source ``pairs``.

::

    [data]
    source = "pairs"
    catalogue = "demo"              # a catalogue with covers: Da-TACOS, Parquet, "demo"
    subset = "coveranalysis"        # of a Da-TACOS root that holds both
    dissimilar_percentage = 50.0
    held_out = 0.2                  # share of the works
    batch_size = 16                 # pairs
    noise = 0.02                    # augmentation, see :mod:`.augmentation`
    padding = 0.1
    transpose = true
    excerpt_frames = 800

The catalogue is read and preprocessed once and stays in memory (a four-minute track at 4 frames per
second takes 46 kB). The pairs are made from its metadata (:mod:`.pairs`), unless ``pairs`` names a
table of them; ``pairs.parquet`` in the run's folder has them in either case. In an epoch every
training pair comes once, in an order that the seed and the epoch decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pydantic import Field

from ..encoder import padded
from ..errors import InvalidChromaError, TrainingError
from ..training_list import TrainedPerformance, TrainingList
from . import provenance
from .augmentation import Augmentation
from .batch import Batch, SourceContext, register_batch_source
from .config import SettingsTable, read_settings
from .pairs import HELD_OUT, TRAIN, make_pairs, read_pairs, write_pairs
from .validation import locate

Frames = NDArray[np.float32]


class PairSettings(SettingsTable):
    """Settings of the batch source ``pairs``; see the module's text."""

    catalogue: str
    subset: str | None = None
    pairs: str | None = None
    dissimilar_percentage: Annotated[float, Field(ge=0, lt=100)] = 50.0
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.2
    batch_size: Annotated[int, Field(ge=1)] = 16
    transpose: bool = True
    noise: Annotated[float, Field(ge=0, le=1)] = 0.02
    padding: Annotated[float, Field(ge=0, le=1)] = 0.1
    excerpt_frames: Annotated[int, Field(ge=1)] | None = None


class PairBatches:
    """Batches in which rows 2i and 2i + 1 are a pair.

    Parameters
    ----------
    tracks : mapping of str to numpy.ndarray, each of shape (n_frames, 12), float32
        Performance id to preprocessed chroma.
    pairs : pyarrow.Table
        As :mod:`.pairs` describes; every performance is among the tracks.
    augmentation : Augmentation
        What is done to a track each time that it is drawn.
    batch_size : int
        Pairs per batch.
    seed : int
        Decides order and augmentation.
    origin : mapping, optional
        Where the tracks came from, for the record.
    titles : mapping of str to str or None, optional
        Performance id to title, for the training list.

    Raises
    ------
    TrainingError
        A pair names a performance that is not among the tracks, a performance is of two works, or a
        work is in both parts.
    """

    def __init__(
        self,
        tracks: Mapping[str, Frames],
        pairs: pa.Table,
        *,
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
        origin: Mapping[str, Any] | None = None,
        titles: Mapping[str, str | None] | None = None,
    ) -> None:
        self.augmentation = augmentation
        self.batch_size = batch_size
        self.seed = seed
        self.origin = dict(origin or {})
        self.titles = dict(titles or {})
        self._tracks = tracks
        rows = pairs.to_pylist()
        self._parts = {part: [r for r in rows if r["split"] == part] for part in (TRAIN, HELD_OUT)}
        self._works = {part: _works_of(part_rows) for part, part_rows in self._parts.items()}
        self._number = {
            work: i for i, work in enumerate(sorted(set().union(*self._works.values())))
        }
        self._check()

    @property
    def steps_per_epoch(self) -> int:
        """Batches that hold every training pair once, the last one filled up."""
        return -(-len(self._parts[TRAIN]) // self.batch_size)

    @property
    def work_ids(self) -> Collection[str]:
        """Works of the training pairs."""
        return self._works[TRAIN]

    def batch(self, step: int) -> Batch:
        """Make the batch of a step."""
        epoch, within = divmod(step, self.steps_per_epoch)
        pairs = self._parts[TRAIN]
        order = np.random.default_rng([self.seed, 2, epoch]).permutation(len(pairs))
        filled = np.resize(order, self.steps_per_epoch * self.batch_size)
        first = within * self.batch_size
        rng = np.random.default_rng([self.seed, 3, step])
        chosen = [pairs[i] for i in filled[first : first + self.batch_size]]
        return self._batch(chosen, lambda values: self.augmentation.apply(values, rng))

    def held_out(self) -> Iterator[Batch]:
        """Pairs of held-out works, unchanged, in equal batches but the last."""
        pairs = self._parts[HELD_OUT]
        for first in range(0, len(pairs), self.batch_size):
            yield self._batch(pairs[first : first + self.batch_size], lambda values: values)

    def training_list(self) -> TrainingList:
        """List the performances of the training pairs."""
        return TrainingList.of(
            TrainedPerformance(
                row[f"work_{side}"],
                row[f"performance_{side}"],
                self.titles.get(row[f"performance_{side}"]),
            )
            for row in self._parts[TRAIN]
            for side in "ab"
        )

    def describe(self) -> dict[str, Any]:
        """Give counts and settings."""
        return {
            **self.origin,
            "performances": len(self._tracks),
            "training works": len(self._works[TRAIN]),
            "training pairs": len(self._parts[TRAIN]),
            "held-out works": len(self._works[HELD_OUT]),
            "held-out pairs": len(self._parts[HELD_OUT]),
            "augmentation": asdict(self.augmentation),
        }

    def _batch(self, pairs: list[dict[str, Any]], change: Callable[[Frames], Frames]) -> Batch:
        ids = [
            (pair[f"performance_{side}"], pair[f"work_{side}"]) for pair in pairs for side in "ab"
        ]
        x, n_valid = padded([change(self._tracks[performance]) for performance, _ in ids])
        return Batch(x, n_valid, torch.tensor([self._number[work] for _, work in ids]))

    def _check(self) -> None:
        if not self._parts[TRAIN]:
            raise TrainingError("the table of pairs has no training pair; make one that has")
        if shared := self._works[TRAIN] & self._works[HELD_OUT]:
            raise TrainingError(
                f"{len(shared)} works are both trained on and held out ({_some(shared)}); "
                "divide pairs by work"
            )
        works: dict[str, str] = {}
        for row in (row for rows in self._parts.values() for row in rows):
            for side in "ab":
                performance, work = row[f"performance_{side}"], row[f"work_{side}"]
                if works.setdefault(performance, work) != work:
                    # Under two works it could be trained on and held out.
                    raise TrainingError(
                        f"the table of pairs has {performance} as a performance of "
                        f"{works[performance]} and of {work}; give each performance one work"
                    )
        if missing := works.keys() - set(self._tracks):
            raise TrainingError(
                f"the table of pairs names {len(missing)} performances that the catalogue does not "
                f"hold ({_some(missing)}); give the pairs of this catalogue"
            )


@register_batch_source("pairs")
def pair_batches(settings: Mapping[str, Any], context: SourceContext) -> PairBatches:
    """Read a catalogue and pair it up.

    Raises
    ------
    TrainingError
        A setting is wrong, or the catalogue holds too little.
    NotFoundError
        No such catalogue.
    """
    chosen = read_settings(PairSettings, settings, where="[data]")
    if context.world is None:
        raise TrainingError("the source 'pairs' needs a world to open catalogues; hand one down")
    location = locate(chosen.catalogue, context.base)
    tracks: dict[str, Frames] = {}
    work_of: dict[str, str] = {}
    titles: dict[str, str | None] = {}
    left_out: Counter[str] = Counter()
    subset = {} if chosen.subset is None else {"subset": chosen.subset}
    catalogue = context.world.open_catalogue(location, kind=context.kind, **subset)
    for record, chroma in catalogue:
        if record.work_id is None:
            left_out["no work"] += 1
            continue
        try:
            tracks[record.performance_id] = context.preprocessing.apply(chroma)
        except InvalidChromaError as error:
            left_out[error.reason] += 1
            continue
        work_of[record.performance_id] = record.work_id
        titles[record.performance_id] = record.title
    if chosen.pairs is None:
        pairs = make_pairs(
            work_of,
            dissimilar_percentage=chosen.dissimilar_percentage,
            held_out=chosen.held_out,
            seed=context.seed,
            titles=titles,
        )
    else:
        pairs = read_pairs(context.path(chosen.pairs))
    write_pairs(pairs, context.folder / "pairs.parquet")
    origin: dict[str, Any] = {"catalogue": chosen.catalogue, **subset}
    if left_out:
        origin["left out"] = dict(left_out)
    origin |= provenance.hash_of(catalogue)
    return PairBatches(
        tracks,
        pairs,
        augmentation=Augmentation(
            chosen.transpose, chosen.noise, chosen.padding, chosen.excerpt_frames
        ),
        batch_size=chosen.batch_size,
        seed=context.seed,
        origin=origin,
        titles=titles,
    )


def _works_of(rows: list[dict[str, Any]]) -> set[str]:
    return {row[f"work_{side}"] for row in rows for side in "ab"}


def _some(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
