"""Seeds as performances of samplers: what is played, in which order, and how training draws it."""

from __future__ import annotations

import pickle
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coverdex.cli import training_world
from coverdex.encoder import (
    Chroma,
    ChromaKind,
    NotFoundError,
    Preprocessing,
    TrainingError,
    read_chroma,
)
from coverdex.encoder.training import SourceContext
from coverdex.encoder.training import rendered_seeds as rendered
from coverdex.encoder.training.batch import build_batch_source
from coverdex.encoder.training.corpus import BASS, CHORDS, MELODY, N_PARTS, PAD
from coverdex.encoder.training.cover_batches import CoverBatches
from coverdex.encoder.training.rendering import check_soundfonts
from coverdex.encoder.training.roll_performance import notes_from_roll, perform

from .made_up_charts import write_charts


@pytest.fixture
def context(tmp_path: Path) -> SourceContext:
    write_charts(tmp_path / "charts.parquet", 8)
    return SourceContext(
        preprocessing=Preprocessing(frame_rate=4.0),
        kind=ChromaKind.HPCP,
        seed=1,
        device="cpu",
        folder=tmp_path / "run",
        base=tmp_path,
        world=training_world(),
    )


def read(context: SourceContext, **settings: Any) -> CoverBatches:
    common = {"source": "simulated-covers", "seeds": ["charts.parquet"], "works_per_batch": 4}
    source = build_batch_source({**common, "seconds": 10.0, **settings}, context)
    assert isinstance(source, CoverBatches)
    return source


def test_notes_begin_where_a_tone_begins_or_grows_louder() -> None:
    roll = np.zeros((16, N_PARTS, 12), dtype=np.float32)
    roll[0:8, CHORDS, [0, 4]] = 60  # A and C sharp for a second
    roll[4:8, CHORDS, 4] = 120  # C sharp struck again
    roll[8:16, BASS, 7] = 60  # then E, held to the end
    roll[:, PAD] = 50
    notes = notes_from_roll(roll, np.random.default_rng(0))
    found = sorted(
        zip(
            notes.part.tolist(),
            ((notes.pitch - 69) % 12).tolist(),
            notes.onset.tolist(),
            notes.duration.tolist(),
            strict=True,
        )
    )
    assert found == [
        (CHORDS, 0, 0.0, 1.0),
        (CHORDS, 4, 0.0, 0.5),
        (CHORDS, 4, 0.5, 0.5),
        (BASS, 7, 1.0, 1.0),
    ]
    loud = {
        (p, o): v for p, o, v in zip(notes.pitch % 12, notes.onset, notes.loudness, strict=True)
    }
    assert loud[(69 + 4) % 12, 0.5] > loud[(69 + 4) % 12, 0.0]
    assert notes.pitch[notes.part == BASS].max() < notes.pitch[notes.part == CHORDS].min()


def test_a_silent_roll_has_no_notes() -> None:
    silent = np.zeros((8, N_PARTS, 12), dtype=np.float32)
    assert notes_from_roll(silent, np.random.default_rng(0)).onset.size == 0


def test_a_performance_has_the_tones_of_its_version(context: SourceContext) -> None:
    corpus = read(context).simulator.corpus
    version = corpus.version_ids.index("a/0")
    others = {MELODY: set(), BASS: set(), CHORDS: set()}
    for seed in range(8):
        rng = np.random.default_rng(seed)
        notes = perform(corpus, version, rng, seconds=20)
        assert 10 < (notes.onset + notes.duration).max() <= 20
        for part in others:
            others[part] |= set((notes.pitch[notes.part == part] % 12).tolist())
    # The chart's own chords, and now and then a stretch of another work.
    assert others[CHORDS] >= {0, 4, 7, 5, 9, 11, 2}
    assert not others[MELODY]  # a chart has none


