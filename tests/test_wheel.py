"""The wheel holds `coverdex/*` alone: it must overwrite nobody's `search` or `service`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

FOLDERS = ("encoder", "search", "indexer", "service", "benchmarks")


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git tracks, without a network."""
    pytest.importorskip("setuptools", reason="the build needs setuptools in this environment")
    folder = tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, tracked):
        source = repository / name
        if source.is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            folder,
            folder / "source",
        ],
        capture_output=True,
        check=True,
        text=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_coverdex_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"coverdex", next(top for top in tops if top.endswith(".dist-info"))}
    assert not [name for name in names if "test" in name.split("/")[1]]


def test_wheel_holds_the_default_encoder_alone(wheel: Path, repository: Path) -> None:
    checkpoints = "coverdex/encoder/checkpoints/"
    inside = {
        name.removeprefix(checkpoints)
        for name in zipfile.ZipFile(wheel).namelist()
        if name.startswith(checkpoints)
    }
    folder = repository / "encoder" / "checkpoints" / "coverdex-64"
    assert inside == {f"coverdex-64/{path.name}" for path in folder.iterdir()}
    assert {"coverdex-64/config.json", "coverdex-64/model.safetensors"} <= inside


def test_wheel_holds_every_module_and_the_data(wheel: Path, repository: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in FOLDERS:
        for path in (repository / folder).rglob("*.py"):
            assert f"coverdex/{path.relative_to(repository)}" in names
    assert "coverdex/py.typed" in names
    assert "coverdex/cli.py" in names
    assert "coverdex/encoder/training/configs/siamese-cnn.toml" in names
    assert "coverdex/indexer/demo/catalogue.parquet" in names
