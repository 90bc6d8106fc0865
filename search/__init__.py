"""What an index is on disk, opening one, and asking it.

:class:`Index`
    an open index: ``search``, ``search_by_id``, embeddings and metadata;
:class:`Candidate`
    one ranked answer;
:class:`Condition`
    a filter on metadata;
:class:`IndexEditor`
    add, replace and remove performances while the index is served;
:func:`write_index`
    embeddings and metadata in, a complete index folder out;
:class:`Manifest`
    what an index says about itself;
:class:`Plan`
    which FAISS structure fits how many vectors;
:func:`verify_index`
    every byte of an index, checked;
:func:`export_embeddings`, :func:`nearest_pairs`
    what it holds, for other tools.

``docs/index-format.md`` describes the folder. Importing this package loads no faiss and no pyarrow:
each name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .candidate import Candidate
    from .editor import ChangeReport, IndexEditor
    from .errors import (
        FactoryError,
        IndexExistsError,
        IndexFormatError,
        IndexLockedError,
        IndexPlanError,
        InvalidQueryError,
        PerformanceExistsError,
        UnknownColumnError,
    )
    from .export import candidate_table, export_embeddings, nearest_pairs
    from .filters import Condition
    from .index import Index
    from .manifest import Manifest
    from .parts import write_embeddings
    from .plan import Plan
    from .queries import QueryVector, QueryVectors
    from .table_files import write_table
    from .verify import Verification, verify_index
    from .writer import write_index

_HOME_OF = {
    "Candidate": "candidate",
    "ChangeReport": "editor",
    "Condition": "filters",
    "FactoryError": "errors",
    "IndexEditor": "editor",
    "IndexLockedError": "errors",
    "IndexPlanError": "errors",
    "Plan": "plan",
    "PerformanceExistsError": "errors",
    "Index": "index",
    "IndexExistsError": "errors",
    "IndexFormatError": "errors",
    "InvalidQueryError": "errors",
    "Manifest": "manifest",
    "QueryVector": "queries",
    "QueryVectors": "queries",
    "UnknownColumnError": "errors",
    "Verification": "verify",
    "candidate_table": "export",
    "export_embeddings": "export",
    "nearest_pairs": "export",
    "verify_index": "verify",
    "write_embeddings": "parts",
    "write_index": "writer",
    "write_table": "table_files",
}

__all__ = [
    "Candidate",
    "ChangeReport",
    "Condition",
    "FactoryError",
    "Index",
    "IndexEditor",
    "IndexExistsError",
    "IndexFormatError",
    "IndexLockedError",
    "IndexPlanError",
    "InvalidQueryError",
    "Manifest",
    "PerformanceExistsError",
    "Plan",
    "QueryVector",
    "QueryVectors",
    "UnknownColumnError",
    "Verification",
    "candidate_table",
    "export_embeddings",
    "nearest_pairs",
    "verify_index",
    "write_embeddings",
    "write_index",
    "write_table",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
