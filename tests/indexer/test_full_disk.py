"""A build on a real file system that runs full: no half index, and it goes on later."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from coverdex.cli import main
from coverdex.encoder import Encoder
from coverdex.indexer import build_index
from coverdex.search import Index, verify_index

from .datacos_folder import made_up_catalogue


def test_a_build_on_a_full_disk_leaves_no_index_and_goes_on(
    small_disk: Any, tmp_path: Path, tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1500000000")
    root = made_up_catalogue(tmp_path / "da-tacos", n_works=30).root
    build_index(root, tmp_path / "whole", encoder=tiny_encoder, shard_size=8)
    out = small_disk.folder / "my.index"
    refused_at = set()
    for room in range(0, 400_000, 12_288):
        small_disk.free()
        small_disk.fill(but=room)
        error, report = None, None
        try:
            report = build_index(root, out, encoder=tiny_encoder, shard_size=8)
            break
        except OSError as full:
            error = full
        assert "No space left" in str(error)
        refused_at.add(Path(str(error.filename)).parent.name)
        assert not out.exists()
        left = {path.name for path in small_disk.folder.iterdir()}
        assert left <= {"ballast", "my.index.building", "my.index.rejected.parquet"}
    assert report is not None
    # It was refused while embedding and while writing the index, and kept what it had embedded.
    assert "my.index.building" in refused_at
    assert len(refused_at) > 1
    assert report.n_indexed == 60
    assert report.n_kept > 0
    for path in (tmp_path / "whole").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes(), path.name
    assert verify_index(out).problems == []


def test_the_command_says_that_the_disk_is_full(
    small_disk: Any,
    tmp_path: Path,
    tiny_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["coverdex", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), capsys.readouterr().err

    root = made_up_catalogue(tmp_path / "da-tacos", n_works=3).root
    out = small_disk.folder / "my.index"
    build = ["index", "build", root, "--out", out, "--encoder", tiny_checkpoint]
    small_disk.fill()
    code, said = run(*build)
    assert code == 1
    last = said.splitlines()[-1]
    assert "No space left on device" in last
    assert str(small_disk.folder) in last
    assert not out.exists()
    small_disk.free()
    assert run(*build)[0] == 0
    small_disk.fill()
    code, said = run("index", "add", out, root, "--update", "--encoder", tiny_checkpoint)
    assert code == 1
    assert "changes-000001.log" in said.splitlines()[-1]
    assert len(Index.open(out)) == 6
