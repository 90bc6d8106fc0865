"""The speed benchmark measures what it says, at tiny sizes (never how fast this machine is)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coverdex.benchmarks.report.commands import benchmark
from coverdex.benchmarks.speed import extended_embeddings, graph_contenders
from coverdex.benchmarks.speed.approximate import measure_approximate, prepare_approximate
from coverdex.benchmarks.speed.batch import installed_threshold, measure_batch
from coverdex.benchmarks.speed.build import growth_of
from coverdex.benchmarks.speed.build_steps import BuildSpeed
from coverdex.benchmarks.speed.contender import Contender, Ladder
from coverdex.benchmarks.speed.data import real_embeddings
from coverdex.benchmarks.speed.edit import BATCH, measure_edit
from coverdex.benchmarks.speed.extended_embeddings import drawn_between, extend, neighbours_of
from coverdex.benchmarks.speed.graph_contenders import Usearch
from coverdex.benchmarks.speed.interleaving import Side, Timing, interleaved
from coverdex.benchmarks.speed.likeness import likeness
from coverdex.benchmarks.speed.our_contender import Coverdex, CoverdexStructure
from coverdex.benchmarks.speed.part_result import Column, PartResult, made_on
from coverdex.benchmarks.speed.query import measure_query
from coverdex.benchmarks.speed.recall import least_effort, recall_of
from coverdex.benchmarks.speed.simulated_embeddings import RealEmbeddings, unit
from typer.testing import CliRunner

N = 600


@pytest.fixture(scope="module")
def data() -> RealEmbeddings:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((60, 64))
    vectors = centres[np.arange(N + 40) % 60] + 0.6 * rng.standard_normal((N + 40, 64))
    vectors = unit(vectors.astype(np.float32))
    return RealEmbeddings(vectors[:N], vectors[N:], "made up")


def test_every_side_is_timed_once_per_round_in_an_order_that_changes() -> None:
    def run() -> tuple[list[tuple[str, int]], dict[str, Timing]]:
        calls: list[tuple[str, int]] = []

        def side(name: str) -> Side:
            return lambda number: calls.append((name, number))

        return calls, interleaved({name: side(name) for name in "abc"}, rounds=40, warm_up=1)

    calls, times = run()
    assert calls[:3] == [("a", 0), ("b", 0), ("c", 0)]  # not timed
    rounds = [calls[i : i + 3] for i in range(3, len(calls), 3)]
    assert [sorted(of_round) for of_round in rounds] == [
        [("a", i), ("b", i), ("c", i)] for i in range(40)
    ]
    orders = ["".join(name for name, _ in of_round) for of_round in rounds]
    assert set(orders) == {"abc", "acb", "bac", "bca", "cab", "cba"}  # nobody always follows one
    assert run()[0] == calls
    assert list(times) == ["a", "b", "c"]
    assert all(len(timing.seconds) == 40 for timing in times.values())
    timing = replace(times["a"], seconds=(3.0, 1.0, 2.0))
    assert (timing.median, timing.percentile(100)) == (2.0, 3.0)


def test_a_result_is_written_as_table_and_as_numbers(tmp_path: Path) -> None:
    columns = (Column("name", "program"), Column("rate", "queries/s", ",.0f"))
    rows = [{"name": "a", "rate": 1234.4, "more": 1}, {"name": "b"}]
    result = PartResult("part", "A title", {"threads": 1}, columns, rows, ("a note",))
    environment = {
        "date": "2026-01-02T03:04:05+00:00",
        "commit": "0123456789abcdef",
        "versions": {"coverdex": "0.1.0"},
        "machine": {"system": "Linux", "processor": "one", "cores": 2},
    }
    result.write(tmp_path, environment)
    document = json.loads((tmp_path / "part.json").read_text())
    assert document["rows"] == rows
    assert document["environment"] == environment
    lines = (tmp_path / "part.md").read_text().splitlines()
    assert lines[0] == "### A title"
    assert lines[2:6] == [
        "| program | queries/s |",
        "|---|---:|",
        "| a | 1,234 |",
        "| b | - |",
    ]
    assert lines[-1] == made_on(environment)
    assert "commit 0123456789ab;" in lines[-1]


def test_extended_embeddings_begin_with_the_real_ones(data: RealEmbeddings, tmp_path: Path) -> None:
    path = tmp_path / "extended.npy"
    vectors = extend(data.base, 2 * N, path)
    assert vectors.shape == (2 * N, 64)
    np.testing.assert_array_equal(vectors[:N], data.base)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(extend(data.base, 2 * N, path), vectors)  # read, not drawn anew
    assert extend(data.base, 50, tmp_path / "few.npy").shape == (50, 64)
    # Each lies among its anchor's like, and hardly one where its differences cancel out.
    nearest = (vectors[N:] @ data.base.T).max(axis=1)
    assert nearest.min() > 0.5
    assert np.mean(nearest > 0.9999) < 0.01


def test_neighbours_leave_the_vector_itself_out(data: RealEmbeddings) -> None:
    found = neighbours_of(data.base, count=3)
    similarities = data.base @ data.base.T
    np.fill_diagonal(similarities, -1)
    np.testing.assert_array_equal(found, np.argsort(-similarities, axis=1)[:, :3])


def test_neighbours_of_many_are_found_through_lists(
    data: RealEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = neighbours_of(data.base)
    monkeypatch.setattr(extended_embeddings, "EXACT_UP_TO", N - 1)
    found = neighbours_of(data.base)
    assert found.shape == exact.shape
    assert found.min() >= 0
    assert not (found == np.arange(N)[:, np.newaxis]).any()
    alike = [len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True)]
    assert 0.5 < np.mean(alike) / exact.shape[1] < 1  # some are missed, since lists are


def test_drawn_vectors_stay_in_the_directions_that_are_used() -> None:
    rng = np.random.default_rng(1)
    flat = np.zeros((400, 64), np.float32)
    flat[:, :5] = rng.standard_normal((400, 5))
    flat = unit(flat)
    drawn = drawn_between(flat, neighbours_of(flat), 200, rng)
    assert np.abs(drawn[:, 5:]).max() == 0


def test_likeness_measures_real_and_extended_at_one_size(data: RealEmbeddings) -> None:
    rows = likeness(data.base, data.queries, size=500, factors=(4,), probes=(1, 7))
    assert [(row["vectors"], row["n"]) for row in rows] == [
        ("real", 500),
        ("extended 4 times", 500),
    ]
    assert all(0 < row["recall_at_1"] < row["recall_at_7"] == 1 for row in rows)  # 7 lists are all


def test_one_query_is_measured_against_faiss_and_reading(
    data: RealEmbeddings, tmp_path: Path
) -> None:
    result = measure_query(data.base, data, tmp_path, sizes=[100, N], rounds=2)
    assert [row["n"] for row in result.rows] == [100, N]
    for row in result.rows:
        assert row["bytes"] == row["n"] * 256
        assert row["times_faiss"] == pytest.approx(row["ours_ms"] / row["faiss_ms"])
        seconds = row["faiss_ms"] / 1e3
        assert row["faiss_gb_per_second"] == pytest.approx(row["bytes"] / seconds / 1e9)


def test_a_batch_is_measured_against_faiss_as_installed(
    data: RealEmbeddings, tmp_path: Path
) -> None:
    from coverdex.search.vectors import BLAS_THRESHOLD, faiss

    assert installed_threshold() > BLAS_THRESHOLD
    result = measure_batch(data.base, data, tmp_path, n_queries=70, limits=(3,), rounds=1)
    (row,) = result.rows
    assert (row["n"], row["n_queries"], row["limit"], row["threads"]) == (N, 70, 3, 1)
    assert row["times_faster"] == pytest.approx(row["installed_seconds"] / row["ours_seconds"])
    assert faiss.cvar.distance_compute_blas_threshold == BLAS_THRESHOLD  # set back


def test_changes_are_made_and_queries_answered_meanwhile(
    data: RealEmbeddings, tmp_path: Path
) -> None:
    result = measure_edit(data.base, data, tmp_path, sizes=[N], n_changes=3, n_batches=1)
    assert [row["change"] for row in result.rows] == ["add one", "remove one", f"add {BATCH}"]
    assert [row["performances"] for row in result.rows] == [3, 3, BATCH]
    for row in result.rows:
        assert row["times"] == pytest.approx(row["quick_per_second"] / row["durable_per_second"])
        assert row["p95_before_ms"] >= row["p50_before_ms"] > 0
    assert [path.name for path in tmp_path.iterdir()] == [f"flat-{N}.index"]  # copies are gone


def test_recall_counts_true_neighbours() -> None:
    truth = np.array([[1, 2], [3, 4]])
    assert recall_of(np.array([[2, 1], [3, -1]]), truth) == 0.75


@pytest.mark.parametrize("needed", [1, 2, 37, 100])
def test_the_least_effort_is_found(needed: int) -> None:
    ladder = Ladder("ef", 1, 100, {"m": 4})
    asked: list[int] = []

    def recall(setting: Mapping[str, Any]) -> float:
        assert setting["m"] == 4
        asked.append(setting["ef"])
        return 0.5 + 0.5 * (setting["ef"] >= needed)

    setting = least_effort(recall, ladder, 0.99)
    assert setting is not None
    assert needed <= setting["ef"] <= max(needed, 1.03 * needed + 1)
    assert len(asked) < 20
    assert least_effort(lambda _: 0.9, ladder, 0.99) is None


class Exact(Contender):
    """Compares all; finds only the first ``effort`` percent of them."""

    name = "exact"

    def build(self, vectors: np.ndarray, folder: Path) -> None:
        np.save(folder / "vectors.npy", vectors)

    def n_bytes(self, folder: Path) -> int:
        return int(np.load(folder / "vectors.npy").nbytes)

    def open(self, folder: Path, n: int) -> None:
        self._vectors = np.load(folder / "vectors.npy")

    def ladders(self, n: int) -> Sequence[Ladder]:
        return [Ladder("percent", 1, 100)]

    def search(self, queries: np.ndarray, limit: int, setting: Mapping[str, Any]) -> np.ndarray:
        kept = self._vectors[: len(self._vectors) * setting["percent"] // 100]
        return np.argsort(-(queries @ kept.T), axis=1)[:, :limit]


class Absent(Exact):
    name = "absent"
    needs = ("no_such_module_anywhere",)


class Long(Exact):
    name = "long"
    most_vectors = 100


class Failing(Exact):
    name = "failing"

    def build(self, vectors: np.ndarray, folder: Path) -> None:
        raise MemoryError("too small a machine")


class Ending(Exact):
    name = "ending"

    def build(self, vectors: np.ndarray, folder: Path) -> None:
        import os

        os._exit(3)


def test_contenders_are_compared_at_equal_recall(
    data: RealEmbeddings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The contenders' processes are spawned and import this file by its name.
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    path = tmp_path / "vectors.npy"
    np.save(path, data.base)
    kinds = (Coverdex, CoverdexStructure, Exact, Absent, Long, Failing, Ending)
    result = measure_approximate(
        [path], data.queries, tmp_path / "work", source="made up", contenders=kinds, rounds=1
    )
    rows = {row["name"]: row for row in result.rows}
    assert set(rows) == {Coverdex.name, CoverdexStructure.name, "exact"}
    assert rows[Coverdex.name]["recall"] == rows[CoverdexStructure.name]["recall"] == 1
    assert 0.99 <= rows["exact"]["recall"] <= 1
    assert 95 < rows["exact"]["parameters"]["percent"] <= 100
    assert rows["exact"]["bytes_per_vector"] == 256
    assert all(row["build_cpu_seconds"] >= 0 and row["per_second"] > 0 for row in result.rows)
    left_out = "\n".join(result.settings["left_out"])
    assert "absent at 600: no_such_module_anywhere is not installed" in left_out
    assert "long at 600: not built for more than 100 vectors unless it is named" in left_out
    assert "too small a machine" in left_out
    assert "ending at 600: its process ended" in left_out
    assert "absent, 600 vectors: left out" in capsys.readouterr().err
    with_patience = prepare_approximate(
        path, data.queries, tmp_path / "work", contenders=(Long,), patient=True
    )
    assert "failed" not in with_patience[0]


class KeptRows:
    """What usearch's index does as far as building goes."""

    most = 1000

    def __init__(self) -> None:
        self.rows: list[int] = []

    def add(self, keys: Sequence[int], vectors: object, threads: int) -> None:
        if len(self.rows) >= self.most:
            raise KeyboardInterrupt
        self.rows += [int(key) for key in keys]

    def save(self, path: str) -> None:
        Path(path).write_text(json.dumps(self.rows), encoding="utf-8")

    def load(self, path: str) -> None:
        self.rows = json.loads(Path(path).read_text(encoding="utf-8"))


