"""A folder that holds what simulated covers are drawn from, ready to be used.

::

    coverdex encoder prepare CONFIG.toml --out runs/prepared
    coverdex encoder train CONFIG.toml --prepared runs/prepared

Reading seeds takes minutes, and the catalogues that samplers played take gigabytes. What training
takes from them fits into a hundred megabytes, which several runs can share, and which can be
carried to a machine that has a GPU and neither seeds nor samplers::

    prepared.json         settings that decided what is here; hashes of the files and their origins
    versions.parquet      work_id, version_id, collection, title, cyclic, n_frames, held_out
    rolls.parquet         60 columns uint8, part by part and pitch class by pitch class from A:
                          the rolls of all versions end to end, held-out ones last
    rendered-0/           tracks.f16 and tracks.parquet of the first rendered catalogue, and so on
                          (:mod:`.prepared_tracks`)

A run draws the same batches from this folder as from the seeds. Settings that choose among what is
here (weights, strengths of the simulator, lengths, the seed) are the run's; those that decide what
is here must be those that it was prepared with, and are compared.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..errors import NotFoundError, TrainingError
from ..preprocessing import Preprocessing
from . import provenance
from .batch import PREPARABLE, SourceContext
from .config import TrainingConfig, read_settings
from .corpus import N_PARTS, PARTS, RollCorpus
from .cover_materials import CoverMaterials, cover_materials
from .cover_settings import CoverSettings
from .prepared_tracks import read_tracks
from .rendered_versions import RenderedTracks
from .seed_corpora import DECISIVE, SeedCorpora
from .start import starting_point
from .world import TrainingWorld

FORMAT_VERSION = 1
_RECORD, _VERSIONS, _ROLLS = "prepared.json", "versions.parquet", "rolls.parquet"
_COLUMNS = tuple(f"{part}-{tone}" for part in PARTS for tone in range(12))
#: Frames that are written at a time.
_ROW_GROUP = 1 << 20


def prepare_covers(
    config: TrainingConfig,
    folder: Path,
    *,
    base: Path,
    world: TrainingWorld | None = None,
    overwrite: bool = False,
) -> CoverMaterials:
    """Read what a configuration learns from and write it as a folder.

    Parameters
    ----------
    config : TrainingConfig
        With the source ``simulated-covers``.
    folder : Path
        Where to.
    base : Path
        Folder from which relative paths of the configuration count.
    world : TrainingWorld, optional
        For rendered catalogues.
    overwrite : bool, default False
        Replace what was prepared there.

    Returns
    -------
    CoverMaterials
        What was written.

    Raises
    ------
    TrainingError
        The configuration has another source, the data hold too little or cannot be read, or the
        place is taken.
    NotFoundError, CheckpointError
        Something that the configuration names is missing.
    """
    if config.data.get("source") not in PREPARABLE:
        raise TrainingError(
            f"the data of the source {config.data.get('source')} cannot be prepared, only those of "
            f"{', '.join(PREPARABLE)}"
        )
    check_prepared_place(folder, overwrite=overwrite)
    table = {key: value for key, value in config.data.items() if key != "source"}
    settings = read_settings(CoverSettings, table, where="[data]")
    _, preprocessing, _ = starting_point(config, base)
    with tempfile.TemporaryDirectory() as scratch:
        context = SourceContext(
            preprocessing, config.kind, config.seed, "cpu", Path(scratch), base, world
        )
        materials = cover_materials(settings, context)
        write_prepared(materials, settings, preprocessing, folder, overwrite=overwrite)
    return materials


def check_prepared_place(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse a place that is taken, before anything is read.

    Raises
    ------
    TrainingError
        Something is there and ``overwrite`` is off, or it is nothing that was prepared.
    """
    if folder.exists() and not (overwrite and (folder / _RECORD).is_file()):
        raise TrainingError(
            f"{folder} exists"
            + (" and holds nothing that was prepared" if overwrite else "")
            + "; give another folder or remove it first"
        )


