"""The commands that change an index, as a user types them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.search import Index

from .datacos_folder import DatacosFolder, made_up_catalogue, made_up_chroma, write_feature_file
from .typed_command import Run


def test_add_update_remove(
    index: Path, datacos: DatacosFolder, tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    encoder = ["--encoder", tiny_checkpoint]
    release = write_feature_file(
        tmp_path / "W_1_hpcp" / "P_99_hpcp.h5", "W_1", "P_99", hpcp=made_up_chroma(99)
    )
    added = run("index", "add", index, release, *encoder, "--json")
    assert added.code == 0
    assert added.document["added"] == ["P_99"]
    assert len(Index.open(index)) == 7
    assert run("index", "info", index, "--json").document["changes"] == {"added": 1, "removed": 0}

    refused = run("index", "add", index, datacos.root, *encoder)
    assert refused.code == 1
    assert "6 of 6 performances are in" in refused.err
    datacos.add("W_0", "P_00", hpcp=made_up_chroma(12345))
    before = Index.open(index).embedding("P_00")
    updated = run("index", "add", index, datacos.root, *encoder, "--update", "--json")
    assert sorted(updated.document["updated"]) == ["P_00", "P_01", "P_10", "P_11", "P_20", "P_21"]
    assert not np.allclose(Index.open(index).embedding("P_00"), before)

    removed = run("index", "remove", index, "P_99", "P_nobody", "--json")
    assert removed.code == 0
    assert removed.document == {"removed": ["P_99"], "unknown": ["P_nobody"]}
    assert "P_99" not in Index.open(index)
    assert run("index", "remove", index, "P_99").code == 3
    assert run("index", "remove", index).code == 2

    unknown = run("index", "update", index, release, *encoder)
    assert unknown.code == 3
    assert "1 of 1 performances to update are not in" in unknown.err
    assert run("index", "update", index, datacos.root, *encoder).code == 0


def test_an_addition_to_an_index_of_an_encoder_of_ones_own_asks_for_it(
    index: Path, tmp_path: Path, run: Run
) -> None:
    """Its name, which the index knows, is not enough to find it."""
    release = write_feature_file(
        tmp_path / "W_1_hpcp" / "P_99_hpcp.h5", "W_1", "P_99", hpcp=made_up_chroma(99)
    )
    for command in ("add", "update"):
        refused = run("index", command, index, release)
        assert refused.code == 3
        assert f"{index} was made by encoder" in refused.err
        assert "give its folder with --encoder" in refused.err


def test_files_of_any_name_are_known_by_the_ids_in_them(
    index: Path, tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    encoder = ["--encoder", tiny_checkpoint]
    loose = tmp_path / "loose"
    write_feature_file(loose / "take 1.h5", "W_0", "P_00", hpcp=made_up_chroma(5))
    (loose / "take 2.h5").write_bytes(b"damaged")
    updated = run("index", "update", index, loose, *encoder, "--json")
    assert updated.code == 0
    assert updated.document["updated"] == ["P_00"]
    assert [r["reason"] for r in updated.document["rejections"]] == ["unreadable"]

    nameless = write_feature_file(tmp_path / "take 3.h5", "", "", hpcp=made_up_chroma(6))
    assert run("index", "add", index, nameless, *encoder).code == 0
    write_feature_file(nameless, "W_7", "P_77", hpcp=made_up_chroma(6))
    refused = run("index", "update", index, nameless, *encoder)
    assert refused.code == 3
    assert "such as P_77" in refused.err
    assert "P_77" not in Index.open(index)
    assert "take 3" in Index.open(index)


def test_an_update_tells_what_is_not_known_any_more(
    index: Path, datacos: DatacosFolder, tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    encoder = ["--encoder", tiny_checkpoint]
    whole = run("index", "update", index, datacos.root, *encoder, "--json")
    assert whole.document["columns_emptied"] == {}
    assert "not known any more" not in whole.err

    files = [datacos.path_of("W_0", "P_00"), datacos.path_of("W_0", "P_01")]
    answer = run("index", "update", index, *files, *encoder, "--json")
    emptied = answer.document["columns_emptied"]
    # The files name their works, and the work's artist was not known before.
    assert emptied == {"title": 2, "artist": 2, "work_title": 2, "year": 2, "instrumental": 2}
    assert "title of 2" in answer.err
    assert "update from a catalogue with its metadata" in answer.err
    assert Index.open(index).metadata("P_00")["title"] is None
    again = run("index", "update", index, *files, *encoder)
    assert "not known any more" not in again.err

    opened = Index.open(index)
    bare = tmp_path / "bare.parquet"
    rows = {"performance_id": ["P_10", "X"], "embedding": opened.embeddings[:2].tolist()}
    pq.write_table(pa.table(rows), bare)
    given = ["--encoder-id", opened.manifest.encoder_id, "--update", "--json"]
    emptied = run("index", "add", index, bare, *given).document["columns_emptied"]
    assert emptied["work_id"] == emptied["duration"] == 1


def test_lists_of_ids(
    index: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_bytes("\ufeffP_00\r\nP_01\r\n".encode())  # as Windows writes it
    assert run("index", "remove", index, "--list", ids, "--json").document == {
        "removed": ["P_00", "P_01"], "unknown": []
    }  # fmt: skip
    ids.write_bytes(b"P_10\ncaf\xe9\n")
    wrong = run("index", "remove", index, "--list", ids)
    assert wrong.code == 1
    assert f"{ids} is not UTF-8 in line 2" in wrong.err
    ids.write_bytes(b"\n \n")
    for empty in (run("index", "remove", index, "--list", ids),
                  run("embed", "--list", ids, "--out", tmp_path / "x")):  # fmt: skip
        assert empty.code == 2
        assert "is empty" in empty.err
    assert run("index", "remove", index, "P_10", "--list", ids).code == 0
    ids.write_bytes("  P_20\u2028P_21\x0cP_21\xa0\r\n".encode())  # one id, and nobody's
    assert run("index", "remove", index, "--list", ids, "--json").document == {
        "removed": [], "unknown": ["P_20\u2028P_21\x0cP_21\xa0"]
    }  # fmt: skip
    typed = io.TextIOWrapper(io.BytesIO(b"P_11\n"))
    monkeypatch.setattr(sys, "stdin", typed)
    assert "removed 1" in run("index", "remove", index, "--list", "-").out


def test_an_addition_is_searched_and_survives_compaction(
    index: Path, tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    more = made_up_catalogue(tmp_path / "more" / "da-tacos", n_works=1)
    more.path_of("W_0", "P_00").rename(more.path_of("W_0", "P_77"))
    del more.metadata["W_0"]["P_00"], more.metadata["W_0"]["P_01"]
    more.add("W_0", "P_77", hpcp=made_up_chroma(77))
    more.path_of("W_0", "P_01").unlink()
    more.describe("W_0", "P_78", extra_column="text")  # has no file
    more.write_metadata()
    answer = run(
        "index", "add", index, more.root, "--encoder", tiny_checkpoint, "--json", "--strict"
    )
    assert answer.code == 1  # strict, but P_77 is in
    assert answer.document["added"] == ["P_77"]
    assert [r["performance"] for r in answer.document["rejections"]] == ["P_78"]
    expected = [c.performance_id for c in Index.open(index).search_by_id("P_77", limit=6)]
    compacted = run("index", "compact", index, "--json")
    assert compacted.document["count"] == 7
    assert compacted.document["generation"] == 2
    assert "nothing to compact" in run("index", "compact", index).out
    index_now = Index.open(index)
    assert [c.performance_id for c in index_now.search_by_id("P_77", limit=6)] == expected
    assert index_now.metadata("P_77")["title"] == "Title of P_77"


def test_add_shards(
    index: Path, tmp_path: Path, tiny_checkpoint: Path, run: Run, datacos: DatacosFolder
) -> None:
    run("index", "remove", index, "P_00", "P_01")
    shards = tmp_path / "shards"
    run("embed", datacos.root, "--out", shards, "--encoder", tiny_checkpoint)
    assert run("index", "add", index, shards).code == 1
    answer = run("index", "add", index, shards, "--update", "--json")
    assert sorted(answer.document["added"]) == ["P_00", "P_01"]
    assert len(answer.document["updated"]) == 4


def test_add_shards_that_do_not_say_who_made_them(index: Path, tmp_path: Path, run: Run) -> None:
    opened = Index.open(index)
    new = {"performance_id": ["X_1"], "embedding": [opened.embeddings[0].tolist()]}
    shards = tmp_path / "theirs.parquet"
    pq.write_table(pa.table(new), shards)
    refused = run("index", "add", index, shards)
    assert refused.code == 1
    assert "give --encoder-id" in refused.err
    assert run("index", "add", index, shards, "--encoder-id", "stranger-0").code == 4
    ours = opened.manifest.encoder_id
    assert run("index", "add", index, shards, "--encoder-id", ours).code == 0
    assert run("index", "update", index, shards, "--encoder-id", ours).code == 0
    assert "X_1" in Index.open(index)
    assert run("index", "add", index, shards, "--update", "--encoder", "x").code == 2
    assert run("index", "add", index, "x.h5", "--encoder-id", ours).code == 2


def test_a_source_that_is_not_there_is_told_before_its_encoder(
    tmp_path: Path, index: Path, run: Run
) -> None:
    absent = run("index", "add", index, tmp_path / "releases.parquet")  # its encoder is not shipped
    assert absent.code == 3
    assert f"no catalogue at {tmp_path / 'releases.parquet'}" in absent.err


def test_an_addition_of_nothing_fails(
    index: Path, tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    encoder = ["--encoder", tiny_checkpoint]
    absent, empty = tmp_path / "absent.h5", tmp_path / "empty.h5"
    empty.write_bytes(b"")
    good = write_feature_file(tmp_path / "good.h5", "W_1", "P_99", hpcp=made_up_chroma(99))
    missing = run("index", "add", index, absent, *encoder, "--json")
    assert missing.code == 3
    assert [r["reason"] for r in missing.document["rejections"]] == ["no-feature-file"]
    assert f"no file {absent}" in missing.err.splitlines()[-1]
    odd = f"{tmp_path}//./absent.h5"
    assert run("index", "add", index, odd, *encoder).code == 3
    assert run("index", "add", index, empty, *encoder).code == 1
    assert run("index", "add", index, empty, absent, *encoder).code == 1
    assert run("index", "add", index, absent, good, *encoder).code == 0
    assert run("index", "update", index, good, absent, *encoder, "--strict").code == 3
    assert run("index", "add", index, absent, good, *encoder, "--update", "--strict").code == 1