def test_a_graph_whose_building_was_ended_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_contenders, "_TOGETHER", 10)
    monkeypatch.setattr(graph_contenders, "_WRITTEN_EVERY", 20)
    monkeypatch.setattr(Usearch, "_empty", lambda self, dimension: KeptRows())
    vectors = np.zeros((75, 64), np.float32)
    monkeypatch.setattr(KeptRows, "most", 50)
    with pytest.raises(KeyboardInterrupt):
        Usearch().build(vectors, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"40.part", "part.json"}
    record = json.loads((tmp_path / "part.json").read_text(encoding="utf-8"))
    record["cpu_seconds"] = 100.0
    (tmp_path / "part.json").write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr(KeptRows, "most", 75)
    contender = Usearch()
    assert contender.other_cpu_seconds() == 0
    contender.build(vectors, tmp_path)
    assert contender.other_cpu_seconds() == 100
    assert {path.name for path in tmp_path.iterdir()} == {"graph.usearch"}
    assert json.loads((tmp_path / "graph.usearch").read_text()) == list(range(75))


def test_growth_is_a_line_and_what_is_off_it() -> None:
    line = [
        BuildSpeed(n, 1, 1, 1, 1, 1, 1, seconds=2 + n / 100, cpu_seconds=n, peak_memory=m,
                   peak_memory_of_readers=1)
        for n, m in ((1_000, 100), (2_000, 100), (3_000, 160))
    ]  # fmt: skip
    found = growth_of(line)
    assert found["seconds"]["per_performance"] == pytest.approx(0.01)
    assert found["seconds"]["fixed"] == pytest.approx(2)
    assert found["seconds"]["largest_distance"] == pytest.approx(0, abs=1e-9)
    assert found["peak_memory"]["largest_distance"] == pytest.approx(20 / 160)
    assert growth_of(line[:1]) == {}


