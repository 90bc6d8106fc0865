from __future__ import annotations

import json
import re
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.search import (
    Index,
    IndexEditor,
    IndexFormatError,
    Manifest,
    performances,
    verify,
    verify_index,
    write_embeddings,
)
from coverdex.search.manifest import FileRecord
from coverdex.search.parts import write_mapped

from .made_up import ENCODER_ID, MadeUp, make_up


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(written, tmp_path / "i"))


def test_a_whole_index_has_no_problems(written: Path) -> None:
    found = verify_index(written)
    assert found.whole
    assert sorted(found.files) == sorted(path.name for path in written.iterdir())
    assert found.n_bytes == sum(path.stat().st_size for path in written.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "vectors.faiss",
        "performances.parquet",
        "performances.arrow",
        "embeddings.parquet",
    ],
)
def test_one_flipped_bit_is_found_wherever_it_is(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    rng = np.random.default_rng(len(whole))
    # Ends and random places; every byte of the manifest, which checks itself.
    places = {0, len(whole) - 1, *rng.integers(0, len(whole), 25).tolist()}
    if name == "manifest.json":
        places = set(range(len(whole)))
    for place in sorted(places):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        assert verify_index(folder).problems, f"byte {place} of {name}"
    path.write_bytes(whole)
    assert verify_index(folder).whole


@pytest.mark.parametrize(
    "name",
    ["vectors.faiss", "performances.parquet", "performances.arrow", "embeddings.parquet"],
)
def test_missing_and_truncated_files_are_seen_on_opening(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-1])
    with pytest.raises(IndexFormatError, match=name):
        Index.open(folder)
    assert name in verify_index(folder).problems[0]
    (folder / name).unlink()
    with pytest.raises(IndexFormatError, match=name):
        Index.open(folder)
    assert name in verify_index(folder).problems[0]