def test_jobs_take_other_versions_first_and_are_the_same_each_time(context: SourceContext) -> None:
    batches = read(context)
    corpus = batches.simulator.corpus
    jobs = rendered.draw_jobs(batches, {"charts": 6}, takes=3, seed=1)
    assert jobs == rendered.draw_jobs(batches, {"charts": 6}, takes=3, seed=1)
    assert jobs != rendered.draw_jobs(batches, {"charts": 6}, takes=3, seed=2)
    assert Counter(job.work for job in jobs).most_common()[-1][1] == 3
    assert len({job.work for job in jobs}) == 6
    assert len({job.named(corpus).performance_id for job in jobs}) == 18
    for job in jobs:
        assert corpus.work[job.version] == job.work
        of_work = {j.take: j.version for j in jobs if j.work == job.work}
        assert of_work[0] != of_work[1]
        assert of_work[0] == of_work[2]
    with pytest.raises(TrainingError, match="no collection elsewhere; they have charts"):
        rendered.draw_jobs(batches, {"elsewhere": 6}, takes=3, seed=1)
    with pytest.raises(TrainingError, match="give 1 to 10"):
        rendered.draw_jobs(batches, {"charts": 6}, takes=11, seed=1)


def test_the_first_works_come_in_whole_blocks(
    context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendered, "BLOCK", 3)
    jobs = rendered.draw_jobs(read(context), {"charts": 8}, takes=2, seed=1)
    assert rendered.of_first_works(jobs, 3) == jobs[:6]
    assert rendered.of_first_works(jobs, 4) == jobs[:12]
    assert rendered.of_first_works(jobs, 8) == jobs


