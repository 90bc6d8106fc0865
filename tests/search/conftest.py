from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from coverdex.search import Index, IndexEditor

from .made_up import MadeUp, make_up


@pytest.fixture(scope="session")
def catalogue() -> MadeUp:
    return make_up(120)


@pytest.fixture(scope="session")
def written(catalogue: MadeUp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index folder that tests read and leave alone."""
    folder = tmp_path_factory.mktemp("index") / "made-up.index"
    catalogue.shuffled(1).write(folder)
    return folder


@pytest.fixture
def index(written: Path) -> Index:
    return Index.open(written)


@pytest.fixture
def folder(catalogue: MadeUp, tmp_path: Path) -> Path:
    """An index of 120 performances that a test may change."""
    catalogue.write(tmp_path / "i")
    return tmp_path / "i"


@pytest.fixture
def editor(folder: Path) -> Iterator[IndexEditor]:
    with IndexEditor(folder) as opened:
        yield opened