@pytest.mark.parametrize(
    "name", ["performances.parquet", "performances.arrow", "embeddings.parquet"]
)
def test_a_flipped_bit_is_refused_by_name_or_does_not_stop_opening(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    # Schemas lie at the ends. A name there is no UTF-8 any more when its highest bit is flipped.
    ends = {*range(0, 1000, 7), *range(len(whole) - 1000, len(whole), 7)} & set(range(len(whole)))
    texts = [b"title", b"embedding", ENCODER_ID.encode()]
    names = {found.start() for text in texts for found in re.finditer(text, whole)}
    refusals = []
    for place, bit in [(place, place % 8) for place in ends] + [(place, 7) for place in names]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        (folder / name).write_bytes(damaged)
        try:
            Index.open(folder)
        except IndexFormatError as error:
            refusals.append(str(error))
    assert refusals
    stem = name.rpartition(".")[0]
    assert all(stem in said for said in refusals)  # a mapped table may blame the Parquet file


def remove(folder: Path, name: str, *, compact: bool = False) -> None:
    """Change an index, and hold none of its files afterwards."""
    with IndexEditor(folder) as editor:
        editor.remove(name)
        if compact:
            editor.compact()


@pytest.mark.parametrize("change", ["compacted", "compacted twice", "overwritten"])
def test_an_index_that_is_replaced_while_it_is_read_is_no_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    remove(folder, "P_0")  # so that there is a log, which a compaction removes
    read = verify.sha256_of
    changes: list[object] = []

    def read_while_it_is_changed(file: Any) -> str:
        if len(changes) < (2 if change == "compacted twice" else 1):
            changes.append(file)
            if change == "overwritten":
                make_up(50).write(folder, overwrite=True)
            else:
                remove(folder, f"P_{len(changes)}", compact=True)
        return read(file)

    monkeypatch.setattr(verify, "sha256_of", read_while_it_is_changed)
    found = verify_index(folder)
    assert changes
    assert found.problems == []
    # What is said is said of the present files.
    assert {Path(name).name for name in found.files} == {
        "manifest.json",
        "vectors.faiss",
        "performances.parquet",
        "performances.arrow",
        "embeddings.parquet",
    }
    assert all((folder / name).is_file() for name in found.files)


def test_what_is_verified_is_not_removed_by_a_compaction(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = []

    def compact_and_look(_file: Any) -> str:
        monkeypatch.undo()
        remove(folder, "P_1", compact=True)
        there.extend(path.name for path in folder.glob("*.parquet"))
        return ""

    monkeypatch.setattr(verify, "sha256_of", compact_and_look)
    assert verify_index(folder).problems == []
    assert sorted(there) == ["embeddings.parquet", "performances.parquet"]


def test_an_index_that_never_rests_is_not_verified(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = verify.sha256_of

    def read_and_replace(file: Any) -> str:
        old = Manifest.read(folder)
        Manifest(**{**old.__dict__, "plan": {"n": old.plan.get("n", 0) + 1}}).write(folder)
        return read(file)

    monkeypatch.setattr(verify, "sha256_of", read_and_replace)
    (problem,) = verify_index(folder).problems
    assert "again and again" in problem


def replace_part(folder: Path, part: str, **changes: object) -> None:
    """Let the manifest vouch for the file of `part` as it now is."""
    old = Manifest.read(folder)
    files = dict(old.files)
    files[part] = FileRecord.of(folder / files[part].path, folder)
    Manifest(**{**old.__dict__, "files": files, **changes}).write(folder)


def test_parts_of_different_indexes_are_refused(folder: Path, catalogue: MadeUp) -> None:
    path = folder / "embeddings.parquet"
    ids = pq.read_table(path).column("performance_id")
    embeddings = Index.open(folder).embeddings.copy()
    write_embeddings(path, ids, embeddings, encoder_id="other-000000000000")
    replace_part(folder, "embeddings")
    with pytest.raises(IndexFormatError, match="other-000000000000"):
        Index.open(folder)
    write_embeddings(path, ids.slice(1), embeddings[1:], encoder_id=ENCODER_ID)
    replace_part(folder, "embeddings")
    with pytest.raises(IndexFormatError, match=r"embeddings\.parquet has 119"):
        Index.open(folder)
    write_embeddings(path, ids, embeddings[::-1].copy(), encoder_id=ENCODER_ID)
    replace_part(folder, "embeddings")
    assert "differ" in verify_index(folder).problems[0]
    write_embeddings(path, ids[::-1], embeddings, encoder_id=ENCODER_ID)
    replace_part(folder, "embeddings")
    assert "different ids" in verify_index(folder).problems[0]


def test_metadata_that_is_not_what_is_mapped_is_found(folder: Path) -> None:
    path = folder / "performances.arrow"
    table = pa.ipc.open_file(path).read_all()
    other = table.set_column(2, table.schema.field("title"), pa.array(["x"] * 120))
    write_mapped(path, other)
    replace_part(folder, "mapped_performances")
    assert "metadata differ" in verify_index(folder).problems[0]
    write_mapped(path, table.slice(1))
    replace_part(folder, "mapped_performances")
    with pytest.raises(IndexFormatError, match=r"performances\.arrow has 119"):
        Index.open(folder)
    path.write_bytes(b"x" * 100)
    replace_part(folder, "mapped_performances")
    with pytest.raises(IndexFormatError, match="not readable as an Arrow file"):
        Index.open(folder)
    assert len(Index.open(folder, mmap=False).performances) == 120


@pytest.mark.parametrize("bit", [0, 7])
def test_a_mapped_column_whose_name_is_damaged_is_found_at_opening(folder: Path, bit: int) -> None:
    path = folder / "performances.arrow"
    content = bytearray(path.read_bytes())
    content[content.rindex(b"work_id") + 2] ^= 1 << bit  # of the footer; bit 7 is no UTF-8
    path.write_bytes(content)
    with pytest.raises(IndexFormatError, match=r"performances\.arrow is damaged, or .*: their"):
        Index.open(folder)


def test_numbers_that_are_none_are_no_damage(
    catalogue: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Earlier releases wrote NaN and dates as they came.
    monkeypatch.setattr(performances, "_plain", lambda column, name: column)
    nan, day = [float("nan")] * len(catalogue.ids), [date(2000, 1, 31)] * len(catalogue.ids)
    table = catalogue.performances.append_column("x", pa.array(nan))
    catalogue.write(tmp_path / "i", performances=table.append_column("day", pa.array(day)))
    assert np.isnan(Index.open(tmp_path / "i").metadata("P_1")["x"])
    assert verify_index(tmp_path / "i").problems == []
    with IndexEditor(tmp_path / "i") as editor:
        row = {"performance_id": "P_new", "day": "2001-01-01"}
        with pytest.raises(IndexFormatError, match=r"date .* build the index again"):
            editor.add([row], catalogue.embeddings[:1], encoder_id=ENCODER_ID)
        row["day"] = None
        editor.add([row], catalogue.embeddings[:1], encoder_id=ENCODER_ID)
        editor.compact()
    assert verify_index(tmp_path / "i").problems == []


def test_mapped_metadata_of_an_earlier_generation_is_left_alone(folder: Path) -> None:
    # What a release that does not know the file makes of an index when it compacts.
    with IndexEditor(folder) as editor:
        editor.remove("P_0")
        before = editor.index.manifest.files["mapped_performances"]
        manifest = editor.compact()
        Manifest(
            **{**manifest.__dict__, "files": {**manifest.files, "mapped_performances": before}}
        ).write(folder)
    opened = Index.open(folder)
    assert len(opened.performances) == len(opened) == 119


def test_a_dimension_that_is_not_the_vectors_is_refused(folder: Path) -> None:
    replace_part(folder, "vectors", dimension=32)
    with pytest.raises(IndexFormatError, match="dimension 64, the manifest says 32"):
        Index.open(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "version 2"),
        ({"format_version": "1"}, "version '1'"),
        ({"format": "something else"}, "not the manifest"),
        ({"count": 121}, "checksum"),
    ],
)
def test_manifests_that_cannot_be_trusted(folder: Path, change: dict, message: str) -> None:
    path = folder / "manifest.json"
    document = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps(document, indent=2))
    with pytest.raises(IndexFormatError, match=message):
        Index.open(folder)
    path.write_text("[]")
    with pytest.raises(IndexFormatError, match="not the manifest"):
        Index.open(folder)


def test_a_folder_that_is_no_index_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of an index")
    with pytest.raises(IndexFormatError, match=r"is not an index: it holds no manifest\.json"):
        verify_index(tmp_path)
    with pytest.raises(IndexFormatError, match="is a file; an index is a folder"):
        verify_index(tmp_path / "notes.txt")


@pytest.mark.parametrize("left", ["vectors.faiss", "changes-000002.log", "generation-000002"])
def test_what_is_left_of_an_index_without_its_manifest_is_damaged(folder: Path, left: str) -> None:
    (folder / "vectors.faiss").rename(folder.parent / left)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder.parent / left).rename(folder / left)
    (problem,) = verify_index(folder).problems
    assert "holds no manifest.json" in problem
