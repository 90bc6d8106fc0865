"""``coverdex evaluate`` on the command line."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from coverdex.benchmarks.commands import evaluate
from coverdex.benchmarks.metrics import NothingToEvaluateError
from coverdex.benchmarks.protocols import PROTOCOLS
from coverdex.search import IndexExistsError, write_index
from typer.testing import CliRunner

from .conftest import SIX_NAMES, SIX_WORKS

app = typer.Typer()
app.command()(evaluate)


@pytest.fixture
def asked(six, tmp_path):
    """The arguments that evaluate the six performances."""
    np.save(tmp_path / "six.npy", six)
    rows = [f"{w},{p}" for w, p in zip(SIX_WORKS, SIX_NAMES, strict=True)]
    (tmp_path / "works.csv").write_text("\n".join(["work_id,performance_id", *rows]))
    return [str(tmp_path / "six.npy"), "--works", str(tmp_path / "works.csv")]


def run(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_json_has_figures_intervals_and_other_codes(asked):
    result = run(*asked, "--as", "move", "--as", "acoss", "--json")
    document = json.loads(result.stdout)
    assert document["mr1"] == pytest.approx(2.2)
    low, high = document["intervals_95"]["mr1"]
    assert low <= 2.2 <= high
    assert document["as_published"]["move"]["MR"] == pytest.approx(2.0)
    assert document["as_published"]["acoss"]["MRR"] == pytest.approx(0.514, abs=5e-4)
    assert document["counts"]["n_queries"] == 5


def test_queries_that_a_run_leaves_out_are_counted(asked, tmp_path):
    (tmp_path / "some.run").write_text("a1 Q0 a2 1 0.9 x\nn Q0 a1 1 0.5 x\na2 Q0 a2 1 1 x\n")
    arguments = [tmp_path / "some.run", *asked[1:]]
    printed = " ".join(run(*arguments).stdout.split())
    assert "the run lists 4.0% of the candidates, for 4 of the queries none" in printed
    assert json.loads(run(*arguments, "--json").stdout)["queries_left_out"] == 4
    assert json.loads(run(*asked, "--json").stdout)["queries_left_out"] == 0


def test_table_shows_figures_and_intervals(asked):
    text = run(*asked).stdout
    for expected in ("MAP", "0.5333", "MR1", "2.20", "95% by work", "noise"):
        assert expected in text


def test_how_far_it_is_goes_to_stderr(asked):
    result = run(*asked, "--json")
    assert "evaluating: 0 of 5 queries" in result.stderr
    assert "evaluating: 5 of 5 queries" in result.stderr
    assert "evaluating" not in result.stdout


@pytest.mark.parametrize(("n", "shown"), [(101, "recall@10 "), (102, "recall@100")])
def test_table_has_the_recall_that_says_something(n, shown, tmp_path):
    np.save(tmp_path / "many.npy", np.eye(n))
    rows = [f"W_{i // 2},P_{i}" for i in range(n)]
    (tmp_path / "works.csv").write_text("\n".join(["work_id,performance_id", *rows]))
    text = run(tmp_path / "many.npy", "--works", tmp_path / "works.csv").stdout
    assert text.count("recall@") == 1
    assert shown in text


def test_per_query_file(asked, tmp_path):
    run(*asked, "--per-query", tmp_path / "out" / "queries.parquet")
    rows = pq.read_table(tmp_path / "out" / "queries.parquet").to_pylist()
    assert [r["performance_id"] for r in rows] == ["a1", "a2", "a3", "b1", "b2"]
    assert [r["first_rank"] for r in rows] == [1, 1, 3, 4, 2]


def test_per_query_file_is_what_its_name_says(asked, tmp_path):
    run(*asked, "--per-query", tmp_path / "queries.CSV")
    first, *rows = (tmp_path / "queries.CSV").read_text().splitlines()
    assert first.startswith('"performance_id","work_id"')
    assert [row.split(",")[0] for row in rows] == ['"a1"', '"a2"', '"a3"', '"b1"', '"b2"']
    run(*asked, "--per-query", tmp_path / "queries.jsonl")
    lines = (tmp_path / "queries.jsonl").read_text().splitlines()
    assert [json.loads(line)["first_rank"] for line in lines] == [1, 1, 3, 4, 2]


def test_per_query_figures_are_saved_beside_the_ranking_unless_said_otherwise(asked, tmp_path):
    run(*asked)
    rows = pq.read_table(tmp_path / "six.npy.per-query.parquet").to_pylist()
    assert [r["first_rank"] for r in rows] == [1, 1, 3, 4, 2]


def test_an_index_may_be_the_folder_at_hand(tmp_path, monkeypatch):
    folder = tmp_path / "my.index"
    write_index(
        folder,
        embeddings=np.eye(4, 64, dtype=np.float32),
        performances=pa.table({"performance_id": list("abcd"), "work_id": list("xxyy")}),
        encoder_id="made-up-0123456789ab",
        encoder_name="made-up",
        source="a test",
    )
    monkeypatch.chdir(folder)
    assert run(".").exit_code == 0
    assert (tmp_path / "my.index.per-query.parquet").is_file()
    assert not list(folder.glob("*per-query*"))


def test_figures_are_named_as_the_ranking_is_and_not_as_what_it_links_to(asked, tmp_path):
    for name, version in (("a", "v1"), ("b", "v2")):
        (tmp_path / version).mkdir()
        shutil.copy(asked[0], tmp_path / version / "similarity.npy")
        (tmp_path / f"{name}.npy").symlink_to(tmp_path / version / "similarity.npy")
        run(tmp_path / f"{name}.npy", *asked[1:])
        assert (tmp_path / f"{name}.npy.per-query.parquet").is_file()


def test_what_is_evaluated_is_not_overwritten(asked, tmp_path):
    for name in ("six.npy", "works.csv"):
        before = (tmp_path / name).read_bytes()
        refused = run(*asked, "--per-query", tmp_path / "." / name)
        assert refused.exit_code == 2
        assert "would be overwritten" in " ".join(refused.stderr.split())
        assert (tmp_path / name).read_bytes() == before


def test_a_list_of_works_that_is_named_as_the_figures_are_is_not_overwritten(asked, tmp_path):
    listed = tmp_path / "six.npy.per-query.parquet"
    pq.write_table(pa.table({"performance_id": list("123456"), "work_id": list("aaabbc")}), listed)
    before = listed.read_bytes()
    refused = run(tmp_path / "six.npy", "--works", listed)
    assert refused.exit_code == 2
    assert listed.read_bytes() == before
    elsewhere = ["--per-query", tmp_path / "x"]
    assert run(tmp_path / "six.npy", "--works", listed, *elsewhere).exit_code == 0


def test_a_list_of_ids_without_its_protocol_is_a_usage_error(asked, tmp_path):
    ids = ["--ids", tmp_path / "works.csv"]
    refused = run(*asked, *ids)
    assert refused.exit_code == 2
    assert "--protocol" in refused.stderr
    assert run(*asked, *ids, "--protocol", "covers80").exit_code == 0


def test_figures_come_where_nothing_can_be_saved(asked, tmp_path):
    (tmp_path / "six.npy.per-query.parquet").mkdir()
    result = run(*asked, "--json")
    assert json.loads(result.stdout)["mr1"] == pytest.approx(2.2)
    assert "are not saved" in result.stderr
    assert "--per-query" in result.stderr
    with pytest.raises(IndexExistsError, match=r"six.* is a folder; give the name of a file"):
        run(*asked, "--per-query", tmp_path / "six.npy.per-query.parquet")


def test_figures_are_printed_although_the_file_asked_for_cannot_be_written(asked, tmp_path):
    (tmp_path / "a-file").touch()
    asked += ["--per-query", str(tmp_path / "a-file" / "x.parquet")]
    for arguments, shown in ((asked, "0.5333"), ([*asked, "--json"], '"mr1": 2.2')):
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, OSError)
        assert shown in result.stdout


def test_the_option_takes_every_protocol(asked):
    for name in PROTOCOLS:
        assert run(*asked, "--protocol", name).exit_code == 0
    refused = run(*asked, "--protocol", "million-song")
    assert refused.exit_code == 2
    assert "covers80" in refused.stderr


def test_catalogue_that_is_not_the_protocols_is_marked(asked):
    text = run(*asked, "--protocol", "covers80").stdout
    assert "NOT COMPARABLE" in text
    assert "80 x 2" in text


def test_unknown_code_is_a_usage_error(asked):
    assert run(*asked, "--as", "nobody").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "a.npy", "--protocol", "million-song"],
        ["datasets", "describe", "demo", "--kind", "mfcc"],
        ["datasets", "describe", "demo", "--subset", "train"],
        ["benchmark", "leakage", "demo", "--kind", "mfcc"],
        ["benchmark", "leakage", "demo", "--subset", "train"],
        ["encoder", "evaluate", "demo", "--kind", "mfcc"],
        ["encoder", "evaluate", "demo", "--subset", "train"],
    ],
)
def test_a_value_that_an_option_does_not_take_is_a_usage_error(arguments):
    from coverdex.cli import app as whole

    result = CliRunner().invoke(whole, arguments)
    assert result.exit_code == 2, result.output
    assert arguments[-1] in result.output


def test_nothing_to_look_for(tmp_path):
    np.save(tmp_path / "two.npy", np.eye(2))
    (tmp_path / "works.csv").write_text("work_id,performance_id\na,1\nb,2\n")
    with pytest.raises(NothingToEvaluateError, match="no two performances"):
        run(tmp_path / "two.npy", "--works", tmp_path / "works.csv")
