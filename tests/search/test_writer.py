from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.encoder import NotFoundError, folder_exchange
from coverdex.search import (
    Index,
    IndexExistsError,
    IndexFormatError,
    Manifest,
    durability,
    parts,
    verify_index,
)

from .made_up import DIMENSION, ENCODER_ID, MadeUp, make_up


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_parts_are_what_the_format_says(written: Path, catalogue: MadeUp) -> None:
    assert names_in(written) == [
        "embeddings.parquet",
        "manifest.json",
        "performances.arrow",
        "performances.parquet",
        "vectors.faiss",
    ]
    embeddings = pq.read_table(written / "embeddings.parquet")
    assert embeddings.schema.metadata[b"coverdex.encoder_id"].decode() == ENCODER_ID
    assert embeddings.schema.field("embedding").type.list_size == DIMENSION
    assert embeddings.schema.field("embedding").type.value_type == pa.float32()
    assert embeddings.column("performance_id").to_pylist() == sorted(catalogue.ids)
    performances = pq.read_table(written / "performances.parquet")
    assert performances.schema.field("year").type == pa.int32()
    assert performances.column_names[-1] == "key"
    manifest = Manifest.read(written)
    assert (manifest.count, manifest.dimension, manifest.factory) == (120, DIMENSION, "Flat")
    assert manifest.encoder_id == ENCODER_ID
    assert manifest.format_version == 1


def test_an_existing_index_is_kept_unless_told_otherwise(catalogue: MadeUp, tmp_path: Path) -> None:
    catalogue.write(tmp_path / "i")
    with pytest.raises(IndexExistsError, match="overwrite"):
        make_up(5).write(tmp_path / "i")
    assert len(Index.open(tmp_path / "i")) == 120
    make_up(5).write(tmp_path / "i", overwrite=True)
    assert len(Index.open(tmp_path / "i")) == 5
    assert names_in(tmp_path) == ["i"]


def test_a_symbolic_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "names").mkdir()
    link = tmp_path / "names" / "current"
    link.symlink_to("../disk/i")
    for n in (7, 5):  # first it points to nothing
        make_up(n).write(link, overwrite=True)
        assert link.is_symlink()
        assert len(Index.open(tmp_path / "disk" / "i")) == len(Index.open(link)) == n
        assert (names_in(tmp_path / "names"), names_in(tmp_path / "disk")) == (["current"], ["i"])
    file = tmp_path / "names" / "report"
    (tmp_path / "disk" / "report").write_bytes(b"old")
    file.symlink_to("../disk/report")
    durability.write_file(file, b"new")
    assert file.is_symlink()
    assert (tmp_path / "disk" / "report").read_bytes() == b"new"


