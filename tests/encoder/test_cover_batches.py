"""The source `simulated-covers` from its settings: seeds, arrangements, tunes, held-out works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coverdex.encoder import ChromaKind, Preprocessing
from coverdex.encoder.errors import TrainingError
from coverdex.encoder.training.batch import SourceContext
from coverdex.encoder.training.cover_batches import CoverBatches, cover_batches

from .made_up_charts import write_charts


def write_tunes(folder: Path, n_tunes: int) -> None:
    rng = np.random.default_rng(0)
    for collection in ("oneills1850", "ryansMammoth", "airdsAirs"):
        (folder / collection).mkdir(parents=True)
        text = ""
        for i in range(n_tunes):
            bars = "|".join("".join(rng.choice(list("CDEFGABc"), 8)) for _ in range(8))
            text += f"X:{i}\nT:{collection} {chr(65 + i) * 3}\nM:4/4\nL:1/8\nK:C\n|:{bars}:|\n\n"
        (folder / collection / "all.abc").write_text(text)


@pytest.fixture
def source(tmp_path: Path) -> Any:
    write_charts(tmp_path / "charts.parquet", 8)
    write_tunes(tmp_path / "abc", 3)
    (tmp_path / "listed.json").write_text(json.dumps({"works": [{
        "title": "Listed",
        "settings": [{"title": "Listed", "file": "airdsAirs/all.abc", "position": 0}],
    }]}))  # fmt: skip
    context = SourceContext(
        preprocessing=Preprocessing(frame_rate=4.0), kind=ChromaKind.HPCP, seed=1, device="cpu",
        folder=tmp_path, base=tmp_path,
    )  # fmt: skip

    def read(**settings: Any) -> CoverBatches:
        common = {"seeds": ["charts.parquet"], "works_per_batch": 4, "seconds": 10.0}
        return cover_batches({**common, **settings}, context)

    return read


def test_arrangements_join_the_versions_of_their_works(source: Any) -> None:
    plain = source().simulator.corpus
    arranged = source(arrangements={"charts": 2}).simulator.corpus
    assert arranged.work_ids == plain.work_ids
    assert arranged.n_versions == 3 * plain.n_versions
    assert {len(v) for v in arranged.versions_by_work()} == {6}


def test_held_out_works_are_the_same_with_arrangements_and_are_not_arranged(source: Any) -> None:
    held = {"held_out_corpus": "charts", "held_out_works": 3}
    plain, arranged = source(**held), source(**held, arrangements={"charts": 2})
    for one in (plain, arranged):
        assert one.held_out_simulator is not None
        assert one.held_out_simulator.corpus.n_versions == 6
        assert not set(one.work_ids) & set(one.held_out_simulator.corpus.work_ids)
    assert plain.held_out_simulator.corpus.work_ids == arranged.held_out_simulator.corpus.work_ids


def test_tunes_are_drawn_without_those_that_are_listed(source: Any) -> None:
    tunes = {"leave_out": "listed.json", "corpus": "abc", "versions": 2}
    corpus = source(tunes=tunes).simulator.corpus
    works = [w for w in corpus.work_ids if w.startswith("tune_")]
    assert len(works) == 8  # three collections of three, less the one that is listed
    names = [v for v, c in zip(corpus.version_ids, corpus.corpora, strict=True) if c == "tunes"]
    assert len(names) == 16
    assert not any(name.startswith("airdsAirs/all/0/") for name in names)


def test_a_batch_is_a_function_of_its_step(source: Any) -> None:
    settings = {"arrangements": {"charts": 1}, "shortest_seconds": 5.0, "concentration": 0.5}
    first, second = source(**settings), source(**settings)
    for step in (0, 7):
        one, two = first.batch(step), second.batch(step)
        assert one.x.equal(two.x)
        assert one.n_valid.equal(two.n_valid)
        assert one.work[:4].equal(one.work[4:])
    assert not first.batch(0).x[:, :20].equal(first.batch(1).x[:, :20])


def test_a_shortest_length_above_the_longest_is_an_error(source: Any) -> None:
    with pytest.raises(TrainingError, match="shortest_seconds is 11"):
        source(shortest_seconds=11.0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"weights": {"chart": 2.0}}, r"\[data.weights\] names chart; the seeds have charts"),
        ({"weights": {"charts": 0.0}}, "is 0 for all"),
        ({"weights": {"charts": -1.0}}, "weights.charts is -1.0"),
        ({"arrangements": {"chart": 2}}, "names chart; the tables of the seeds are charts"),
        ({"arrangements": {"charts": -2}}, "arrangements.charts is -2"),
        ({"held_out_works": 3}, "held_out_corpus"),
        ({"held_out_corpus": "charts", "held_out_works": 8}, "leaves no work to train on"),
        ({"seeds": []}, "hold no work"),
        ({"simulator": {"frame_rate": 8.0}}, r"that of \[preprocessing\]"),
        ({"seconds": float("inf")}, "seconds is inf"),
        ({"concentration": float("inf")}, "concentration is inf"),
        ({"held_out_seed": -1}, "held_out_seed is -1"),
        ({"simulator": {"timeline": {"tempo_spread": 25}}}, "logarithm of a tempo ratio"),
        ({"later": {"from_step": 3, "simulator": {"anchor": 2.0}}}, "later.simulator"),
    ],
)
def test_settings_that_would_be_passed_over_are_refused(
    settings: dict[str, Any], said: str, source: Any
) -> None:
    with pytest.raises(TrainingError, match=said):
        source(**settings)


def test_a_frame_rate_that_does_not_divide_the_rolls_is_refused(tmp_path: Path) -> None:
    write_charts(tmp_path / "charts.parquet", 8)
    context = SourceContext(
        preprocessing=Preprocessing(frame_rate=5.0), kind=ChromaKind.HPCP, seed=1, device="cpu",
        folder=tmp_path, base=tmp_path,
    )  # fmt: skip
    with pytest.raises(TrainingError, match="frame_rate 5 does not divide the rolls' 8 Hz; give"):
        cover_batches({"seeds": ["charts.parquet"]}, context)
