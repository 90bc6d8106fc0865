"""Materials of simulated covers in a folder: the same batches, and nothing taken on trust."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coverdex.cli import training_world
from coverdex.encoder import ChromaKind, NotFoundError, Preprocessing, TrainingError
from coverdex.encoder.chroma import Chroma
from coverdex.encoder.commands import app
from coverdex.encoder.training import Trainer
from coverdex.encoder.training.batch import SourceContext, build_batch_source
from coverdex.encoder.training.config import TrainingConfig, parse_config
from coverdex.encoder.training.cover_batches import CoverBatches
from coverdex.encoder.training.prepared_covers import prepare_covers
from coverdex.encoder.training.rendered_catalogue import RenderedPerformance, write_metadata
from typer.testing import CliRunner

from .made_up_charts import write_charts

DATA = {
    "source": "simulated-covers",
    "seeds": ["charts.parquet"],
    "works_per_batch": 4,
    "seconds": 10.0,
    "held_out_corpus": "charts",
    "held_out_works": 2,
    "arrangements": {"charts": 1},
    "rendered": {"catalogues": ["played"], "share": 0.7},
}


def write_played(folder: Path, n_works: int) -> None:
    """Chroma at random under the names of works, in the layout of Da-TACOS."""
    rng = np.random.default_rng(3)
    played = [
        RenderedPerformance(f"W_{n}", f"P_{10 * n + k}", f"jazz_tune{n}", f"jazz_tune{n}", "seed")
        for n in range(n_works)
        for k in range(2)
    ]
    write_metadata(played, folder)
    for each in played:
        each.write(Chroma(rng.random((300, 12), dtype=np.float32), 21.5), folder)


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., TrainingConfig]:
    write_charts(tmp_path / "charts.parquet", 10)
    write_played(tmp_path / "played", 10)

    def make(**data: Any) -> TrainingConfig:
        return parse_config(
            {
                "name": "tiny",
                "seed": 3,
                "architecture": {
                    "name": "equivariant-cnn",
                    "channels": [4, 4],
                    "widths": [3, 3],
                    "strides": [2, 2],
                    "heads": 2,
                    "read_out": 8,
                    "dimension": 8,
                },
                "preprocessing": {"frame_rate": 4.0},
                "data": {**DATA, **data},
                "loss": {"name": "nt-xent"},
                "run": {"epochs": 1, "steps_per_epoch": 3, "device": "cpu"},
            }
        )

    return make


def source_of(config: TrainingConfig, folder: Path, prepared: Path | None) -> CoverBatches:
    context = SourceContext(
        preprocessing=Preprocessing(frame_rate=4.0),
        kind=ChromaKind.HPCP,
        seed=config.seed,
        device="cpu",
        folder=folder / "scratch",
        base=folder,
        world=training_world(),
        prepared=prepared,
    )
    source = build_batch_source(config.data, context)
    assert isinstance(source, CoverBatches)
    return source


@pytest.fixture
def prepared(config: Callable[..., TrainingConfig], tmp_path: Path) -> Path:
    prepare_covers(config(), tmp_path / "prepared", base=tmp_path, world=training_world())
    return tmp_path / "prepared"


def test_batches_are_those_that_the_seeds_give(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    read, taken = (source_of(config(), tmp_path, folder) for folder in (None, prepared))
    assert taken.rendered is not None
    assert taken.describe() == read.describe()
    assert taken.training_list() == read.training_list()
    for step in range(6):
        for one, other in zip(read.batch(step), taken.batch(step), strict=True):
            assert torch.equal(one, other)
    for one, other in zip(read.held_out(), taken.held_out(), strict=True):
        assert torch.equal(one.x, other.x)


def test_it_needs_neither_seeds_nor_catalogues(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    carried = prepared.rename(tmp_path / "carried")
    source = source_of(config(), elsewhere, carried)
    assert source.batch(0).x.any()


def test_a_run_comes_out_the_same(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    runs = [
        Trainer(
            config(), tmp_path / f"run{n}", base=tmp_path, world=training_world(), prepared=folder
        ).run()
        for n, folder in enumerate((None, prepared))
    ]
    assert runs[0].encoder.id == runs[1].encoder.id


def test_a_run_goes_on_with_the_folder_and_without_it(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    long = config().model_copy(update={"run": config().run.model_copy(update={"save_every": 1})})

    def stop(report: Any) -> None:
        raise InterruptedError(f"killed at step {report.step}")

    ids = set()
    for number, (first, second) in enumerate([(None, prepared), (prepared, None), (None, None)]):
        run = tmp_path / f"run{number}"
        world = training_world()
        killed = Trainer(long, run, base=tmp_path, world=world, prepared=first)
        with pytest.raises(InterruptedError, match="at step 1"):
            killed.run(on_step=stop)
        again = Trainer(long, run, base=tmp_path, world=world, prepared=second)
        assert again.step == 1
        ids.add(again.run().encoder.id)
    assert len(ids) == 1


def test_a_finished_run_is_not_said_to_have_learnt_from_other_data(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    def trainer(folder: Path | None) -> Trainer:
        world = training_world()
        return Trainer(config(), tmp_path / "run", base=tmp_path, world=world, prepared=folder)

    trainer(prepared).run()
    record = (tmp_path / "run" / "run.json").read_bytes()
    assert trainer(None).run().history[-1]["step"] == 3  # the same data
    write_charts(tmp_path / "charts.parquet", 9)
    with pytest.raises(TrainingError, match=r"learnt from other data \(rendered, sha256, training"):
        trainer(None)
    assert json.loads((tmp_path / "run" / "run.json").read_bytes()) == json.loads(record)


def test_a_worker_process_draws_the_same(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    source = source_of(config(), tmp_path, prepared)
    spawned = pickle.loads(pickle.dumps(source))  # as a process that is spawned gets it
    assert torch.equal(spawned.batch(2).x, source.batch(2).x)


def test_a_folder_that_is_replaced_changes_no_run_that_reads_it(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    source, other = (source_of(config(), tmp_path, prepared) for _ in range(2))
    expected = other.batch(1).x
    spawned = pickle.loads(pickle.dumps(source))
    write_played(tmp_path / "played", 9)
    for file in (tmp_path / "played").rglob("W_9_hpcp/*"):
        file.unlink()
    world = training_world()
    prepare_covers(config(), prepared, base=tmp_path, world=world, overwrite=True)
    assert torch.equal(source.batch(1).x, expected)
    with pytest.raises(TrainingError, match="removed or replaced after it had been read"):
        spawned.batch(1)


def test_what_is_given_back_can_be_drawn_from(
    config: Callable[..., TrainingConfig], tmp_path: Path
) -> None:
    place = tmp_path / "prepared"
    materials = prepare_covers(config(), place, base=tmp_path, world=training_world())
    assert materials.rendered[0].tracks.frames(0).any()
    assert materials.rendered[0].tracks.path.parent == place / "rendered-0"


def test_settings_that_choose_among_what_is_there_are_free(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    changed = config(seconds=12.0, works_per_batch=3, simulator={"reverse": 0.5})
    assert source_of(changed, tmp_path, prepared).batch(0).x.shape == (6, 48, 12)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("arrangements", {"charts": 2}),
        ("held_out_works", 3),
        ("leave_out_titles", ["tune1"]),
        ("rendered", {"catalogues": ["other"]}),
    ],
)
def test_other_settings_of_what_is_there_are_refused(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path, setting: str, value: Any
) -> None:
    with pytest.raises(TrainingError, match=f"other settings .{setting}.; prepare"):
        source_of(config(**{setting: value}), tmp_path, prepared)


def test_another_frame_rate_is_refused(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    context = SourceContext(
        Preprocessing(8.0), ChromaKind.HPCP, 3, "cpu", tmp_path, tmp_path, prepared=prepared
    )
    with pytest.raises(TrainingError, match="preprocessing"):
        build_batch_source(config().data, context)


def test_another_kind_of_chroma_is_refused(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    crema = config().model_copy(update={"kind": ChromaKind.CREMA})
    with pytest.raises(TrainingError, match=r"other settings \(kind\)"):
        Trainer(crema, tmp_path / "run", base=tmp_path, prepared=prepared)
    path = prepared / "prepared.json"  # one from before the kind was written down
    record = json.loads(path.read_text())
    assert record["settings"].pop("kind") == "hpcp"
    path.write_text(json.dumps(record))
    assert source_of(config(), tmp_path, prepared).batch(0).x.any()


def test_a_setting_of_a_later_version_is_refused(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    path = prepared / "prepared.json"
    record = json.loads(path.read_text())
    record["settings"]["transposed"] = True
    path.write_text(json.dumps(record))
    with pytest.raises(TrainingError, match=r"other settings \(transposed\)"):
        source_of(config(), tmp_path, prepared)


@pytest.mark.parametrize("name", ["rolls.parquet", "versions.parquet", "rendered-0/tracks.f16"])
def test_a_flipped_bit_is_found(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path, name: str
) -> None:
    content = bytearray((prepared / name).read_bytes())
    content[len(content) // 2] ^= 1
    (prepared / name).write_bytes(content)
    with pytest.raises(TrainingError, match=f"{name} is missing or damaged"):
        source_of(config(), tmp_path, prepared)


def test_what_is_no_prepared_folder_is_refused(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="holds nothing that was prepared"):
        source_of(config(), tmp_path, tmp_path / "played")
    record = json.loads((prepared / "prepared.json").read_text())
    (prepared / "prepared.json").write_text(json.dumps(record | {"format_version": 2}))
    with pytest.raises(TrainingError, match="format 2"):
        source_of(config(), tmp_path, prepared)
    for damaged in ("{", "[]", '{"format_version": 1, "settings": {}}'):
        (prepared / "prepared.json").write_text(damaged)
        with pytest.raises(TrainingError, match=r"prepared.json is damaged \(.*prepare it again"):
            source_of(config(), tmp_path, prepared)


def test_a_place_that_is_taken_is_refused_before_anything_is_read(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    missing = config(seeds=["lost.parquet"])
    with pytest.raises(TrainingError, match="prepared exists; give"):
        prepare_covers(missing, prepared, base=tmp_path)
    with pytest.raises(TrainingError, match="holds nothing that was prepared"):
        prepare_covers(missing, tmp_path / "played", base=tmp_path, overwrite=True)
    with pytest.raises(NotFoundError):
        prepare_covers(missing, prepared, base=tmp_path, overwrite=True)
    assert source_of(config(), tmp_path, prepared).batch(0).x.any()  # what was there still is
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"below cannot be made: .*file is a file"):
        prepare_covers(missing, tmp_path / "file" / "below", base=tmp_path)


def test_a_place_that_may_not_be_written_to_is_told_before_anything_is_read(
    config: Callable[..., TrainingConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write everywhere, so the system's answer is made up.
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(PermissionError, match=r"Permission denied: .*out"):
        prepare_covers(config(seeds=["lost.parquet"]), tmp_path / "out", base=tmp_path)


def test_a_full_disk_is_told_by_the_name_of_the_folder(
    config: Callable[..., TrainingConfig], small_disk: Any, tmp_path: Path
) -> None:
    small_disk.fill(but=20_000)
    out = small_disk.folder / "prepared"
    with pytest.raises(OSError, match="No space left") as refused:
        prepare_covers(config(), out, base=tmp_path, world=training_world())
    assert refused.value.filename == str(out)
    assert [path.name for path in small_disk.folder.iterdir()] == ["ballast"]


def test_what_a_symbolic_link_points_to_is_replaced(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    linked = tmp_path / "linked"
    linked.symlink_to(prepared, target_is_directory=True)
    changed = config(held_out_works=3)
    prepare_covers(changed, linked, base=tmp_path, world=training_world(), overwrite=True)
    assert linked.is_symlink()
    assert source_of(changed, tmp_path, prepared).batch(0).x.any()
    assert not list(tmp_path.glob(".*"))


def test_what_was_there_comes_back_where_it_cannot_be_replaced(
    config: Callable[..., TrainingConfig],
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if Path(target) == prepared and (path / "prepared.json").exists() and not moved:
            moved.append(path)
            raise PermissionError("in use")
        return rename(path, target)

    moved: list[Path] = []
    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    changed = config(held_out_works=3)
    with pytest.raises(PermissionError):
        prepare_covers(changed, prepared, base=tmp_path, world=training_world(), overwrite=True)
    assert moved
    assert source_of(config(), tmp_path, prepared).batch(0).x.any()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"works_per_batch": 20}, "works_per_batch is 20"),
        ({"shortest_seconds": 20.0}, "shortest_seconds is 20"),
        ({"simulator": {"reversed": 0.5}}, "reversed"),
    ],
)
def test_what_every_run_would_refuse_is_not_prepared(
    config: Callable[..., TrainingConfig], tmp_path: Path, data: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        prepare_covers(config(**data), tmp_path / "new", base=tmp_path, world=training_world())
    assert not (tmp_path / "new").exists()


def test_only_simulated_covers_are_prepared(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    pairs = replace_data(config(), {"source": "pairs", "catalogue": "demo"})
    with pytest.raises(TrainingError, match="of the source pairs cannot be prepared"):
        prepare_covers(pairs, tmp_path / "new", base=tmp_path)
    with pytest.raises(TrainingError, match="source pairs reads its data itself"):
        source_of(pairs, tmp_path, prepared)


def replace_data(config: TrainingConfig, data: dict[str, Any]) -> TrainingConfig:
    return config.model_copy(update={"data": data})


def test_the_commands_prepare_and_train(
    config: Callable[..., TrainingConfig], tmp_path: Path
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(as_toml(config().model_dump(mode="json", exclude_none=True)))
    call = ["prepare", str(path), "--out", str(tmp_path / "ready")]
    said = CliRunner().invoke(app, call, obj=training_world, catch_exceptions=False)
    assert "of 8 works and 20 rendered performances in" in said.stdout  # two are held out
    (tmp_path / "charts.parquet").unlink()
    call = ["train", str(path), "--out", str(tmp_path / "run"), "--json"]
    taken = [*call, "--prepared", str(tmp_path / "ready")]
    said = CliRunner().invoke(app, taken, obj=training_world, catch_exceptions=False)
    assert json.loads(said.stdout)["result"]["step"] == 3
    with pytest.raises(NotFoundError):
        CliRunner().invoke(app, [*call, "--fresh"], obj=training_world, catch_exceptions=False)


def test_prepare_takes_the_same_changes_as_the_run(
    config: Callable[..., TrainingConfig], tmp_path: Path
) -> None:
    path, ready = tmp_path / "tiny.toml", str(tmp_path / "ready")
    path.write_text(as_toml(config().model_dump(mode="json", exclude_none=True)))
    changed = ["--set", "data.held_out_works=3"]
    call = ["prepare", str(path), "--out", ready, *changed, "--json"]
    said = CliRunner().invoke(app, call, obj=training_world, catch_exceptions=False)
    told = {"prepared": ready, "works": 7, "versions": 28, "rendered": 20}
    assert json.loads(said.stdout) == told
    assert "reading what tiny learns from" in said.stderr
    train = ["train", str(path), "--out", str(tmp_path / "run"), "--prepared", ready]
    with pytest.raises(TrainingError, match="held_out_works"):
        CliRunner().invoke(app, train, obj=training_world, catch_exceptions=False)
    said = CliRunner().invoke(app, [*train, *changed], obj=training_world, catch_exceptions=False)
    assert said.exit_code == 0
    listed = tmp_path / "run" / "checkpoint"
    before = (listed / "training.parquet").read_bytes()
    (listed / "training.parquet").unlink()
    (tmp_path / "charts.parquet").unlink()
    call = ["training-list", str(path), str(listed), *changed, "--prepared", ready]
    said = CliRunner().invoke(app, call, obj=training_world, catch_exceptions=False)
    assert "of 7 works listed" in said.stdout
    assert (listed / "training.parquet").read_bytes() == before


def test_a_search_takes_what_was_prepared_and_begins_nothing_that_does_not_fit(
    config: Callable[..., TrainingConfig], prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.toml").write_text(
        as_toml(config().model_dump(mode="json", exclude_none=True))
    )
    designs = tmp_path / "designs.toml"
    tables = 'config = "tiny.toml"\n[[designs]]\nname = "as it is"\n[[designs]]\nname = "other"\n'
    designs.write_text(tables + 'changes = ["preprocessing.frame_rate=2.0"]\n')
    (tmp_path / "charts.parquet").unlink()
    out = tmp_path / "out"
    call = ["search", str(designs), "--out", str(out), "--prepared", str(prepared), "--json"]
    with pytest.raises(TrainingError, match="preprocessing"):
        CliRunner().invoke(app, call, obj=training_world, catch_exceptions=False)
    assert not out.exists()
    designs.write_text(tables + 'changes = ["seed=4"]\n')
    said = CliRunner().invoke(app, call, obj=training_world, catch_exceptions=False)
    assert [each["name"] for each in json.loads(said.stdout)] == ["as it is", "other"]


def as_toml(tables: dict[str, Any], path: str = "") -> str:
    """Write nested tables of plain values."""
    lines = [f"{k} = {json.dumps(v)}" for k, v in tables.items() if not isinstance(v, dict)]
    for name, table in tables.items():
        if isinstance(table, dict):
            lines += [f"[{path}{name}]", as_toml(table, f"{path}{name}.")]
    return "\n".join(lines)
