"""Chroma in, one 64-dimensional L2-normalised vector per performance out.

:class:`Chroma` and :func:`read_chroma`
    twelve pitch classes over time, and the Da-TACOS feature files that hold them;
:func:`extract_hpcp`
    the same from a sound file;
:class:`Preprocessing`
    what is done to chroma before the network sees it, kept in the checkpoint beside the weights;
:class:`Encoder`
    a network, its weights and its preprocessing as one thing: ``embed(chroma) -> (64,)``;
:func:`register_architecture`
    how another network joins in;
:mod:`coverdex.encoder.training`
    how the weights are made.

Importing this package loads no torch and no h5py: each name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .architectures import EncoderNetwork, build_architecture, register_architecture
    from .checkpoint import (
        DEFAULT_CHECKPOINT,
        Checkpoint,
        load_checkpoint,
        missing_references,
        save_checkpoint,
        shipped_checkpoints,
    )
    from .chroma import (
        DATACOS_FRAME_RATE,
        DATACOS_HOP_LENGTH,
        DATACOS_SAMPLE_RATE,
        N_PITCH_CLASSES,
        PITCH_CLASSES,
        Chroma,
        ChromaKind,
    )
    from .chroma_file import ChromaFile, read_chroma, write_chroma
    from .encoder import Encoder
    from .errors import (
        CheckpointError,
        CoverdexError,
        FeatureFileError,
        IncompatibleError,
        InvalidChromaError,
        NotFoundError,
        TrainingError,
    )
    from .hpcp import extract_hpcp
    from .preprocessing import PreparedChroma, Preprocessing

_HOME_OF = {
    "EncoderNetwork": "architectures",
    "build_architecture": "architectures",
    "register_architecture": "architectures",
    "DEFAULT_CHECKPOINT": "checkpoint",
    "Checkpoint": "checkpoint",
    "load_checkpoint": "checkpoint",
    "missing_references": "checkpoint",
    "save_checkpoint": "checkpoint",
    "shipped_checkpoints": "checkpoint",
    "DATACOS_FRAME_RATE": "chroma",
    "DATACOS_HOP_LENGTH": "chroma",
    "DATACOS_SAMPLE_RATE": "chroma",
    "N_PITCH_CLASSES": "chroma",
    "PITCH_CLASSES": "chroma",
    "Chroma": "chroma",
    "ChromaKind": "chroma",
    "ChromaFile": "chroma_file",
    "read_chroma": "chroma_file",
    "write_chroma": "chroma_file",
    "Encoder": "encoder",
    "CheckpointError": "errors",
    "CoverdexError": "errors",
    "FeatureFileError": "errors",
    "IncompatibleError": "errors",
    "InvalidChromaError": "errors",
    "NotFoundError": "errors",
    "TrainingError": "errors",
    "extract_hpcp": "hpcp",
    "PreparedChroma": "preprocessing",
    "Preprocessing": "preprocessing",
}

__all__ = [
    "DATACOS_FRAME_RATE",
    "DATACOS_HOP_LENGTH",
    "DATACOS_SAMPLE_RATE",
    "DEFAULT_CHECKPOINT",
    "N_PITCH_CLASSES",
    "PITCH_CLASSES",
    "Checkpoint",
    "CheckpointError",
    "Chroma",
    "ChromaFile",
    "ChromaKind",
    "CoverdexError",
    "Encoder",
    "EncoderNetwork",
    "FeatureFileError",
    "IncompatibleError",
    "InvalidChromaError",
    "NotFoundError",
    "PreparedChroma",
    "Preprocessing",
    "TrainingError",
    "build_architecture",
    "extract_hpcp",
    "load_checkpoint",
    "missing_references",
    "read_chroma",
    "register_architecture",
    "save_checkpoint",
    "shipped_checkpoints",
    "write_chroma",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
