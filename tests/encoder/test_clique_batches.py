"""Fine-tuning on recordings: cliques in batches, prepared on disk, no work of the benchmark."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coverdex.cli import training_world
from coverdex.encoder import (
    Chroma,
    CoverdexError,
    Encoder,
    NotFoundError,
    Preprocessing,
    TrainingError,
    load_checkpoint,
    write_chroma,
)
from coverdex.encoder.commands import app
from coverdex.encoder.training import SourceContext, Trainer, read_config
from coverdex.encoder.training.batch import build_batch_source
from coverdex.encoder.training.clique_batches import CliqueBatches
from coverdex.encoder.training.config import ValidationConfig
from coverdex.encoder.training.prepared_tracks import prepare_tracks, read_tracks
from coverdex.encoder.training.recording_views import RecordingViews, at_tempo
from coverdex.encoder.training.trainer import StepReport
from coverdex.encoder.training.validation import load_validation_set
from typer.testing import CliRunner

N_WORKS = 12


def write_subset(root: Path, subset: str, works: dict[str, list[str]], seed: int) -> None:
    """Two or more recordings of random chords per work, in the layout of Da-TACOS."""
    metadata: dict[str, dict[str, Any]] = {}
    for number, (work, performances) in enumerate(works.items()):
        score = np.random.default_rng([seed, number]).random((12, 12)) ** 4
        for performance in performances:
            rng = np.random.default_rng([seed, int(performance.removeprefix("P_"))])
            values = np.repeat(score, int(rng.integers(60, 110)), axis=0)
            values = np.roll(values, int(rng.integers(12)), axis=1)
            values = values + 0.1 * rng.random(values.shape)
            folder = root / f"da-tacos_{subset}_subset_hpcp" / f"{work}_hpcp"
            folder.mkdir(parents=True, exist_ok=True)
            chroma = Chroma((values / values.max()).astype(np.float32))
            path = folder / f"{performance}_hpcp.h5"
            write_chroma(path, chroma, work_id=work, performance_id=performance)
            metadata.setdefault(work, {})[performance] = {"perf_title": f"Tune {number}"}
    write_metadata(root, subset, metadata)


def write_metadata(root: Path, subset: str, metadata: dict[str, dict[str, Any]]) -> None:
    path = root / "da-tacos_metadata" / f"da-tacos_{subset}_subset_metadata.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(metadata))


@pytest.fixture(scope="module")
def da_tacos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cover analysis subset of 12 works, the metadata of a benchmark beside it."""
    root = tmp_path_factory.mktemp("da-tacos")
    works = {f"W_{i}": [f"P_{10 * i + k}" for k in range(3 if i == 5 else 2)] for i in range(12)}
    write_subset(root, "coveranalysis", {**works, "W_99": ["P_990"]}, seed=1)
    write_metadata(root, "benchmark", {"W_500": {"P_5000": {}, "P_5001": {}}})
    return root


@pytest.fixture
def recordings(context: SourceContext) -> SourceContext:
    return replace(context, preprocessing=Preprocessing(4.0), world=training_world())


def settings(da_tacos: Path, **others: Any) -> dict[str, Any]:
    return {
        "source": "cliques",
        "catalogue": str(da_tacos),
        "subset": "coveranalysis",
        "benchmark": True,
        "held_out": 0.25,
        "works_per_batch": 4,
        "shortest_seconds": 3.0,
        "longest_seconds": 6.0,
        **others,
    }


def build(da_tacos: Path, context: SourceContext, **others: Any) -> CliqueBatches:
    source = build_batch_source(settings(da_tacos, **others), context)
    assert isinstance(source, CliqueBatches)
    return source


def test_works_of_a_batch_are_distinct_and_each_comes_twice(
    da_tacos: Path, recordings: SourceContext
) -> None:
    source = build(da_tacos, recordings, noise=0.0, tempo=1.0)
    assert len(source.work_ids) == 9  # of 12 with two performances; W_99 has one
    assert source.steps_per_epoch == 3
    for epoch in range(2):
        seen = []
        for within in range(3):
            batch = source.batch(3 * epoch + within)
            assert batch.work.tolist() == [0, 1, 2, 3] * 2
            assert ((batch.n_valid >= 12) & (batch.n_valid <= 24)).all()
            found = [whose(source, batch.x[i, : batch.n_valid[i]].numpy()) for i in range(8)]
            works = [source.tracks.works[t] for t in found]
            assert works[:4] == works[4:]
            assert all(a != b for a, b in zip(found[:4], found[4:], strict=True))
            assert len(set(works[:4])) == 4
            seen += works[:4]
        assert set(seen[:9]) == set(source.work_ids)
        assert seen[9:] == seen[:3]  # filled up


