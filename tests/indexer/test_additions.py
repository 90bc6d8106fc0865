"""Additions: nothing goes in of what cannot all go in, and what is in is told."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from coverdex.encoder import Chroma, CoverdexError, Encoder
from coverdex.indexer import (
    Catalogue,
    PerformanceRecord,
    UnfinishedAdditionError,
    add_catalogue,
    add_embeddings,
    additions,
    open_catalogue,
    write_parquet_catalogue,
)
from coverdex.indexer.shard_reading import ShardContents
from coverdex.search import Index, IndexEditor, IndexFormatError, write_index
from coverdex.search.snapshot import Snapshot
from numpy.typing import NDArray

from .datacos_folder import made_up_chroma

Add = Callable[..., Any]


def unit(n: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(0).standard_normal((n, 64)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additions, "BATCH", 2)


@pytest.fixture
def index(tmp_path: Path, tiny_encoder: Encoder) -> Path:
    """An index of one performance, with a column ``tempo`` of whole numbers."""
    out = tmp_path / "my.index"
    table = pa.table({"performance_id": ["P_0"], "tempo": [120]})
    write_index(
        out,
        embeddings=unit(1),
        performances=table,
        encoder_id=tiny_encoder.id,
        encoder_name="tiny",
        source="x",
    )
    return out


def shards(encoder: Encoder, **columns: list[Any]) -> ShardContents:
    ids = [f"S_{i}" for i in (4, 3, 2, 1, 0)]
    table = pa.table({"performance_id": ids, **columns})
    return ShardContents(unit(5), table, encoder.id, "tiny", [])


def catalogue(folder: Path, tempos: list[Any]) -> Catalogue:
    path = folder / "releases.parquet"
    performances = [
        (PerformanceRecord(f"S_{i}", extra={"tempo": tempo}), Chroma(made_up_chroma(i), 10.0))
        for i, tempo in enumerate(tempos)
    ]
    write_parquet_catalogue(path, performances)
    return open_catalogue(path)


@pytest.mark.parametrize("update", [False, True])
def test_an_addition_does_not_lay_out_the_metadata_of_the_whole_index(
    index: Path,
    tiny_encoder: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    update: bool,
) -> None:
    with IndexEditor(index) as editor:
        editor.remove(["P_0"])  # or the table is there already, mapped

        def laid_out(_: Snapshot) -> Any:
            raise AssertionError("the whole table was made")

        monkeypatch.setattr(Snapshot, "performances", property(laid_out))
        add_embeddings(editor, shards(tiny_encoder), update=update)
        add_catalogue(editor, catalogue(tmp_path, [90]), encoder=tiny_encoder, update=True)
        assert len(editor.index) == 5


def test_embeddings_go_in_with_their_metadata(index: Path, tiny_encoder: Encoder) -> None:
    contents = shards(tiny_encoder, tempo=["90", "91", "92", "93", None], foo=["x"] * 5)
    told: list[tuple[int, int]] = []
    with IndexEditor(index) as editor:
        report = add_embeddings(editor, contents, progress=lambda *far: told.append(far))
    assert told == [(0, 5), (2, 5), (4, 5), (5, 5)]
    assert report.added == [f"S_{i}" for i in range(5)]
    assert report.columns_left_out == ["foo"]
    opened = Index.open(index)
    for row, performance_id in enumerate(contents.performances.column(0).to_pylist()):
        assert np.array_equal(opened.embedding(performance_id), contents.embeddings[row])
    assert opened.metadata("S_1")["tempo"] == 93
    assert opened.metadata("S_0")["tempo"] is None


@pytest.mark.parametrize(
    "columns",
    [
        {"year": ["2000", "soon", "2000", "2000", "2000"]},
        {"tempo": ["soon", "90", "90", "90", "90"]},
        {"tempo": [2**40 + 0.5, 1.0, 1.0, 1.0, 1.0]},
    ],
)
def test_embeddings_whose_metadata_does_not_fit_add_nothing(
    index: Path, tiny_encoder: Encoder, columns: dict[str, list[Any]]
) -> None:
    (name,) = columns
    with IndexEditor(index) as editor, pytest.raises(IndexFormatError, match=f"column '{name}'"):
        add_embeddings(editor, shards(tiny_encoder, **columns))
    assert len(Index.open(index)) == 1


def test_a_catalogue_whose_metadata_does_not_fit_adds_nothing(
    index: Path, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    wrong = catalogue(tmp_path, ["90", "90", "90", "soon"])
    with IndexEditor(index) as editor:
        with pytest.raises(IndexFormatError, match="'S_3' has 'soon' in the column 'tempo'"):
            add_catalogue(editor, wrong, encoder=tiny_encoder)
        assert len(editor.index) == 1
        report = add_catalogue(editor, catalogue(tmp_path, ["90", "91"]), encoder=tiny_encoder)
        assert report.added == ["S_0", "S_1"]
        assert editor.index.metadata("S_1")["tempo"] == 91


@pytest.mark.parametrize("of_shards", [True, False])
def test_what_is_in_when_the_disk_is_full_is_told(
    index: Path,
    tmp_path: Path,
    tiny_encoder: Encoder,
    monkeypatch: pytest.MonkeyPatch,
    of_shards: bool,
) -> None:
    releases = catalogue(tmp_path, [90] * 5)

    def add(editor: IndexEditor, **options: Any) -> additions.AdditionReport:
        if of_shards:
            return add_embeddings(editor, shards(tiny_encoder), **options)
        return add_catalogue(editor, releases, encoder=tiny_encoder, **options)

    n_calls, put = 0, IndexEditor.add

    def put_until_full(self: IndexEditor, *arguments: Any, **options: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        if n_calls in (1, 4):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "changes.log")
        return put(self, *arguments, **options)

    monkeypatch.setattr(IndexEditor, "add", put_until_full)
    with IndexEditor(index) as editor:
        with pytest.raises(OSError, match=r"changes\.log"):  # nothing was in yet
            add(editor)
        with pytest.raises(
            UnfinishedAdditionError,
            match=r"No space left.*changes\.log.*4 performances.*--update makes it go on",
        ) as failure:
            add(editor)
        assert failure.value.report.added == [f"S_{i}" for i in range(4)]
        assert len(editor.index) == 5
        with pytest.raises(CoverdexError, match="4 of 5 performances are in"):
            add(editor)
        report = add(editor, update=True)
        assert (report.added, len(report.updated)) == (["S_4"], 4)
