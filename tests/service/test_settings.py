"""Settings: where they come from, what is refused, and that the documentation lists them all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from coverdex.service import Settings
from coverdex.service.problems import PROBLEM_TYPES
from pydantic import ValidationError


def rows_below(heading: str, text: str) -> list[list[str]]:
    """The cells of the table that follows a heading in Markdown, without its two head rows."""
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.fixture(scope="module")
def documentation(repository: Path) -> str:
    return (repository / "docs" / "service.md").read_text(encoding="utf-8")


def test_the_documentation_lists_every_setting_as_the_class_has_it(documentation: str) -> None:
    listed = {row[0].strip("`"): row[1:] for row in rows_below("Settings", documentation)}
    fields = Settings.model_fields
    assert list(listed) == [f"COVERDEX_{name.upper()}" for name in fields]
    for name, field in fields.items():
        default, meaning = listed[f"COVERDEX_{name.upper()}"]
        assert meaning == field.description, name
        if field.is_required():
            assert default == "required", name
        elif field.default_factory is not None:
            assert default == "number of processors", name
        else:
            assert default == ("none" if field.default is None else f"`{field.default}`"), name


def test_the_documentation_lists_every_problem(documentation: str) -> None:
    listed = [tuple(row) for row in rows_below("Errors", documentation)]
    assert listed == [(str(kind.status), f"`{kind.urn}`", kind.meaning) for kind in PROBLEM_TYPES]


def test_the_documentation_lists_every_reason_of_invalid_chroma(documentation: str) -> None:
    from coverdex.service.schemas.problem import Problem

    told = set(re.findall(r"`([a-z-]+)`", Problem.model_fields["reason"].description or ""))
    section = documentation.split("\n## Errors\n", 1)[1].split("\n## ", 1)[0]
    for reason in told - {"invalid-chroma"}:
        assert f"`{reason}`" in section, reason


def test_every_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    values: dict[str, Any] = {
        "index": Path("some.index"),
        "encoder": "siamese-cnn",
        "host": "0.0.0.0",
        "port": 9000,
        "log_level": "debug",
        "workers": 3,
        "backlog": 5,
        "compute_threads": 2,
        "max_body_bytes": 2048,
        "max_frames": 100,
        "max_limit": 50,
        "cover_threshold": 0.25,
        "shutdown_timeout": 3,
    }
    assert set(values) == set(Settings.model_fields)
    for name, value in values.items():
        monkeypatch.setenv(f"COVERDEX_{name.upper()}", str(value))
    assert Settings().model_dump() == values  # type: ignore[call-arg]
    assert Settings(index=Path("other"), port=1).port == 1, "what is given wins"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65536),
        ("workers", 0),
        ("backlog", -1),
        ("compute_threads", 0),
        ("compute_threads", 100_000_000_000),
        ("max_body_bytes", 10),
        ("max_frames", 0),
        ("max_limit", 0),
        ("cover_threshold", 0.0),
        ("cover_threshold", 2.1),
        ("cover_threshold", float("nan")),
        ("log_level", "loud"),
        ("shutdown_timeout", -1),
    ],
)
def test_impossible_settings_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(index=Path("some.index"), **{name: value})  # type: ignore[arg-type]
    assert refused.value.errors()[0]["loc"] == (name,)
