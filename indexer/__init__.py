"""From catalogues to indexes: reading performances, embedding them, writing what is searched.

:func:`open_catalogue`
    a Da-TACOS folder, a Parquet file of chroma, or the demo catalogue, read lazily;
:class:`PerformanceRecord`
    what is known about one performance, apart from its sound;
:func:`write_parquet_catalogue`
    chroma and metadata as one Parquet file;
:func:`build_index`
    the whole way from a catalogue to an index folder;
:class:`Rejection`
    one thing that could not be indexed, and why.

Importing this package loads neither torch nor faiss nor h5py: each name is fetched when it is
first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .catalogue import Catalogue, CataloguePart, demo_catalogue_path, open_catalogue
    from .datacos_catalogue import DatacosCatalogue
    from .parquet_catalogue import ParquetCatalogue
    from .parquet_catalogue_writer import ParquetCatalogueWriter, write_parquet_catalogue
    from .performance import PerformanceRecord
    from .rejection import Rejection, read_rejections, rejection_report_path

_HOME_OF = {
    "Catalogue": "catalogue",
    "CataloguePart": "catalogue",
    "demo_catalogue_path": "catalogue",
    "open_catalogue": "catalogue",
    "DatacosCatalogue": "datacos_catalogue",
    "ParquetCatalogue": "parquet_catalogue",
    "ParquetCatalogueWriter": "parquet_catalogue_writer",
    "write_parquet_catalogue": "parquet_catalogue_writer",
    "PerformanceRecord": "performance",
    "Rejection": "rejection",
    "read_rejections": "rejection",
    "rejection_report_path": "rejection",
}

__all__ = [
    "Catalogue",
    "CataloguePart",
    "DatacosCatalogue",
    "ParquetCatalogue",
    "ParquetCatalogueWriter",
    "PerformanceRecord",
    "Rejection",
    "demo_catalogue_path",
    "open_catalogue",
    "read_rejections",
    "rejection_report_path",
    "write_parquet_catalogue",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
