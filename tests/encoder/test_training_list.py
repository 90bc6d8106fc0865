"""A checkpoint says what it has learnt from, also where it went on from another one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.encoder import (
    Checkpoint,
    CheckpointError,
    Preprocessing,
    TrainingError,
    load_checkpoint,
    save_checkpoint,
    shipped_checkpoints,
)
from coverdex.encoder.training import SourceContext, Trainer, TrainingWorld
from coverdex.encoder.training.batch import build_batch_source
from coverdex.encoder.training.config import parse_config
from coverdex.encoder.training.late_list import write_late_list
from coverdex.encoder.training.pairs import read_pairs
from coverdex.encoder.training.seed_titles import title_in_id, titles_in_tables
from coverdex.encoder.training_list import (
    TRAINING_LIST_FILE,
    TrainedPerformance,
    TrainingList,
    read_training_list,
)

SEEN = TrainingList.of(
    [
        TrainedPerformance("W_2", "P_9", "Ligero"),
        TrainedPerformance("W_1", "P_3"),
        TrainedPerformance("W_2", "P_9", "Ligero"),
        TrainedPerformance("W_2"),
    ]
)


def test_performances_are_sorted_and_listed_once() -> None:
    assert [p.performance_id for p in SEEN.performances] == ["P_3", None, "P_9"]
    assert (len(SEEN), SEEN.n_works, SEEN.complete) == (3, 2, True)


def test_what_is_saved_is_loaded(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    listing = replace(tiny_checkpoint, training_list=SEEN)
    loaded = load_checkpoint(save_checkpoint(listing, tmp_path / "listing"))
    assert loaded.training_list == SEEN
    assert loaded.id == tiny_checkpoint.id  # the list decides no embedding
    empty = replace(tiny_checkpoint, training_list=TrainingList.of([], complete=False))
    loaded = load_checkpoint(save_checkpoint(empty, tmp_path / "empty"))
    assert loaded.training_list == TrainingList((), complete=False)


def test_a_checkpoint_without_a_list_loads(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = save_checkpoint(tiny_checkpoint, tmp_path / "old")
    assert not (folder / TRAINING_LIST_FILE).exists()
    assert load_checkpoint(folder).training_list is None


@pytest.mark.parametrize(
    "table",
    [
        None,
        pa.table({"work_id": ["W_1"]}),
        pa.table({"work_id": [None, "W_1"], "performance_id": ["a", "b"], "title": ["", ""]}),
        pa.table({"work_id": ["W_1"], "performance_id": [[1]], "title": ["x"]}),
    ],
)
def test_a_damaged_list_is_refused(
    tiny_checkpoint: Checkpoint, tmp_path: Path, table: pa.Table | None
) -> None:
    folder = save_checkpoint(tiny_checkpoint, tmp_path / "damaged")
    if table is None:
        (folder / TRAINING_LIST_FILE).write_bytes(b"PAR1 and no more")
    else:
        pq.write_table(table, folder / TRAINING_LIST_FILE)
    with pytest.raises(CheckpointError, match=TRAINING_LIST_FILE):
        load_checkpoint(folder)


def test_a_later_list_holds_the_earlier_one() -> None:
    later = TrainingList.of([TrainedPerformance("W_0", "P_0")])
    joined = later.after(SEEN)
    assert [p.work_id for p in joined.performances] == ["W_0", "W_1", "W_2", "W_2"]
    assert joined.complete
    unknown = later.after(None)
    assert unknown.performances == later.performances
    assert not unknown.complete
    assert not later.after(unknown).complete


@pytest.mark.usefixtures("one_thread")
def test_a_run_on_pairs_lists_the_training_pairs_alone(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    Trainer(parse_config(config_tables), tmp_path / "run", world=world).run()
    pairs = read_pairs(tmp_path / "run" / "pairs.parquet").to_pylist()
    trained = {
        (pair[f"work_{side}"], pair[f"performance_{side}"], f"Tune of {pair[f'work_{side}']}")
        for pair in pairs
        if pair["split"] == "train"
        for side in "ab"
    }
    listed = read_training_list(tmp_path / "run" / "checkpoint" / TRAINING_LIST_FILE)
    assert set(listed.performances) == trained
    assert listed.n_works == 9  # 3 of the 12 are held out
    assert listed.complete


@pytest.mark.usefixtures("one_thread")
def test_fine_tuning_joins_the_lists(
    config_tables: dict[str, Any],
    world: TrainingWorld,
    tiny_checkpoint: Checkpoint,
    tmp_path: Path,
) -> None:
    for table in ("architecture", "preprocessing"):
        del config_tables[table]
    for name, before in (("listing", SEEN), ("silent", None)):
        save_checkpoint(replace(tiny_checkpoint, training_list=before), tmp_path / name)
        tables = config_tables | {"start_from": name}
        trainer = Trainer(parse_config(tables), tmp_path / "run" / name, base=tmp_path, world=world)
        after = trainer.run().encoder.checkpoint.training_list
        assert after is not None
        assert after.complete == (before is not None)
        assert after.n_works == 9 + (2 if before else 0)


@pytest.mark.usefixtures("one_thread")
def test_a_list_is_written_late_for_the_same_run_alone(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    config = parse_config(config_tables)
    folder = Trainer(config, tmp_path, world=world).run().checkpoint
    original = read_training_list(folder / TRAINING_LIST_FILE)
    (folder / TRAINING_LIST_FILE).unlink()
    with pytest.raises(TrainingError, match="not made by this configuration"):
        write_late_list(config.model_copy(update={"seed": 4}), folder, world=world)
    others = replace(world, open_catalogue=lambda path, kind: world.open_catalogue("validation"))
    with pytest.raises(TrainingError, match=r"differs in .*performances"):
        write_late_list(config, folder, world=others)
    assert not (folder / TRAINING_LIST_FILE).exists()
    assert write_late_list(config, folder, world=world) == original
    assert load_checkpoint(folder).training_list == original


@pytest.mark.usefixtures("one_thread")
def test_a_finished_run_writes_a_missing_list(
    config_tables: dict[str, Any], world: TrainingWorld, tmp_path: Path
) -> None:
    config = parse_config(config_tables)
    folder = Trainer(config, tmp_path, world=world).run().checkpoint
    (folder / TRAINING_LIST_FILE).unlink()
    again = Trainer(config, tmp_path, world=world).run()
    assert again.encoder.checkpoint.training_list is not None


def test_simulated_covers_list_what_is_drawn_from(context: SourceContext, tmp_path: Path) -> None:
    chords = json.dumps([[0, 4, 0, [0, 4, 7]], [4, 4, 7, [7, 11, 2]]])
    rows = [(f"tune{i}", "bunks", f"{i}.txt", f"Tune No. {i}") for i in range(6)]
    rows += [(f"tune{i}", "ireal", str(i), None) for i in range(6)]
    names = ("work_id", "source", "version_id", "title")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    table = pa.table(columns)
    pq.write_table(
        table.append_column("chords_json", pa.array([chords] * len(rows))),
        tmp_path / "jazz_charts.parquet",
    )
    settings = {
        "source": "simulated-covers",
        "seeds": ["jazz_charts.parquet"],
        "leave_out_titles": ["Tune 0"],
        "held_out_corpus": "jazz_charts",
        "held_out_works": 2,
        "works_per_batch": 2,
        "seconds": 10.0,
    }
    source = build_batch_source(settings, replace(context, preprocessing=Preprocessing(4.0)))
    listed = source.training_list()
    assert {p.work_id for p in listed.performances} == set(source.work_ids)
    assert (listed.n_works, len(listed)) == (3, 6)  # one left out, two held out
    number = listed.performances[0].work_id.removeprefix("jazz_tune")
    assert listed.performances[:2] == (
        (f"jazz_tune{number}", f"jazz_charts/bunks/{number}.txt", f"Tune No. {number}"),
        (f"jazz_tune{number}", f"jazz_charts/ireal/{number}", None),
    )


@pytest.mark.parametrize(
    ("work_id", "title"),
    [
        ("coco_AnitaBaker_CaughtUpInTheRapture_1987.varms", "Caught Up In The Rapture"),
        ("coco_ABBA_SOS_1975", "SOS"),
        ("coco_SammyHagar_ICantDrive55_1984", "I Cant Drive 55"),
        ("coco_TheBeatles_Help_1965_repeat", "Help"),
        ("tune_oldsnuffshop_0012", "oldsnuffshop"),
        ("asap_Bach/Fugue_bwv_854", None),
        ("pop909_006", None),
        ("W_22", None),
    ],
)
def test_titles_in_ids(work_id: str, title: str | None) -> None:
    assert title_in_id(work_id) == title


def test_folders_and_tables_without_titles_have_none(tmp_path: Path) -> None:
    pq.write_table(pa.table({"version_id": ["a"]}), tmp_path / "untitled.parquet")
    assert titles_in_tables([tmp_path, tmp_path / "untitled.parquet"]) == {}


def test_lists_of_shipped_checkpoints_are_small() -> None:
    for folder in shipped_checkpoints().values():
        path = folder / TRAINING_LIST_FILE
        if path.is_file():
            assert path.stat().st_size < 500_000
            assert read_training_list(path).n_works > 1000
