"""Hashes and versions by which two runs can be compared."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from coverdex.encoder.training import provenance


def test_hash_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.parquet"
    path.write_bytes(b"abc" * 1_000_000)
    assert provenance.sha256_of(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()


def test_hash_of_a_folder_follows_names_and_sizes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1").write_text("one")
    (tmp_path / "2").write_text("two")
    first = provenance.sha256_of(tmp_path)
    assert provenance.sha256_of(tmp_path) == first
    (tmp_path / "2").write_text("three")
    second = provenance.sha256_of(tmp_path)
    (tmp_path / "2").rename(tmp_path / "3")
    assert len({first, second, provenance.sha256_of(tmp_path)}) == 3


def test_versions_name_what_can_change_the_numbers() -> None:
    assert {"python", "torch", "numpy", "coverdex"} <= provenance.versions().keys()


def test_commit_is_a_hash_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COVERDEX_COMMIT", raising=False)
    commit = provenance.commit()
    assert commit is None or len(commit.removesuffix("-dirty")) == 40


def test_a_copy_has_the_commit_that_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_commit_here", lambda: None)
    monkeypatch.delenv("COVERDEX_COMMIT", raising=False)
    assert provenance.commit() is None
    monkeypatch.setenv("COVERDEX_COMMIT", "0" * 40)
    assert provenance.commit() == "0" * 40
    monkeypatch.setattr(provenance, "_commit_here", lambda: "1" * 40)
    assert provenance.commit() == "0" * 40
    monkeypatch.delenv("COVERDEX_COMMIT")
    assert provenance.commit() == "1" * 40


def test_a_commit_in_a_caption_keeps_that_it_was_changed() -> None:
    whole = "0123456789abcdef" * 2 + "01234567"
    assert provenance.shortened(whole) == "0123456789ab"
    assert provenance.shortened(f"{whole}-dirty") == "0123456789ab-dirty"
    assert provenance.shortened(None) == "no commit"