def test_works_of_one_title_do_not_meet(recordings: SourceContext, tmp_path: Path) -> None:
    works = {f"W_{i}": [f"P_{10 * i}", f"P_{10 * i + 1}"] for i in range(8)}
    write_subset(tmp_path, "coveranalysis", works, seed=1)
    named = {"W_0": "Twice", "W_7": "Twice (live)"}
    metadata = {
        work: {p: {"perf_title": named[work]} if work in named else {} for p in performances}
        for work, performances in works.items()
    }
    write_metadata(tmp_path, "coveranalysis", metadata)
    source = build(tmp_path, recordings, benchmark=False, held_out=0.0, noise=0.0, tempo=1.0)
    assert source.describe()["different titles"] == 7
    for step in range(20):
        batch = source.batch(step)
        found = [whose(source, batch.x[i, : batch.n_valid[i]].numpy()) for i in range(4)]
        assert len({"W_0", "W_7"} & {source.tracks.works[t] for t in found}) < 2
    for seed in range(8):
        seeded = replace(recordings, seed=seed)
        divided = build(tmp_path, seeded, benchmark=False, held_out=0.5, works_per_batch=2)
        assert len({"W_0", "W_7"} & set(divided.work_ids)) != 1  # nor is one held out alone


def whose(source: CliqueBatches, view: np.ndarray) -> int:
    """The track that a view without noise was cut from."""
    for track in range(len(source.tracks)):
        whole = source.tracks.frames(track)
        for start in range(len(whole) - len(view) + 1):
            if np.array_equal(whole[start : start + len(view)], view):
                return track
    raise AssertionError("no track has this view")


