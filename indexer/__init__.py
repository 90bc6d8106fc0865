"""From catalogues to indexes: reading performances, embedding them, writing what is searched.

:func:`open_catalogue`
    a Da-TACOS folder, a Parquet file of chroma, or the demo catalogue, read lazily;
:class:`PerformanceRecord`
    what is known about one performance, apart from its sound;
:func:`write_parquet_catalogue`
    chroma and metadata as one Parquet file;
:func:`build_index`
    the whole way from a catalogue to an index folder;
:func:`embed_catalogue` and :func:`build_index_from_shards`
    the same way in two steps, which can be taken on different machines;
:func:`add_catalogue`
    embed further performances into an index that is being served;
:class:`Rejection`
    one thing that could not be indexed, and why.

Importing this package loads neither torch nor faiss nor h5py: each name is fetched when it is
first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .additions import (
        AdditionReport,
        UnfinishedAdditionError,
        add_catalogue,
        add_embeddings,
    )
    from .build import BuildReport, RejectedError, build_index, build_index_from_shards
    from .catalogue import Catalogue, CataloguePart, demo_catalogue_path, open_catalogue
    from .datacos_catalogue import DatacosCatalogue
    from .embedding import EmbeddingReport, embed_catalogue
    from .feature_files import FileListCatalogue
    from .parquet_catalogue import ParquetCatalogue
    from .parquet_catalogue_writer import ParquetCatalogueWriter, write_parquet_catalogue
    from .performance import PerformanceRecord
    from .rejection import Rejection, read_rejections, rejection_report_path
    from .shard_reading import read_shards
    from .sound_files import SoundFileCatalogue

_HOME_OF = {
    "AdditionReport": "additions",
    "UnfinishedAdditionError": "additions",
    "add_catalogue": "additions",
    "add_embeddings": "additions",
    "BuildReport": "build",
    "RejectedError": "build",
    "build_index": "build",
    "build_index_from_shards": "build",
    "Catalogue": "catalogue",
    "CataloguePart": "catalogue",
    "demo_catalogue_path": "catalogue",
    "open_catalogue": "catalogue",
    "DatacosCatalogue": "datacos_catalogue",
    "EmbeddingReport": "embedding",
    "embed_catalogue": "embedding",
    "read_shards": "shard_reading",
    "FileListCatalogue": "feature_files",
    "SoundFileCatalogue": "sound_files",
    "ParquetCatalogue": "parquet_catalogue",
    "ParquetCatalogueWriter": "parquet_catalogue_writer",
    "write_parquet_catalogue": "parquet_catalogue_writer",
    "PerformanceRecord": "performance",
    "Rejection": "rejection",
    "read_rejections": "rejection",
    "rejection_report_path": "rejection",
}

__all__ = [
    "AdditionReport",
    "BuildReport",
    "Catalogue",
    "CataloguePart",
    "DatacosCatalogue",
    "EmbeddingReport",
    "FileListCatalogue",
    "ParquetCatalogue",
    "ParquetCatalogueWriter",
    "PerformanceRecord",
    "RejectedError",
    "Rejection",
    "SoundFileCatalogue",
    "UnfinishedAdditionError",
    "add_catalogue",
    "add_embeddings",
    "build_index",
    "build_index_from_shards",
    "demo_catalogue_path",
    "embed_catalogue",
    "open_catalogue",
    "read_rejections",
    "read_shards",
    "rejection_report_path",
    "write_parquet_catalogue",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
