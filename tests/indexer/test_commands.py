"""The commands as a user types them: answers on stdout, the rest on stderr, exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.encoder import DEFAULT_CHECKPOINT, Chroma, Encoder
from coverdex.indexer import PerformanceRecord, read_rejections, write_parquet_catalogue
from coverdex.indexer.target_folder import only_maker
from coverdex.search import Index
from coverdex.search.snapshot import Snapshot

from .datacos_folder import DatacosFolder, made_up_chroma, write_feature_file
from .typed_command import Run


def test_build(datacos: DatacosFolder, tmp_path: Path, tiny_checkpoint: Path, run: Run) -> None:
    datacos.path_of("W_0", "P_00").write_bytes(b"")
    arguments = ["index", "build", datacos.root, "--out", tmp_path / "my.index"]
    arguments += ["--encoder", tiny_checkpoint]
    answer = run(*arguments)
    assert answer.code == 0
    assert answer.out.startswith("indexed 5 performances in ")
    assert answer.out.rstrip().endswith(
        f"1 rejected (1 empty): see {tmp_path / 'my.index.rejected.parquet'}"
    )
    assert "embedding: 0 of 6 performances" in answer.err.splitlines()
    again = run(*arguments)
    assert (again.code, again.out) == (1, "")
    assert "exists already" in again.err
    answer = run(*arguments, "--overwrite", "--json")
    assert answer.code == 0
    assert answer.document["n_indexed"] == 5
    assert answer.document["rejections"][0]["reason"] == "empty"
    assert "1 rejected" in answer.err


def test_strict_build(
    datacos: DatacosFolder, tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    datacos.path_of("W_0", "P_00").write_bytes(b"")
    out = tmp_path / "my.index"
    arguments = ["index", "build", datacos.root, "--out", out, "--encoder", tiny_checkpoint]
    answer = run(*arguments, "--strict", "--json")
    assert (answer.code, answer.out) == (1, "")
    assert "1 rejected (1 empty)" in answer.err
    assert not out.exists()
    (rejection,) = read_rejections(tmp_path / "my.index.rejected.parquet")
    assert rejection.performance == "P_00"
    datacos.add("W_0", "P_00")
    assert run(*arguments, "--strict").code == 0


def test_build_tells_what_it_cannot_find(datacos: DatacosFolder, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "x.index"
    assert run("index", "build", tmp_path / "nowhere", "--out", out).code == 3
    assert run("index", "build", datacos.root, "--out", out, "--encoder", "nobody").code == 3
    assert run("index", "build", datacos.root).code == 2
    wrong_kind = run("index", "build", datacos.root, "--out", out, "--kind", "crema")
    assert wrong_kind.code == 1
    assert "no crema features" in wrong_kind.err


def test_info(index: Path, run: Run) -> None:
    answer = run("index", "info", index, "--json")
    assert answer.code == 0
    assert answer.document["count"] == 6
    assert answer.document["works"] == 3
    assert answer.document["performances_with_covers"] == 6
    assert answer.document["encoder_name"] == "tiny"
    table = run("index", "info", index)
    assert "performances with covers" in table.out
    assert run("index", "info", index.parent / "nowhere").code == 3


@pytest.mark.parametrize("command", ["info", "verify", "compact"])
def test_an_index_of_an_odd_name(index: Path, run: Run, command: str) -> None:
    odd = index.with_name(os.fsdecode(b"caf\xe9.index"))
    try:
        index.rename(odd)
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    answer = run("index", command, odd)
    assert answer.code == 1
    assert r"caf\xe9.index is not UTF-8; rename it" in answer.err


def test_embed_then_build(
    datacos: DatacosFolder, tmp_path: Path, tiny_checkpoint: Path, index: Path, run: Run
) -> None:
    arguments = ["embed", datacos.root, "--out", tmp_path / "shards", "--encoder", tiny_checkpoint]
    answer = run(*arguments, "--json")
    assert answer.code == 0
    assert answer.document["shards"] == ["shard-00000.parquet"]
    assert (answer.document["n_embedded"], answer.document["n_kept"]) == (6, 0)
    assert run(*arguments, "--json").document["n_kept"] == 6
    built = run("index", "build", tmp_path / "shards", "--out", tmp_path / "other.index")
    assert built.code == 0
    one, other = Index.open(index), Index.open(tmp_path / "other.index")
    assert np.array_equal(one.embeddings, other.embeddings)
    refused = run(
        "index", "build", tmp_path / "shards", "--out", tmp_path / "x", "--encoder", tiny_checkpoint
    )
    assert refused.code == 2


def test_embeddings_beside_chroma_are_made_anew(
    tmp_path: Path, tiny_checkpoint: Path, tiny_encoder: Encoder, run: Run
) -> None:
    path = tmp_path / "releases.parquet"
    write_parquet_catalogue(path, [(PerformanceRecord("P_1"), Chroma(made_up_chroma(1), 10.0))])
    old = pa.array([[1.0] + [0.0] * 63], pa.list_(pa.float32()))
    table = pq.read_table(path).append_column("embedding", old)
    pq.write_table(table.append_column("encoder_id", pa.array(["old-1"])), path)
    out = tmp_path / "my.index"
    assert run("index", "build", path, "--out", out, "--encoder", tiny_checkpoint).code == 0
    index = Index.open(out)
    assert index.manifest.encoder_id == tiny_encoder.id
    assert "chroma" not in index.schema.names


def test_embed_files_by_name_and_by_list(
    datacos: DatacosFolder, tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    files = sorted(datacos.features.rglob("*.h5"))
    (tmp_path / "list.txt").write_text("\n".join(map(str, files[1:])) + "\n\n")
    silent = write_feature_file(
        tmp_path / "silent.h5", "W_8", "P_8", hpcp=np.zeros((90, 12), np.float32)
    )
    arguments = ["embed", files[0], silent, "--list", tmp_path / "list.txt"]
    arguments += ["--out", tmp_path / "shards", "--encoder", tiny_checkpoint]
    answer = run(*arguments, "--json")
    assert answer.code == 0
    assert answer.document["n_embedded"] == 6
    assert [r["reason"] for r in answer.document["rejections"]] == ["no-energy"]
    assert "no-energy" in answer.err
    assert run(*arguments, "--strict").code == 1
    assert run("embed", "--out", tmp_path / "x").code == 2
    missing = run("embed", "--list", tmp_path / "nowhere.txt", "--out", tmp_path / "x")
    assert missing.code == 3
    assert "no list at" in missing.err
    assert run("embed", datacos.root, files[0], "--out", tmp_path / "x").code == 2
    assert run("embed", datacos.root, "--out", tmp_path / "x", "--share", "half").code == 2
    assert run("embed", datacos.root, "--out", tmp_path / "x", "--share", "²/2").code == 2
    assert not (tmp_path / "x").exists()


def test_tune(
    index: Path, datacos: DatacosFolder, tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    assert "nothing to measure: 6 performances as Flat" in run("index", "tune", index).out
    graph = tmp_path / "graph.index"
    built = ["--encoder", tiny_checkpoint, "--factory", "HNSW4", "--out", graph]
    assert run("index", "build", datacos.root, *built).code == 0
    assert "as HNSW4" in run("index", "tune", graph).out
    lists = tmp_path / "lists.index"
    built = ["--encoder", tiny_checkpoint, "--factory", "IVF2,SQfp16", "--out", lists]
    assert run("index", "build", datacos.root, *built).code == 0
    answer = run("index", "tune", lists, "--recall", "0.5", "--json")
    assert answer.code == 0
    assert answer.document["recall_wanted"] == 0.5
    assert answer.document["search_parameters"] == Index.open(lists).manifest.search_parameters
    assert "nprobe" in run("index", "tune", lists).out
    assert run("index", "tune", lists, "--recall", "0").code == 2
    assert run("index", "tune", tmp_path / "none.index").code == 3


def test_what_takes_long_and_cannot_be_counted_is_told(
    index: Path, datacos: DatacosFolder, tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    shards, lists = tmp_path / "shards", tmp_path / "lists.index"
    run("embed", datacos.root, "--out", shards, "--encoder", tiny_checkpoint)
    built = run("index", "build", shards, "--out", lists, "--factory", "IVF2,SQfp16", "--json")
    training = "training IVF2,SQfp16 on 6 of 6 vectors\nfilling it\n"
    measuring = "measuring how it is asked at recall 0.99, with 6 queries\n"
    assert built.err.startswith(training + measuring)
    assert measuring in run("index", "tune", lists).err
    name = Index.open(lists).performances.column("performance_id")[0].as_py()
    run("index", "remove", lists, name)
    assert "training IVF2,SQfp16 on 5 of 5 vectors" in run("index", "compact", lists).err
    run("index", "remove", index, name)
    assert run("index", "compact", index).err == ""  # compared one by one: nothing is trained


def test_options_of_datacos_are_refused_for_files(index: Path, tmp_path: Path, run: Run) -> None:
    file = write_feature_file(tmp_path / "good.h5", "W_1", "P_99", hpcp=made_up_chroma(99))
    for option in (["--metadata", "x"], ["--subset", "benchmark"]):
        assert run("index", "add", index, file, *option).code == 2
        assert run("embed", file, "--out", tmp_path / "shards", *option).code == 2
        assert run("index", "build", file, "--out", tmp_path / "new.index", *option).code == 2


def test_values_that_no_option_takes_are_wrong_usage(
    index: Path, datacos: DatacosFolder, tmp_path: Path, run: Run
) -> None:
    build = ["index", "build", datacos.root, "--out", tmp_path / "new.index"]
    assert run(*build, "--kind", "mfcc").code == 2
    assert run(*build, "--subset", "whole").code == 2
    assert run("embed", datacos.root, "--out", tmp_path / "x", "--share", "3/2").code == 2
    export = ["index", "export", index, "--out"]
    assert run(*export, tmp_path / "x", "--format", "csv").code == 2
    assert run(*export, tmp_path / "pairs.csv", "--pairs", 2, "--format", "numpy").code == 2
    refused = run(*export, tmp_path / "pairs.txt", "--pairs", 2)
    assert refused.code == 2
    assert "unknown format 'txt'" in refused.err
    assert run(*export, tmp_path / "p.csv", "--pairs", 2, "--where", "year").code == 2
    for recall in ("0", "-0.1", "1.1", "nan"):
        assert run(*build, "--recall", recall).code == 2
        assert run("index", "tune", index, "--recall", recall).code == 2


@pytest.mark.parametrize("factory", ["Fat", "PQ3", "IVF0,Flat", "HNSW0", "HNSW1", "NSG01"])
def test_a_factory_string_that_will_not_do_is_wrong_usage(
    index: Path,
    datacos: DatacosFolder,
    tmp_path: Path,
    tiny_checkpoint: Path,
    run: Run,
    factory: str,
) -> None:
    out, shards = tmp_path / "new.index", tmp_path / "shards"
    encoder = ["--encoder", tiny_checkpoint]
    assert run("embed", datacos.root, "--out", shards, *encoder).code == 0
    refusals = [
        run("index", "build", datacos.root, "--out", out, "--factory", factory, *encoder),
        run("index", "build", shards, "--out", out, "--factory", factory),
    ]
    assert run("index", "remove", index, "P_00").code == 0
    refusals.append(run("index", "compact", index, "--factory", factory))
    for refused in refusals:
        assert refused.code == 2
        assert "Invalid value for '--factory'" in refused.err
    assert not out.exists()
    assert run("index", "verify", index).code == 0


def test_embedding_nothing_fails(tmp_path: Path, tiny_checkpoint: Path, run: Run) -> None:
    absent, empty = tmp_path / "absent.h5", tmp_path / "empty.h5"
    empty.write_bytes(b"")
    good = write_feature_file(tmp_path / "good.h5", "W_1", "P_99", hpcp=made_up_chroma(99))
    options = ["--out", tmp_path / "shards", "--encoder", tiny_checkpoint]
    missing = run("embed", absent, *options, "--json")
    assert missing.code == 3
    assert [r["reason"] for r in missing.document["rejections"]] == ["no-feature-file"]
    assert f"no file {absent}" in missing.err.splitlines()[-1]
    assert run("embed", empty, *options).code == 1
    assert run("embed", empty, absent, *options).code == 1
    assert run("embed", absent, good, *options).code == 0
    assert run("embed", absent, good, *options, "--strict").code == 1
    assert run("embed", good, *options, "--share", "2/2").code == 0  # which is of nothing


def test_shards_of_other_performances_are_not_lost(
    tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    one, other = (
        write_feature_file(tmp_path / f"{name}.h5", "W_1", name, hpcp=made_up_chroma(seed))
        for seed, name in enumerate(("P_1", "P_2"))
    )
    shards = tmp_path / "shards"
    options = ["--out", shards, "--encoder", tiny_checkpoint]
    assert run("embed", one, *options).code == 0
    before = {path.name: path.read_bytes() for path in shards.iterdir()}
    refused = run("embed", other, *options)
    assert refused.code == 1
    assert f"{shards} holds embeddings of 1 other performances, such as P_1" in refused.err
    assert {path.name: path.read_bytes() for path in shards.iterdir()} == before
    assert run("embed", one, *options).code == 0
    assert run("embed", one, other, *options).out.startswith("embedded 2 performances")
    (shards / "shard-00000.parquet").write_bytes(b"damaged")
    assert run("embed", other, *options).code == 0


def test_a_few_files_do_not_take_the_place_of_all_shards(
    tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    files = [
        write_feature_file(tmp_path / f"P_{n}.h5", "W_1", f"P_{n}", hpcp=made_up_chroma(n))
        for n in range(10, 21)
    ]
    shards = tmp_path / "shards"
    options = ["--out", shards, "--encoder", tiny_checkpoint]
    assert run("embed", *files, *options).code == 0
    before = {path.name: path.read_bytes() for path in shards.iterdir()}
    refused = run("embed", files[0], *options)
    assert refused.code == 1
    assert f"{shards} holds embeddings of 10 other performances, such as P_11" in refused.err
    assert {path.name: path.read_bytes() for path in shards.iterdir()} == before
    assert run("embed", *files[:5], *options).code == 0  # as a catalogue that has become shorter


def test_an_index_or_a_file_is_no_place_for_shards(
    index: Path, tmp_path: Path, datacos: DatacosFolder, tiny_checkpoint: Path, run: Run
) -> None:
    before = sorted(path.name for path in index.iterdir())
    refused = run("embed", datacos.root, "--out", index, "--encoder", tiny_checkpoint)
    assert refused.code == 1
    assert f"{index} is an index; give the shards a folder of their own" in refused.err
    file = tmp_path / "a-file"
    file.touch()
    refused = run("embed", datacos.root, "--out", file, "--encoder", tiny_checkpoint)
    assert refused.code == 1
    assert f"{file} is a file; give the name of a folder" in refused.err
    assert sorted(path.name for path in index.iterdir()) == before


def test_what_the_plan_of_shards_rejected_is_told(
    index: Path, tmp_path: Path, datacos: DatacosFolder, tiny_checkpoint: Path, run: Run
) -> None:
    datacos.describe("W_0", "P_78")  # has no file
    datacos.write_metadata()
    run("embed", datacos.root, "--out", tmp_path / "s", "--encoder", tiny_checkpoint)
    answer = run("index", "add", index, tmp_path / "s", "--update", "--json")
    assert [r["performance"] for r in answer.document["rejections"]] == ["P_78"]


def test_another_encoder_is_refused(index: Path, datacos: DatacosFolder, run: Run) -> None:
    answer = run("index", "add", index, datacos.root, "--update", "--encoder", DEFAULT_CHECKPOINT)
    assert answer.code == 4
    assert "tiny-" in answer.err


def test_verify(index: Path, run: Run) -> None:
    answer = run("index", "verify", index)
    assert answer.code == 0
    assert answer.out.rstrip().endswith("whole")
    damaged = index / "embeddings.parquet"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(bytes(content))
    answer = run("index", "verify", index, "--json")
    assert answer.code == 1
    assert answer.document["whole"] is False
    assert "embeddings.parquet" in answer.document["problems"][0]
    assert run("index", "verify", index.parent / "nowhere").code == 3


def test_export_embeddings(index: Path, tmp_path: Path, run: Run) -> None:
    answer = run(
        "index", "export", index, "--out", tmp_path / "numpy", "--format", "numpy", "--json"
    )
    assert answer.code == 0
    assert answer.document["rows"] == 6
    assert np.array_equal(
        np.load(tmp_path / "numpy" / "embeddings.npy"), Index.open(index).embeddings
    )
    assert run("index", "export", index, "--out", tmp_path / "p").code == 0
    again = tmp_path / "again.index"
    rebuilt = run("index", "build", tmp_path / "p", "--out", again, "--strict")
    assert rebuilt.code == 0  # what is exported can be indexed again
    assert np.array_equal(Index.open(again).embeddings, Index.open(index).embeddings)
    assert Index.open(again).metadata("P_00")["title"] == "Title of P_00"
    assert run("index", "export", index, "--out", tmp_path / "p").code == 1
    assert run("index", "export", index, "--out", tmp_path / "x", "--where", "year>1").code == 2


def test_leftovers_of_a_killed_export_are_removed(index: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "exports" / "today"
    left = out.parent / ".today.k3x_9abc.tmp"
    with only_maker(out):
        left.mkdir()
        assert run("index", "export", index, "--out", out).code == 1
    assert run("index", "export", index, "--out", out).code == 0
    assert [path.name for path in out.parent.iterdir()] == ["today"]


def test_what_is_said_of_a_changed_index_does_not_lay_out_all_its_metadata(
    index: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = Index.open(index).performances.column("performance_id")[0].as_py()
    run("index", "remove", index, name)

    def laid_out(_: Snapshot) -> None:
        raise AssertionError("the whole table was made")

    monkeypatch.setattr(Snapshot, "performances", property(laid_out))
    assert run("index", "info", index, "--json").document["count"] == 5
    for options in (["--pairs", 2, "--out", tmp_path / "p.csv"], ["--format", "numpy"]):
        out = [] if "--out" in options else ["--out", tmp_path / "embeddings"]
        assert run("index", "export", index, *options, *out).code == 0


def test_export_pairs(index: Path, tmp_path: Path, run: Run) -> None:
    answer = run("index", "export", index, "--pairs", "2", "--out", tmp_path / "pairs.jsonl")
    assert answer.out == f"wrote 12 pairs to {tmp_path / 'pairs.jsonl'}\n"
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    for row in rows:
        candidate = Index.open(index).search_by_id(row["query"], limit=2)[row["rank"] - 1]
        assert row["candidate"] == candidate.performance_id
    arguments = ["--pairs", "5", "--least-similarity", "1", "--where", "year>2000"]
    none = run("index", "export", index, "--out", tmp_path / "none.csv", *arguments)
    assert none.out.startswith("wrote 0 pairs")
    run("index", "export", index, "--pairs", "9", "--one-per-work", "--exact", "--out",
        tmp_path / "works.jsonl")  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "works.jsonl").read_text().splitlines()]
    works = [row["candidate_work"] for row in rows if row["query"] == "P_00"]
    assert len(works) == len(set(works)) == 3
    assert run("index", "export", index, "--out", tmp_path / "x", "--exact").code == 2
    assert run("index", "export", index, "--pairs", "2", "--out", tmp_path / "x.txt").code == 2


@pytest.mark.shared
def test_real_recordings_from_end_to_end(covers80_dev: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "covers80.index"
    built = run("index", "build", covers80_dev, "--out", out, "--json", "--strict")
    assert built.code == 0
    assert built.document["n_indexed"] == 41
    asked = run("query", out, "--performance", "P_80000", "--top", "40", "--json")
    assert asked.code == 0
    assert sorted(c["rank"] for c in asked.document["candidates"]) == list(range(1, 41))
    assert sum(c["correct"] for c in asked.document["candidates"]) == 2


@pytest.mark.shared
def test_an_original_file_from_end_to_end(shared_data: Path, tmp_path: Path, run: Run) -> None:
    sample = shared_data / "datacos_sample"
    out = tmp_path / "sample.index"
    built = run("index", "build", sample, "--out", out)
    assert built.code == 0
    assert "indexed 1 performances" in built.out
    file = next(sample.rglob("*_hpcp.h5"))
    asked = run("query", out, "--hpcp", file, "--json")
    assert asked.code == 0
    assert asked.document["query"]["performance_id"] == "P_547131"


def test_verify_of_no_index(tmp_path: Path, run: Run) -> None:
    (tmp_path / "notes.txt").write_text("nothing of an index")
    answer = run("index", "verify", tmp_path, "--json")
    assert answer.code == 1
    assert answer.out == ""
    assert "is not an index: it holds no manifest.json" in answer.err
    assert "damaged" not in answer.err
