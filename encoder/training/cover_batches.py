"""Batches of simulated covers: the batch source ``simulated-covers`` (:mod:`.cover_settings`).

Each batch holds ``works_per_batch`` works twice: rows i and i + ``works_per_batch`` are two covers
of one work, drawn from two of its versions where it has several, or, with ``[data.rendered]``,
performances of it that samplers have played (:mod:`.rendered_versions`). Views are scaled as
``[preprocessing]`` scales recordings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import TrainingError
from ..training_list import TrainedPerformance, TrainingList
from .batch import Batch, SourceContext, register_batch_source
from .config import read_settings
from .cover_materials import CoverMaterials, cover_materials
from .cover_settings import CoverSettings
from .rendered_versions import RenderedVersions, rendered_versions
from .sampler import WorkSampler
from .seed_titles import title_in_id
from .simulator import CoverSimulator, SimulatorConfig, simulator_config

#: Draws of the held-out works are apart from those of training by this first number of their seed.
_HELD_OUT_STREAM = 1_000_003


@dataclass(frozen=True, eq=False)
class CoverBatches:
    """Batches of two simulated covers of each of some works.

    Parameters
    ----------
    simulator : CoverSimulator
        Of the works that are trained on.
    sampler : WorkSampler
        Of the same works.
    n_frames : int
        Greatest length of a view at the simulator's frame rate.
    works_per_batch : int
    scaling : {"min-max", "max"}
        As :class:`~coverdex.encoder.preprocessing.Preprocessing` has it.
    exponent : float
        Likewise.
    seed : int
    held_out_simulator : CoverSimulator, optional
        Of the works that are kept for the curves.
    later : (int, CoverSimulator), optional
        From this step on, this simulator of the same works.
    shortest : int, optional
        Least length of a view; each batch draws its own. ``n_frames`` when left out.
    origin : mapping
        Where the seeds came from, for the record.
    titles : mapping of str to str, optional
        Version id to title, where it is known and not in the work's id.
    rendered : RenderedVersions, optional
        Of works that are trained on.
    """

    simulator: CoverSimulator
    sampler: WorkSampler
    n_frames: int
    works_per_batch: int
    scaling: str
    exponent: float
    seed: int
    held_out_simulator: CoverSimulator | None = None
    later: tuple[int, CoverSimulator] | None = None
    shortest: int | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    rendered: RenderedVersions | None = None

    @property
    def steps_per_epoch(self) -> int | None:
        """None: views are drawn without end."""
        return None

    @property
    def work_ids(self) -> Collection[str]:
        """Works that training sees."""
        return self.simulator.corpus.work_ids

    def batch(self, step: int) -> Batch:
        """Draw the batch of a step."""
        works = self.sampler.works(step, self.works_per_batch)
        simulator = self.simulator
        if self.later is not None and step >= self.later[0]:
            simulator = self.later[1]
        n_frames = self.n_frames
        if self.shortest is not None:
            rng = np.random.default_rng([self.seed, 13, step])
            n_frames = int(rng.integers(self.shortest, self.n_frames + 1))
        seed = (self.seed, 12, step)
        if self.rendered is not None and step >= self.rendered.settings.from_step:
            return self._mixed_batch(simulator, self.rendered, works, n_frames, seed)
        return self._batch(simulator, works, n_frames, seed)

    def held_out(self) -> Iterator[Batch]:
        """Draw two covers of each held-out work, always the same ones."""
        if self.held_out_simulator is None:
            return
        n_works = self.held_out_simulator.corpus.n_works
        for first in range(0, n_works, self.works_per_batch):
            works = np.arange(first, min(first + self.works_per_batch, n_works))
            if works.size > 1:
                seed = (_HELD_OUT_STREAM, first)
                yield self._batch(self.held_out_simulator, works, self.n_frames, seed)

    def training_list(self) -> TrainingList:
        """List the versions that training draws from, held-out works left out.

        Arrangements of a version (``version~1``) are that version.
        """
        corpus = self.simulator.corpus
        rows = zip(corpus.work.tolist(), corpus.version_ids, corpus.corpora, strict=True)
        named = [(corpus.work_ids[w], v.partition("~")[0], c) for w, v, c in rows]
        return TrainingList.of(
            TrainedPerformance(
                work_id=work_id,
                performance_id=f"{collection}/{version_id}",
                title=self.titles.get(version_id) or title_in_id(work_id),
            )
            for work_id, version_id, collection in named
        )

    def describe(self) -> dict[str, Any]:
        """Give counts and settings."""
        corpus = self.simulator.corpus
        works = dict(zip(*np.unique(corpus.corpus_of_work(), return_counts=True), strict=True))
        held = self.held_out_simulator.corpus.n_works if self.held_out_simulator else 0
        return {
            **self.origin,
            "training works": corpus.n_works,
            "training versions": corpus.n_versions,
            "works by collection": {str(k): int(n) for k, n in works.items()},
            "held-out works": held,
            "works per batch": self.works_per_batch,
            "seconds per view": self.n_frames / self.simulator.config.frame_rate,
            **({"rendered": dict(self.rendered.origin)} if self.rendered else {}),
        }

    def _batch(
        self, simulator: CoverSimulator, works: Any, n_frames: int, seed: tuple[int, ...]
    ) -> Batch:
        views, n_valid = simulator.pairs(works, n_frames, seed)
        scaled = scale_tracks(views, n_valid, self.scaling, self.exponent)
        return Batch(scaled, n_valid, torch.from_numpy(np.tile(works, 2)))

    def _mixed_batch(
        self,
        simulator: CoverSimulator,
        rendered: RenderedVersions,
        works: NDArray[np.int64],
        n_frames: int,
        seed: tuple[int, ...],
    ) -> Batch:
        """Draw a batch of simulated and rendered views; only the former need scaling."""
        rng = np.random.default_rng(list(seed))
        versions, anchors, flags = simulator.items(works, rng)
        # No band has played a work upside down; what it has played can be heard backwards.
        tracks = rendered.choose(works, rng, barred=flags[1, : works.size])
        x = torch.zeros(len(tracks), n_frames, 12)
        n_valid = torch.zeros(len(tracks), dtype=torch.int64)
        simulated = np.flatnonzero(tracks < 0)
        if simulated.size:
            views, n_valid[simulated] = simulator.views(
                versions[simulated],
                n_frames,
                rng,
                anchors=anchors[simulated],
                flags=flags[:, simulated],
            )
            x[simulated] = scale_tracks(views, n_valid[simulated], self.scaling, self.exponent)
        for row in np.flatnonzero(tracks >= 0).tolist():
            values = rendered.view(int(tracks[row]), n_frames, rng)
            values = values[::-1].copy() if flags[0, row] else values
            x[row, : len(values)] = torch.from_numpy(values)
            n_valid[row] = len(values)
        played = torch.from_numpy(np.flatnonzero(tracks >= 0))
        if len(played) and not rendered.settings.channel.is_clean:
            heard = rendered.settings.channel.apply(x[played], rng)
            x[played] = scale_tracks(heard, n_valid[played], self.scaling)
        return Batch(x, n_valid, torch.from_numpy(np.tile(works, 2)))


def scale_tracks(x: Tensor, n_valid: Tensor, scaling: str, exponent: float = 1.0) -> Tensor:
    """Scale each track of a batch to 0-1, as preprocessing scales a recording.

    Parameters
    ----------
    x : Tensor, shape (n, n_frames, 12), float32
        Non-negative.
    n_valid : Tensor, shape (n,), int64
        Frames from there on stay zero and do not count.
    scaling : {"min-max", "max"}
    exponent : float
        Power of the scaled values.

    Returns
    -------
    Tensor, shape (n, n_frames, 12), float32
        A constant track becomes zeros.
    """
    inside = (torch.arange(x.shape[1], device=x.device)[None] < n_valid[:, None])[..., None]
    beyond = torch.where(inside, 0.0, torch.inf)
    high = (x - beyond).amax(dim=(1, 2), keepdim=True)
    low = torch.zeros_like(high)
    if scaling == "min-max":
        low = (x + beyond).amin(dim=(1, 2), keepdim=True)
    scaled = (x - low).div_((high - low).clamp_min(1e-6))
    if exponent != 1.0:
        scaled = scaled.clamp_min_(0).pow_(exponent)
    return scaled.mul_(inside)


@register_batch_source("simulated-covers")
def cover_batches(settings: Mapping[str, Any], context: SourceContext) -> CoverBatches:
    """Read the seeds and set up the simulator.

    Raises
    ------
    TrainingError
        A setting is wrong, or the seeds hold too little.
    NotFoundError
        No such seeds.
    """
    chosen = read_settings(CoverSettings, settings, where="[data]")
    # Before the seeds are read, which takes minutes.
    rate = context.preprocessing.frame_rate
    _config(chosen.simulator, rate, "[data.simulator]")
    if chosen.later is not None:
        _config(chosen.later.simulator, rate, "[data.later.simulator]")
    return batches_of(chosen, cover_materials(chosen, context), context)


def batches_of(
    chosen: CoverSettings, materials: CoverMaterials, context: SourceContext
) -> CoverBatches:
    """Set up the simulator of seeds that have been read.

    Raises
    ------
    TrainingError
        A setting is wrong, or the seeds hold too little.
    """
    rate = context.preprocessing.frame_rate
    config = _config(chosen.simulator, rate, "[data.simulator]")
    corpus, held = materials.corpora
    _check_weights(chosen.weights, {*corpus.corpora, *(held.corpora if held else ())})
    sampler = WorkSampler(
        corpus.work_ids,
        corpus.corpus_of_work(),
        weights=chosen.weights,
        concentration=chosen.concentration,
        seed=context.seed,
    )
    if sampler.n_groups < chosen.works_per_batch:
        raise TrainingError(
            f"[data] works_per_batch is {chosen.works_per_batch}, but the seeds hold only "
            f"{sampler.n_groups} different works"
        )
    later = None
    if chosen.later is not None:
        changed = _config(chosen.later.simulator, rate, "[data.later.simulator]")
        later = (chosen.later.from_step, CoverSimulator(corpus, changed))
    return CoverBatches(
        CoverSimulator(corpus, config),
        sampler,
        n_frames=max(1, round(chosen.seconds * rate)),
        works_per_batch=chosen.works_per_batch,
        scaling=context.preprocessing.scaling,
        exponent=context.preprocessing.exponent,
        seed=context.seed,
        held_out_simulator=CoverSimulator(held, config) if held else None,
        later=later,
        shortest=_shortest(chosen, rate),
        origin={"sha256": dict(materials.hashes)},
        titles=materials.titles,
        rendered=(
            rendered_versions(chosen.rendered, corpus.work_ids, materials.rendered)
            if chosen.rendered
            else None
        ),
    )


def _check_weights(weights: Mapping[str, float], collections: Collection[str]) -> None:
    """Refuse weights of collections that are not there, or under which nothing is drawn."""
    there = ", ".join(sorted(collections))
    if unknown := sorted(set(weights) - set(collections)):
        raise TrainingError(f"[data.weights] names {', '.join(unknown)}; the seeds have {there}")
    if not any(weights.get(collection, 1.0) for collection in collections):
        raise TrainingError(f"[data.weights] is 0 for all that there is ({there}); give one more")


def _shortest(settings: CoverSettings, rate: float) -> int | None:
    """Give the least length of a view in frames."""
    if settings.shortest_seconds is None:
        return None
    if settings.shortest_seconds > settings.seconds:
        raise TrainingError(
            f"[data] shortest_seconds is {settings.shortest_seconds:g}, more than seconds "
            f"({settings.seconds:g}); give less"
        )
    return max(1, round(settings.shortest_seconds * rate))


def _config(settings: Mapping[str, Any], rate: float, where: str) -> SimulatorConfig:
    if "frame_rate" in settings:
        raise TrainingError(f"{where} frame_rate is that of [preprocessing]; leave it out here")
    try:
        return simulator_config({**settings, "frame_rate": rate})
    except ValueError as error:
        raise TrainingError(f"{where} {error}") from error
