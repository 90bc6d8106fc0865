"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The recordings and note tables beside the checkout; skips where they are absent."""
    data = REPOSITORY.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip("needs ../shared/data, which is not on this machine")
    return data


@pytest.fixture(scope="session")
def covers80_dev(shared_data: Path) -> Path:
    """41 real recordings of 20 works, in the layout of Da-TACOS."""
    return shared_data / "covers80_dev"
