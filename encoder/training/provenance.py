"""Provenance: everything that made a checkpoint, written down beside it.

Two people who run the same configuration on the same data with the same versions should get the
same weights on the same kind of machine; this is the record by which they can tell what differed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: Packages whose versions can change the numbers.
PACKAGES = ("coverdex", "torch", "numpy", "scipy", "h5py", "pyarrow", "safetensors")

_CHUNK = 1 << 20
#: What a commit ends with if tracked files differ from it.
DIRTY = "-dirty"


def sha256_of(path: Path) -> str:
    """SHA-256 in hex of a file's content; of a folder, of the names and sizes of what is in it.

    A catalogue of thousands of feature files is not read through for the record.
    """
    sha = hashlib.sha256()
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            sha.update(f"{file.relative_to(path).as_posix()}\t{file.stat().st_size}\n".encode())
        return sha.hexdigest()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            sha.update(chunk)
    return sha.hexdigest()


def hash_of(catalogue: object) -> dict[str, str]:
    """Give ``sha256`` of what a catalogue is read from; nothing where that is no file or folder.

    Parameters
    ----------
    catalogue : Catalogue
        Opened; its ``source`` says where it lies, also if it was opened by a name such as ``demo``.
    """
    path = Path(str(getattr(catalogue, "source", "")))
    return {"sha256": sha256_of(path)} if path.is_absolute() and path.exists() else {}


def commit() -> str | None:
    """Commit of the checkout that this code runs from, ``-dirty`` if tracked files differ from it.

    The environment variable ``COVERDEX_COMMIT`` names another one: of a copy, on a machine that
    lends its GPU, whose git history is not there or lags behind. None where nothing is known (an
    installed wheel, say).
    """
    return os.environ.get("COVERDEX_COMMIT") or _commit_here()


def _commit_here() -> str | None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    head = _git(root, "rev-parse", "HEAD")
    if head is None:
        return None
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return head + (DIRTY if changes else "")


def shortened(commit: str | None) -> str:
    """Write a commit for a caption: twelve digits, and whether what ran was not just that."""
    if commit is None:
        return "no commit"
    return commit[:12] + (DIRTY if commit.endswith(DIRTY) else "")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change the numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine(device: str) -> dict[str, Any]:
    """Describe what the run computes on."""
    import torch

    described: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "device": device,
        "threads": torch.get_num_threads(),
    }
    if device.startswith("cuda"):
        described["gpu"] = torch.cuda.get_device_name(device)
    return described


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
