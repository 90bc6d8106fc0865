from __future__ import annotations

import numpy as np
import pytest
from coverdex.benchmarks.protocols import PROTOCOLS, check_protocol, digest_of, protocol_named
from coverdex.benchmarks.work_lists import WorkList, read_work_list
from coverdex.encoder.errors import CoverdexError

DATACOS = PROTOCOLS["da-tacos-benchmark"]
COVERS80 = PROTOCOLS["covers80"]


def covers80_like(n_works=80):
    names = [f"P_{w}_{v}" for w in range(n_works) for v in range(2)]
    return WorkList(names, [f"W_{w}" for w in range(n_works) for _ in range(2)])


@pytest.fixture(scope="module")
def datacos_ids(shared_data):
    return read_work_list(shared_data / "datacos_sample" / "da-tacos_benchmark_ids.csv")


def without(listed, gone):
    kept = [i for i, p in enumerate(listed.performances) if p not in gone]
    return WorkList([listed.performances[i] for i in kept], [listed.works[i] for i in kept])


def test_sizes_of_the_benchmarks():
    assert (DATACOS.n_performances, DATACOS.n_queries) == (15_000, 13_000)
    assert (COVERS80.n_performances, COVERS80.n_queries) == (160, 160)


def test_complete_catalogue_is_comparable():
    check = check_protocol(COVERS80, covers80_like())
    assert check.comparable
    assert check.findings == ()
    assert "complete" in check.verdict


def test_catalogue_of_other_sizes_is_not():
    check = check_protocol(COVERS80, covers80_like(79))
    assert not check.comparable
    assert "79 x 2" in check.findings[0]
    assert "NOT COMPARABLE" in check.verdict


def test_missing_unexpected_and_moved_performances_are_named():
    expected = covers80_like()
    names, works = list(expected.performances), list(expected.works)
    names[3] = "P_new"
    works[10] = "W_other"
    check = check_protocol(COVERS80, WorkList(names, works), expected)
    assert check.missing == ("P_1_1",)
    assert check.unexpected == ("P_new",)
    assert any("P_5_0: another work" in finding for finding in check.findings)
    assert not check.comparable


def test_any_catalogue_is_comparable_with_nothing_else():
    check = check_protocol(PROTOCOLS["any"], covers80_like())
    assert not check.comparable
    assert check.findings == ()
    assert "this very catalogue" in check.verdict


def test_right_sizes_with_other_ids_are_not_the_benchmark():
    works = [f"W_{i}" for i in range(1000) for _ in range(13)] + [f"N_{i}" for i in range(2000)]
    check = check_protocol(DATACOS, WorkList([f"P_{i}" for i in range(15_000)], works))
    assert not check.comparable
    assert "ids" in check.findings[0]


def test_digest_does_not_depend_on_the_order():
    listed = covers80_like()
    order = np.random.default_rng(0).permutation(len(listed))
    shuffled = WorkList([listed.performances[i] for i in order], [listed.works[i] for i in order])
    assert digest_of(shuffled) == digest_of(listed)
    assert digest_of(without(listed, {"P_0_0"})) != digest_of(listed)


def test_unknown_protocol():
    with pytest.raises(CoverdexError, match="da-tacos-benchmark, covers80, any"):
        protocol_named("million-song")


def test_the_list_of_datacos_is_recognised(datacos_ids):
    assert check_protocol(DATACOS, datacos_ids).comparable
    assert check_protocol(DATACOS, datacos_ids, datacos_ids).comparable


def test_partial_download_says_what_is_missing(datacos_ids):
    gone = set(datacos_ids.performances[100:103])
    partial = without(datacos_ids, gone)
    check = check_protocol(DATACOS, partial, datacos_ids)
    assert not check.comparable
    assert set(check.missing) == gone
    assert "3 of 15,000 performances are missing" in check.findings[0]
    wrong_list = check_protocol(DATACOS, partial, partial)
    assert not wrong_list.comparable
    assert "not the one of Da-TACOS" in wrong_list.findings[0]
