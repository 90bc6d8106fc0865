"""What every test may ask for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
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


class SmallDisk:
    """A file system of its own, of a few MB, that a test can fill to the last byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, *, but: int = 0) -> None:
        """Take all space that is left, but for some bytes."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                size = file.tell()
        os.truncate(self._ballast, max(0, size - but))

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A tmpfs of 3 MB; skips where one may not be mounted."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs the command mount")
    if done.returncode:
        pytest.skip(f"may not mount a small file system: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily, because an index that is still open keeps its files mapped.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
