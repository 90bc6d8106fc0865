"""The shipped demo catalogue: complete, clean, and its versions really differ."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
from coverdex import open_catalogue
from coverdex.encoder.chroma import Chroma
from coverdex.indexer.demo import demo_catalogue_path
from coverdex.indexer.demo.tunes import Setting, read_works
from coverdex.indexer.performance import PerformanceRecord

FRAME_RATE = 44_100 / 512 / 4

Performances = dict[str, tuple[PerformanceRecord, Chroma]]


@pytest.fixture(scope="module")
def performances() -> Performances:
    catalogue = open_catalogue("demo")
    read = {record.performance_id: (record, chroma) for record, chroma in catalogue}
    assert catalogue.rejections == []
    return read


@pytest.fixture(scope="module")
def versions(performances: Performances) -> dict[str, list[tuple[PerformanceRecord, Chroma]]]:
    works = defaultdict(list)
    for record, chroma in performances.values():
        works[str(record.work_id)].append((record, chroma))
    return works


def listed_settings() -> list[Setting]:
    return [setting for work in read_works() for setting in work]


def test_holds_66_works_in_140_performances(performances, versions) -> None:
    assert len(performances) == 140
    assert len(versions) == 66
    assert sorted(map(len, versions.values())) == [2] * 58 + [3] * 8


def test_is_a_few_megabytes() -> None:
    assert 1_000_000 < demo_catalogue_path().stat().st_size < 4_500_000


def test_holds_the_settings_of_the_list(performances) -> None:
    for setting in listed_settings():
        record, _ = performances[setting.performance_id]
        assert record.work_id == setting.work_id
        assert record.title == setting.title
        assert record.work_title == setting.work_title
        assert record.year == setting.collection.year
        assert record.extra["collection"] == setting.collection.name
        assert record.extra["printed_key"] == setting.key


def test_every_performance_is_clean_hpcp(performances) -> None:
    for performance_id, (_, chroma) in performances.items():
        assert chroma.frame_rate == pytest.approx(FRAME_RATE), performance_id
        assert 40 < chroma.duration < 95, performance_id
        # Chroma has checked that it is finite and not negative. A frame of essentia's HPCP has 1 as
        # its greatest value; the mean of four has less, but not much less on most frames.
        peaks = chroma.values.max(axis=1)
        assert chroma.values.max() <= 1.0, performance_id
        assert np.mean(peaks > 0.6) > 0.8, performance_id
        # Music: some pitch classes sound much more than others.
        profile = chroma.values.mean(axis=0)
        assert profile.max() > 1.4 * profile.min(), performance_id


def test_versions_differ_in_key_tempo_instrument_and_accompaniment(versions) -> None:
    for work_id, members in versions.items():
        for (a, _), (b, _) in combinations(members, 2):
            assert a.extra["key"].split()[0] != b.extra["key"].split()[0], work_id
            assert a.extra["instrument"] != b.extra["instrument"], work_id
            assert a.extra["accompaniment"] != b.extra["accompaniment"], work_id


def test_no_version_is_a_transposed_copy_of_another(versions) -> None:
    for work_id, members in versions.items():
        for (_, a), (_, b) in combinations(members, 2):
            n = min(a.n_frames, b.n_frames)
            differences = [
                np.abs(np.roll(a.values[:n], k, axis=1) - b.values[:n]).mean() for k in range(12)
            ]
            assert min(differences) > 0.1, work_id


def test_lengths_of_versions_differ(versions) -> None:
    for work_id, members in versions.items():
        assert len({chroma.n_frames for _, chroma in members}) == len(members), work_id
