"""Shards: what is planned, kept and made again."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.encoder import CoverdexError, Encoder, IncompatibleError
from coverdex.indexer import (
    EmbeddingReport,
    Rejection,
    embed_catalogue,
    embedding_shards,
    open_catalogue,
    preparation,
    read_shards,
    write_parquet_catalogue,
)
from coverdex.indexer.catalogue import Reading
from coverdex.indexer.embedding_shards import read_shard_header
from coverdex.indexer.only_writer import only_writer
from coverdex.indexer.preparation import prepared_parts
from coverdex.indexer.shard_reading import find_shards

from .datacos_folder import DatacosFolder, made_up_catalogue


@pytest.fixture
def catalogue_folder(tmp_path: Path) -> DatacosFolder:
    """24 performances: three parts of eight files."""
    return made_up_catalogue(tmp_path / "da-tacos", n_works=12)


def embed(folder: DatacosFolder, out: Path, encoder: Encoder, **options: Any) -> EmbeddingReport:
    options = {"shard_size": 8, **options}
    return embed_catalogue(open_catalogue(folder.root), out, encoder=encoder, **options)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.parquet"))


def written_at(report: EmbeddingReport) -> list[int]:
    return [path.stat().st_mtime_ns for path in report.shards]


def test_shards_hold_what_the_encoder_says(
    catalogue_folder: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    report = embed(catalogue_folder, tmp_path / "shards", tiny_encoder)
    assert names(report.folder) == [f"shard-0000{i}.parquet" for i in range(3)]
    assert (report.n_embedded, report.n_kept, report.rejections) == (24, 0, ())
    contents = read_shards(report.shards)
    assert (contents.encoder_id, contents.encoder_name) == (tiny_encoder.id, "tiny")
    rows = contents.performances.to_pylist()
    for (record, chroma), row, vector in zip(
        open_catalogue(catalogue_folder.root), rows, contents.embeddings, strict=True
    ):
        assert row["performance_id"] == record.performance_id
        assert row["title"] == record.title
        assert row["year"] == 1976
        assert row["duration"] == pytest.approx(chroma.duration)
        assert row["frame_rate"] == chroma.frame_rate
        assert vector == pytest.approx(tiny_encoder.embed(chroma), abs=1e-5)


def test_what_is_there_is_kept(
    catalogue_folder: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    first = embed(catalogue_folder, tmp_path / "shards", tiny_encoder)
    before = written_at(first)
    again = embed(catalogue_folder, tmp_path / "shards", tiny_encoder)
    assert (again.n_embedded, again.n_kept) == (24, 24)
    assert written_at(again) == before
    again.shards[1].unlink()
    again = embed(catalogue_folder, tmp_path / "shards", tiny_encoder)
    assert again.n_kept == 16
    assert [a == b for a, b in zip(written_at(again), before, strict=True)] == [True, False, True]


def test_a_changed_file_or_title_is_embedded_again(
    catalogue_folder: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    before = written_at(embed(catalogue_folder, tmp_path / "shards", tiny_encoder))
    changed = catalogue_folder.path_of("W_0", "P_00")
    os.utime(changed, ns=(0, 0))
    after_file = written_at(embed(catalogue_folder, tmp_path / "shards", tiny_encoder))
    assert [a == b for a, b in zip(after_file, before, strict=True)] == [False, True, True]
    catalogue_folder.describe("W_9", "P_91", perf_title="Corrected")  # the last of all
    catalogue_folder.write_metadata()
    report = embed(catalogue_folder, tmp_path / "shards", tiny_encoder)
    after_title = written_at(report)
    assert [a == b for a, b in zip(after_title, after_file, strict=True)] == [True, True, False]
    assert "Corrected" in read_shards(report.shards).performances.column("title").to_pylist()


def test_a_damaged_shard_is_made_again(
    catalogue_folder: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    shard = embed(catalogue_folder, tmp_path / "shards", tiny_encoder).shards[0]
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    assert embed(catalogue_folder, tmp_path / "shards", tiny_encoder).n_kept == 16
    assert shard.read_bytes() == whole


def test_a_shorter_catalogue_leaves_no_old_shards(
    catalogue_folder: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    embed(catalogue_folder, tmp_path / "shards", tiny_encoder)
    smaller = made_up_catalogue(tmp_path / "smaller", n_works=4)
    (tmp_path / "shards" / ".shard-00000.parquet.tmp").write_bytes(b"left by a kill")
    report = embed(smaller, tmp_path / "shards", tiny_encoder)
    assert names(report.folder) == ["shard-00000.parquet"]
    assert not list(report.folder.glob(".*"))
    stranger = {"performance_id": ["P_1"], "embedding": [[1.0]]}
    pq.write_table(pa.table(stranger), report.folder / "shard-00001.parquet")
    with pytest.raises(CoverdexError, match="not made by Coverdex"):
        embed(smaller, tmp_path / "shards", tiny_encoder)


def test_a_full_disk_costs_the_shard_that_was_being_written(
    catalogue_folder: DatacosFolder,
    tmp_path: Path,
    tiny_encoder: Encoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flush, n_flushed = embedding_shards.sync, 0

    def flush_until_full(path: Path) -> None:
        nonlocal n_flushed
        n_flushed += path.suffix == ".tmp"
        if n_flushed == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(path)

    monkeypatch.setattr(embedding_shards, "sync", flush_until_full)
    with pytest.raises(OSError, match="No space left"):
        embed(catalogue_folder, tmp_path / "shards", tiny_encoder)
    monkeypatch.undo()
    assert names(tmp_path / "shards") == ["shard-00000.parquet"]
    assert not list((tmp_path / "shards").glob(".*"))
    report = embed(catalogue_folder, tmp_path / "shards", tiny_encoder)
    assert (report.n_embedded, report.n_kept) == (24, 8)


def test_shares_make_the_same_shards(
    catalogue_folder: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    alone = embed(catalogue_folder, tmp_path / "alone", tiny_encoder)
    for share in ((1, 2), (2, 2)):
        with only_writer(tmp_path / "shared", (share[0] % 2 + 1, 2)):  # the other one runs too
            report = embed(catalogue_folder, tmp_path / "shared", tiny_encoder, share=share)
        assert [path.name for path in report.shards] == names(alone.folder)[share[0] - 1 :: 2]
        if share == (1, 2):
            with pytest.raises(CoverdexError, match=r"lacks 1 of 3 shards \(shard-00001"):
                find_shards(report.folder)
    assert [p.read_bytes() for p in find_shards(report.folder)] == [
        p.read_bytes() for p in alone.shards
    ]
    with pytest.raises(CoverdexError, match="3/2"):
        embed(catalogue_folder, tmp_path / "shared", tiny_encoder, share=(3, 2))


def test_machines_may_see_the_catalogue_elsewhere_and_at_other_times(
    catalogue_folder: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    copied = tmp_path / "on another machine"
    shutil.copytree(catalogue_folder.root, copied, copy_function=shutil.copyfile)
    for file in copied.rglob("*.h5"):
        os.utime(file, (1, 1))
    shards = embed(catalogue_folder, tmp_path / "shards", tiny_encoder, share=(1, 2)).folder
    there = open_catalogue(copied)
    embed_catalogue(there, shards, encoder=tiny_encoder, share=(2, 2), shard_size=8)
    assert len(find_shards(shards)) == 3
    other = read_shard_header(shards / "shard-00001.parquet")
    own = read_shard_header(embed(catalogue_folder, tmp_path / "own", tiny_encoder).shards[1])
    assert (other.contents, other.fingerprint != own.fingerprint) == (own.contents, True)


def test_stale_shards_are_told(
    catalogue_folder: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    shards = embed(catalogue_folder, tmp_path / "shards", tiny_encoder).folder
    catalogue_folder.describe("W_0", "P_00", perf_title="Corrected")  # in the first shard
    catalogue_folder.describe("W_9", "P_91", perf_title="Corrected")  # in the last
    catalogue_folder.write_metadata()
    embed(catalogue_folder, shards, tiny_encoder, share=(1, 2))
    assert len(find_shards(shards)) == 3  # the shares are what was stale
    catalogue_folder.describe("W_4", "P_40", perf_title="Corrected")  # in the second
    catalogue_folder.write_metadata()
    embed(catalogue_folder, shards, tiny_encoder, share=(1, 2))
    with pytest.raises(CoverdexError, match=r"1 of 3 shards .*plan has it \(shard-00001.parquet\)"):
        find_shards(shards)
    plan = json.loads((shards / "plan.json").read_text())
    (shards / "plan.json").unlink()
    assert len(find_shards(shards)) == 3
    del plan["contents"]  # as it was written before
    (shards / "plan.json").write_text(json.dumps(plan))
    assert len(find_shards(shards)) == 3
    embed(catalogue_folder, shards, tiny_encoder, share=(2, 2))
    assert "Corrected" in read_shards(find_shards(shards)).performances.column("title").to_pylist()


def test_one_writer(catalogue_folder: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder) -> None:
    with only_writer(tmp_path / "shards"), pytest.raises(CoverdexError, match="another process"):
        embed(catalogue_folder, tmp_path / "shards", tiny_encoder)
    embed(catalogue_folder, tmp_path / "shards", tiny_encoder)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_locks(descriptor: int, mode: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    folder = tmp_path / "shards"
    with pytest.raises(CoverdexError, match=f"{folder} has no locks .*local disk"):
        only_writer(folder).__enter__()


def test_a_lock_in_a_folder_that_is_removed_meanwhile_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The one before removes its folder when it ends, between this one's opening and locking.
    folder = tmp_path / "shards"
    flock = fcntl.flock

    def removed_just_before(descriptor: int, mode: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        shutil.rmtree(folder)
        flock(descriptor, mode)

    monkeypatch.setattr(fcntl, "flock", removed_just_before)
    with only_writer(folder):
        assert (folder / "lock").is_file()
        with pytest.raises(CoverdexError, match="another process"), only_writer(folder):
            pass


def test_rejections_are_kept_with_the_shard(
    catalogue_folder: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    silent = np.zeros((300, 12), np.float32)
    catalogue_folder.add("W_0", "P_00", hpcp=silent)
    catalogue_folder.add("W_1", "P_10", hpcp=np.full_like(silent, 0.5))
    catalogue_folder.path_of("W_2", "P_20").write_bytes(b"")
    catalogue_folder.describe("W_77", "P_77")
    catalogue_folder.write_metadata()
    expected = {
        "P_00": "no-energy",
        "P_10": "no-energy",
        "P_20": "empty",
        "P_77": "no-feature-file",
    }
    for n_kept in (0, 21):
        report = embed(catalogue_folder, tmp_path / "shards", tiny_encoder)
        assert {r.performance: r.reason for r in report.rejections} == expected
        assert (report.n_embedded, report.n_kept) == (21, n_kept)
    silence = next(r for r in report.rejections if r.performance == "P_00")
    assert silence.path == str(catalogue_folder.path_of("W_0", "P_00"))
    assert len(read_shard_header(report.shards[0]).rejections) == 2


def test_another_kind_of_chroma_is_refused(
    catalogue_folder: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    crema = DatacosFolder(tmp_path / "crema", feature="crema")
    crema.add("W_1", "P_1", crema=np.ones((12, 50), np.float32))
    catalogue = open_catalogue(crema.root, kind="crema")
    with pytest.raises(IncompatibleError, match="tiny reads hpcp"):
        embed_catalogue(catalogue, tmp_path / "shards", encoder=tiny_encoder)


def test_processes_give_what_one_process_gives(
    catalogue_folder: DatacosFolder, tiny_encoder: Encoder
) -> None:
    catalogue_folder.path_of("W_2", "P_20").write_bytes(b"")
    parts = open_catalogue(catalogue_folder.root).parts()
    alone = list(prepared_parts(parts, tiny_encoder.preprocessing))
    several = list(prepared_parts(parts, tiny_encoder.preprocessing, workers=2))
    assert [len(part) for part in several] == [8, 8, 8]
    for one, other in zip(chain(*alone), chain(*several), strict=True):
        assert type(one) is type(other)
        if hasattr(one, "values"):
            assert one.record == other.record
            assert np.array_equal(one.values, other.values)
        else:
            assert one == other


@dataclass(frozen=True)
class Deadly:
    """A part that ends the process which reads it, as a file may that HDF5 cannot stand."""

    name: str

    def __len__(self) -> int:
        return 1

    def __str__(self) -> str:
        return self.name

    def read(self) -> Iterator[Reading | Rejection]:
        os.kill(os.getpid(), signal.SIGSEGV)
        yield from ()


def test_what_ended_a_reading_process_is_named(
    catalogue_folder: DatacosFolder, tiny_encoder: Encoder
) -> None:
    parts = open_catalogue(catalogue_folder.root).parts()
    deadly: Any = Deadly("the damaged one")
    prepared = prepared_parts([*parts, deadly], tiny_encoder.preprocessing, workers=1)
    received = list(islice(prepared, len(parts)))
    assert [len(part) for part in received] == [8, 8, 8]
    with pytest.raises(CoverdexError, match=r"while it read the damaged one: .* that file$"):
        next(prepared)


def test_parts_say_where_they_lie(catalogue_folder: DatacosFolder, tmp_path: Path) -> None:
    catalogue = open_catalogue(catalogue_folder.root)
    files = catalogue_folder.root / "da-tacos_benchmark_subset_hpcp"
    first = catalogue.parts()[0]
    assert str(first) == (
        f"8 files from {files}/W_0_hpcp/P_00_hpcp.h5 to {files}/W_11_hpcp/P_111_hpcp.h5"
    )
    write_parquet_catalogue(tmp_path / "x.parquet", catalogue)
    assert (
        str(open_catalogue(tmp_path / "x.parquet").parts()[0])
        == f"row group 0 of {tmp_path}/x.parquet"
    )


def test_readers_give_way_to_the_encoder() -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        1, mp_context=spawn, initializer=preparation._start_reading_process
    ) as pool:
        assert pool.submit(os.nice, 0).result() == min(19, os.nice(0) + preparation.GIVE_WAY)
