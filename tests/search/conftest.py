from __future__ import annotations

from pathlib import Path

import pytest
from coverdex.search import Index

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
