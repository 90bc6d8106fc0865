"""Checkpoints: a folder that holds weights and everything needed to use them.

::

    coverdex-64/
        config.json         name, kind, architecture, preprocessing, how it was trained, digest
        model.safetensors   the weights
        README.md           the model card: data, licences, results, limits
        training.parquet    what was trained on, by id and title (:mod:`.training_list`)

The *id* of a checkpoint, ``<name>-<12 hex digits>``, is derived from its content: the SHA-256 of
whatever decides an embedding (architecture, preprocessing, kind, weights). An index remembers the
id of the encoder that filled it. What only tells how the weights came about (the ``training``
table, the card, the training list) is not part of it, so that correcting a card invalidates no
index; those two may be missing. The full digest stands in ``config.json`` and is verified on
loading: a damaged or edited checkpoint is refused.

Weights are safetensors, which, other than pickle, cannot carry code.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from .chroma import ChromaKind
from .errors import CheckpointError, NotFoundError
from .folder_exchange import exchange
from .preprocessing import Preprocessing
from .training_list import TRAINING_LIST_FILE, TrainingList, read_training_list

FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"

#: Where the checkpoints that come with the package lie.
SHIPPED = Path(__file__).resolve().parent / "checkpoints"
#: The checkpoint that is used when none is named.
DEFAULT_CHECKPOINT = "coverdex-64"
#: Checkpoints that stand beside it in the repository, to compare with, but are not installed.
REFERENCE_CHECKPOINTS = ("siamese-cnn",)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Weights and what is needed to use them.

    Parameters
    ----------
    name : str
        A short name for people, in letters, digits, ``-``, ``_`` and ``.``.
    architecture : mapping
        ``name`` of a registered architecture and its arguments.
    preprocessing : Preprocessing
        What is done to chroma before the network.
    weights : mapping of str to torch.Tensor
        The state of the network.
    kind : ChromaKind
        The kind of chroma that it was trained for.
    training : mapping
        How the weights were made, for people; free of rules.
    card : str
        The model card in Markdown.
    training_list : TrainingList or None
        What the weights have learnt from; None where nobody wrote it down.
    """

    name: str
    architecture: Mapping[str, Any]
    preprocessing: Preprocessing
    weights: Mapping[str, Tensor]
    kind: ChromaKind = ChromaKind.HPCP
    training: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    training_list: TrainingList | None = None

    @property
    def digest(self) -> str:
        """SHA-256 in hex of everything that decides an embedding."""
        return _digest(self)

    @property
    def id(self) -> str:
        """The content-derived id, ``<name>-<12 hex digits>``."""
        return f"{self.name}-{self.digest[:12]}"


def shipped_checkpoints() -> dict[str, Path]:
    """Checkpoints that come with the package: name to folder, sorted by name."""
    if not SHIPPED.is_dir():
        return {}
    return {path.parent.name: path.parent for path in sorted(SHIPPED.glob(f"*/{CONFIG_FILE}"))}


def missing_references() -> dict[str, str]:
    """Return the references that are not here: name to a sentence that says how to get it."""
    shipped = shipped_checkpoints()
    return {
        name: (
            f"{name}, the reference, is not installed with Coverdex; take the folder "
            f"encoder/checkpoints/{name} from its repository, or make it with `coverdex encoder "
            f"train encoder/training/configs/{name}.toml`, and give the folder"
        )
        for name in REFERENCE_CHECKPOINTS
        if name not in shipped
    }


def find_checkpoint(name_or_path: str | Path | None = None) -> Path:
    """Folder of a checkpoint given by the name of a shipped one or by path.

    A plain name means the shipped checkpoint even where a folder of that name stands in the working
    directory; write ``./name`` for the folder.

    Raises
    ------
    NotFoundError
        Neither a shipped name nor a folder.
    """
    shipped = shipped_checkpoints()
    wanted = DEFAULT_CHECKPOINT if name_or_path is None else name_or_path
    if isinstance(wanted, str) and wanted in shipped:
        return shipped[wanted]
    path = Path(wanted).expanduser()
    if path.is_dir():
        return path
    if (missing := missing_references().get(str(wanted))) is not None:
        raise NotFoundError(missing)
    raise NotFoundError(
        f"no checkpoint {str(wanted)!r}; give a folder or one of the shipped names: "
        f"{', '.join(shipped) or 'none'}"
    )


