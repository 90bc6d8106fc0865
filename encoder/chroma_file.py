"""Chroma files: the HDF5 layout of Da-TACOS, read and written with h5py alone.

Da-TACOS (Yesiler et al. 2019, https://github.com/MTG/da-tacos) keeps one HDF5 file per performance,
written by deepdish. There are two layouts:

* *feature folders*, one feature per file: ``W_163930_hpcp/P_546633_hpcp.h5``;
* *single files* with all features of a performance: ``W_14/P_15.h5``.

In both, a feature is a dataset at the root and the attributes of the root are ``label`` (the work,
``W_...``) and ``track_id`` (the performance, ``P_...``) as bytes:

==================  =================  ========  =========  =======================
dataset             shape              dtype     bin 0 is   kind
==================  =================  ========  =========  =======================
``hpcp``            ``(n_frames, 12)`` float32   A          :attr:`ChromaKind.HPCP`
``crema``           ``(12, n_frames)`` float32   C          :attr:`ChromaKind.CREMA`
``chroma_cens``     ``(n_frames, 12)`` float64   C          :attr:`ChromaKind.CENS`
==================  =================  ========  =========  =======================

What is read is always frames first and starts at A, whatever the file has. Every feature has
44,100 / 512 = 86.13 frames per second, which no attribute says. Files that :func:`write_chroma`
writes are of the first layout and say their frame rate in one more attribute, ``frame_rate`` (Hz),
which other readers ignore.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .chroma import (
    DATACOS_FRAME_RATE,
    MAX_DURATION,
    N_PITCH_CLASSES,
    Chroma,
    ChromaKind,
    chroma_kind,
)
from .errors import FeatureFileError, InvalidChromaError, NotFoundError

#: Name of the dataset that holds each kind of chroma.
DATASET_OF = {
    ChromaKind.HPCP: "hpcp",
    ChromaKind.CREMA: "crema",
    ChromaKind.CENS: "chroma_cens",
}
#: Kinds in the order in which one is picked from a file that holds several.
PREFERENCE = (ChromaKind.HPCP, ChromaKind.CREMA, ChromaKind.CENS)

#: Kinds whose files start at C, and how far that lies from A in semitones. (In the dataset's own
#: files, crema rolled by 3 correlates with the HPCP of the same recording by .6, and by any other
#: number by less than .2.)
STARTS_AT_C = frozenset({ChromaKind.CREMA, ChromaKind.CENS})
C_ABOVE_A = 3

#: No more frames than this are read: a day at the rate of Da-TACOS. A damaged or hostile header may
#: declare any shape, and it is checked before memory is taken.
MAX_FRAMES = round(MAX_DURATION * DATACOS_FRAME_RATE)

_FEATURE = "hpcp|crema|chroma_cens|cens"
_PERFORMANCE_IN_NAME = re.compile(rf"^(P_[^_]+)(?:_(?:{_FEATURE}))?\.(?:h5|hdf5)$")
_WORK_IN_FOLDER = re.compile(rf"^(W_[^_]+)(?:_(?:{_FEATURE}))?$")


@dataclass(frozen=True, eq=False)
class ChromaFile:
    """The chroma of a file and whose it is.

    Parameters
    ----------
    chroma : Chroma
        The values, ``(n_frames, 12)`` float32, with frame rate and kind.
    work_id, performance_id : str or None
        From the root attributes ``label`` and ``track_id``, else from the path, else None.
    path : pathlib.Path
        Where it was read.
    """

    chroma: Chroma
    work_id: str | None
    performance_id: str | None
    path: Path


def read_chroma(
    path: str | os.PathLike[str],
    *,
    kind: ChromaKind | str | None = None,
    frame_rate: float | None = None,
    expect_work: str | None = None,
    expect_performance: str | None = None,
) -> ChromaFile:
    """Read the chroma of one performance from a file of the Da-TACOS layout.

    Parameters
    ----------
    path : path-like
        A feature file or a single file with all features.
    kind : ChromaKind or str, optional
        Which chroma to read; by default the one that the file holds, and HPCP where it holds
        several.
    frame_rate : float, optional
        Frames per second in Hz, where the file's own ``frame_rate`` attribute, or the rate of
        Da-TACOS (86.13 Hz) in its absence, is not right.
    expect_work, expect_performance : str, optional
        The ids that the caller's metadata gives the file. The path's ids
        (``W_14_hpcp/P_15_hpcp.h5``) are always expected.

    Returns
    -------
    ChromaFile

    Raises
    ------
    NotFoundError
        No such file.
    FeatureFileError
        With ``reason`` one of ``"empty"`` (0 bytes), ``"truncated"``, ``"unreadable"`` (not HDF5,
        damaged, a filter that is not installed, no permission), ``"missing-key"``,
        ``"attributes-disagree"``, ``"too-long"``.
    InvalidChromaError
        The file reads, but its values are no chroma; ``reason`` as :class:`Chroma` gives it.
    """
    path = Path(path)
    wanted = None if kind is None else chroma_kind(kind)
    _check_is_readable_file(path)
    try:
        with h5py.File(path, "r") as file:
            found = _pick_kind(file, wanted, path)
            values = _read_values(file[DATASET_OF[found]], found, path)
            attributes = {name: _attribute(file, name) for name in ("label", "track_id")}
            rate = _frame_rate(file) if frame_rate is None else frame_rate
    except OSError as error:
        raise _unreadable(path, error) from error
    except (RuntimeError, KeyError, ValueError) as error:  # what h5py raises inside damaged files
        if isinstance(error, InvalidChromaError):
            raise
        raise _unreadable(path, error) from error
    if found in STARTS_AT_C:
        values = np.roll(values, C_ABOVE_A, axis=-1)
    work_id, performance_id = _identify(path, attributes, expect_work, expect_performance)
    try:
        chroma = Chroma(values, rate, found)
    except InvalidChromaError as error:
        raise InvalidChromaError(f"{path}: {error}", reason=error.reason) from None
    return ChromaFile(chroma, work_id, performance_id, path)


def write_chroma(
    path: str | os.PathLike[str],
    chroma: Chroma,
    *,
    work_id: str | None = None,
    performance_id: str | None = None,
) -> None:
    """Write one feature file of the Da-TACOS layout, which :func:`read_chroma` reads back.

    Parameters
    ----------
    path : path-like
        Where to; the folder is made if need be. ``W_14_hpcp/P_15_hpcp.h5`` is the name that
        Da-TACOS would give it. An existing file is replaced when the new one is complete.
    chroma : Chroma
        Values as float32; crema is stored ``(12, n_frames)``, and crema and cens from C, as in
        Da-TACOS.
    work_id, performance_id : str, optional
        Become the root attributes ``label`` and ``track_id``.

    Raises
    ------
    OSError
        When the disk refuses; ``path`` is then what it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    values = chroma.values
    if chroma.kind in STARTS_AT_C:
        values = np.roll(values, -C_ABOVE_A, axis=1)
    if chroma.kind is ChromaKind.CREMA:
        values = values.T
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with h5py.File(unfinished, "w") as file:
            file.create_dataset(
                DATASET_OF[chroma.kind], data=values, compression="gzip", shuffle=True, chunks=True
            )
            file.attrs["frame_rate"] = chroma.frame_rate
            for name, identity in (("label", work_id), ("track_id", performance_id)):
                if identity is not None:
                    file.attrs[name] = np.bytes_(identity.encode())
        unfinished.replace(path)
    except OSError as error:  # names the unfinished file, which nobody asked for
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
    finally:
        with suppress(OSError):  # which would hide what went wrong
            unfinished.unlink()


