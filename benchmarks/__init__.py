"""Benchmarks: how good a ranking is, by rules that are written down and tested.

The front door; a name is fetched from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .evaluation import Evaluation
    from .metrics import evaluate, evaluate_embeddings, evaluate_index
    from .similarity import MatrixSimilarity, RankingSimilarity

__all__ = [
    "Evaluation",
    "MatrixSimilarity",
    "RankingSimilarity",
    "evaluate",
    "evaluate_embeddings",
    "evaluate_index",
]

_HOME_OF = {
    "Evaluation": "evaluation",
    "MatrixSimilarity": "similarity",
    "RankingSimilarity": "similarity",
    "evaluate": "metrics",
    "evaluate_embeddings": "metrics",
    "evaluate_index": "metrics",
}


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
