"""A folder that holds what simulated covers are drawn from, ready to be used.

::

    coverdex encoder prepare CONFIG.toml --out runs/prepared
    coverdex encoder train CONFIG.toml --prepared runs/prepared

Reading seeds takes minutes, and the catalogues that samplers played take gigabytes. What training
takes from them fits into some 150 megabytes, which several runs can share, and which can be
carried to a machine that has a GPU and neither seeds nor samplers::

    prepared.json         settings that decided what is here; hashes of the files and their origins
    versions.parquet      works, versions and titles (:mod:`.prepared_corpora`)
    rolls.parquet         what they play
    rendered-0/           tracks.f16 and tracks.parquet of the first rendered catalogue, and so on
                          (:mod:`.prepared_tracks`)

A run draws the same batches from this folder as from the seeds. Settings that choose among what is
here (weights, strengths of the simulator, lengths, the seed) are the run's; those that decide what
is here must be those that it was prepared with, and are compared.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..chroma import ChromaKind
from ..errors import NotFoundError, TrainingError
from ..preprocessing import Preprocessing
from . import provenance
from .batch import PREPARABLE, SourceContext
from .config import TrainingConfig, read_settings
from .cover_batches import batches_of
from .cover_materials import CoverMaterials, cover_materials
from .cover_settings import CoverSettings
from .prepared_corpora import read_prepared_corpora, write_corpora
from .prepared_tracks import read_tracks
from .rendered_versions import RenderedTracks
from .seed_corpora import DECISIVE
from .start import starting_point
from .world import TrainingWorld

FORMAT_VERSION = 1
_RECORD = "prepared.json"
_KEYS = {"settings", "seeds", "rendered", "files"}


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
        What was written; rendered performances are read from the folder.

    Raises
    ------
    TrainingError
        The configuration has another source or settings that a run would refuse, the data hold too
        little or cannot be read, or the place is taken.
    NotFoundError, CheckpointError
        Something that the configuration names is missing.
    """
    settings = _settings_of(config)
    check_prepared_place(folder, overwrite=overwrite)
    _, preprocessing, _ = starting_point(config, base)
    with tempfile.TemporaryDirectory() as scratch:
        context = SourceContext(
            preprocessing, config.kind, config.seed, "cpu", Path(scratch), base, world
        )
        materials = cover_materials(settings, context)
        batches_of(settings, materials, context)  # refuses what every run would refuse
        decisive = decisive_settings(settings, preprocessing, config.kind)
        write_prepared(materials, decisive, folder, overwrite=overwrite)
    # The catalogues were preprocessed in the scratch folder, which is gone.
    return replace(
        materials, rendered=_read_rendered(folder, [r.origin for r in materials.rendered])
    )