def test_a_batch_is_a_function_of_the_step(da_tacos: Path, recordings: SourceContext) -> None:
    first, second = build(da_tacos, recordings), build(da_tacos, recordings)
    second.batch(0)
    again: CliqueBatches = pickle.loads(pickle.dumps(second))  # as a worker process gets it
    for mine, theirs in zip(first.batch(7), again.batch(7), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    assert len(pickle.dumps(second)) < 20_000  # without the chroma


def test_held_out_works_are_apart(da_tacos: Path, recordings: SourceContext) -> None:
    source = build(da_tacos, recordings)
    held = source.held_out_recordings()
    assert held is not None
    assert len(set(held.works)) == 3
    assert not set(held.works) & set(source.work_ids)
    assert len(held.tracks) in (6, 7)
    batches = list(source.held_out())
    assert [batch.work.tolist() for batch in batches] == [[0, 1, 2] * 2]
    torch.testing.assert_close(batches[0].x, next(iter(source.held_out())).x)
    listed = source.training_list()
    assert {p.work_id for p in listed.performances} == set(source.work_ids)
    assert {p.title for p in listed.performances} <= {f"Tune {i}" for i in range(12)}
    assert build(da_tacos, recordings, held_out=0.0).held_out_recordings() is None


@pytest.mark.parametrize("damage", ["tracks.f16", "tracks.parquet"])
def test_what_was_prepared_is_prepared_again_where_it_is_damaged(
    da_tacos: Path, recordings: SourceContext, damage: str
) -> None:
    batch = build(da_tacos, recordings).batch(0)
    path = recordings.folder / damage
    if damage == "tracks.f16":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(build(da_tacos, recordings).batch(0).x, batch.x)


def test_who_reads_what_was_prepared_goes_on_when_it_is_prepared_otherwise(
    da_tacos: Path, recordings: SourceContext
) -> None:
    before = build(da_tacos, recordings)
    batch = before.batch(0)
    other = build(da_tacos, replace(recordings, preprocessing=Preprocessing(8.0)))
    assert other.tracks.n_frames.sum() > before.tracks.n_frames.sum()
    assert torch.equal(before.batch(0).x, batch.x)


def test_a_preparation_that_fails_leaves_the_one_before(
    da_tacos: Path, recordings: SourceContext, no_unfinished_files: Callable[[], list[str]]
) -> None:
    before = build(da_tacos, recordings).tracks

    class Breaking(list[Any]):
        def __iter__(self) -> Any:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        prepare_tracks(Breaking(), recordings.folder, Preprocessing(8.0), origin={})  # type: ignore[arg-type]
    origin = read_tracks(recordings.folder)
    assert np.array_equal(origin.frames(3), before.frames(3))


def test_a_catalogue_is_prepared_once(da_tacos: Path, recordings: SourceContext) -> None:
    source = build(da_tacos, recordings)
    catalogue = recordings.world.open_catalogue(str(da_tacos), subset="coveranalysis")  # type: ignore[union-attr]
    for record, chroma in catalogue:
        row = source.tracks.performances.index(record.performance_id)
        wanted = recordings.preprocessing.apply(chroma)
        np.testing.assert_allclose(source.tracks.frames(row), wanted, atol=5e-4)
        np.testing.assert_allclose(source.tracks.frames(row, 3, 9), wanted[3:9], atol=5e-4)

    class Unreadable(list[Any]):
        def __iter__(self) -> Any:
            raise AssertionError("read again")

    folder = recordings.folder
    again = prepare_tracks(
        Unreadable(),  # type: ignore[arg-type]
        folder,
        recordings.preprocessing,
        origin={k: source.origin[k] for k in source.origin},
    )
    assert again.works == source.tracks.works
    with pytest.raises(AssertionError, match="read again"):
        prepare_tracks(Unreadable(), folder, Preprocessing(5.0), origin=source.origin)  # type: ignore[arg-type]
    # That one was stopped while it read: nothing half-made is taken for whole.
    assert build(da_tacos, recordings).tracks.works == again.works


@pytest.mark.parametrize(
    ("benchmark", "message"),
    [
        ({"W_3": {"P_7777": {}}}, r"1 works \(W_3\)"),
        ({"W_700": {"P_41": {}, "P_7": {}}}, r"1 performances \(P_41\)"),
        ({f"W_{i}": {f"P_{10 * i}": {}} for i in range(12)}, r"12 works .*, \.\.\.\); 12 perform"),
    ],
)
def test_overlap_with_the_benchmark_stops(
    da_tacos: Path,
    recordings: SourceContext,
    tmp_path: Path,
    benchmark: dict[str, Any],
    message: str,
) -> None:
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(benchmark))
    with pytest.raises(TrainingError, match=message):
        build(da_tacos, recordings, benchmark_ids=str(path))
    with (tmp_path / "ids.csv").open("w", newline="") as file:
        rows = [(work, p) for work, listed in benchmark.items() for p in listed]
        csv.writer(file).writerows([("work_id", "track_id"), *rows])
    with pytest.raises(TrainingError, match=message):
        build(da_tacos, recordings, benchmark_ids="ids.csv")
    # As some lists write ids: bare, as fractions, in small letters, with blanks.
    for spelt in ("{}", "{}.0", "w_{}", "0{}", " W_{} "):
        with (tmp_path / "bare.csv").open("w", newline="") as file:
            numbers = [(spelt.format(w[2:]), spelt.format(p[2:])) for w, p in rows]
            csv.writer(file).writerows([("work_id", "track_id"), *numbers])
        with pytest.raises(TrainingError, match=message):
            build(da_tacos, recordings, benchmark_ids="bare.csv")
    assert not (recordings.folder / "tracks.f16").exists()  # nothing was read


def test_pairs_and_validation_may_be_of_one_of_two_subsets(
    tmp_path: Path, recordings: SourceContext
) -> None:
    for first, subset in enumerate(("coveranalysis", "benchmark")):
        works = {f"W_{first}{i}": [f"P_{first}{i}{k}" for k in range(2)] for i in range(6)}
        write_subset(tmp_path / "both", subset, works, seed=first)
    of = {"source": "pairs", "catalogue": str(tmp_path / "both")}
    with pytest.raises(CoverdexError, match="choose one as subset"):
        build_batch_source(of, recordings)
    pairs = build_batch_source({**of, "subset": "coveranalysis", "held_out": 0.0}, recordings)
    assert set(pairs.work_ids) == {f"W_0{i}" for i in range(6)}
    assert pairs.describe()["subset"] == "coveranalysis"
    encoder = Encoder.load("coverdex-64")
    config = ValidationConfig(name="v", catalogue=str(tmp_path / "both"), subset="benchmark")
    found = load_validation_set(config, encoder, recordings.world, tmp_path, pairs.work_ids)
    assert found is not None
    assert set(found.works) == {f"W_1{i}" for i in range(6)}