def test_what_is_no_index_is_never_overwritten(catalogue: MadeUp, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(IndexExistsError, match="not an index"):
        catalogue.write(tmp_path / "thesis", overwrite=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexExistsError, match="is a file"):
        catalogue.write(tmp_path / "file", overwrite=True)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    catalogue.write(tmp_path / "empty")
    assert len(Index.open(tmp_path / "empty")) == 120


def test_the_swap_also_works_without_the_systems_call(
    catalogue: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.write(tmp_path / "i")
    monkeypatch.setattr(folder_exchange, "_in_one_step", lambda one, other: False)
    make_up(5).write(tmp_path / "i", overwrite=True)
    assert len(Index.open(tmp_path / "i")) == 5
    assert names_in(tmp_path) == ["i"]


def test_a_failure_midway_leaves_nothing_behind(
    catalogue: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_up(5).write(tmp_path / "i")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parts, "write_embeddings", full)
    with pytest.raises(OSError, match="No space"):
        catalogue.write(tmp_path / "i", overwrite=True)
    with pytest.raises(OSError, match="No space"):
        catalogue.write(tmp_path / "j")
    assert names_in(tmp_path) == ["i"]
    assert len(Index.open(tmp_path / "i")) == 5


def test_attachments_come_under_the_index_checksums(catalogue: MadeUp, tmp_path: Path) -> None:
    rejected = pa.table({"path": ["a.h5"], "performance": ["P_1"], "reason": ["missing-key"]})
    catalogue.write(tmp_path / "i", attachments={"rejected.parquet": rejected})
    assert pq.read_table(tmp_path / "i" / "rejected.parquet").to_pylist() == rejected.to_pylist()
    assert "rejected.parquet" in verify_index(tmp_path / "i").files


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {"embeddings": c.embeddings[:-1]}, "119 embeddings for 120 performances"),
        (lambda c: {"embeddings": c.embeddings * 2}, "not L2-normalised"),
        (lambda c: {"embeddings": c.embeddings * np.nan}, "not L2-normalised"),
        (lambda c: {"embeddings": c.embeddings[0]}, "shape"),
        (lambda c: {"performances": c.performances.drop(["performance_id"])}, "performance_id"),
        (
            lambda c: {"performances": c.performances.take(pa.array([0, *range(119)]))},
            "more than once, such as 'P_0'",
        ),
        (
            lambda c: {
                "performances": c.performances.set_column(
                    4, "year", pa.array(["MCM"] * 120, pa.string())
                )
            },
            "year",
        ),
        (
            lambda c: {"performances": c.performances.append_column("key", pa.nulls(120))},
            "has two columns 'key'; rename one",
        ),
        (lambda c: {"factory": "Flatt"}, "dimension 64: could not parse .* Flatt"),
        (lambda c: {"factory": "IVF500,Flat"}, "IVF500.*; give another .* Flat, or auto"),
        (lambda c: {"factory": "HNSW16,PQ16"}, "'HNSW16,PQ16' under another metric than the inner"),
        (lambda c: {"factory": "IVF4,RQ8x4fs"}, "'IVF4,RQ8x4fs', so .*; leave the 'fs' out"),
        (lambda c: {"factory": "IDMap2,Flat"}, "'IDMap2,Flat' as .*; .* leave IDMap out"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    catalogue: MadeUp, tmp_path: Path, change: object, message: str
) -> None:
    with pytest.raises(IndexFormatError, match=message):
        catalogue.write(tmp_path / "i", **change(catalogue))  # type: ignore[operator]
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"nprobe": 0}, "nprobe is 0; give a whole number, 1 or more"),
        ({"nprobe": 2.5}, "nprobe is 2.5; give a whole"),
        ({"nprobe": True}, "nprobe is True"),
        ({"nprobe": 2**40}, "nprobe is"),
        ({"nprobe": 2, "k_factor": "8"}, "k_factor is '8'; give a number, 1"),
        ({"gap": float("nan")}, "gap is nan; give a number, 0"),
        ({"efSearch": None}, "efSearch is None"),
        ({"probes": 3}, "unknown search parameter 'probes'; give some of nprobe"),
    ],
)
def test_what_an_index_could_not_be_asked_with_is_refused(
    catalogue: MadeUp, tmp_path: Path, parameters: dict, message: str
) -> None:
    with pytest.raises(IndexFormatError, match=message):
        catalogue.write(tmp_path / "i", factory="IVF4,Flat", search_parameters=parameters)
    assert names_in(tmp_path) == []


def test_missing_ids_are_refused(catalogue: MadeUp, tmp_path: Path) -> None:
    for bad in (None, ""):
        table = catalogue.performances.set_column(
            0, "performance_id", pa.array([bad, *catalogue.ids[1:]], pa.string())
        )
        with pytest.raises(IndexFormatError, match="no id"):
            catalogue.write(tmp_path / "i", performances=table)


def test_opening_what_is_not_there_or_no_index(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no index"):
        Index.open(tmp_path / "nothing")
    with pytest.raises(IndexFormatError, match=r"manifest\.json"):
        Index.open(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexFormatError, match="is a file"):
        Index.open(tmp_path / "file")
