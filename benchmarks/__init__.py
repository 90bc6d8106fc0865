"""Benchmarks: how good a ranking is, by rules that are written down and tested.

The front door; a name is fetched from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bootstrap import Interval, WorkBootstrap
    from .evaluation import Evaluation
    from .metrics import evaluate, evaluate_embeddings, evaluate_index
    from .protocols import PROTOCOLS, ProtocolCheck, check_protocol
    from .published_codes import PUBLISHED_CODES
    from .rankings import Ranking, open_ranking
    from .similarity import MatrixSimilarity, RankingSimilarity
    from .work_lists import WorkList, read_work_list

__all__ = [
    "PROTOCOLS",
    "PUBLISHED_CODES",
    "Evaluation",
    "Interval",
    "MatrixSimilarity",
    "ProtocolCheck",
    "Ranking",
    "RankingSimilarity",
    "WorkBootstrap",
    "WorkList",
    "check_protocol",
    "evaluate",
    "evaluate_embeddings",
    "evaluate_index",
    "open_ranking",
    "read_work_list",
]

_HOME_OF = {
    "PROTOCOLS": "protocols",
    "PUBLISHED_CODES": "published_codes",
    "Evaluation": "evaluation",
    "Interval": "bootstrap",
    "MatrixSimilarity": "similarity",
    "ProtocolCheck": "protocols",
    "Ranking": "rankings",
    "RankingSimilarity": "similarity",
    "WorkBootstrap": "bootstrap",
    "WorkList": "work_lists",
    "check_protocol": "protocols",
    "evaluate": "metrics",
    "evaluate_embeddings": "metrics",
    "evaluate_index": "metrics",
    "open_ranking": "rankings",
    "read_work_list": "work_lists",
}


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