def ids_in_path(path: Path) -> tuple[str | None, str | None]:
    """Work and performance id that a path of the Da-TACOS layout names, None where it names none.

    >>> ids_in_path(Path("W_14_hpcp/P_15_hpcp.h5"))
    ('W_14', 'P_15')
    >>> ids_in_path(Path("downloads/take five.h5"))
    (None, None)
    """
    performance = _PERFORMANCE_IN_NAME.match(path.name)
    work = _WORK_IN_FOLDER.match(path.parent.name)
    return work and work.group(1), performance and performance.group(1)


def ids_in_file(path: str | os.PathLike[str]) -> tuple[str | None, str | None]:
    """Work and performance id that a file's attributes name, None where they name none.

    Nothing else of the file is read.

    Raises
    ------
    NotFoundError
        No such file.
    FeatureFileError
        It is no HDF5 file that can be read.
    """
    path = Path(path)
    _check_is_readable_file(path)
    try:
        with h5py.File(path, "r") as file:
            return _attribute(file, "label"), _attribute(file, "track_id")
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from error


def _check_is_readable_file(path: Path) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise NotFoundError(f"no file at {path}; give the path of an HDF5 chroma file") from None
    except OSError as error:
        raise _unreadable(path, error) from error
    if not path.is_file():
        raise FeatureFileError(
            f"{path} is not a file; give the path of one HDF5 chroma file", reason="unreadable"
        )
    if size == 0:
        raise FeatureFileError(f"{path} is empty (0 bytes); fetch it again", reason="empty")


def _pick_kind(file: h5py.File, wanted: ChromaKind | None, path: Path) -> ChromaKind:
    candidates = PREFERENCE if wanted is None else (wanted,)
    for kind in candidates:
        link = file.get(DATASET_OF[kind], getlink=True)
        # A soft or external link may lead to another file, which whoever gave this one may not own.
        if isinstance(link, h5py.HardLink) and isinstance(file[DATASET_OF[kind]], h5py.Dataset):
            return kind
    names = " or ".join(DATASET_OF[kind] for kind in candidates)
    keys = ", ".join(sorted(_described(file, name) for name in file)) or "nothing"
    raise FeatureFileError(
        f"{path} holds no dataset {names} (it holds {keys}); give a file with that feature as a "
        "dataset at its root",
        reason="missing-key",
    )


