"""Which settings of the demo catalogue are versions of one tune, and where each is written down.

A *setting* is one collection's way of notating a tune; settings of the same tune differ in key, in
the number of parts, often in whole phrases, as versions of a song do. ``tunes.json`` beside this
file lists 66 tunes in 140 settings from three printed collections (O'Neill 1903, Ryan 1883, Aird
1782): which belong together, title and key as printed, and the ABC file of the ``music21`` corpus
that holds the notes. The work and performance ids are ours and do not change.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

TUNES_FILE = Path(__file__).with_name("tunes.json")

#: Semitones above C of the seven letters.
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_MODES = {"": "major", "m": "minor", "dor": "dorian", "mix": "mixolydian", "lyd": "lydian"}
_KEY = re.compile(r"([A-G])([#b]?)\s*(|m|dor|mix|lyd)", re.IGNORECASE)


@dataclass(frozen=True)
class Collection:
    """A printed collection: its name, who edited it, and the year of its first volume."""

    name: str
    editor: str
    year: int


@dataclass(frozen=True)
class Setting:
    """One tune as one collection prints it; the demo plays each setting once.

    Parameters
    ----------
    performance_id, work_id : str
        Ids in the demo catalogue, ``P_100101`` and ``W_1001``.
    work_title, title : str
        The tune's common name, and the title that this collection prints.
    key : str
        As the ABC notation writes it: ``"G"``, ``"Am"``, ``"Dmix"``.
    collection : Collection
        Where it was printed.
    file : str
        ABC file, relative to the folder of the ``music21`` corpus.
    position : int
        Which tune of that file, counting its ``X:`` lines from 0.
    """

    performance_id: str
    work_id: str
    work_title: str
    title: str
    key: str
    collection: Collection
    file: str
    position: int

    @property
    def tonic(self) -> int:
        """Pitch class of the tonic as printed, C = 0."""
        return _parsed_key(self.key)[0]

    @property
    def mode(self) -> str:
        """One of major, minor, dorian, mixolydian, lydian."""
        return _parsed_key(self.key)[1]


def read_works(path: Path = TUNES_FILE) -> list[list[Setting]]:
    """Return the tunes, each as the list of its settings, both in the order of their ids."""
    content = json.loads(path.read_text(encoding="utf-8"))
    collections = {name: Collection(**value) for name, value in content["collections"].items()}
    return [
        [
            Setting(
                work_id=work["work_id"],
                work_title=work["title"],
                **{**setting, "collection": collections[setting["collection"]]},
            )
            for setting in work["settings"]
        ]
        for work in content["works"]
    ]


def _parsed_key(key: str) -> tuple[int, str]:
    match = _KEY.fullmatch(key.strip())
    if match is None:
        raise ValueError(f"key is {key!r}; write it like G, Am, F#m, Dmix, Edor")
    letter, accidental, mode = match.groups()
    shift = {"": 0, "#": 1, "b": -1}[accidental]
    return (_LETTERS[letter.upper()] + shift) % 12, _MODES[mode.lower()]
