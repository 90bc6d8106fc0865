from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from coverdex.encoder import CoverdexError
from coverdex.encoder.chroma import ChromaKind
from coverdex.encoder.preprocessing import Preprocessing
from coverdex.encoder.training.batch import (
    Batch,
    HoldsOutRecordings,
    SourceContext,
    build_batch_source,
    register_batch_source,
)
from coverdex.encoder.training.validation import ValidationSet
from coverdex.encoder.training_list import TrainedPerformance, TrainingList

#: Seeds with which the sources of a test were set up.
seeds: list[int] = []


@dataclass(frozen=True)
class Numbered:
    """Batches that say which source and which step made them."""

    name: str
    steps_per_epoch: int | None

    @property
    def work_ids(self) -> set[str]:
        return {self.name, "shared"}

    def batch(self, step: int) -> Batch:
        return Batch(torch.full((2, 3, 12), float(step)), torch.tensor([3, 3]), torch.zeros(2))

    def held_out(self) -> Iterator[Batch]:
        yield self.batch(100 + len(self.name))

    def training_list(self) -> TrainingList:
        return TrainingList.of([TrainedPerformance(self.name)], complete=self.name != "lost")

    def describe(self) -> dict[str, Any]:
        return {"works": self.name}


@register_batch_source("numbered")
def numbered(settings: Mapping[str, Any], context: SourceContext) -> Numbered:
    seeds.append(context.seed)
    return Numbered(settings["name"], settings.get("steps"))


@dataclass(frozen=True)
class Holding(Numbered):
    """The same, and recordings that it holds out."""

    def held_out_recordings(self) -> ValidationSet | None:
        return ValidationSet(self.name, [], [], 0) if self.name else None


@register_batch_source("holding")
def holding(settings: Mapping[str, Any], context: SourceContext) -> Holding:
    return Holding(settings["name"], settings.get("steps"))


@register_batch_source("another")
def another(settings: Mapping[str, Any], context: SourceContext) -> Numbered:
    return numbered(settings, context)


@pytest.fixture
def context(tmp_path: Path) -> SourceContext:
    return SourceContext(
        preprocessing=Preprocessing(frame_rate=4.0),
        kind=ChromaKind.HPCP,
        seed=0,
        device="cpu",
        folder=tmp_path,
        base=tmp_path,
    )


def of(*sources: Mapping[str, Any]) -> dict[str, Any]:
    return {"source": "alternating", "sources": [{"source": "numbered", **s} for s in sources]}


def test_sources_take_turns_and_count_their_own_steps(context: SourceContext) -> None:
    source = build_batch_source(of({"name": "a"}, {"name": "bb"}, {"name": "ccc"}), context)
    assert [float(source.batch(step).x[0, 0, 0]) for step in range(7)] == [0, 0, 0, 1, 1, 1, 2]
    assert [float(batch.x[0, 0, 0]) for batch in source.held_out()] == [101, 102, 103]
    assert set(source.work_ids) == {"a", "bb", "ccc", "shared"}
    assert source.describe() == {"1: works": "a", "2: works": "bb", "3: works": "ccc"}


def test_what_was_trained_on_is_that_of_all(context: SourceContext) -> None:
    source = build_batch_source(of({"name": "a"}, {"name": "b"}), context)
    assert source.training_list() == TrainingList.of(
        [TrainedPerformance("a"), TrainedPerformance("b")]
    )
    source = build_batch_source(of({"name": "a"}, {"name": "lost"}), context)
    assert not source.training_list().complete


def test_recordings_that_one_source_holds_out_are_measured(context: SourceContext) -> None:
    empty, full = ({"name": name, "source": "holding"} for name in ("", "b"))
    found = build_batch_source(of({"name": "a"}, empty, full), context)
    assert isinstance(found, HoldsOutRecordings)
    held_out = found.held_out_recordings()
    assert held_out is not None
    assert held_out.name == "b"
    nothing = build_batch_source(of({"name": "a"}, empty), context)
    assert isinstance(nothing, HoldsOutRecordings)
    assert nothing.held_out_recordings() is None


def test_sources_of_one_kind_draw_apart(context: SourceContext) -> None:
    others = ({"name": "b", "source": "another"}, {"name": "c"}, {"name": "d"})
    found = []
    for seed in (5, 5, 6):
        seeds.clear()
        build_batch_source(of({"name": "a"}, *others), replace(context, seed=seed))
        found.append(list(seeds))
        assert seeds[:2] == [seed, seed]  # the first of each kind as if it were alone
        assert len({seed, *seeds[2:]}) == 3
        assert all(0 <= each < 2**63 for each in seeds)
    assert found[0] == found[1]
    assert not set(found[0]) & set(found[2])


@pytest.mark.parametrize(("steps", "together"), [((5, 8), 16), ((5, None), None)])
def test_an_epoch_sees_the_largest_source(
    context: SourceContext, steps: tuple[int | None, ...], together: int | None
) -> None:
    sources = [{"name": str(n), "steps": n} for n in steps]
    assert build_batch_source(of(*sources), context).steps_per_epoch == together


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (of({"name": "a"}), "sources"),
        ({"source": "alternating"}, "sources"),
        ({"source": "alternating", "sources": [{"source": "cliques"}] * 2}, "twice"),
        ({"source": "alternating", "sources": [{"source": "no"}] * 2}, "'no'"),
    ],
)
def test_wrong_lists_are_refused(
    context: SourceContext, settings: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(CoverdexError, match=said):
        build_batch_source(settings, context)