def check_prepared_place(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse a place that is taken, before anything is read.

    Raises
    ------
    TrainingError
        Something is there and ``overwrite`` is off, or it is nothing that was prepared; or a file
        lies above it.
    PermissionError
        Nothing may be written there.
    """
    if folder.exists() and not (overwrite and (folder / _RECORD).is_file()):
        raise TrainingError(
            f"{folder} exists"
            + (" and holds nothing that was prepared" if overwrite else "")
            + "; give another folder or remove it first"
        )
    above = next(parent for parent in folder.resolve().parents if parent.exists())
    if not above.is_dir():
        raise TrainingError(f"{folder} cannot be made: {above} is a file; give another folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def write_prepared(
    materials: CoverMaterials,
    decisive: Mapping[str, Any],
    folder: Path,
    *,
    overwrite: bool = False,
) -> None:
    """Write materials as a folder, which is there when it is complete.

    Parameters
    ----------
    materials : CoverMaterials
    decisive : mapping
        :func:`decisive_settings` of the configuration that they were read for.
    folder : Path
        Where to; of a symbolic link, what it points to.
    overwrite : bool, default False
        Replace what was prepared there.

    Raises
    ------
    TrainingError
        As :func:`check_prepared_place`.
    """
    check_prepared_place(folder, overwrite=overwrite)
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: two processes that prepare the same place do not mix their files.
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        unfinished.chmod(0o755)  # mkdtemp makes it private
        _write_files(materials, decisive, unfinished)
        _put_in_place(unfinished, folder)
    except OSError as error:  # a full disk names no file, or one that nobody asked for
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(folder)) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _put_in_place(unfinished: Path, folder: Path) -> None:
    """Rename a finished folder; what was there goes when the new one is there."""
    if not folder.exists():
        unfinished.rename(folder)
        return
    retired = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    before = retired / folder.name
    folder.rename(before)
    try:
        unfinished.rename(folder)
    except BaseException:
        before.rename(folder)
        retired.rmdir()
        raise
    shutil.rmtree(retired)


def _write_files(materials: CoverMaterials, decisive: Mapping[str, Any], folder: Path) -> None:
    write_corpora(materials.corpora, materials.titles, folder)
    for number, each in enumerate(materials.rendered):
        each.tracks.copy_to(folder / f"rendered-{number}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    record = {
        "format_version": FORMAT_VERSION,
        "settings": dict(decisive),
        "seeds": dict(materials.hashes),
        "rendered": [dict(each.origin) for each in materials.rendered],
        "files": {
            path.relative_to(folder).as_posix(): provenance.sha256_of(path) for path in files
        },
        "commit": provenance.commit(),
        "versions": provenance.versions(),
    }
    (folder / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def read_prepared(folder: Path, decisive: Mapping[str, Any]) -> CoverMaterials:
    """Read what was prepared.

    Parameters
    ----------
    folder : Path
    decisive : mapping
        :func:`decisive_settings` of the run that wants it.

    Raises
    ------
    NotFoundError
        There is nothing that was prepared.
    TrainingError
        It is damaged, of a later format, or was prepared with other settings.
    """
    record = check_prepared(folder, decisive)
    for name, expected in record["files"].items():
        if not (folder / name).is_file() or provenance.sha256_of(folder / name) != expected:
            raise TrainingError(
                f"{folder / name} is missing or damaged; prepare the folder again, or copy it anew"
            )
    corpora, titles = read_prepared_corpora(folder)
    return CoverMaterials(
        corpora, titles, record["seeds"], _read_rendered(folder, record["rendered"])
    )


def _read_rendered(folder: Path, origins: Sequence[Mapping[str, Any]]) -> list[RenderedTracks]:
    return [
        RenderedTracks(read_tracks(folder / f"rendered-{number}"), origin)
        for number, origin in enumerate(origins)
    ]


def check_prepared(folder: Path, decisive: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse what was prepared for something else, from its record alone.

    Returns
    -------
    dict
        The record.

    Raises
    ------
    NotFoundError, TrainingError
        As :func:`read_prepared`, but for its files, which are not read.
    """
    record = _read_record(folder)
    # Folders from before the kind was written down are of HPCP.
    found = {"kind": str(ChromaKind.HPCP), **record["settings"]}
    if differing := sorted(
        key for key in decisive.keys() | found.keys() if decisive.get(key) != found.get(key)
    ):
        raise TrainingError(
            f"{folder} was prepared with other settings ({', '.join(differing)}); prepare it for "
            "this configuration (coverdex encoder prepare)"
        )
    return record


def check_fits(config: TrainingConfig, folder: Path) -> None:
    """Refuse what was prepared for something else than a configuration, before anything is read.

    Of a run that goes on from a checkpoint the preprocessing is that of the checkpoint, which may
    not be there yet; nothing is compared before it begins.

    Raises
    ------
    NotFoundError, TrainingError
        As :func:`check_prepared`, or the data of the configuration cannot be prepared.
    """
    settings = _settings_of(config)
    if config.preprocessing is None:
        _read_record(folder)
        return
    preprocessing = Preprocessing.from_config(config.preprocessing)
    check_prepared(folder, decisive_settings(settings, preprocessing, config.kind))


def _settings_of(config: TrainingConfig) -> CoverSettings:
    """Give the settings of data that can be prepared."""
    if config.data.get("source") not in PREPARABLE:
        raise TrainingError(
            f"the data of the source {config.data.get('source')} cannot be prepared, only those of "
            f"{', '.join(PREPARABLE)}"
        )
    table = {key: value for key, value in config.data.items() if key != "source"}
    return read_settings(CoverSettings, table, where="[data]")


def decisive_settings(
    settings: CoverSettings, preprocessing: Preprocessing, kind: ChromaKind
) -> dict[str, Any]:
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
    decisive["kind"] = str(kind)
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
    if not isinstance(record, dict):
        raise TrainingError(f"{folder / _RECORD} is damaged (no object); prepare it again")
    if record.get("format_version") != FORMAT_VERSION:
        raise TrainingError(
            f"{folder} has format {record.get('format_version')}, this version of Coverdex reads "
            f"{FORMAT_VERSION}; prepare it again"
        )
    if missing := sorted(_KEYS - record.keys()):
        raise TrainingError(
            f"{folder / _RECORD} is damaged ({', '.join(missing)} missing); prepare it again"
        )
    return record