def test_a_list_that_nothing_would_be_compared_with_is_refused(
    da_tacos: Path, recordings: SourceContext
) -> None:
    with pytest.raises(TrainingError, match="nothing is compared with it"):
        build(da_tacos, recordings, benchmark=False, benchmark_ids="ids.csv")


def test_numbers_that_are_alike_are_no_overlap(
    da_tacos: Path, recordings: SourceContext, tmp_path: Path
) -> None:
    rows = "W_100,P_770\n300,P_4100\nW_30.5,P_41.5\nX_3,X_41\n"  # there are W_3 and P_41
    (tmp_path / "others.csv").write_text("work_id,track_id\n" + rows)
    assert build(da_tacos, recordings, benchmark_ids="others.csv").steps_per_epoch == 3


def test_without_a_list_nothing_is_trained(
    da_tacos: Path, recordings: SourceContext, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    features = "da-tacos_coveranalysis_subset_hpcp"
    (alone / features).symlink_to(da_tacos / features)
    with pytest.raises(TrainingError, match="nobody can tell"):
        build(alone, recordings)
    with pytest.raises(NotFoundError, match=r"absent\.csv"):
        build(alone, recordings, benchmark_ids="absent.csv")
    (tmp_path / "empty.csv").write_text("work_id,track_id\n")
    with pytest.raises(TrainingError, match="lists no performance"):
        build(alone, recordings, benchmark_ids="empty.csv")
    assert build(alone, recordings, benchmark=False).steps_per_epoch == 3
    source = build(da_tacos / features, recordings, subset="coveranalysis")  # metadata above it
    assert source.origin["compared with"]["performances"] == 2


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"works_per_batch": 10}, "only 9 different works"),
        ({"shortest_seconds": 7.0}, "more than longest_seconds"),
        ({"longest_seconds": float("inf")}, "longest_seconds is inf"),
        ({"tempo": 0.9}, "tempo"),
        ({"temp": 1.1}, "no setting"),
    ],
)
def test_settings_that_do_not_fit(
    da_tacos: Path, recordings: SourceContext, others: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        build(da_tacos, recordings, **others)


def test_another_tempo_changes_the_length_and_not_the_ends() -> None:
    values = np.random.default_rng(0).random((101, 12), dtype=np.float32)
    np.testing.assert_array_equal(at_tempo(values, 1.0), values)
    faster = at_tempo(values, 2.0)
    assert faster.shape == (50, 12)
    np.testing.assert_array_equal(faster[[0, -1]], values[[0, -1]])
    slower = at_tempo(values, 0.5)
    np.testing.assert_allclose(slower[201 * 50 // 101], values[50], atol=0.5)
    line = np.repeat(np.arange(11, dtype=np.float32)[:, None], 12, axis=1)
    np.testing.assert_allclose(at_tempo(line, 0.5)[:, 0], np.linspace(0, 10, 22), rtol=1e-6)
    assert at_tempo(values[:1], 4.0).shape == (1, 12)


def test_views_are_cut_from_everywhere(da_tacos: Path, recordings: SourceContext) -> None:
    tracks = build(da_tacos, recordings).tracks
    rng = np.random.default_rng(0)
    longest = int(tracks.n_frames.max())
    views = RecordingViews(shortest=8, longest=2 * longest, tempo=1.25, noise=0.1)
    for _ in range(200):
        track = int(rng.integers(len(tracks)))
        view = views.draw(tracks, track, rng)
        assert 0 < len(view) <= 1.25 * tracks.n_frames[track] + 1
        assert view.dtype == np.float32
        assert 0 <= view.min() <= view.max() <= 1


# --- the whole way ----------------------------------------------------------------------------

QUICKLY = [
    "run.epochs=2",
    "run.save_every=1",
    "data.held_out=0.25",
    "data.works_per_batch=4",
    "data.shortest_seconds=3.0",
    "data.longest_seconds=6.0",
    "validation=[]",
    "run.device=cpu",
]


def train(da_tacos: Path, out: Path, *more: str) -> Any:
    changes = [argument for change in QUICKLY for argument in ("--set", change)]
    arguments = ["--corpus", "da-tacos:coveranalysis", "--data", str(da_tacos), "--out", str(out)]
    return CliRunner().invoke(
        app, ["train", *arguments, *changes, *more], obj=training_world, catch_exceptions=False
    )


@pytest.mark.usefixtures("one_thread")
def test_fine_tuning_on_the_cover_analysis_subset(da_tacos: Path, tmp_path: Path) -> None:
    result = train(da_tacos, tmp_path / "run", "--json")
    answer = json.loads(result.stdout)
    encoder = Encoder.load(answer["checkpoint"])
    start = load_checkpoint()
    assert encoder.name == "coverdex-64-da-tacos"
    assert encoder.checkpoint.architecture == start.architecture
    assert encoder.checkpoint.digest != start.digest
    record = encoder.checkpoint.training
    assert record["data"]["compared with"] == {
        "list": "da-tacos_benchmark_subset_metadata.json",
        "works": 1,
        "performances": 2,
    }
    before = record["validation before"]["held-out works"]
    after = record["result"]["validation"]["held-out works"]
    assert before["counts"] == after["counts"]
    assert before["counts"]["n_works"] == 3
    assert 0 < before["map"] <= 1
    assert "held-out works, before this training" in encoder.checkpoint.card
    seen = encoder.checkpoint.training_list
    assert seen is not None
    assert {p.work_id for p in seen.performances} >= {f"W_{i}" for i in range(12)} - held(record)
    for name, weight in encoder.checkpoint.weights.items():
        kept = torch.equal(weight, start.weights[name])
        if "running" in name or "num_batches" in name:  # statistics are frozen
            assert kept, name
        elif weight.ndim > 1:
            assert not kept, name
    assert seen.complete == (start.training_list is not None and start.training_list.complete)


def held(record: Any) -> set[str]:
    """Works that the run held out, by its seed."""
    from coverdex.encoder.training.pairs import split_works

    parts = split_works([f"W_{i}" for i in range(N_WORKS)], 0.25, record["config"]["seed"])
    return {work for work, part in parts.items() if part != "train"}


@pytest.mark.usefixtures("one_thread")
def test_a_killed_fine_tuning_goes_on(
    da_tacos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.loads(train(da_tacos, tmp_path / "whole", "--json").stdout)

    class KilledError(Exception):
        pass

    run: Callable[..., Any] = Trainer.run

    def killed(self: Trainer, **options: Any) -> Any:
        def on_step(report: StepReport) -> None:
            if report.step == 4:
                raise KilledError

        return run(self, on_step=on_step)

    monkeypatch.setattr(Trainer, "run", killed)
    with pytest.raises(KilledError):
        train(da_tacos, tmp_path / "killed")
    monkeypatch.undo()
    resumed = train(da_tacos, tmp_path / "killed", "--json")
    assert "going on at step 4 of 6" in resumed.stderr
    folders = [whole["checkpoint"], json.loads(resumed.stdout)["checkpoint"]]
    checkpoints = [load_checkpoint(folder) for folder in folders]
    assert len({checkpoint.id for checkpoint in checkpoints}) == 1
    assert (
        checkpoints[0].training["validation before"]
        == (checkpoints[1].training["validation before"])
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a configuration"),
        (["--corpus", "shs100k", "--data", "x"], "no configuration for the corpus shs100k"),
        (["--corpus", "da-tacos:coveranalysis"], "with --data"),
        (["a.toml", "--corpus", "da-tacos:coveranalysis"], "give a configuration, or"),
        (["a.toml", "--data", "x"], "go with --corpus"),
    ],
)
def test_wrong_command_lines(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["train", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_the_configuration_is_as_it_is_described() -> None:
    from coverdex.encoder import commands

    path = Path(commands.__file__).parent / "training" / "configs" / "coverdex-64-da-tacos.toml"
    config = read_config(path)
    assert config.start_from == "coverdex-64"
    assert config.data["subset"] == "coveranalysis"
    assert config.data["benchmark"] is True
    assert config.optimizer.learning_rate < 1e-3
