"""``coverdex serve`` as a process: it serves until told to stop, or says why it cannot."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pyarrow as pa
import pytest
from coverdex import cli
from coverdex.encoder import Chroma, Encoder
from coverdex.search import write_index

from .asking import by_chroma

TIMEOUT = 60


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "coverdex.cli", "serve", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **more}


@contextmanager
def served(*arguments: str | Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``coverdex serve`` on a free port; give the process and its URL once it listens."""
    process = subprocess.Popen(
        command(*arguments, "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
    )
    assert process.stderr is not None
    try:
        seen = []
        for line in process.stderr:
            seen.append(line)
            if found := re.search(r"serving (\d+) performances at (http://\S+)", line):
                yield process, found.group(2)
                break
        else:
            raise AssertionError("".join(seen))
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT)


def test_it_answers_until_it_is_told_to_stop(index_folder: Path, tracks: dict[str, Chroma]) -> None:
    options = ("--threshold", "0.2")
    variables = {"COVERDEX_COVER_THRESHOLD": "0.3", "COVERDEX_MAX_LIMIT": "9"}
    with served(index_folder, *options, **variables) as (process, url):
        with httpx2.Client(base_url=url, timeout=TIMEOUT) as client:
            assert client.get("/health/ready").json()["status"] == "ready"
            request = {"query": by_chroma(tracks["P_4"]), "limit": 1}
            candidates = client.post("/v1/search", json=request).json()["candidates"]
            assert candidates[0]["performance_id"] == "P_4"
            about = client.get("/v1/index").json()
            assert about["cover_threshold"] == 0.2, "an option wins over the environment"
            assert about["limits"]["max_limit"] == 9
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, err
        assert out == ""
        assert "POST /v1/search" in err
        assert "Traceback" not in err


@dataclass
class Failing:
    """Runs ``coverdex serve`` in this process, where it cannot start."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path) -> tuple[int, str]:
        """Give the exit code and what was said."""
        self.monkeypatch.setattr(sys, "argv", ["coverdex", "serve", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = self.capsys.readouterr()
        assert out == ""
        return int(left.value.code or 0), err


@pytest.fixture
def failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Failing:
    return Failing(monkeypatch, capsys)


def test_no_index(failed: Failing, tmp_path: Path) -> None:
    code, said = failed(tmp_path / "nothing.index")
    assert code == 3
    assert said.count("\n") == 1
    assert "nothing.index" in said


def test_no_encoder(failed: Failing, index_folder: Path, tmp_path: Path) -> None:
    code, said = failed(index_folder, "--encoder", tmp_path / "nothing")
    assert code == 3
    assert said.count("\n") == 1
    assert str(tmp_path / "nothing") in said


@pytest.fixture
def foreign_index(tmp_path: Path, encoder: Encoder, tracks: dict[str, Chroma]) -> Path:
    """An index that says it was made by an encoder that does not come with Coverdex."""
    write_index(
        tmp_path / "foreign.index",
        embeddings=encoder.embed(tracks["P_0"])[None],
        performances=pa.table({"performance_id": ["P_0"]}),
        encoder_id="foreign-0123456789ab",
        encoder_name="foreign",
        source="a test",
    )
    return tmp_path / "foreign.index"


def test_an_index_of_an_encoder_that_is_not_here(failed: Failing, foreign_index: Path) -> None:
    code, said = failed(foreign_index)
    assert code == 3
    assert said.count("\n") == 1
    assert "'foreign'" in said
    assert "--encoder" in said


def test_an_index_of_another_encoder(
    failed: Failing, foreign_index: Path, encoder: Encoder
) -> None:
    code, said = failed(foreign_index, "--encoder", encoder.name)
    assert code == 4
    assert said.count("\n") == 1
    assert encoder.id in said
    assert "foreign-0123456789ab" in said


def test_a_damaged_index(failed: Failing, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    code, said = failed(tmp_path)
    assert code == 1
    assert said.count("\n") == 1


def test_a_port_that_is_taken(failed: Failing, index_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = failed(index_folder, "--port", str(port))
    assert code == 1
    assert said.count("\n") == 1
    assert f"port {port}" in said
    assert "--port" in said


@pytest.mark.parametrize("host", ["no..name", "x" * 300])
def test_a_host_that_is_no_name(failed: Failing, index_folder: Path, host: str) -> None:
    code, said = failed(index_folder, "--host", host)
    assert code == 1
    assert said.count("\n") == 1
    assert "--host" in said


def test_wrong_settings_are_a_mistake_of_usage(
    failed: Failing, index_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert failed(index_folder, "--port", "70000")[0] == 2
    assert failed()[0] == 2
    monkeypatch.setenv("COVERDEX_MAX_LIMIT", "many")
    code, said = failed(index_folder)
    assert code == 2
    assert "COVERDEX_MAX_LIMIT" in said


@pytest.mark.parametrize(
    ("option", "value"), [("--threshold", "5"), ("--log-level", "loud"), ("--threshold", "nan")]
)
def test_a_wrong_option_is_named_as_it_was_given(
    failed: Failing, index_folder: Path, monkeypatch: pytest.MonkeyPatch, option: str, value: str
) -> None:
    monkeypatch.setenv("COVERDEX_COVER_THRESHOLD", "0.3")
    code, said = failed(index_folder, option, value)
    assert code == 2
    assert option in said
    assert value in said
    assert "COVERDEX_" not in said
