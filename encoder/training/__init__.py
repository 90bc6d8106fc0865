"""How the weights of an encoder are made.

A training run is a TOML file (:mod:`.config`), and ``coverdex encoder train CONFIG.toml`` runs it::

    batch source ──> Batch(x, n_valid, work) ──> loss(network, batch) ──> AdamW, one-cycle
         │                                                                      │
         └── (seed, step) decides it                weight average ──> validation MAP, checkpoint

:class:`Trainer`
    the loop: generic in the source, the loss and the network, resumes after a kill;
:class:`Batch`, :class:`BatchSource`, :func:`register_batch_source`
    where examples come from: labelled pairs of recordings (:mod:`.pair_batches`), simulated covers;
:class:`Loss`, :class:`LossOutput`, :func:`register_loss`
    what is minimised: contrastive (:mod:`.contrastive`) and others;
:class:`TrainingWorld`
    what training needs from the folders above, handed down because imports run one way.

Importing this package loads no torch: each name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .batch import Batch, BatchSource, SourceContext, register_batch_source
    from .config import TrainingConfig, read_config
    from .loss import EmbeddingLoss, Loss, LossOutput, register_loss
    from .run_report import TrainingResult
    from .trainer import Trainer
    from .world import TrainingWorld

_HOME_OF = {
    "Batch": "batch",
    "BatchSource": "batch",
    "SourceContext": "batch",
    "register_batch_source": "batch",
    "TrainingConfig": "config",
    "read_config": "config",
    "EmbeddingLoss": "loss",
    "Loss": "loss",
    "LossOutput": "loss",
    "register_loss": "loss",
    "Trainer": "trainer",
    "TrainingResult": "run_report",
    "TrainingWorld": "world",
}

__all__ = [
    "Batch",
    "BatchSource",
    "EmbeddingLoss",
    "Loss",
    "LossOutput",
    "SourceContext",
    "Trainer",
    "TrainingConfig",
    "TrainingResult",
    "TrainingWorld",
    "read_config",
    "register_batch_source",
    "register_loss",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
