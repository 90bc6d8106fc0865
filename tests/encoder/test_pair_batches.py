"""The source of labelled pairs: every pair once an epoch, by the step alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from coverdex.encoder import TrainingError
from coverdex.encoder.training import SourceContext, TrainingWorld
from coverdex.encoder.training.batch import build_batch_source
from coverdex.encoder.training.pair_batches import PairBatches
from coverdex.encoder.training.pairs import PAIR_SCHEMA, read_pairs, write_pairs

SETTINGS = {"source": "pairs", "catalogue": "train", "batch_size": 7, "held_out": 0.25}
PLAIN = {**SETTINGS, "transpose": False, "noise": 0.0, "padding": 0.0}


def build(settings: dict[str, Any], context: SourceContext) -> PairBatches:
    source = build_batch_source(settings, context)
    assert isinstance(source, PairBatches)
    return source


def test_every_training_pair_comes_once_an_epoch(context: SourceContext) -> None:
    source = build(PLAIN, context)
    rows = read_pairs(context.folder / "pairs.parquet").to_pylist()
    wanted = sorted((r["work_a"] != r["work_b"]) for r in rows if r["split"] == "train")
    assert source.steps_per_epoch == -(-len(wanted) // 7)
    for epoch in range(2):
        got = []
        for within in range(source.steps_per_epoch):
            work = source.batch(epoch * source.steps_per_epoch + within).work
            got += (work[::2] != work[1::2]).tolist()
        assert sorted(got[: len(wanted)]) == wanted
        assert len(got) == source.steps_per_epoch * 7  # the last batch is filled up


def test_a_batch_is_a_function_of_the_step(context: SourceContext) -> None:
    first, second = build(SETTINGS, context), build(SETTINGS, context)
    for step in range(3):
        second.batch(step)
    for mine, theirs in zip(first.batch(11), second.batch(11), strict=True):
        assert torch.equal(mine, theirs)
    assert not torch.equal(first.batch(11).work, first.batch(12).work)


def test_tracks_and_works_belong_together(context: SourceContext, world: TrainingWorld) -> None:
    source = build(PLAIN, context)
    work_of = {
        context.preprocessing.apply(chroma).tobytes(): record.work_id
        for record, chroma in world.open_catalogue("train")
    }
    batch = source.batch(0)
    tracks = [x[:n].numpy().tobytes() for x, n in zip(batch.x, batch.n_valid, strict=True)]
    works = [work_of[track] for track in tracks]
    for i, j in np.ndindex(len(works), len(works)):
        assert (works[i] == works[j]) == bool(batch.work[i] == batch.work[j])


def test_held_out_works_are_not_trained_on(context: SourceContext) -> None:
    source = build(SETTINGS, context)
    assert len(source.work_ids) == 9
    held_out = torch.cat([batch.work for batch in source.held_out()])
    trained = torch.cat([source.batch(s).work for s in range(source.steps_per_epoch)])
    assert len(held_out) == 2 * 18
    assert set(held_out.tolist()).isdisjoint(trained.tolist())


def test_no_batch_is_padded_beyond_its_longest(context: SourceContext) -> None:
    batch = build(SETTINGS, context).batch(3)
    assert batch.x.shape[1] == batch.n_valid.max()
    for x, n in zip(batch.x, batch.n_valid, strict=True):
        assert not x[n:].any()


def test_a_table_of_pairs_may_be_given(context: SourceContext) -> None:
    made = build(SETTINGS, context)
    own = context.folder / "pairs.parquet"
    given_path = own.rename(context.folder.parent / "given.parquet")
    given = build({**SETTINGS, "pairs": "given.parquet"}, context)
    assert torch.equal(made.batch(2).work, given.batch(2).work)
    assert read_pairs(own).equals(read_pairs(given_path))  # the run says what was compared


def test_pairs_of_another_catalogue_are_refused(context: SourceContext) -> None:
    build(SETTINGS, context)
    with pytest.raises(TrainingError, match="does not hold"):
        build({**SETTINGS, "catalogue": "validation", "pairs": "run/pairs.parquet"}, context)


def test_a_table_that_divides_pairs_and_not_works_is_refused(context: SourceContext) -> None:
    source = build(SETTINGS, context)
    path = context.folder / "pairs.parquet"
    pairs = read_pairs(path)
    split = ["held-out" if i % 5 == 0 else "train" for i in range(pairs.num_rows)]
    write_pairs(pairs.set_column(5, "split", [split]), path)
    with pytest.raises(TrainingError, match="both trained on and held out"):
        build({**SETTINGS, "pairs": "run/pairs.parquet"}, context)
    assert source.describe()["training works"] == 9


def test_a_performance_of_two_works_is_refused(context: SourceContext) -> None:
    row = {"performance_a": "P_a0_0", "different": True, "split": "train"}
    row |= {"performance_b": "P_a1_0", "work_a": "first of pair 1", "work_b": "second of pair 1"}
    again = {**row, "work_a": "first of pair 2", "work_b": "second of pair 2", "split": "held-out"}
    pairs = pa.Table.from_pylist([row, again], schema=PAIR_SCHEMA)
    write_pairs(pairs, context.base / "own.parquet")
    with pytest.raises(TrainingError, match="P_a0_0 as a performance of first of pair 1 and of "):
        build({**SETTINGS, "pairs": "own.parquet"}, context)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "triples"}, "triples"),
        ({"batch_size": 0}, "batch_size"),
        ({"augment": True}, "augment is no setting"),
        ({"noise": 7.0}, "noise"),
    ],
)
def test_wrong_settings(context: SourceContext, change: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        build({**SETTINGS, **change}, context)


def test_what_is_left_out_is_counted(context: SourceContext, world: TrainingWorld) -> None:
    from dataclasses import replace

    from coverdex.encoder import Chroma

    from .conftest import Record

    silent = (Record("P_silent", "W_a0"), Chroma(np.zeros((50, 12)), 5.0))
    unknown = (Record("P_unknown", None), Chroma(np.eye(12), 5.0))
    tracks = [*world.open_catalogue("train"), silent, unknown]
    more = replace(world, open_catalogue=lambda path, kind: tracks)
    described = build(SETTINGS, replace(context, world=more)).describe()
    assert described["left out"] == {"no-energy": 1, "no work": 1}
    assert described["performances"] == 36


def test_description_is_plain(context: SourceContext) -> None:
    json.dumps(build(SETTINGS, context).describe())
