"""The process that ``coverdex`` is: what it prints where, whatever its streams are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from coverdex.cli import app
from coverdex.encoder import NotFoundError
from coverdex.search import write_index
from typer.main import get_command as click_command_of
from typer.testing import CliRunner

MAIN = "from coverdex.cli import main; main()"
TITLES = ["Für Elise", "Вальс 🎻"]
ASCII = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


def coverdex(*arguments: object, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        env={**os.environ, "COLUMNS": "200", **env},
        capture_output=True,
        check=False,
    )


def closing(number: int, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run with one of the three streams closed, as a shell does with ``2>&-``."""
    command = [sys.executable, "-c", MAIN, *map(str, arguments)]
    said = 'exec "$@" ' + {0: "0<&-", 1: "1>&-", 2: "2>&-"}[number]
    return subprocess.run(["sh", "-c", said, "sh", *command], capture_output=True, check=False)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two performances whose titles no ASCII has."""
    path = tmp_path_factory.mktemp("streams") / "my.index"
    embeddings = np.eye(2, 8, dtype=np.float32)
    performances = pa.table(
        {"performance_id": ["P_1", "P_2"], "work_id": ["W_1", "W_1"], "title": TITLES}
    )
    write_index(
        path,
        embeddings=embeddings,
        performances=performances,
        encoder_id="made-up-000000000000",
        encoder_name="made-up",
        source="made up",
    )
    return path


@pytest.mark.parametrize("env", ASCII)
def test_titles_that_stdout_cannot_encode_are_escaped(index: Path, env: dict[str, str]) -> None:
    done = coverdex("query", index, "-p", "P_2", env=env)
    assert done.returncode == 0, done.stderr
    # latin-1 has the ü, and would have it as it is.
    assert b"F\\u00fcr Elise" in done.stdout or b"F\xfcr Elise" in done.stdout
    assert rb"\u0412\u0430\u043b\u044c\u0441 \ud83c\udfbb" in done.stdout


@pytest.mark.parametrize("env", ASCII)
def test_json_is_whole_where_stdout_cannot_encode_it(index: Path, env: dict[str, str]) -> None:
    done = coverdex("query", index, "-p", "P_1", "--json", env=env)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout.decode("latin-1"))
    assert document["query"]["title"] == TITLES[0]
    assert document["candidates"][0]["title"] == TITLES[1]


def test_titles_are_as_they_are_in_utf_8(index: Path) -> None:
    done = coverdex("query", index, "-p", "P_1", env={"PYTHONIOENCODING": "utf-8"})
    assert all(title.encode() in done.stdout for title in TITLES)


def test_an_answer_is_printed_where_the_terminal_is_said_to_have_no_columns(index: Path) -> None:
    done = coverdex("query", index, "-p", "P_1", env={"COLUMNS": "0", "PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0, done.stderr
    assert b"P_2" in done.stdout


def test_an_empty_list_from_a_closed_stdin(index: Path) -> None:
    done = closing(0, "index", "remove", index, "--list", "-")
    assert done.returncode == 2
    assert b"the list - is empty" in done.stderr


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_written_when_an_output_is_closed(index: Path, tmp_path: Path, number: int) -> None:
    out = tmp_path / "found.csv"
    done = closing(number, "query", index, "-p", "P_1", "--out", out)
    assert (done.returncode, done.stdout if number == 1 else done.stderr) == (0, b"")
    assert TITLES[1] in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command", [["datasets", "describe"], ["benchmark", "leakage"], ["encoder", "evaluate"]]
)
def test_kinds_and_subsets_that_there_are_not_are_wrong_usage(command: list[str]) -> None:
    for option in (["--kind", "mfcc"], ["--subset", "whole"]):
        refused = CliRunner().invoke(app, [*command, "demo", *option])
        assert refused.exit_code == 2
        assert f"Invalid value for '{option[0]}'" in refused.stderr


def test_a_contender_that_there_is_not_is_told_before_anything_is_made(tmp_path: Path) -> None:
    for more in (["--prepare"], ["--part", "query"]):
        arguments = ["benchmark", "speed", "--work", str(tmp_path), "--contender", "nobody", *more]
        error = CliRunner().invoke(app, arguments).exception
        assert isinstance(error, NotFoundError)
        assert "no contender 'nobody'" in str(error)
    assert not list(tmp_path.iterdir())


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every group and command below ``group`` with the words that name it."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        yield (*words, name), command
        if hasattr(command, "list_commands"):
            yield from commands(command, (*words, name))


def test_help_shows_what_stands_in_brackets_and_completes_the_whole_program_alone() -> None:
    found = dict(commands(click_command_of(app)))
    assert len(found) > 30
    for words, command in found.items():
        said = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "300"}).stdout
        assert "--install-completion" not in said, words
        texts = [command.help, *(getattr(p, "help", None) for p in command.params)]
        for extra in re.findall(r"coverdex\\?(\[\w+\])", " ".join(filter(None, texts))):
            assert f"coverdex{extra}" in said, words  # rich takes it for a style


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["embed", "demo", "--out", ""], "the argument after --out is empty"),
        (["embed", "demo", "--out="], "the value of --out is empty"),
        (["index", "info", ""], "the argument after info is empty"),
        (["", "index"], "the argument after coverdex is empty"),
    ],
)
def test_an_unset_variable_is_not_the_working_folder(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", MAIN, *arguments]
    answer = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path)
    assert answer.returncode == 2
    assert f"coverdex: {said}; is a variable not set?" in answer.stderr.decode()
    assert not list(tmp_path.iterdir())


def test_an_interrupt_is_said() -> None:
    # As from the keyboard, and caught by typer, which says nothing.
    stopped = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, typer\n"
            "from coverdex import cli\n"
            "cli.app = typer.Typer()\n"
            "@cli.app.command()\n"
            "def interrupted() -> None:\n"
            "    raise KeyboardInterrupt\n"
            "sys.argv = ['coverdex']\n"
            "cli.main()\n",
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    assert (stopped.returncode, stopped.stdout) == (130, "")
    assert stopped.stderr == "coverdex: interrupted\n"
