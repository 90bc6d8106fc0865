"""What a build holds at a time does not grow with the catalogue."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from coverdex.encoder import (
    Checkpoint,
    Chroma,
    ChromaKind,
    Encoder,
    Preprocessing,
    build_architecture,
    write_chroma,
)
from coverdex.indexer import PerformanceRecord, embed_catalogue, open_catalogue
from coverdex.indexer.feature_files import FeatureFile, FeatureFileBatch, FileListCatalogue
from coverdex.indexer.preparation import (
    PreparedPerformance,
    beside_readers,
    default_workers,
    prepared_parts,
)
from coverdex.indexer.synthetic_catalogue import (
    CLIQUE,
    synthetic_performances,
    write_synthetic_catalogue,
)

#: 430 frames of 12 float32 at the rate of the network below.
TRACK = 430 * 12 * 4


@pytest.mark.parametrize(("size", "most"), [(2, 16 // 2 + 1), (40, 3)])
def test_reading_processes_stay_a_little_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, most: int
) -> None:
    """However large the parts are: no more than so many tracks, or one part for each process."""
    monkeypatch.setattr("coverdex.indexer.preparation.TRACKS_AHEAD", 16)
    path = tmp_path / "a track.h5"
    write_chroma(path, Chroma(np.random.default_rng(0).random((20, 12)), 10.0))
    taken = 0

    def parts() -> Iterator[FeatureFileBatch]:
        nonlocal taken
        for number in range(60):
            taken += 1
            files = (
                FeatureFile(PerformanceRecord(f"P_{number}_{i}"), path, named_by_path=False)
                for i in range(size)
            )
            yield FeatureFileBatch(tuple(files), ChromaKind.HPCP)

    names = []
    with closing(prepared_parts(parts(), Preprocessing(frame_rate=5.0), workers=2)) as prepared:
        for received in range(1, 4):
            part = next(prepared)
            assert isinstance(part[0], PreparedPerformance)
            names.append(part[0].record.performance_id)
            assert taken - received < most
    assert names == [f"P_{number}_0" for number in range(3)]


def test_embedding_holds_no_more_for_a_longer_catalogue(tmp_path: Path) -> None:
    torch.manual_seed(0)
    architecture = {"name": "siamese-cnn", "channels": [4], "hidden": 8}
    encoder = Encoder(
        Checkpoint(
            name="tiny",
            architecture=architecture,
            preprocessing=Preprocessing(frame_rate=86.1328125),
            weights=build_architecture(architecture).state_dict(),
            training={},
            card="",
        )
    )

    def peak(n_performances: int) -> int:
        root = write_synthetic_catalogue(tmp_path / str(n_performances), n_performances)
        catalogue = open_catalogue(root)
        tracemalloc.start()
        embed_catalogue(catalogue, root / "shards", encoder=encoder, shard_size=8)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(8)  # the first run loads code
    shorter, longer = peak(24), peak(72)
    assert shorter > 8 * TRACK  # it does see the tracks of a shard
    assert longer - shorter < 10 * TRACK  # of 48 more tracks


def test_made_up_catalogue_has_the_proportions_of_the_benchmark() -> None:
    performances = list(synthetic_performances(30, n_frames=100))
    sizes: dict[str | None, int] = {}
    for record, _ in performances:
        sizes[record.work_id] = sizes.get(record.work_id, 0) + 1
    assert sorted(sizes.values()) == [1, 1, 1, 1, CLIQUE, CLIQUE]
    more = list(synthetic_performances(40, n_frames=100))
    for (one, first), (other, second) in zip(performances, more, strict=False):
        assert one == other
        assert np.array_equal(first.values, second.values)


def test_a_made_up_catalogue_is_read_like_any_other(tmp_path: Path) -> None:
    write_synthetic_catalogue(tmp_path, 10, n_frames=60)
    write_synthetic_catalogue(tmp_path, 20, n_frames=60)  # made larger
    catalogue = open_catalogue(tmp_path)
    read = {record.performance_id: chroma for record, chroma in catalogue}
    assert catalogue.rejections == []
    assert len(read) == 20
    for record, chroma in synthetic_performances(20, n_frames=60):
        assert read[record.performance_id].values == pytest.approx(chroma.values)


def test_small_catalogues_need_no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (FileListCatalogue(f"{i}.h5" for i in range(n)) for n in (10, 1000))
    assert default_workers(small) == 0
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert default_workers(large) == 3
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert default_workers(large) == 8


@pytest.mark.parametrize(
    ("encoder", "workers", "threads"),
    [
        ("siamese-cnn", 0, 4),
        ("siamese-cnn", 1, 3),
        ("siamese-cnn", 4, 1),
        ("siamese-cnn", 9, 1),
        ("coverdex-64", 4, 4),  # its threads do not spin
    ],
)
def test_readers_are_left_cores_and_threads_come_back(
    encoder: str, workers: int, threads: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with beside_readers(workers, Encoder.load(encoder)):
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
