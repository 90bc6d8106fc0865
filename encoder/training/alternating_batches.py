"""Batches of several kinds in turn: the batch source ``alternating``.

::

    [data]
    source = "alternating"

    [[data.sources]]
    source = "simulated-covers"     # and its settings
    ...

    [[data.sources]]
    source = "cliques"              # likewise
    ...

What recordings teach and what simulated covers teach is not the same, and going on with one alone
forgets part of the other (docs/encoder-experiments.md). Here each step takes its batch from the
next source of the list. Batches are never mixed: their rows may not be told apart by how they were
made, and works of different sources may be the same. Step ``s`` of ``n`` sources is step ``s // n``
of source ``s % n``, so a run that was killed goes on as with a single source. A kind of source that
comes again draws with a seed of its own: two simulators of the same seeds would otherwise draw the
same works in the same steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ..errors import TrainingError
from ..training_list import TrainingList
from .batch import (
    Batch,
    BatchSource,
    HoldsOutRecordings,
    SourceContext,
    build_batch_source,
    register_batch_source,
)
from .config import SettingsTable, read_settings
from .validation import ValidationSet


class AlternatingSettings(SettingsTable):
    """Settings of the batch source ``alternating``; see the module's text."""

    sources: Annotated[list[dict[str, Any]], Field(min_length=2)]


@dataclass(frozen=True)
class AlternatingBatches:
    """Batches of each source in turn.

    Parameters
    ----------
    sources : sequence of BatchSource
        Two or more.
    """

    sources: Sequence[BatchSource]

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps that see the largest source once; None if one of them has no end."""
        steps = [source.steps_per_epoch for source in self.sources]
        known = [n for n in steps if n is not None]
        return max(known) * len(steps) if len(known) == len(steps) else None

    @property
    def work_ids(self) -> Collection[str]:
        """Works of any of them."""
        return {work for source in self.sources for work in source.work_ids}

    def batch(self, step: int) -> Batch:
        """Make the batch of a step."""
        turn, which = divmod(step, len(self.sources))
        return self.sources[which].batch(turn)

    def held_out(self) -> Iterator[Batch]:
        """Give the held-out batches of all."""
        for source in self.sources:
            yield from source.held_out()

    def held_out_recordings(self) -> ValidationSet | None:
        """Give the recordings that one of them holds out, for MAP before and after."""
        holding = (each for each in self.sources if isinstance(each, HoldsOutRecordings))
        return next((found for each in holding if (found := each.held_out_recordings())), None)

    def training_list(self) -> TrainingList:
        """Join the lists of all."""
        lists = [source.training_list() for source in self.sources]
        return TrainingList.of(
            (performance for one in lists for performance in one.performances),
            complete=all(one.complete for one in lists),
        )

    def describe(self) -> dict[str, Any]:
        """Let each source describe itself, under its number."""
        return {
            f"{number}: {what}": value
            for number, source in enumerate(self.sources, 1)
            for what, value in source.describe().items()
        }


@register_batch_source("alternating")
def alternating_batches(settings: Mapping[str, Any], context: SourceContext) -> AlternatingBatches:
    """Set up every source of the list.

    Raises
    ------
    TrainingError
        Fewer than two sources, two that keep files in the run's folder, or one that refuses its
        settings.
    """
    chosen = read_settings(AlternatingSettings, settings, where="[data]")
    names = [source.get("source") for source in chosen.sources]
    # Pairs and cliques write what they chose and prepared into the run's folder.
    for name in ("cliques", "pairs"):
        if names.count(name) > 1:
            raise TrainingError(f"[data] sources has {name!r} twice; give one catalogue for both")
    built: list[BatchSource] = []
    before: Counter[str] = Counter()
    for source, name in zip(chosen.sources, map(str, names), strict=True):
        seed = _seed_of_its_own(context.seed, before[name]) if before[name] else context.seed
        built.append(build_batch_source(source, replace(context, seed=seed)))
        before[name] += 1
    return AlternatingBatches(built)


def _seed_of_its_own(seed: int, n_before: int) -> int:
    """Give a seed of 63 bits that is unrelated to the run's and to those of other sources."""
    drawn = np.random.SeedSequence([seed, 31, n_before]).generate_state(1, np.uint64)
    return int(drawn[0] >> np.uint64(1))
