from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from coverdex.cli import main
from coverdex.encoder import Checkpoint, Encoder, Preprocessing, build_architecture

from .datacos_folder import DatacosFolder, made_up_catalogue
from .typed_command import Answer, Run


@pytest.fixture(scope="session")
def tiny_encoder() -> Encoder:
    """A siamese-cnn of a few thousand random weights, at 5 frames per second."""
    torch.manual_seed(0)
    architecture = {"name": "siamese-cnn", "channels": [16, 24], "hidden": 32, "dropout": 0.0}
    weights = build_architecture(architecture).state_dict()
    return Encoder(
        Checkpoint(
            name="tiny",
            architecture=architecture,
            preprocessing=Preprocessing(frame_rate=5.0),
            weights=weights,
            training={},
            card="# tiny\n",
        )
    )


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder as a checkpoint folder, for other processes."""
    return tiny_encoder.save(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture
def datacos(tmp_path: Path) -> DatacosFolder:
    """A healthy catalogue of 3 works with 2 performances each, P_00 to P_21."""
    return made_up_catalogue(tmp_path / "da-tacos", n_works=3)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `coverdex` with these arguments, in this process."""

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["coverdex", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


@pytest.fixture
def index(datacos: DatacosFolder, tmp_path: Path, tiny_checkpoint: Path, run: Run) -> Path:
    out = tmp_path / "my.index"
    assert run("index", "build", datacos.root, "--out", out, "--encoder", tiny_checkpoint).code == 0
    return out
