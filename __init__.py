"""Coverdex: vector search for cover versions of a musical track.

The five folders are the five things that it does, and imports run one way only::

    service ──┐
              ├──> indexer ──> search ──> encoder
    benchmarks┘

:mod:`coverdex.encoder`
    chroma in, one 64-dimensional L2-normalised vector per performance out;
:mod:`coverdex.search`
    what an index is on disk, opening one, and asking it;
:mod:`coverdex.indexer`
    reading catalogues, embedding them, writing indexes;
:mod:`coverdex.service`
    the HTTP query service;
:mod:`coverdex.benchmarks`
    MAP, MR1 and the rest, by the protocol of the Da-TACOS benchmark.

Importing :mod:`coverdex` loads neither torch nor faiss: a name is fetched from its folder when it
is first used.

>>> import coverdex
>>> index = coverdex.Index.open("my.index")              # doctest: +SKIP
>>> chroma = coverdex.read_chroma("P_22_hpcp.h5")        # doctest: +SKIP
>>> vector = coverdex.Encoder.load().embed(chroma)       # doctest: +SKIP
>>> index.search(vector, limit=10)                       # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .encoder import Chroma, CoverdexError, Encoder, read_chroma
    from .indexer import build_index, open_catalogue
    from .search import Index

__version__ = "0.1.0"

__all__ = [
    "Chroma",
    "CoverdexError",
    "Encoder",
    "Index",
    "__version__",
    "build_index",
    "open_catalogue",
    "read_chroma",
]

_HOME_OF = {
    "Chroma": "encoder",
    "CoverdexError": "encoder",
    "Encoder": "encoder",
    "read_chroma": "encoder",
    "Index": "search",
    "build_index": "indexer",
    "open_catalogue": "indexer",
}


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
