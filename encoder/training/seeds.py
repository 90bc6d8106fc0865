"""The seeds of training: which files, which works of them, and which are kept out.

A *seed* is a work as symbols, from which covers are simulated. Seeds come from a folder of Parquet
tables (:mod:`.corpus_tables`, :mod:`.corpus_charts`) or of MIDI files (:mod:`.corpus_midi`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import NotFoundError, TrainingError
from .corpus import Version
from .corpus_charts import read_chart_table
from .corpus_tables import columns_of, read_note_table
from .sampler import title_key


def read_seeds(paths: Iterable[Path]) -> list[Version]:
    """Read every version of some seed files.

    Parameters
    ----------
    paths : iterable of Path
        Parquet tables of notes or of charts (told apart by their columns), or folders of MIDI
        files.

    Raises
    ------
    NotFoundError
        A path is missing.
    TrainingError
        A table of neither kind, or one that cannot be read.
    """
    versions: list[Version] = []
    for path in paths:
        if path.is_dir():
            from .corpus_midi import read_midi_folder

            versions.extend(read_midi_folder(path))
            continue
        if not path.exists():
            raise NotFoundError(f"no seeds at {path}; give a Parquet table or a folder of MIDI")
        columns = columns_of(path)
        if "chords_json" in columns:
            versions.extend(read_chart_table(path))
        elif "onset_ms" in columns:
            versions.extend(read_note_table(path))
        else:
            raise TrainingError(
                f"{path} has the columns {', '.join(sorted(columns))}; a table of notes has "
                "onset_ms, a table of charts chords_json"
            )
    return versions


def plain_title(text: str) -> str:
    """Letters and digits alone, of any script: lower case, no accents."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in folded if c.isalnum())


def leave_out(versions: Sequence[Version], titles: Iterable[str]) -> list[Version]:
    """Leave out works whose id ends in one of the titles (before a year), whatever their artist.

    Parameters
    ----------
    versions : sequence of Version
    titles : iterable of str
        In any spelling: only letters and digits count.
    """
    endings = tuple(sorted({plain_title(t) for t in titles} - {""}))
    if not endings:
        return list(versions)
    dropped = {
        w
        for w in {v.work_id for v in versions}
        if plain_title(re.sub(r"(_\d{4})?(\.varms)?$", "", w)).endswith(endings)
    }
    return [v for v in versions if v.work_id not in dropped]


def hold_out(
    versions: Sequence[Version], *, corpus: str, n_works: int, seed: int
) -> tuple[list[Version], list[Version]]:
    """Split off works with two versions or more, for validation.

    Parameters
    ----------
    versions : sequence of Version
    corpus : str
        The collection that they are taken from.
    n_works : int
        How many.
    seed : int
        Decides which.

    Returns
    -------
    kept, held : list of Version
        No work is in both, nor one that may be the same as one of the other
        (:func:`.sampler.title_key`): what is held out of one collection is kept out of all.
    """
    counts = Counter(v.work_id for v in versions if v.corpus == corpus)
    several = sorted(w for w, n in counts.items() if n >= 2)
    if n_works > len(several):
        raise TrainingError(
            f"{n_works} works of {corpus} are to be held out, but only {len(several)} have two "
            "versions or more"
        )
    held = set(np.random.default_rng(seed).choice(several, n_works, replace=False).tolist())
    unseen = {title_key(work) for work in held}
    return (
        [v for v in versions if title_key(v.work_id) not in unseen],
        [v for v in versions if v.work_id in held],
    )