def write_prepared(
    materials: CoverMaterials,
    settings: CoverSettings,
    preprocessing: Preprocessing,
    folder: Path,
    *,
    overwrite: bool = False,
) -> None:
    """Write materials as a folder, which is there when it is complete.

    Raises
    ------
    TrainingError
        As :func:`check_prepared_place`.
    """
    check_prepared_place(folder, overwrite=overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir()
        _write_files(materials, settings, preprocessing, unfinished)
        if folder.exists():
            retired = folder.with_name(f".{folder.name}.old")
            shutil.rmtree(retired, ignore_errors=True)
            folder.replace(retired)
            unfinished.replace(folder)
            shutil.rmtree(retired)
        else:
            unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_files(
    materials: CoverMaterials, settings: CoverSettings, preprocessing: Preprocessing, folder: Path
) -> None:
    _write_corpora(materials, folder)
    for number, each in enumerate(materials.rendered):
        each.tracks.copy_to(folder / f"rendered-{number}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    record = {
        "format_version": FORMAT_VERSION,
        "settings": decisive_settings(settings, preprocessing),
        "seeds": dict(materials.hashes),
        "rendered": [dict(each.origin) for each in materials.rendered],
        "files": {
            path.relative_to(folder).as_posix(): provenance.sha256_of(path) for path in files
        },
        "commit": provenance.commit(),
        "versions": provenance.versions(),
    }
    (folder / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def read_prepared(
    folder: Path, settings: CoverSettings, preprocessing: Preprocessing
) -> CoverMaterials:
    """Read what was prepared.

    Parameters
    ----------
    folder : Path
    settings : CoverSettings
        Of the run that wants it.
    preprocessing : Preprocessing
        Of its network's input.

    Raises
    ------
    NotFoundError
        There is nothing that was prepared.
    TrainingError
        It is damaged, of a later format, or was prepared with other settings.
    """
    record = _read_record(folder)
    wanted, found = decisive_settings(settings, preprocessing), record["settings"]
    if differing := sorted(k for k in wanted.keys() | found.keys() if wanted[k] != found.get(k)):
        raise TrainingError(
            f"{folder} was prepared with other settings ({', '.join(differing)}); prepare it for "
            "this configuration (coverdex encoder prepare)"
        )
    for name, expected in record["files"].items():
        if not (folder / name).is_file() or provenance.sha256_of(folder / name) != expected:
            raise TrainingError(
                f"{folder / name} is missing or damaged; prepare the folder again, or copy it anew"
            )
    corpora, titles = _read_corpora(folder)
    rendered = [
        RenderedTracks(read_tracks(folder / f"rendered-{number}"), origin)
        for number, origin in enumerate(record["rendered"])
    ]
    return CoverMaterials(corpora, titles, record["seeds"], rendered)


def decisive_settings(settings: CoverSettings, preprocessing: Preprocessing) -> dict[str, Any]:
    """Give what decides what is prepared; of paths the names, since folders may move."""
    decisive = settings.model_dump(mode="json", include=DECISIVE)
    decisive["seeds"] = [Path(seed).name for seed in settings.seeds]
    if settings.tunes is not None:
        for key in ("leave_out", "corpus"):
            if decisive["tunes"][key] is not None:
                decisive["tunes"][key] = Path(decisive["tunes"][key]).name
    catalogues = settings.rendered.catalogues if settings.rendered else []
    decisive["rendered"] = [Path(catalogue).name for catalogue in catalogues]
    decisive["preprocessing"] = preprocessing.to_config()
    return decisive


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except OSError:
        raise NotFoundError(
            f"{folder} holds nothing that was prepared; make it with coverdex encoder prepare"
        ) from None
    except ValueError as error:
        raise TrainingError(f"{folder / _RECORD} is damaged ({error}); prepare it again") from error
    if record.get("format_version") != FORMAT_VERSION:
        raise TrainingError(
            f"{folder} has format {record.get('format_version')}, this version of Coverdex reads "
            f"{FORMAT_VERSION}; prepare it again"
        )
    return record


def _write_corpora(materials: CoverMaterials, folder: Path) -> None:
    trained, held_out = materials.corpora
    corpora = [trained] if held_out is None else [trained, held_out]
    tables = []
    for corpus in corpora:
        titles = [materials.titles.get(version) for version in corpus.version_ids]
        columns = {
            "work_id": [corpus.work_ids[work] for work in corpus.work],
            "version_id": list(corpus.version_ids),
            "collection": list(corpus.corpora),
            "title": pa.array(titles, pa.string()),
            "cyclic": corpus.cyclic,
            "n_frames": corpus.n_frames,
            "held_out": [corpus is held_out] * corpus.n_versions,
        }
        tables.append(pa.table(columns))
    pq.write_table(pa.concat_tables(tables), folder / _VERSIONS)
    schema = pa.schema([pa.field(name, pa.uint8(), nullable=False) for name in _COLUMNS])
    with pq.ParquetWriter(folder / _ROLLS, schema, compression="zstd") as writer:
        for corpus in corpora:
            for first in range(0, len(corpus.rolls), _ROW_GROUP):
                rows = np.ascontiguousarray(corpus.rolls[first : first + _ROW_GROUP].T)
                writer.write_table(pa.table(list(rows), schema=schema))


def _read_corpora(folder: Path) -> tuple[SeedCorpora, dict[str, str]]:
    versions = pq.read_table(folder / _VERSIONS)
    rolls = _read_rolls(folder / _ROLLS)
    held_out = versions["held_out"].to_numpy()
    n_trained = int(versions["n_frames"].to_numpy()[~held_out].sum())
    trained = _corpus(versions.filter(~held_out), rolls[:n_trained])
    held = _corpus(versions.filter(held_out), rolls[n_trained:]) if held_out.any() else None
    titled = zip(versions["version_id"].to_pylist(), versions["title"].to_pylist(), strict=True)
    return SeedCorpora(trained, held), {version: title for version, title in titled if title}


def _read_rolls(path: Path) -> NDArray[np.uint8]:
    file = pq.ParquetFile(path)
    rolls = np.empty((file.metadata.num_rows, N_PARTS * 12), dtype=np.uint8)
    first = 0
    for group in range(file.num_row_groups):
        table = file.read_row_group(group)
        for column, values in enumerate(table.columns):
            rolls[first : first + len(table), column] = values.to_numpy()
        first += len(table)
    return rolls


def _corpus(versions: pa.Table, rolls: NDArray[np.uint8]) -> RollCorpus:
    works = versions["work_id"].to_pylist()
    work_ids = sorted(set(works))
    position = {work: i for i, work in enumerate(work_ids)}
    n_frames = versions["n_frames"].to_numpy()
    return RollCorpus(
        rolls=rolls,
        first=np.concatenate([[0], np.cumsum(n_frames)[:-1]]).astype(np.int64),
        n_frames=n_frames,
        cyclic=versions["cyclic"].to_numpy(),
        work=np.array([position[work] for work in works], dtype=np.int64),
        work_ids=tuple(work_ids),
        version_ids=tuple(versions["version_id"].to_pylist()),
        corpora=tuple(versions["collection"].to_pylist()),
    )