def load_checkpoint(name_or_path: str | Path | None = None) -> Checkpoint:
    """Read a checkpoint and verify it against its own digest.

    Parameters
    ----------
    name_or_path : str or path, optional
        A shipped name or a folder; by default :data:`DEFAULT_CHECKPOINT`.

    Raises
    ------
    NotFoundError
        No such checkpoint.
    CheckpointError
        A file is missing or unreadable, the format is unknown, or the content is not what the
        digest says.
    """
    folder = find_checkpoint(name_or_path)
    config = _read_config(folder)
    weights_path = folder / WEIGHTS_FILE
    try:
        weights = load_safetensors(weights_path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{weights_path} cannot be read ({error}); get it again") from error
    card = folder / CARD_FILE
    seen = folder / TRAINING_LIST_FILE
    checkpoint = Checkpoint(
        name=config["name"],
        architecture=config["architecture"],
        preprocessing=Preprocessing.from_config(config["preprocessing"]),
        weights=weights,
        kind=ChromaKind(config["kind"]),
        training=config.get("training", {}),
        # It is for people: signs that are damaged are no reason not to embed.
        card=card.read_text(encoding="utf-8", errors="replace") if card.is_file() else "",
        training_list=read_training_list(seen) if seen.is_file() else None,
    )
    if checkpoint.digest != config["digest"]:
        raise CheckpointError(
            f"{folder} is damaged or was edited: its content has digest {checkpoint.digest[:12]}, "
            f"its {CONFIG_FILE} says {str(config['digest'])[:12]}; get the folder again"
        )
    return checkpoint


def save_checkpoint(checkpoint: Checkpoint, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write a checkpoint folder: complete, or not at all.

    It is written beside its place and renamed when complete; what was there is there until then.

    Parameters
    ----------
    checkpoint : Checkpoint
        What to write.
    folder : path-like
        Where to.
    overwrite : bool, default False
        Replace a checkpoint that is there already.

    Raises
    ------
    CheckpointError
        Something is there and ``overwrite`` is off, or it is not a checkpoint.
    OSError
        The disk is full or refuses.
    """
    folder = Path(folder)
    check_place(folder, overwrite=overwrite)
    place = folder.resolve()  # a link stays one
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        unfinished = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    except OSError as error:  # names the temporary folder, which nobody asked for
        raise OSError(error.errno, error.strerror, str(folder)) from error
    try:
        unfinished.chmod(0o755)  # mkdtemp makes it private
        _write_files(checkpoint, unfinished)
        if place.exists():
            exchange(unfinished, place)
        else:
            unfinished.rename(place)
    except OSError as error:  # a full disk names no file
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(folder)) from error
    finally:  # also of what was replaced
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def check_place(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that :func:`save_checkpoint` would refuse, before the work is done.

    Raises
    ------
    CheckpointError
        Something is there and ``overwrite`` is off, or it is not a checkpoint.
    """
    if folder.exists() and not (overwrite and (folder / CONFIG_FILE).is_file()):
        raise CheckpointError(
            f"{folder} exists"
            + (" and is no checkpoint" if overwrite else "")
            + "; give another folder or remove it first"
        )


def _write_files(checkpoint: Checkpoint, folder: Path) -> None:
    config = {
        "format_version": FORMAT_VERSION,
        "name": checkpoint.name,
        "kind": str(checkpoint.kind),
        "architecture": dict(checkpoint.architecture),
        "preprocessing": checkpoint.preprocessing.to_config(),
        "digest": checkpoint.digest,
        "training": dict(checkpoint.training),
    }
    (folder / CONFIG_FILE).write_text(
        json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / WEIGHTS_FILE).write_bytes(save_safetensors(_plain(checkpoint.weights)))
    (folder / CARD_FILE).write_text(
        checkpoint.card or f"# {checkpoint.name}\n\nNo model card was written.\n", encoding="utf-8"
    )
    if checkpoint.training_list is not None:
        checkpoint.training_list.write(folder / TRAINING_LIST_FILE)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); {folder} is no complete checkpoint"
        ) from error
    if not isinstance(config, dict) or config.get("format_version") != FORMAT_VERSION:
        version = config.get("format_version") if isinstance(config, dict) else None
        raise CheckpointError(
            f"{path} has format version {version!r}, this Coverdex reads {FORMAT_VERSION}; "
            "use a matching version of Coverdex"
        )
    wanted = {"name": str, "kind": str, "architecture": dict, "preprocessing": dict, "digest": str}
    for key, type_ in wanted.items():
        if not isinstance(config.get(key), type_):
            raise CheckpointError(f"{path} has no {key} ({type_.__name__}); get the folder again")
    if not isinstance(config.get("training", {}), dict):
        raise CheckpointError(
            f"{path} has training {config['training']!r}; get the folder again, or leave it out"
        )
    if config["kind"] not in list(ChromaKind):
        raise CheckpointError(
            f"{path} has kind {config['kind']!r}; known are {', '.join(ChromaKind)}"
        )
    return config


def _plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weights[name].detach().cpu().contiguous() for name in sorted(weights)}


def _digest(checkpoint: Checkpoint) -> str:
    described = {
        "format_version": FORMAT_VERSION,
        "name": checkpoint.name,
        "kind": str(checkpoint.kind),
        "architecture": dict(checkpoint.architecture),
        "preprocessing": checkpoint.preprocessing.to_config(),
    }
    sha = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name, tensor in _plain(checkpoint.weights).items():
        sha.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
