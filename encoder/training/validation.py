"""Validation: MAP on recordings that training never sees.

The chroma of a validation set is preprocessed once and kept; after each epoch the present weights
embed it and the evaluation of the benchmark (handed down, see :mod:`.world`) ranks it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..encoder import Encoder, PreparedChroma
from ..errors import InvalidChromaError, NotFoundError, TrainingError
from .config import ValidationConfig
from .world import TrainingWorld


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """Prepared chroma of a catalogue and whose it is.

    Parameters
    ----------
    name : str
        What the curves and the record call it.
    tracks : list of PreparedChroma
        Preprocessed chroma, each ``(n_frames, 12)``.
    works : list of str
        The work of each; performances of unknown work get one of their own.
    n_rejected : int
        Performances that hold nothing to embed.
    """

    name: str
    tracks: list[PreparedChroma]
    works: list[str]
    n_rejected: int

    def evaluate(self, encoder: Encoder, world: TrainingWorld) -> dict[str, Any]:
        """Embed the set and rank it: ``map``, ``mr1`` and the rest, counts, ``n_rejected``."""
        embeddings = np.stack(list(encoder.embed_many(self.tracks)))
        summary = world.evaluate_embeddings(embeddings, self.works).summary()
        return {**summary, "n_rejected": self.n_rejected}


def load_validation_set(
    config: ValidationConfig,
    encoder: Encoder,
    world: TrainingWorld | None,
    base: Path,
    trained_works: Collection[str],
) -> ValidationSet | None:
    """Read and preprocess a validation set; None where it is missing and optional.

    Parameters
    ----------
    config : ValidationConfig
        What and where.
    encoder : Encoder
        Whose preprocessing and kind count.
    world : TrainingWorld
        Opens the catalogue.
    base : pathlib.Path
        Folder from which a relative path counts.
    trained_works : collection of str
        Works that training sees.

    Raises
    ------
    NotFoundError
        It is missing.
    TrainingError
        A work of it is trained on, or it cannot be ranked.
    """
    if world is None:
        raise TrainingError(
            f"[[validation]] {config.name} needs a world to open catalogues; hand one to the "
            "trainer, as the command line does"
        )
    try:
        location = locate(config.catalogue, base)
        subset = {} if config.subset is None else {"subset": config.subset}
        catalogue = world.open_catalogue(location, kind=encoder.kind, **subset)
    except NotFoundError:
        if config.optional:
            return None
        raise
    tracks: list[PreparedChroma] = []
    works: list[str] = []
    n_rejected = 0
    for record, chroma in catalogue:
        try:
            tracks.append(encoder.prepare(chroma))
        except InvalidChromaError:
            n_rejected += 1
            continue
        works.append(record.work_id or f"unknown work of {record.performance_id}")
    if len(set(works)) == len(works):
        raise TrainingError(
            f"[[validation]] {config.name}: no work of {config.catalogue} has two performances, "
            "so there is nothing to find; give a catalogue with covers"
        )
    shared = sorted(set(works) & set(trained_works))
    if shared and not config.unrelated_ids:
        raise TrainingError(
            f"[[validation]] {config.name}: {len(shared)} of its works are trained on "
            f"({', '.join(shared[:5])}{', ...' if len(shared) > 5 else ''}); leave them out of the "
            "training data, or set unrelated_ids = true if equal ids mean nothing"
        )
    return ValidationSet(config.name, tracks, works, n_rejected)


def locate(catalogue: str, base: Path) -> str:
    """Resolve a catalogue of a configuration: a path from ``base`` if it exists, else as it is."""
    path = base / Path(catalogue).expanduser()
    return str(path.resolve()) if path.exists() else catalogue
