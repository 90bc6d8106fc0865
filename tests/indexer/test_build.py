"""From a catalogue to an index folder, and what is said about the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.encoder import CoverdexError, Encoder, NotFoundError
from coverdex.indexer import (
    RejectedError,
    build_index,
    build_index_from_shards,
    embed_catalogue,
    open_catalogue,
    read_rejections,
    rejection_report_path,
    write_parquet_catalogue,
)
from coverdex.indexer.target_folder import only_maker
from coverdex.search import Index, IndexEditor, IndexExistsError, IndexLockedError

from .datacos_folder import DatacosFolder, made_up_catalogue


@pytest.fixture(autouse=True)
def _fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1500000000")


def everything(index: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(index.iterdir())}


def test_index_of_a_healthy_catalogue(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    out = tmp_path / "my.index"
    seen: list[tuple[int, int]] = []
    report = build_index(
        datacos.root, out, encoder=tiny_encoder, progress=lambda *at: seen.append(at)
    )
    assert (report.n_indexed, report.n_kept, report.rejections) == (6, 0, ())
    assert seen[0] == (0, 6)
    assert seen[-1] == (6, 6)
    index = Index.open(out)
    assert index.manifest.encoder_id == tiny_encoder.id
    assert index.manifest.created == "2017-07-14T02:40:00+00:00"
    assert index.manifest.source == {"catalogue": str(datacos.root), "kind": "hpcp"}
    assert index.performances.column("performance_id").to_pylist() == [
        "P_00", "P_01", "P_10", "P_11", "P_20", "P_21",
    ]  # fmt: skip
    for record, chroma in open_catalogue(datacos.root):
        found = index.metadata(record.performance_id)
        assert found["title"] == record.title
        assert found["duration"] == pytest.approx(chroma.duration)
        vector = index.embedding(record.performance_id)
        assert vector == pytest.approx(tiny_encoder.embed(chroma), abs=1e-5)
    assert read_rejections(report.rejection_report) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "da-tacos",
        "my.index",
        "my.index.rejected.parquet",
    ]


def test_order_of_files_changes_nothing(tmp_path: Path, tiny_encoder: Encoder) -> None:
    orders = [range(20), np.random.default_rng(0).permutation(20)]
    built = []
    for name, order in zip("ab", orders, strict=True):
        root = tmp_path / name / "da-tacos"
        folder = made_up_catalogue(root, n_works=10, order=[int(i) for i in order])
        folder.metadata = (
            dict(reversed(folder.metadata.items())) if name == "b" else folder.metadata
        )
        folder.write_metadata()
        build_index(root, tmp_path / f"{name}.index", encoder=tiny_encoder)
        files = everything(tmp_path / f"{name}.index")
        del files["manifest.json"]  # it names the catalogue
        built.append(files)
    assert built[0] == built[1]


def test_rejections_lie_beside_the_index(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    datacos.path_of("W_0", "P_00").write_bytes(b"")
    datacos.add("W_0", "P_01", hpcp=np.zeros((300, 12), np.float32))
    datacos.describe("W_9", "P_90")
    datacos.write_metadata()
    out = tmp_path / "my.index"
    report = build_index(datacos.root, out, encoder=tiny_encoder)
    assert report.n_indexed == 4
    assert report.rejection_report == tmp_path / "my.index.rejected.parquet"
    rows = read_rejections(report.rejection_report)
    assert {(r.performance, r.reason) for r in rows} == {
        ("P_00", "empty"),
        ("P_01", "no-energy"),
        ("P_90", "no-feature-file"),
    }
    assert set(rows) == set(report.rejections)
    document = json.loads(json.dumps(report.as_document()))
    assert (document["n_indexed"], document["n_rejected"]) == (4, 3)


def test_strict_builds_nothing_and_wastes_nothing(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    out = tmp_path / "my.index"
    datacos.path_of("W_0", "P_00").write_bytes(b"")
    with pytest.raises(RejectedError, match="1 rejected") as failure:
        build_index(datacos.root, out, encoder=tiny_encoder, strict=True)
    assert [r.reason for r in failure.value.rejections] == ["empty"]
    assert not out.exists()
    assert [r.reason for r in read_rejections(rejection_report_path(out))] == ["empty"]
    report = build_index(datacos.root, out, encoder=tiny_encoder)
    assert (report.n_indexed, report.n_kept) == (5, 5)
    datacos.add("W_0", "P_00")
    report = build_index(datacos.root, out, encoder=tiny_encoder, strict=True, overwrite=True)
    assert report.n_indexed == 6
    assert read_rejections(rejection_report_path(out)) == []


def test_a_locked_index_is_refused_before_anything_is_embedded(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    out = tmp_path / "my.index"
    build_index(datacos.root, out, encoder=tiny_encoder)
    embedded: list[int] = []
    with IndexEditor(out), pytest.raises(IndexLockedError, match="being changed"):
        build_index(
            datacos.root,
            out,
            encoder=tiny_encoder,
            overwrite=True,
            progress=lambda done, total: embedded.append(done),
        )
    assert not embedded
    assert not (tmp_path / "my.index.building").exists()
    build_index(datacos.root, out, encoder=tiny_encoder, overwrite=True)


def test_an_index_is_not_overwritten_unasked(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    out = tmp_path / "my.index"
    build_index(datacos.root, out, encoder=tiny_encoder)
    before = everything(out)
    with pytest.raises(IndexExistsError):
        build_index(datacos.root, out, encoder=tiny_encoder)
    assert everything(out) == before
    assert not (tmp_path / "my.index.building").exists()


def test_nothing_left_to_index(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    for path in datacos.features.rglob("*.h5"):
        path.write_bytes(b"")
    with pytest.raises(CoverdexError, match=r"nothing to index: 6 rejected \(6 empty\)"):
        build_index(datacos.root, tmp_path / "my.index", encoder=tiny_encoder)
    assert len(read_rejections(rejection_report_path(tmp_path / "my.index"))) == 6


def test_nothing_given_to_index(tmp_path: Path, tiny_encoder: Encoder) -> None:
    empty, out = tmp_path / "empty.parquet", tmp_path / "my.index"
    write_parquet_catalogue(empty, [])
    with pytest.raises(CoverdexError, match=r"the catalogue .*empty\.parquet is empty"):
        build_index(empty, out, encoder=tiny_encoder)
    embed_catalogue(open_catalogue(empty), tmp_path / "shards", encoder=tiny_encoder)
    with pytest.raises(CoverdexError, match=r"no embeddings: the catalogue .*empty\.parquet that"):
        build_index_from_shards(tmp_path / "shards", out)
    columns = {"performance_id": pa.string(), "embedding": pa.list_(pa.float32())}
    pq.write_table(pa.schema(columns).empty_table(), empty)
    with pytest.raises(CoverdexError, match=r"nothing to index: .*empty\.parquet is empty"):
        build_index_from_shards(empty, out, encoder_id="theirs-1")
    assert not (tmp_path / "my.index.building").exists()
    assert read_rejections(rejection_report_path(out)) == []


def test_nothing_but_rejections(tmp_path: Path, tiny_encoder: Encoder) -> None:
    nameless, out = tmp_path / "nameless.parquet", tmp_path / "my.index"
    row = {"performance_id": "", "frame_rate": 10.0, "chroma": [0.5] * 12}
    pq.write_table(pa.Table.from_pylist([row]), nameless)
    with pytest.raises(CoverdexError, match=r"nothing to index: 1 rejected \(1 no-id\)"):
        build_index(nameless, out, encoder=tiny_encoder)
    assert [r.reason for r in read_rejections(rejection_report_path(out))] == ["no-id"]
    with pytest.raises(RejectedError, match="strict"):
        build_index(nameless, out, encoder=tiny_encoder, strict=True)


def test_a_parquet_catalogue_gives_the_same_vectors(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    write_parquet_catalogue(
        tmp_path / "same.parquet", list(open_catalogue(datacos.root))[::-1], storage="float32"
    )
    build_index(datacos.root, tmp_path / "a.index", encoder=tiny_encoder)
    build_index(tmp_path / "same.parquet", tmp_path / "b.index", encoder=tiny_encoder)
    one, other = Index.open(tmp_path / "a.index"), Index.open(tmp_path / "b.index")
    assert one.performances == other.performances
    assert other.embeddings == pytest.approx(one.embeddings, abs=1e-6)


def test_a_column_of_encoder_ids_is_passed_over(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    path = tmp_path / "x.parquet"
    write_parquet_catalogue(path, open_catalogue(datacos.root))
    table = pq.read_table(path)
    pq.write_table(table.append_column("encoder_id", pa.array(["x", "y"] * 3)), path)
    assert not open_catalogue(path).performances[0].extra
    report = build_index(path, tmp_path / "my.index", encoder=tiny_encoder)
    assert report.n_indexed == 6
    index = Index.open(report.index)
    assert index.manifest.encoder_id == tiny_encoder.id
    assert "encoder_id" not in index.performances.column_names
    # Earlier releases carried the column along into the shards.
    embed_catalogue(open_catalogue(datacos.root), tmp_path / "shards", encoder=tiny_encoder)
    shard = tmp_path / "shards" / "shard-00000.parquet"
    table = pq.read_table(shard)
    pq.write_table(table.append_column("encoder_id", pa.array(["x", "y"] * 3)), shard)
    assert build_index_from_shards(shard, tmp_path / "b.index").n_indexed == 6


def test_two_steps_give_what_one_gives(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    datacos.path_of("W_0", "P_00").write_bytes(b"")
    datacos.describe("W_9", "P_90")
    datacos.write_metadata()
    at_once = build_index(datacos.root, tmp_path / "a.index", encoder=tiny_encoder)
    embed_catalogue(open_catalogue(datacos.root), tmp_path / "shards", encoder=tiny_encoder)
    in_two = build_index_from_shards(tmp_path / "shards", tmp_path / "b.index")
    files, others = everything(at_once.index), everything(in_two.index)
    assert files.keys() == others.keys()
    assert [n for n in files if files[n] != others[n]] == ["manifest.json"]  # it says from what
    assert in_two.rejections == at_once.rejections
    assert len(in_two.rejections) == 2
    with pytest.raises(NotFoundError):
        build_index_from_shards(tmp_path / "nothing", tmp_path / "c.index")


def test_an_index_built_from_its_own_embeddings(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    build_index(datacos.root, tmp_path / "a.index", encoder=tiny_encoder)
    build_index_from_shards(
        tmp_path / "a.index" / "embeddings.parquet", tmp_path / "b.index", encoder_name="tiny"
    )
    one, other = Index.open(tmp_path / "a.index"), Index.open(tmp_path / "b.index")
    assert np.array_equal(one.embeddings, other.embeddings)
    assert other.manifest.encoder_id == tiny_encoder.id


def test_an_index_is_no_source(
    datacos: DatacosFolder,
    tmp_path: Path,
    tiny_encoder: Encoder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    index, out = tmp_path / "a.index", tmp_path / "b.index"
    build_index(datacos.root, index, encoder=tiny_encoder)
    with pytest.raises(
        CoverdexError, match=r"is an index already; .*index export .*a\.index --out"
    ):
        build_index_from_shards(index, out)
    build_index_from_shards(index / "embeddings.parquet", out)
    assert "without the metadata" in caplog.text
    with IndexEditor(index) as editor:
        editor.remove(["P_00"])
        with pytest.raises(CoverdexError, match="does not know of 1 changes"):
            build_index_from_shards(index / "embeddings.parquet", out, overwrite=True)
        editor.compact()
    caplog.clear()
    file = index / Index.open(index).manifest.files["embeddings"].path
    assert build_index_from_shards(file, out, overwrite=True).n_indexed == 5
    assert "without the metadata" in caplog.text
    (index / Index.open(index).manifest.files["vectors"].path).unlink()  # only embeddings are left
    assert build_index_from_shards(file, out, overwrite=True).n_indexed == 5
    (index / "manifest.json").write_text('{"of": "somebody else"}')
    caplog.clear()
    assert build_index_from_shards(file, out, overwrite=True).n_indexed == 5
    assert not caplog.records


def test_something_called_demo_is_told(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build_index(datacos.root, "demo", encoder=tiny_encoder)
    in_the_way = rf"; {tmp_path / 'demo'} is in the way of the catalogue"
    with pytest.raises(CoverdexError, match=f"is an index already.*{in_the_way}"):
        build_index_from_shards("demo", "b.index")
    with pytest.raises(CoverdexError, match=f"no hpcp features.*{in_the_way}"):
        open_catalogue("demo")
    with pytest.raises(CoverdexError, match=r"--out DIR` and give DIR$"):
        build_index_from_shards(tmp_path / "demo", "b.index")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(open_catalogue("demo")) > 0


def test_a_folder_without_a_catalogue_does_not_hide_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "notes.txt").write_text("what was shown in the demo")
    assert len(open_catalogue("demo")) == 140
    assert f"the folder {tmp_path / 'demo'} holds no catalogue" in caplog.text
    with pytest.raises(CoverdexError, match="no hpcp features"):
        open_catalogue(tmp_path / "demo")
    for inside in ("W_1", "da-tacos_benchmark_subset_crema", "da-tacos_metadata"):
        (tmp_path / "demo" / inside).mkdir()
        with pytest.raises(CoverdexError, match="is in the way of the catalogue"):
            open_catalogue("demo")
        (tmp_path / "demo" / inside).rmdir()
    (tmp_path / "demo" / "chroma.parquet").touch()
    with pytest.raises(CoverdexError, match="is in the way of the catalogue"):
        open_catalogue("demo")


def test_leftovers_of_a_killed_write_are_removed(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    (tmp_path / ".my.index.k3x_9abc.tmp").mkdir()
    others = [".my.index.old.k3x_9abc.tmp", ".my.k3x_9abc.tmp", ".other.index.k3x_9abc.tmp"]
    for name in others:
        (tmp_path / name).mkdir()
    build_index(datacos.root, tmp_path / "my.index", encoder=tiny_encoder)
    assert sorted(p.name for p in tmp_path.glob(".*")) == others


def test_leftovers_of_a_killed_assembly_are_removed(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    embed_catalogue(open_catalogue(datacos.root), tmp_path / "shards", encoder=tiny_encoder)
    out = tmp_path / "new" / "my.index"  # whose parent is made
    left = out.parent / ".my.index.k3x_9abc.tmp"
    with only_maker(out):
        left.mkdir()
        with pytest.raises(CoverdexError, match="another process"):
            build_index_from_shards(tmp_path / "shards", out)
    assert left.exists()
    build_index_from_shards(tmp_path / "shards", out)
    assert sorted(p.name for p in out.parent.iterdir()) == ["my.index", "my.index.rejected.parquet"]


def test_makers_by_the_name_of_a_link_and_of_what_it_points_to_meet(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    embed_catalogue(open_catalogue(datacos.root), tmp_path / "shards", encoder=tiny_encoder)
    out, link = tmp_path / "disk" / "v1.index", tmp_path / "current.index"
    out.mkdir(parents=True)
    link.symlink_to(out)
    left = out.parent / ".v1.index.k3x_9abc.tmp"
    with only_maker(out):
        left.mkdir()
        with pytest.raises(CoverdexError, match="another process"):
            build_index_from_shards(tmp_path / "shards", link)
    build_index_from_shards(tmp_path / "shards", link)
    assert [path.name for path in out.parent.iterdir()] == ["v1.index"]
    assert link.is_symlink()


def test_an_assembly_leaves_the_shards_of_an_interrupted_build(
    datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    building, out = tmp_path / "my.index.building", tmp_path / "my.index"
    embed_catalogue(open_catalogue(datacos.root), building, encoder=tiny_encoder)
    before = sorted(building.iterdir())
    build_index_from_shards(building, out)
    assert sorted(building.iterdir()) == before
    report = build_index(datacos.root, out, encoder=tiny_encoder, overwrite=True)
    assert report.n_kept == 6
    assert not building.exists()


@pytest.mark.parametrize("epoch", ["yesterday", "1" * 30])
def test_a_wrong_epoch_is_refused(
    datacos: DatacosFolder,
    tmp_path: Path,
    tiny_encoder: Encoder,
    monkeypatch: pytest.MonkeyPatch,
    epoch: str,
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(CoverdexError, match="SOURCE_DATE_EPOCH"):
        build_index(datacos.root, tmp_path / "my.index", encoder=tiny_encoder)

    assert [path.name for path in tmp_path.iterdir()] == ["da-tacos"]  # before any work


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"factory": "IVFx,Flat"}, "cannot make 'IVFx,Flat' of vectors of dimension 64: could not"),
        ({"factory": "HNSW16,PQ16"}, "another metric than the inner product, .*; give a factory"),
        ({"factory": "PQ7"}, "cannot make 'PQ7' .*: .*multiple of the number of subquantizers"),
        ({"recall": 0.0}, "recall wanted is 0"),
    ],
)
def test_wrong_options_are_refused_before_any_work(
    datacos: DatacosFolder,
    tmp_path: Path,
    tiny_encoder: Encoder,
    options: dict[str, Any],
    wrong: str,
) -> None:
    with pytest.raises(CoverdexError, match=wrong):
        build_index(datacos.root, tmp_path / "my.index", encoder=tiny_encoder, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["da-tacos"]


@pytest.mark.shared
def test_real_recordings_find_the_same_neighbours_in_any_order(
    covers80_dev: Path, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    items = list(open_catalogue(covers80_dev))
    answers: list[dict[str, Any]] = []
    for seed in (0, 1):
        order = np.random.default_rng(seed).permutation(len(items))
        path = tmp_path / f"{seed}.parquet"
        write_parquet_catalogue(path, [items[i] for i in order], storage="float32")
        build_index(path, tmp_path / f"{seed}.index", encoder=tiny_encoder)
        index = Index.open(tmp_path / f"{seed}.index")
        answers.append(
            {
                record.performance_id: [
                    c.performance_id for c in index.search_by_id(record.performance_id, limit=5)
                ]
                for record, _ in items
            }
        )
    assert answers[0] == answers[1]
    assert len(answers[0]) == 41