def test_interrupted_rendering_goes_on(
    context: SourceContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = read(context)
    jobs = rendered.draw_jobs(batches, {"charts": 8}, takes=3, seed=1)
    played: list[int] = []

    def play(performances: Any, soundfont: Path, **_: Any) -> list[Chroma]:
        played.append(len(performances))
        values = np.random.default_rng(0).random((100, 12), dtype=np.float32)
        return [Chroma(values, 21.5) for _ in performances]

    monkeypatch.setattr(rendered, "render_together", play)
    arguments = (batches.simulator.corpus, jobs, [Path("band.sf2")], tmp_path / "out")
    made = rendered.render_jobs(*arguments, seconds=5.0, seed=1)
    assert next(made) == 16
    made.close()
    assert sum(rendered.render_jobs(*arguments, seconds=5.0, seed=1)) == 24
    assert played == [16, 8]
    corpus = batches.simulator.corpus
    rendered.write_list(corpus, jobs, tmp_path / "out")
    assert all(job.named(corpus).file(tmp_path / "out").exists() for job in jobs)


def test_several_workers_write_the_same_files(
    context: SourceContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = read(context)
    jobs = rendered.draw_jobs(batches, {"charts": 8}, takes=3, seed=1)

    def play(performances: Any, soundfont: Path, **_: Any) -> list[Chroma]:
        """Chroma that depends on what is played and by whom."""
        heard = []
        for notes, rng in pickle.loads(pickle.dumps(performances)):  # as processes get them
            values = rng.random((100, 12), dtype=np.float32)
            values[:, 0] = notes.onset.sum() % 1
            heard.append(Chroma(values, 21.5))
        return heard

    def threads(workers: int, mp_context: Any) -> ThreadPoolExecutor:
        assert mp_context.get_start_method() == "spawn"
        return ThreadPoolExecutor(workers)

    monkeypatch.setattr(rendered, "render_together", play)
    monkeypatch.setattr(rendered, "ProcessPoolExecutor", threads)
    corpus, soundfonts = batches.simulator.corpus, [Path("band.sf2"), Path("other.sf2")]
    for workers in (1, 3):
        out = tmp_path / str(workers)
        made = rendered.render_jobs(
            corpus, jobs, soundfonts, out, seconds=5.0, seed=1, workers=workers
        )
        assert sum(made) == 24
    for job in jobs:
        one, other = (read_chroma(job.named(corpus).file(tmp_path / n)) for n in ("1", "3"))
        assert np.array_equal(one.chroma.values, other.chroma.values)


def test_rendering_that_fails_begins_no_more_runs(
    context: SourceContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = read(context)
    jobs = rendered.draw_jobs(batches, {"charts": 8}, takes=3, seed=1)
    begun: list[int] = []

    def play(performances: Any, soundfont: Path, **_: Any) -> list[Chroma]:
        begun.append(len(performances))
        if len(begun) == 1:
            raise OSError("disk full")
        time.sleep(0.5)
        return [Chroma(np.ones((100, 12), dtype=np.float32), 21.5)] * len(performances)

    monkeypatch.setattr(rendered, "_TOGETHER", 2)
    monkeypatch.setattr(rendered, "render_together", play)
    monkeypatch.setattr(rendered, "ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))
    made = rendered.render_jobs(
        batches.simulator.corpus,
        jobs,
        [Path("band.sf2")],
        tmp_path / "out",
        seconds=5.0,
        seed=1,
        workers=3,
    )
    with pytest.raises(OSError, match="disk full"):
        next(made)
    assert len(begun) <= 2  # of the seven that were waiting


def test_errors_of_worker_processes_come_back(context: SourceContext, tmp_path: Path) -> None:
    pytest.importorskip("mido")
    batches = read(context)
    jobs = rendered.draw_jobs(batches, {"charts": 1}, takes=1, seed=1)
    lost = [tmp_path / "lost.sf2"]
    made = rendered.render_jobs(
        batches.simulator.corpus, jobs, lost, tmp_path, seconds=5.0, seed=1, workers=2
    )
    with pytest.raises(NotFoundError, match=r"no soundfont at .*lost\.sf2"):
        next(made)


def test_a_worker_process_that_dies_is_named(
    context: SourceContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = read(context)
    jobs = rendered.draw_jobs(batches, {"charts": 8}, takes=3, seed=1)

    def die(*_: Any, **__: Any) -> list[Chroma]:
        raise BrokenProcessPool("terminated abruptly")

    monkeypatch.setattr(rendered, "render_together", die)
    monkeypatch.setattr(rendered, "ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(2))
    made = rendered.render_jobs(
        batches.simulator.corpus, jobs, [Path("a.sf2")], tmp_path, seconds=5.0, seed=1, workers=2
    )
    with pytest.raises(TrainingError, match="fewer --workers"):
        next(made)


def test_what_is_no_soundfont_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "song.sf2").write_bytes(b"RIFF....WAVE")
    out = tmp_path / "out"
    for name, kind in (("lost.sf2", NotFoundError), ("song.sf2", TrainingError)):
        options = ["--config", "none.toml", "--works", "charts=2", "--out", str(out)]
        monkeypatch.setattr("sys.argv", ["render", *options, "--soundfont", str(tmp_path / name)])
        with pytest.raises(kind, match=rf"no soundfont.*{name}|{name} is no soundfont"):
            rendered.main()
    assert not out.exists()
    (tmp_path / "band.sf2").write_bytes(b"RIFF....sfbk")
    check_soundfonts([tmp_path / "band.sf2"])


def test_a_folder_of_another_draw_is_refused(context: SourceContext, tmp_path: Path) -> None:
    batches = read(context)
    jobs = rendered.draw_jobs(batches, {"charts": 6}, takes=2, seed=1)
    rendered.write_list(batches.simulator.corpus, jobs, tmp_path)
    rendered.write_list(batches.simulator.corpus, jobs, tmp_path)  # one that was stopped goes on
    rendered.write_list(batches.simulator.corpus, [job for job in jobs if job.take == 0], tmp_path)
    listed = next(tmp_path.rglob("*.json")).read_bytes()
    others = rendered.draw_jobs(batches, {"charts": 6}, takes=2, seed=2)
    with pytest.raises(TrainingError, match="another --out"):
        rendered.write_list(batches.simulator.corpus, others, tmp_path)
    assert next(tmp_path.rglob("*.json")).read_bytes() == listed


def write_rendered(batches: CoverBatches, folder: Path, *, works: int, takes: int) -> None:
    """A catalogue of chroma whose bins are alike in every frame, as no chord's are."""
    jobs = rendered.draw_jobs(batches, {"charts": works}, takes=takes, seed=1)
    corpus = batches.simulator.corpus
    for job in jobs:
        rng = np.random.default_rng([job.number, job.take])
        values = np.repeat(rng.random((225, 1)), 12, axis=1).astype(np.float32)
        job.named(corpus).write(Chroma(values, 21.5), folder)
    rendered.write_list(corpus, jobs, folder)


def test_views_are_drawn_from_what_was_rendered(context: SourceContext, tmp_path: Path) -> None:
    write_rendered(read(context), tmp_path / "played", works=5, takes=2)
    table = {"catalogues": ["played"], "share": 1.0, "tempo": 1.0, "noise": 0.0}
    batches = read(context, rendered=table, works_per_batch=8)
    assert batches.rendered is not None
    assert len(batches.rendered.of_work) == 5
    works = np.arange(8)
    barred = np.zeros(8, dtype=bool)
    barred[min(batches.rendered.of_work)] = True
    chosen = batches.rendered.choose(works, np.random.default_rng(0), barred=barred).reshape(2, 8)
    for work in range(8):
        if work in batches.rendered.of_work and not barred[work]:
            assert set(chosen[:, work]) == set(batches.rendered.of_work[work])
        else:
            assert (chosen[:, work] == -1).all()
    batch = batches.batch(0)
    assert batch.x.shape == (16, 40, 12)
    assert torch.equal(batch.x, batches.batch(0).x)
    assert not torch.equal(batch.x, batches.batch(1).x)
    assert batch.work.tolist() == batch.work[:8].tolist() * 2
    assert float(batch.x.min()) >= 0
    assert float(batch.x.max()) <= 1
    for row, n_valid in enumerate(batch.n_valid.tolist()):
        assert 24 <= n_valid <= 40
        assert not batch.x[row, n_valid:].any()
        assert batch.x[row, :n_valid].any()
    has = [int(work) in batches.rendered.of_work for work in batch.work]
    flat = [float(x.std(dim=1).max()) < 1e-3 for x in batch.x]
    assert flat == has


def test_a_work_that_is_played_backwards_is_heard_backwards(
    context: SourceContext, tmp_path: Path
) -> None:
    write_rendered(read(context), tmp_path / "played", works=8, takes=2)
    table = {"catalogues": ["played"], "share": 1.0}
    forwards = read(context, rendered=table).batch(0)
    backwards = read(context, rendered=table, simulator={"reverse": 1.0}).batch(0)
    assert torch.equal(forwards.n_valid, backwards.n_valid)
    assert not torch.equal(forwards.x, backwards.x)
    for one, other, n in zip(forwards.x, backwards.x, forwards.n_valid.tolist(), strict=True):
        assert torch.equal(one[:n].flip(0), other[:n])


def test_what_was_rendered_goes_through_the_channel_and_simulated_covers_do_not(
    context: SourceContext, tmp_path: Path
) -> None:
    write_rendered(read(context), tmp_path / "played", works=8, takes=2)
    table: dict[str, Any] = {"catalogues": ["played"], "share": 0.5, "noise": 0.0}
    clean = read(context, rendered=table, works_per_batch=8).batch(0)
    table["channel"] = {"floor": 0.5}
    noisy = read(context, rendered=table, works_per_batch=8).batch(0)
    assert torch.equal(clean.n_valid, noisy.n_valid)
    flat = [float(x.std(dim=1).max()) < 1e-3 for x in clean.x]  # rendered, see write_rendered
    assert 0 < sum(flat) < len(flat)
    for was_rendered, one, other, n in zip(
        flat, clean.x, noisy.x, clean.n_valid.tolist(), strict=True
    ):
        assert torch.equal(one, other) is not was_rendered
        assert not other[n:].any()
        assert other.amin() == 0
        assert other.amax() == pytest.approx(1)


def test_what_was_rendered_joins_from_its_step_on(context: SourceContext, tmp_path: Path) -> None:
    write_rendered(read(context), tmp_path / "played", works=8, takes=2)
    table = {"catalogues": ["played"], "share": 1.0}
    simulated, mixed = read(context), read(context, rendered={**table, "from_step": 3})
    assert torch.equal(simulated.batch(2).x, mixed.batch(2).x)
    assert torch.equal(mixed.batch(3).x, read(context, rendered=table).batch(3).x)


def test_what_was_rendered_is_moved_to_all_keys_where_that_is_wanted(
    context: SourceContext, tmp_path: Path
) -> None:
    corpus = read(context).simulator.corpus
    jobs = rendered.draw_jobs(read(context), {"charts": 2}, takes=1, seed=1)
    for job in jobs:
        scale = np.tile(np.linspace(0, 1, 12, dtype=np.float32), (225, 1))
        job.named(corpus).write(Chroma(scale, 21.5), tmp_path / "played")
    rendered.write_list(corpus, jobs, tmp_path / "played")
    table = {"catalogues": ["played"], "share": 1.0, "noise": 0.0, "tempo": 1.0}
    keys = {}
    for transpose in (False, True):
        played = read(context, rendered={**table, "transpose": transpose}).rendered
        assert played is not None
        rng = np.random.default_rng(0)
        views = [played.view(0, 10, rng) for _ in range(200)]
        keys[transpose] = {int(view[0].argmax()) for view in views}
        assert all((np.sort(view, axis=1) == np.sort(views[0][0])).all() for view in views)
    assert keys == {False: {11}, True: set(range(12))}


def test_no_band_plays_a_work_upside_down(context: SourceContext, tmp_path: Path) -> None:
    write_rendered(read(context), tmp_path / "played", works=8, takes=2)
    table = {"catalogues": ["played"], "share": 1.0}
    batch = read(context, rendered=table, simulator={"invert": 1.0}).batch(0)
    assert all(float(x.std(dim=1).max()) > 1e-2 for x in batch.x)


def test_two_sources_of_a_run_keep_their_catalogues_apart(
    context: SourceContext, tmp_path: Path
) -> None:
    write_rendered(read(context), tmp_path / "played", works=8, takes=1)
    write_rendered(read(context), tmp_path / "again", works=4, takes=2)
    alone = read(context, rendered={"catalogues": ["played"], "share": 1.0}).batch(0)
    first = read(context, rendered={"catalogues": ["played"], "share": 1.0})
    read(context, rendered={"catalogues": ["again"], "share": 1.0}).batch(0)
    assert torch.equal(first.batch(0).x, alone.x)


def test_several_catalogues_are_drawn_from(context: SourceContext, tmp_path: Path) -> None:
    write_rendered(read(context), tmp_path / "played", works=8, takes=1)
    write_rendered(read(context), tmp_path / "again", works=3, takes=2)
    table = {"catalogues": ["played", "again"], "share": 1.0}
    rendered_works = read(context, rendered=table).rendered
    assert rendered_works is not None
    counts = sorted(len(tracks) for tracks in rendered_works.of_work.values())
    assert counts == [1] * 5 + [3] * 3
    for work, tracks in rendered_works.of_work.items():
        for track in tracks.tolist():
            of = rendered_works.catalogues[rendered_works.catalogue[track]]
            assert of.titles[rendered_works.row[track]] == f"jazz_tune{work}"


def test_no_view_is_longer_than_its_batch(context: SourceContext, tmp_path: Path) -> None:
    write_rendered(read(context), tmp_path / "played", works=2, takes=1)
    played = read(context, rendered={"catalogues": ["played"], "tempo": 1.25}).rendered
    assert played is not None
    rng = np.random.default_rng(0)
    lengths = {len(played.view(track, 10, rng)) for track in (0, 1) for _ in range(1000)}
    assert max(lengths) == 10
    assert min(lengths) >= 5  # rounded like the longest


def test_one_performance_of_a_work_makes_one_view_at_most(
    context: SourceContext, tmp_path: Path
) -> None:
    write_rendered(read(context), tmp_path / "played", works=8, takes=1)
    batches = read(context, rendered={"catalogues": ["played"], "share": 1.0})
    assert batches.rendered is not None
    barred = np.zeros(8, dtype=bool)
    chosen = batches.rendered.choose(np.arange(8), np.random.default_rng(0), barred=barred)
    assert ((chosen.reshape(2, 8) >= 0).sum(axis=0) == 1).all()


def test_a_share_of_nothing_is_what_the_simulator_makes(
    context: SourceContext, tmp_path: Path
) -> None:
    write_rendered(read(context), tmp_path / "played", works=8, takes=2)
    simulated = read(context).batch(3)
    mixed = read(context, rendered={"catalogues": ["played"], "share": 0.0}).batch(3)
    assert torch.equal(simulated.work, mixed.work)
    assert simulated.x.shape == mixed.x.shape


def test_a_catalogue_of_other_works_is_refused(context: SourceContext, tmp_path: Path) -> None:
    write_charts(tmp_path / "others.parquet", 2)
    others = read(context)
    write_rendered(others, tmp_path / "played", works=2, takes=2)
    path = tmp_path / "played/da-tacos_metadata/da-tacos_benchmark_subset_metadata.json"
    path.write_text(path.read_text().replace("jazz_tune", "jazz_else"))
    with pytest.raises(TrainingError, match="none of the 4 performances of played"):
        read(context, rendered={"catalogues": ["played"]})
