"""The folder of a training run: all that it leaves behind, and what it needs to go on.

::

    runs/siamese-cnn/
        run.json         configuration, seed, data and their hashes, commit, versions, machine
        history.jsonl    one line per epoch: losses, measures, MAP, learning rate, seconds of the
                         run so far, and of this epoch those in which it waited for batches
        curves.png       the same, drawn
        checkpoint/      the encoder as it stands: usable at any time
        state.pt         weights, optimizer and step, to go on after a kill
        run.lock         held by the process that trains here (:mod:`.run_lock`)

Every file is written beside its place and renamed, so that a kill at any moment leaves the previous
one intact.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import TrainingError


class RunFolder:
    """Reads and writes the files of a run.

    Parameters
    ----------
    path : pathlib.Path
        The folder; it is made when first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint"
        self.curves = path / "curves.png"
        self._state = path / "state.pt"
        self._history = path / "history.jsonl"
        self._record = path / "run.json"

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Save what is needed to go on."""
        # Not at once to the disk: of one that is full torch says nothing that anybody understands.
        serialised = io.BytesIO()
        torch.save(dict(state), serialised)
        self._write(self._state, serialised.getbuffer())

    def load_state(self, config_digest: str) -> dict[str, Any] | None:
        """Load the saved state; None if there is none.

        Raises
        ------
        TrainingError
            It is damaged, or of a run with another configuration.
        """
        if not self._state.is_file():
            return None
        try:
            _check_sums(self._state)
            # weights_only: tensors and plain values, no code.
            state: dict[str, Any] = torch.load(self._state, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged files make zipfile and torch raise whatever they do
            raise TrainingError(
                f"{self._state} cannot be read ({error}); remove it to start afresh"
            ) from error
        if state.get("config_digest") != config_digest:
            raise TrainingError(
                f"{self.path} holds a run with another configuration; give another folder, or "
                "start afresh (--fresh), which replaces it"
            )
        return state

    def forget_state(self) -> None:
        """Remove the saved state, so that the run starts afresh."""
        self._state.unlink(missing_ok=True)

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write one JSON line per epoch."""
        rows = "".join(json.dumps(row) + "\n" for row in history)
        self._write(self._history, rows.encode())

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write where everything came from."""
        document = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        self._write(self._record, document.encode())

    def _write(self, path: Path, content: bytes | memoryview) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.part")
        try:
            with unfinished.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.replace(path)
        except OSError as error:  # a full disk names no file
            unfinished.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(path)) from error


def _check_sums(path: Path) -> None:
    """Refuse a file of which a bit has changed: torch reads over the checksums that it writes."""
    with zipfile.ZipFile(path) as file:
        if (damaged := file.testzip()) is not None:
            raise ValueError(f"its part {damaged} is damaged")