def test_shares_are_those_of_the_slower_step() -> None:
    speed = BuildSpeed(10, 200.0, 100.0, 180.0, 0.005, 0.01, 90.0, 0.11, 0.3, 1, 1)
    assert (speed.share, speed.share_of_all_threads) == (0.9, 0.5)
    assert speed.overhead == pytest.approx(2.0)


def test_without_symbolic_music_the_demo_catalogue_stands_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = real_embeddings(None, tmp_path, n=100, n_queries=12)
    assert found.base.shape == (120, 64)
    assert found.queries.shape == (12, 64)
    assert "demo catalogue" in found.source
    assert "demo catalogue stands in" in capsys.readouterr().err


def test_the_command_measures_what_is_asked_and_writes_it(tmp_path: Path) -> None:
    sizes = ["--sizes", "50,130", "--edit-sizes", "50", "--approximate-sizes", "130"]
    common = ["speed", "--work", str(tmp_path / "work"), "--seeds", str(tmp_path), *sizes]
    common += ["--rounds", "1", "--queries", "20"]
    prepared = CliRunner().invoke(benchmark, [*common, "--part", "query", "--prepare"])
    assert prepared.exit_code == 0, prepared.output
    assert (tmp_path / "work" / "flat-130.index").is_dir()
    asked = [*common, "--part", "query", "--part", "batch", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(benchmark, [*asked, "--json"])
    assert done.exit_code == 0, done.output
    documents = json.loads(done.stdout)
    assert [document["part"] for document in documents] == ["query", "batch"]
    assert [row["n"] for row in documents[0]["rows"]] == [50, 130]
    assert "drawn from between" in documents[0]["settings"]["source"]
    written = json.loads((tmp_path / "out" / "batch.json").read_text())
    assert written["environment"]["machine"]["cores"]
    assert "Index.search" in (tmp_path / "out" / "query.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--sizes", "1,x"], "whole numbers"), (["--part", "nothing"], "nothing")],
)
def test_wrong_options_are_refused(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(benchmark, ["speed", *arguments])
    assert done.exit_code == 2
    assert said in done.output