def _described(file: h5py.File, name: str | bytes) -> str:
    """Name what lies at the root of a file; say of what bears a feature's name why it is none."""
    if isinstance(name, bytes):  # as h5py gives a name that is no UTF-8
        return name.decode(errors="backslashreplace")
    if name not in DATASET_OF.values():
        return name
    link = file.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        return f"{name}, which is a link to elsewhere"
    found = file[name]
    return f"{name}, which is a group" if isinstance(found, h5py.Group) else name


def _read_values(dataset: h5py.Dataset, kind: ChromaKind, path: Path) -> Any:
    """Return the values frames first, unread where the header alone shows that they won't do."""
    if dataset.shape is None or dataset.dtype.kind not in "fiu":
        raise InvalidChromaError(
            f"{path}: dataset {DATASET_OF[kind]} has dtype {dataset.dtype}; "
            "wanted real numbers, best float32",
            reason="wrong-dtype",
        )
    if dataset.external or dataset.is_virtual:
        raise FeatureFileError(
            f"{path}: dataset {DATASET_OF[kind]} keeps its values in other files; write them into "
            "this one",
            reason="unreadable",
        )
    if max(dataset.shape, default=0) > MAX_FRAMES:
        raise FeatureFileError(
            f"{path}: dataset {DATASET_OF[kind]} declares shape {dataset.shape}; at most "
            f"{MAX_FRAMES} frames (a day) are read",
            reason="too-long",
        )
    if kind is ChromaKind.CREMA:
        if dataset.ndim != 2 or dataset.shape[0] != 12:
            raise InvalidChromaError(
                f"{path}: dataset crema has shape {dataset.shape}; Da-TACOS stores (12, n_frames)",
                reason="wrong-shape",
            )
        return dataset[()].T
    # Chroma would refuse it too, but only after it is read: a matrix of all frames by all frames,
    # say, which may be more than fits into memory.
    if dataset.ndim != 2 or dataset.shape[1] != N_PITCH_CLASSES:
        turned = dataset.ndim == 2 and dataset.shape[0] == N_PITCH_CLASSES
        raise InvalidChromaError(
            f"{path}: dataset {DATASET_OF[kind]} has shape {dataset.shape}; give (n_frames, 12), "
            "frames first" + (": transpose it" if turned else ""),
            reason="wrong-shape",
        )
    return dataset[()]


def _attribute(file: h5py.File, name: str) -> str | None:
    value = file.attrs.get(name)
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else None
    if isinstance(value, str):  # h5py carries bytes that are no UTF-8 through as lone surrogates
        value = value.encode(errors="surrogateescape")
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return value if isinstance(value, str) and value else None


def _frame_rate(file: h5py.File) -> Any:
    value = file.attrs.get("frame_rate")
    if isinstance(value, np.ndarray) and value.size == 1:  # as MATLAB and R write one number
        value = value.item()
    return DATACOS_FRAME_RATE if value is None else value


def _identify(
    path: Path,
    attributes: dict[str, str | None],
    expect_work: str | None,
    expect_performance: str | None,
) -> tuple[str | None, str | None]:
    work_in_path, performance_in_path = ids_in_path(path)
    checks = (
        ("label", attributes["label"], (("path", work_in_path), ("metadata", expect_work))),
        (
            "track_id",
            attributes["track_id"],
            (("path", performance_in_path), ("metadata", expect_performance)),
        ),
    )
    ids: list[str | None] = []
    for name, in_file, expectations in checks:
        for source, expected in expectations:
            if in_file is not None and expected is not None and in_file != expected:
                raise FeatureFileError(
                    f"{path}: its attribute {name} is {in_file} but its {source} says {expected}; "
                    "one of them is wrong, so the file is not used",
                    reason="attributes-disagree",
                )
        ids.append(in_file or next((value for _, value in expectations if value), None))
    return ids[0], ids[1]


def _unreadable(path: Path, error: Exception) -> FeatureFileError:
    detail = str(error)
    if "truncated file" in detail:
        return FeatureFileError(
            f"{path} is truncated: it ends before its own header says; fetch it again",
            reason="truncated",
        )
    if "filter" in detail:
        return FeatureFileError(
            f"{path} is compressed with a filter that this HDF5 library lacks ({detail}); "
            "write it again with gzip",
            reason="unreadable",
        )
    return FeatureFileError(
        f"{path} cannot be read as HDF5 ({detail}); check that it is a complete feature file",
        reason="unreadable",
    )
