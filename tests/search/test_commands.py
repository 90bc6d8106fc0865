from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from coverdex.cli import app, exit_code_of
from coverdex.encoder import IncompatibleError, NotFoundError
from coverdex.search import Index, InvalidQueryError, UnknownColumnError
from typer.testing import CliRunner, Result

from .made_up import MadeUp


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["query", *map(str, arguments)], env={"COLUMNS": "200"})


def test_the_table_ranks_and_judges(written: Path, catalogue: MadeUp) -> None:
    result = ask(written, "--performance", "P_7", "--top", "4")
    assert result.exit_code == 0, result.output
    rows = [line for line in result.stdout.splitlines() if "P_" in line][1:]
    expected = catalogue.ranking(catalogue.embeddings[7], {"P_7"})[:4]
    assert [next(cell for cell in row.split() if cell.startswith("P_")) for row in rows] == expected
    for row, name in zip(rows, expected, strict=True):
        assert ("yes" in row) == (catalogue.ids.index(name) // 3 == 7 // 3)
        assert ("no" in row.split()) == (catalogue.ids.index(name) // 3 != 7 // 3)


def test_json_is_one_document_on_stdout(written: Path, catalogue: MadeUp) -> None:
    result = ask(written, "--performance", "P_7", "--top", "3", "--json")
    document = json.loads(result.stdout)
    assert document["query"]["work_id"] == "W_2"
    found = document["candidates"]
    expected = catalogue.ranking(catalogue.embeddings[7], {"P_7"})[:3]
    assert [candidate["performance_id"] for candidate in found] == expected
    assert [candidate["rank"] for candidate in found] == [1, 2, 3]
    assert {candidate["correct"] for candidate in found[:2]} == {True}
    assert found[0]["metadata"]["key"] in ("C", "G", "Am")


def test_square_brackets_in_titles_are_text(catalogue: MadeUp, tmp_path: Path) -> None:
    titles = ["[bold]Hey[/bold] [Live]"] * 120
    table = catalogue.performances.drop(["title"]).append_column("title", [titles])
    catalogue.write(tmp_path / "i", performances=table)
    assert "[bold]Hey[/bold] [Live]" in ask(tmp_path / "i", "--performance", "P_1").stdout


def test_control_signs_in_titles_do_not_reach_the_terminal(
    catalogue: MadeUp, tmp_path: Path
) -> None:
    titles = ["Hey\x1b[2J\nJude\x07 über"] * 120
    table = catalogue.performances.drop(["title"]).append_column("title", [titles])
    catalogue.write(tmp_path / "i", performances=table)
    shown = ask(tmp_path / "i", "--performance", "P_1", "--top", "2").stdout
    assert shown.count(r"Hey\x1b[2J\nJude\x07 über") == 3
    assert not set("\x1b\x07") & set(shown)


def test_ids_as_long_as_those_of_musicbrainz_are_whole_beside_the_rest_in_80_columns(
    catalogue: MadeUp, tmp_path: Path
) -> None:
    ids = [str(UUID(int=i * 10**36)) for i in range(120)]
    table = catalogue.performances.drop(["performance_id", "work_id", "title"])
    for name, values in (
        ("performance_id", ids),
        ("work_id", ids[::-1]),
        ("title", [f"[Tune] {i}" for i in range(120)]),
    ):
        table = table.append_column(name, [values])
    catalogue.write(tmp_path / "i", performances=table)
    asked = ["query", str(tmp_path / "i"), "--performance", ids[5], "--top", "1"]
    (found,) = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)["candidates"]
    shown = CliRunner().invoke(app, asked, env={"COLUMNS": "80"}).stdout
    assert max(map(len, shown.splitlines())) <= 80
    lines = [re.split("  +", line.strip()) for line in shown.splitlines()]
    first = next(i for i, line in enumerate(lines) if line[0] == "1")
    below = lines[first + 1 : first + 3]
    assert lines[first][1] == f"{found['similarity']:.4f}"
    assert lines[first][2] + "".join(line[0] for line in below) == found["performance_id"]
    assert lines[first][3] + "".join(line[1] for line in below) == found["work_id"]
    assert "[Tune]" in lines[first][4]


def test_filters_and_files(written: Path, tmp_path: Path) -> None:
    filters = ["--where", "key in C,G", "--where", "year>=1900", "--one-per-work"]
    out = tmp_path / "found.csv"
    result = ask(written, "-p", "P_7", *filters, "--exclude-work", "W_2", "--out", out, "--json")
    found = json.loads(result.stdout)["candidates"]
    assert len(found) == 10
    assert all(candidate["metadata"]["key"] in ("C", "G") for candidate in found)
    assert all(candidate["metadata"]["year"] is not None for candidate in found)
    works = [candidate["work_id"] for candidate in found]
    assert len(set(works)) == 10
    assert "W_2" not in works
    rows = list(csv.DictReader(out.open()))
    assert [row["performance_id"] for row in rows] == [c["performance_id"] for c in found]
    assert {row["query"] for row in rows} == {"P_7"}
    refused = ask(written, "-p", "P_7", "--where", "tempo=3").exception
    assert isinstance(refused, UnknownColumnError)
    assert exit_code_of(refused) == 3  # named, and not there
    refused = ask(written, "-p", "P_7", "--where", "year=MCM").exception
    assert isinstance(refused, InvalidQueryError)
    assert exit_code_of(refused) == 1
    assert ask(written, "-p", "P_7", "--out", "found.xlsx").exit_code == 2


def test_a_file_may_end_in_capitals_and_have_no_rows(written: Path, tmp_path: Path) -> None:
    out = tmp_path / "FOUND.CSV"
    result = ask(written, "-p", "P_7", "--where", "artist=nobody", "--out", out)
    assert result.exit_code == 0, result.output
    (header,) = csv.reader(out.open())
    assert header[:4] == ["query", "rank", "similarity", "performance_id"]


def test_wrong_usage_is_exit_code_2(written: Path) -> None:
    assert ask(written).exit_code == 2
    assert ask(written, "--performance", "P_1", "--hpcp", "a.h5").exit_code == 2
    assert ask(written, "--performance", "P_1", "--frame-rate", "10").exit_code == 2
    assert ask(written, "--performance", "P_1", "--top", "0").exit_code == 2
    for condition in ("year", "year==1960", "key in (C,Am)", "year>=null", ""):
        refused = ask(written, "--performance", "P_1", "--where", "year>1", "--where", condition)
        assert refused.exit_code == 2
        assert "Invalid value for '--where'" in refused.stderr


def test_what_is_not_there_is_not_found(written: Path, tmp_path: Path) -> None:
    for arguments in ((written, "-p", "P_x"), (tmp_path / "none", "-p", "P_1")):
        error = ask(*arguments).exception
        assert isinstance(error, NotFoundError)
        assert exit_code_of(error) == 3


class StandIn:
    """An encoder that gives one embedding, whatever it hears."""

    def __init__(self, embedding: np.ndarray, encoder_id: str) -> None:
        self.embedding = embedding
        self.id = encoder_id
        self.heard: list = []

    def load(self, name: str) -> StandIn:
        self.name = name
        return self

    def embed(self, chroma: object) -> np.ndarray:
        self.heard.append(chroma)
        return self.embedding


@pytest.fixture
def track(tmp_path: Path) -> Path:
    from coverdex.encoder import Chroma, write_chroma

    path = tmp_path / "new_track.h5"
    chroma = Chroma(np.random.default_rng(0).random((50, 12), np.float32))
    write_chroma(path, chroma, work_id="W_2", performance_id="P_8")
    return path


def test_a_new_track_is_asked_about_with_the_encoder_of_the_index(
    written: Path, catalogue: MadeUp, track: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = StandIn(catalogue.embeddings[6], Index.open(written).manifest.encoder_id)
    monkeypatch.setattr("coverdex.encoder.Encoder", encoder, raising=False)
    result = ask(written, "--hpcp", track, "--frame-rate", "20", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert encoder.name == "made-up"
    assert encoder.heard[0].frame_rate == 20
    found = [candidate["performance_id"] for candidate in document["candidates"]]
    assert found == catalogue.ranking(catalogue.embeddings[6], {"P_8"})[:10]
    assert "P_8 is in the index itself" in result.stderr
    assert document["candidates"][0]["correct"] is True


def test_an_encoder_that_does_not_come_with_coverdex_is_asked_for(
    written: Path, track: Path
) -> None:
    error = ask(written, "--hpcp", track).exception
    assert isinstance(error, NotFoundError)
    assert "made by encoder 'made-up', which does not come with Coverdex" in str(error)
    assert "--encoder" in str(error)
    error = ask(written, "--hpcp", track, "--encoder", "nowhere").exception
    assert isinstance(error, NotFoundError)
    assert "no checkpoint 'nowhere'" in str(error)


def test_another_encoder_is_refused_with_exit_code_4(
    written: Path, catalogue: MadeUp, track: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = StandIn(catalogue.embeddings[6], "stranger-000000000000")
    monkeypatch.setattr("coverdex.encoder.Encoder", encoder, raising=False)
    error = ask(written, "--hpcp", track, "--encoder", "stranger").exception
    assert isinstance(error, IncompatibleError)
    assert exit_code_of(error) == 4
    assert encoder.heard == []
