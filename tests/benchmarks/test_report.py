"""From a specification to a report, and two reports compared."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.benchmarks import evaluate
from coverdex.benchmarks.baselines import TwoDFTM
from coverdex.benchmarks.drawing import DrawingError
from coverdex.benchmarks.report.commands import _print_results, benchmark
from coverdex.benchmarks.report.folder import read_query_table, refuse_other_folder
from coverdex.benchmarks.report.run import run
from coverdex.benchmarks.report.spec import SpecError, read_spec
from coverdex.encoder import load_checkpoint, save_checkpoint
from coverdex.encoder.chroma import Chroma
from coverdex.encoder.errors import CoverdexError, NotFoundError
from coverdex.indexer import (
    PerformanceRecord,
    write_parquet_catalogue,
)
from coverdex.search import write_index
from typer.testing import CliRunner

from .written_spec import written

WORKS = [f"W_{i // 3}" for i in range(12)] + ["N_1", "N_2"]
NAMES = [f"P_{i:02}" for i in range(14)]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Two rankings of a small catalogue and one baseline, reported."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("benchmark")
    rng = np.random.default_rng(0)
    titles = ["<b>Hurt</b> & more"] * 3 + [f"Song {w}" for w in WORKS[3:]]
    pairs = [
        (PerformanceRecord(p, w, t), Chroma(rng.random((160, 12)), frame_rate=4.0))
        for p, w, t in zip(NAMES, WORKS, titles, strict=True)
    ]
    write_parquet_catalogue(folder / "catalogue.parquet", pairs)
    np.save(folder / "perfect.npy", np.equal.outer(WORKS, WORKS).astype(np.float32))
    np.save(folder / "random.npy", rng.random((14, 14)).astype(np.float32))
    spec = """
        title = "Small & <quick>"
        catalogue = "catalogue.parquet"
        systems = ["2DFTM"]
        protocol = "covers80"
        [[rankings]]
        name = "the/perfect one"
        path = "perfect.npy"
        [[rankings]]
        name = "random"
        path = "random.npy"
    """
    result = CliRunner().invoke(
        benchmark,
        ["run", str(written(folder, spec)), "--out", str(folder / "out")],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    assert "NOT COMPARABLE" in result.output
    assert "works by size are 4 x 3, 2 x 1" in result.output
    return folder / "out"


def test_report_has_every_part(report):
    names = {str(p.relative_to(report)) for p in report.rglob("*") if p.is_file()}
    figures = {"map", "recall", "ranks", "by-size", "similarities", "hubness"}
    assert names == {
        "report.html",
        "report.md",
        "results.json",
        "queries/2DFTM.parquet",
        "queries/the-perfect-one.parquet",
        "queries/random.parquet",
        *(f"figures/{name}.png" for name in figures),
    }
    assert not list(report.parent.glob(".*"))


def test_results_are_those_of_the_evaluation(report):
    document = json.loads((report / "results.json").read_text())
    by_name = {outcome["system"]: outcome for outcome in document["systems"]}
    assert by_name["the/perfect one"]["map"] == pytest.approx(1)
    assert by_name["the/perfect one"]["separation"] == 1
    random = np.load(report.parent / "random.npy")
    assert by_name["random"]["map"] == pytest.approx(evaluate(random, WORKS).map)
    assert document["against_best"]["random"]["map"]["verdict"] == "worse"
    assert by_name["random"]["recall_curve"]["k"] == list(range(1, 14))
    curve = evaluate(random, WORKS).recall_curve(range(1, 14))
    assert by_name["random"]["recall_curve"]["recall"] == pytest.approx(curve)
    # A perfect ranking of 12 queries; 2 of the 14 have no cover.
    assert by_name["the/perfect one"]["as_published"]["acoss"]["MRR"] == pytest.approx(12 / 14)
    assert by_name["the/perfect one"]["as_published"]["move"]["MR"] == pytest.approx(1)
    assert document["protocol"]["comparable"] is False
    assert document["leakage"]["trainings"] == []
    assert document["leakage"]["unknown"] == ["random", "the/perfect one"]
    assert {"date", "commit", "versions", "machine"} <= document["environment"].keys()
    assert pq.read_table(report / "queries" / "random.parquet").num_rows == 12


def test_page_stands_alone_and_escapes_names(report):
    page = (report / "report.html").read_text()
    assert "<h1>Small &amp; &lt;quick&gt;</h1>" in page
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r'(src|href)="(?!data:)|https?://', page)
    assert '<span class="mark bad">NOT COMPARABLE' in page
    assert "the/perfect one" in page
    assert "Within the catalogue 0 pairs of equal chroma" in page
    assert "not compared: embeddings" in page  # no encoder took part


def test_markdown_is_one_table(report):
    lines = (report / "report.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + 3
    assert len({row.count("|") for row in rows}) == 1
    assert "R@10 |" in rows[0]  # with 13 candidates, all covers are among the first 100
    assert "R@100" not in rows[0]
    assert "- works by size are 4 x 3, 2 x 1, and the protocol has 80 x 2" in lines


def test_what_leaves_its_ranking_open_is_named_everywhere(report, tmp_path):
    # The run lists the right candidate first for one query, and nothing else: the rest is tied.
    (tmp_path / "short.run").write_text("P_00 Q0 P_01 1 0.9 x\n")
    spec = f"""
        catalogue = "{report.parent / "catalogue.parquet"}"
        [[rankings]]
        name = "<short>"
        path = "short.run"
        [[rankings]]
        name = "random"
        path = "{report.parent / "random.npy"}"
    """
    arguments = ["run", str(written(tmp_path, spec)), "--out", str(tmp_path / "out")]
    printed = CliRunner().invoke(benchmark, arguments, catch_exceptions=False).stdout
    listed = "<short> lists 0.6% of the candidates, for 11 of the queries none"
    assert listed in " ".join(printed.split())
    for name, short in (("report.md", "<short>"), ("report.html", "&lt;short&gt;")):
        text = (tmp_path / "out" / name).read_text()
        assert listed.replace("<short>", short) in text
        assert f"{short} ties covers with others for 12 of 12 queries: MAP 0." in text
        assert "random ties" not in text
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [s["share_listed"] for s in document["systems"]] == [pytest.approx(1 / (12 * 13)), 1]
    assert [s["queries_left_out"] for s in document["systems"]] == [11, 0]


def test_a_missing_ranking_is_named_before_systems_run(report, tmp_path, monkeypatch):
    monkeypatch.setattr(TwoDFTM, "similarity_matrix", lambda *_, **__: pytest.fail("it ran"))
    spec = f"""
        catalogue = "{report.parent / "catalogue.parquet"}"
        systems = ["2DFTM"]
        [[rankings]]
        name = "other"
        path = "none.run"
    """
    with pytest.raises(NotFoundError, match=r"none\.run for the ranking 'other'"):
        run(read_spec(written(tmp_path, spec)))


@pytest.mark.parametrize("name", ["small.npy", "wrong.run", "other.index"])
def test_a_ranking_that_does_not_fit_is_named_before_systems_run(
    name, report, tmp_path, monkeypatch
):
    monkeypatch.setattr(TwoDFTM, "similarity_matrix", lambda *_, **__: pytest.fail("it ran"))
    np.save(tmp_path / "small.npy", np.eye(3))
    (tmp_path / "wrong.run").write_text("nobody Q0 a1 1 0.5 x\n")
    write_index(
        tmp_path / "other.index",
        embeddings=np.eye(2, 64, dtype=np.float32),
        performances=pa.table({"performance_id": ["x", "y"], "work_id": ["w", "w"]}),
        encoder_id="made-up-0123456789ab",
        encoder_name="made-up",
        source="a test",
    )
    spec = f"""
        catalogue = "{report.parent / "catalogue.parquet"}"
        systems = ["2DFTM"]
        [[rankings]]
        name = "other"
        path = "{name}"
    """
    with pytest.raises(CoverdexError, match=name):
        run(read_spec(written(tmp_path, spec)))


def lines_of_table(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]


def test_two_encoders_of_one_name_are_told_apart(report, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "76")  # as 80 where ranks have two digits
    other = replace(load_checkpoint("siamese-cnn"), name="coverdex-64", training_list=None)
    save_checkpoint(other, tmp_path / "other")
    save_checkpoint(other, tmp_path / "same")
    spec = f"""
        catalogue = "{report.parent / "catalogue.parquet"}"
        systems = ["coverdex-64", "other"]
    """
    results = run(read_spec(written(tmp_path, spec)))
    names = [load_checkpoint("coverdex-64").id, other.id]
    assert [outcome.name for outcome in results.outcomes] == names
    _print_results(results)
    printed = "".join(line.split("│")[1].strip() for line in lines_of_table(capsys))
    assert all(name in printed for name in names)
    assert results.leakage.unknown == [other.id]
    assert [shared.training for shared in results.leakage.trainings] == names[:1]
    with pytest.raises(SpecError, match="two systems have one name"):
        run(read_spec(written(tmp_path, spec.replace("coverdex-64", "same"))))


def test_without_matplotlib_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setattr("coverdex.benchmarks.drawing.find_spec", lambda _: None)
    arguments = ["run", str(tmp_path / "none.toml"), "--out", str(tmp_path / "out")]
    with pytest.raises(DrawingError, match=r"coverdex\[plots\]"):
        CliRunner().invoke(benchmark, arguments, catch_exceptions=False)


def test_two_reports_compared(report):
    arguments = ["compare", str(report), str(report), "--system-a", "random"]
    runner = CliRunner()
    wanted = [*arguments, "--system-b", "the/perfect one"]
    document = json.loads(runner.invoke(benchmark, [*wanted, "--json"]).stdout)
    assert document["map"]["verdict"] == "better"
    assert document["map"]["lost"] == 0
    assert document["n_queries"] == 12
    assert "better" in runner.invoke(benchmark, wanted).stdout
    with pytest.raises(NotFoundError, match="no system 'nobody'"):
        runner.invoke(benchmark, [*arguments, "--system-b", "nobody"], catch_exceptions=False)


def test_two_evaluations_compared(report, tmp_path):
    runner = CliRunner()
    both = [str(report / "queries" / f"{name}.parquet") for name in ("random", "the-perfect-one")]
    found = json.loads(runner.invoke(benchmark, ["compare", *both, "--json"]).stdout)
    reports = ["compare", str(report), str(report), "--system-a", "random"]
    reports += ["--system-b", "the/perfect one", "--json"]
    expected = json.loads(runner.invoke(benchmark, reports).stdout)
    assert found["b"]["system"] == "the-perfect-one.parquet"
    for name in ("map", "mr1", "n_queries"):
        assert found[name] == expected[name]
    printed = runner.invoke(benchmark, ["compare", str(report), both[0]]).stdout
    assert "B: random.parquet" in printed
    table = pq.read_table(both[1])
    at = table.column_names.index("n_candidates")
    more = table.set_column(at, "n_candidates", pa.array([20] * len(table)))
    pq.write_table(more, tmp_path / "more.parquet")
    pq.write_table(table.drop_columns(["work_id"]), tmp_path / "less.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    result = runner.invoke(benchmark, ["compare", both[0], str(tmp_path / "more.parquet")])
    assert "NOT COMPARABLE: A ranks each query among 13 candidates and B among 20" in result.stderr
    for name, message in (
        ("less", "lacks the column work_id"),
        ("none", "has no queries"),
        ("text", "no report and no Parquet file"),
    ):
        with pytest.raises(CoverdexError, match=message):
            read_query_table(tmp_path / f"{name}.parquet")
    with pytest.raises(NotFoundError, match="leave 'random' out"):
        read_query_table(both[0], "random")


def test_reports_on_catalogues_of_other_sizes_are_marked(report, tmp_path):
    smaller = tmp_path / "smaller"
    shutil.copytree(report, smaller)
    document = json.loads((smaller / "results.json").read_text())
    for system in document["systems"]:
        system["counts"]["n_performances"] -= 1
    (smaller / "results.json").write_text(json.dumps(document))
    same = CliRunner().invoke(benchmark, ["compare", str(report), str(report)])
    assert "NOT COMPARABLE" not in same.stderr
    result = CliRunner().invoke(benchmark, ["compare", str(report), str(smaller), "--json"])
    assert "NOT COMPARABLE: A ranks each query among 13 candidates and B among 12" in result.stderr
    compared = json.loads(result.stdout)
    assert (compared["a"]["n_candidates"], compared["b"]["n_candidates"]) == (13, 12)


def test_reports_on_works_of_other_sizes_are_marked(report, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(report, other)
    name, table = read_query_table(other)
    covers = table.column("n_covers").to_numpy() + (np.arange(len(table)) < 3)
    at = table.column_names.index("n_covers")
    changed = table.set_column(at, "n_covers", pa.array(covers))
    pq.write_table(changed, other / "queries" / f"{name}.parquet")
    result = CliRunner().invoke(benchmark, ["compare", str(report), str(other), "--json"])
    assert "NOT COMPARABLE: 3 queries have more covers in one than in the other" in result.stderr
    assert json.loads(result.stdout)["n_other_covers"] == 3


def test_a_system_that_fails_does_not_cost_the_others(report, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise CoverdexError("too little memory")

    before = json.loads((report / "results.json").read_text())["systems"]
    monkeypatch.setattr(TwoDFTM, "similarity_matrix", fail)
    arguments = ["run", str(report.parent / "spec.toml"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(benchmark, arguments)
    assert isinstance(result.exception, CoverdexError)
    assert "2DFTM failed and is missing in it:" in result.stderr
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["failed"] == {"2DFTM": "too little memory"}
    assert before[0]["system"] == "2DFTM"
    assert [each["system"] for each in document["systems"]] == [s["system"] for s in before[1:]]
    for page in ("report.md", "report.html"):
        assert "2DFTM failed and is missing" in (tmp_path / "out" / page).read_text()


def test_a_matrix_with_nan_does_not_cost_the_others(report, tmp_path):
    matrix = np.random.default_rng(4).normal(size=(14, 14))
    np.save(tmp_path / "whole.npy", matrix)
    matrix[3, 5] = np.nan
    np.save(tmp_path / "broken.npy", matrix)
    rankings = "".join(
        f"[[rankings]]\nname = '{name}'\npath = '{name}.npy'\n" for name in ("broken", "whole")
    )
    catalogue = f"catalogue = '{report.parent / 'catalogue.parquet'}'\n"
    spec = written(tmp_path, f"{catalogue}systems = ['2DFTM']\n{rankings}")
    results = run(read_spec(spec))
    assert [outcome.name for outcome in results.outcomes] == ["2DFTM", "whole"]
    assert "row 3 of the similarity matrix has NaN" in str(results.failed["broken"])
    (tmp_path / "whole.npy").write_bytes((tmp_path / "broken.npy").read_bytes())
    with pytest.raises(CoverdexError, match="NaN"):
        run(read_spec(written(tmp_path, f"{catalogue}{rankings}")))


def test_where_all_systems_fail_there_is_no_report(report, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise CoverdexError("too little memory")

    monkeypatch.setattr(TwoDFTM, "similarity_matrix", fail)
    spec = f"title = 'T'\ncatalogue = '{report.parent / 'catalogue.parquet'}'\nsystems = ['2DFTM']"
    with pytest.raises(CoverdexError, match="too little memory"):
        run(read_spec(written(tmp_path, spec)))


def test_a_report_that_cannot_be_written_is_named_before_systems_run(report, tmp_path, monkeypatch):
    monkeypatch.setattr(TwoDFTM, "similarity_matrix", lambda *_, **__: pytest.fail("it ran"))
    (tmp_path / "a-file").touch()
    arguments = ["run", str(report.parent / "spec.toml"), "--out", str(tmp_path / "a-file" / "out")]
    with pytest.raises(OSError, match="a-file"):
        CliRunner().invoke(benchmark, arguments, catch_exceptions=False)


def test_a_report_takes_the_place_of_what_a_link_points_to(report, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    arguments = ["run", str(report.parent / "spec.toml"), "--out", str(tmp_path / "link")]
    for _ in range(2):  # the second time there is a report
        CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real" / "results.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_a_folder_that_is_no_report_is_left_alone(report, tmp_path):
    (tmp_path / "precious.txt").write_text("keep")
    spec = report.parent / "spec.toml"
    with pytest.raises(CoverdexError, match="is no report"):
        CliRunner().invoke(
            benchmark, ["run", str(spec), "--out", str(tmp_path)], catch_exceptions=False
        )
    assert (tmp_path / "precious.txt").read_text() == "keep"


def test_a_report_beside_which_something_else_lies_is_left_alone(tmp_path):
    """Many a folder holds a results.json; a report is replaced as a whole."""
    refuse_other_folder(tmp_path / "new")
    refuse_other_folder(tmp_path)
    (tmp_path / "results.json").touch()
    (tmp_path / "queries").mkdir()
    refuse_other_folder(tmp_path)
    (tmp_path / "weights.pt").touch()
    with pytest.raises(CoverdexError, match=r"weights\.pt"):
        refuse_other_folder(tmp_path)


def test_a_report_needs_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in (".", ".."):
        with pytest.raises(CoverdexError, match="no name"):
            refuse_other_folder(Path(out))


@pytest.mark.parametrize(
    "results", ["{", "{}", "[]", '{"systems": []}', '{"systems": [{"system": "x"}]}']
)
def test_a_damaged_report_is_named(tmp_path, results):
    (tmp_path / "results.json").write_text(results)
    with pytest.raises(CoverdexError, match="is not what a report holds"):
        read_query_table(tmp_path)


def test_leakage_command(report):
    catalogue = str(report.parent / "catalogue.parquet")
    arguments = ["leakage", catalogue, "--training", catalogue, "--json"]
    document = json.loads(CliRunner().invoke(benchmark, arguments).stdout)
    (shared,) = document["trainings"]
    assert shared["shared_performances"] == NAMES
    with pytest.raises(CoverdexError, match="Da-TACOS folders"):
        CliRunner().invoke(
            benchmark, ["leakage", catalogue, "--subset", "benchmark"], catch_exceptions=False
        )
    assert len(shared["shared_recordings"]) == 14
    assert shared["shared_works"] == sorted(set(WORKS))
