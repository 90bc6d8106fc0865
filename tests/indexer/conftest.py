from __future__ import annotations

from pathlib import Path

import pytest
import torch
from coverdex.encoder import Checkpoint, Encoder, Preprocessing, build_architecture

from .datacos_folder import DatacosFolder, made_up_catalogue


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
