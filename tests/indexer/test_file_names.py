"""Names that are not UTF-8: said before any work, or a rejection like any other."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from coverdex.encoder import CoverdexError, Encoder
from coverdex.indexer import (
    FileListCatalogue,
    build_index,
    build_index_from_shards,
    embed_catalogue,
    open_catalogue,
    read_rejections,
)
from coverdex.indexer.file_names import check_is_text, shown
from coverdex.indexer.shard_reading import find_shards, holds_shards

from .datacos_folder import DatacosFolder


def odd(path: Path) -> Path:
    """Return the path with a byte in its name that is not UTF-8."""
    return path.with_name(os.fsdecode(b"caf\xe9") + path.suffix)


@pytest.fixture
def loose(datacos: DatacosFolder, tmp_path: Path) -> Path:
    """A folder of two feature files, one of an odd name."""
    folder = tmp_path / "loose"
    folder.mkdir()
    shutil.copy(datacos.path_of("W_0", "P_00"), folder / "good.h5")
    try:
        shutil.copy(datacos.path_of("W_0", "P_01"), odd(folder / "x.h5"))
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    return folder


def test_odd_names_are_shown() -> None:
    assert shown(odd(Path("a/x.h5"))) == r"a/caf\xe9.h5"
    assert shown("Ανάθεμά σε.h5") == "Ανάθεμά σε.h5"
    check_is_text("Ανάθεμά σε.h5")
    with pytest.raises(CoverdexError, match=r"a/caf\\xe9\.h5 is not UTF-8"):
        check_is_text(odd(Path("a/x.h5")))


def test_a_file_of_an_odd_name_is_rejected(
    loose: Path, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    report = build_index(loose, tmp_path / "my.index", encoder=tiny_encoder)
    assert report.n_indexed == 1
    (rejection,) = read_rejections(report.rejection_report)
    assert rejection.reason == "unrecognised-file"
    assert rejection.path.endswith(r"loose/caf\xe9.h5")
    (alone,) = FileListCatalogue([odd(loose / "x.h5")]).rejections
    assert alone == rejection


def test_an_odd_name_in_a_datacos_folder_is_rejected(
    datacos: DatacosFolder, loose: Path, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    shutil.copytree(datacos.features / "W_0_hpcp", odd(datacos.features / "x"))
    shutil.copy(loose / "good.h5", odd(datacos.features / "W_0_hpcp" / "x.h5"))
    named = (datacos.features / "W_0_hpcp" / "P_7").as_posix().encode() + b"\xe9_hpcp.h5"
    shutil.copy(loose / "good.h5", os.fsdecode(named))
    report = build_index(datacos.root, tmp_path / "my.index", encoder=tiny_encoder)
    assert report.n_indexed == 6
    assert [r.reason for r in report.rejections] == ["unrecognised-file"] * 3
    assert all(r"\xe9" in r.message for r in report.rejections)


def test_odd_folders_are_refused_before_any_work(
    loose: Path, datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    odd_folder = odd(tmp_path / "x.index")
    for source, out in ((datacos.root, odd_folder), (odd_folder, tmp_path / "my.index")):
        with pytest.raises(CoverdexError, match="is not UTF-8; rename it"):
            build_index(source, out, encoder=tiny_encoder)
        with pytest.raises(CoverdexError, match="is not UTF-8; rename it"):
            build_index_from_shards(source, out)
    with pytest.raises(CoverdexError, match="is not UTF-8; rename it"):
        embed_catalogue(open_catalogue(datacos.root), odd_folder, encoder=tiny_encoder)
    with pytest.raises(CoverdexError, match="is not UTF-8; rename it"):
        open_catalogue(datacos.root, metadata=odd_folder)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["da-tacos", "loose"]


def test_an_odd_name_among_shards_is_refused(
    loose: Path, datacos: DatacosFolder, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    shards = tmp_path / "shards"
    embed_catalogue(open_catalogue(datacos.root), shards, encoder=tiny_encoder)
    (shards / "plan.json").unlink()
    (shards / "shard-00000.parquet").rename(odd(shards / "x.parquet"))
    assert not holds_shards(shards)
    assert not holds_shards(odd(shards / "x.parquet"))
    with pytest.raises(CoverdexError, match="is not UTF-8; rename it"):
        find_shards(shards)


@pytest.mark.parametrize("out", [".", "..", "/"])
def test_what_is_made_needs_a_name_of_its_own(
    datacos: DatacosFolder,
    tmp_path: Path,
    tiny_encoder: Encoder,
    monkeypatch: pytest.MonkeyPatch,
    out: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(CoverdexError, match=r"give a name, such as my\.index"):
        build_index(datacos.root, out, encoder=tiny_encoder)
