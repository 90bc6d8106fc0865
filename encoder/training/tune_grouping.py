"""Which settings are one tune: by title and by melody.

Collections of dance tunes overlap: the same tune is printed under one name or several, in other
keys and with other ornaments, and different tunes share a name. Two things follow for training.
Settings of one tune must never be pushed apart as if they were two works, and settings of two
tunes should not be pulled together because both are called "The Cuckoo".

*Likeness* of two melodies is the share of the shorter one's distinct 7-note interval sequences that
the other one has too (0-1), counted in semitones, so that key does not matter. Among 4,200 settings
it is .02 in the median and .11 for the likest pair in a hundred, but over .4 for most pairs of one
title. The *incipit* is what sounds on the
first eight beats of a tune, as intervals from the first.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from .abc_notation import AbcTune

#: Intervals in a sequence; columns that the sequences are hashed to.
_GRAM, _COLUMNS = 6, 8192
#: Likeness from which two settings of one title are one tune, and two of any titles.
SAME_WITHIN_TITLE, SAME_MELODY = 0.15, 0.4
#: Likeness to a tune that is to be left out from which a setting is left out too.
TOO_LIKE = 0.2
#: Beats of the incipit, and how many of them may differ where a tune is to be left out.
INCIPIT_BEATS, INCIPIT_SLACK = 8, 1

_KINDS = (
    "a an the of or and in to no do ditto irish scotch scots scottish english french "
    "german italian american dutch welsh highland lowland new old favourite favorite quick "
    "slow slip double single jig reel hornpipe march step quickstep strathspey waltz "
    "minuet menuet gavotte cotillon cotillion cottillon allemande air aire song dance clog "
    "fling country set setting grand untitled gan ainm can be used as polka quadrille "
    "rondo rondeau giga minuetto lesson trio duet tune first second third 1st 2nd 3rd 1 2 "
    "3 4"
)
_GENERIC = frozenset(_KINDS.split())


def plain_tune_title(title: str) -> str:
    """Give a title without spelling, article, number of the setting and kind of dance.

    ``"The Blooming Meadows -- Jig"``, ``"Blooming Meadows, The. 2nd Setting"`` and
    ``"BLOOMING MEADOWS (jig)"`` are the same. Empty when only the kind is left ("A Reel"): such a
    title says nothing.
    """
    text = re.sub(r"\([^)]*\)|\s--?\s.*", " ", title.lower()).replace("\u2019", "'")
    text = text.replace("'", "")
    text = re.sub(r"\b(1st|2nd|3rd|4th|first|second|third)\s+(setting|version|way)\b", " ", text)
    words = re.findall(r"[a-z0-9]+", text)
    if all(word in _GENERIC for word in words):
        return ""
    while words and words[-1] in ("the", "a", "jig", "reel", "hornpipe", "march", "strathspey"):
        words.pop()
    while words and words[0] in ("the", "a", "an"):
        words.pop(0)
    return "".join(words)


def melody_pitches(tune: AbcTune) -> NDArray[np.int64]:
    """Return the pitches of the tune, each strain once, repeated notes once."""
    pitches = np.array([n.pitch for first, _ in tune.strains for n in first.notes], dtype=np.int64)
    new: NDArray[np.bool_] = np.append(True, np.diff(pitches) != 0)
    kept: NDArray[np.int64] = pitches[new]
    return kept


def incipit(tune: AbcTune) -> NDArray[np.int64]:
    """Return what sounds on the first beats after the pickup, as intervals modulo 12."""
    strain = tune.strains[0][0]
    start = 0.0
    if len(strain.bars) > 2 and strain.bars[1] < 0.75 * tune.bar:
        start = strain.bars[1]
    onsets = np.array([n.onset for n in strain.notes])
    times = start + tune.beat * np.arange(INCIPIT_BEATS) + 1e-6
    at = np.clip(np.searchsorted(onsets, times, side="right") - 1, 0, None)
    pitches = np.array([n.pitch for n in strain.notes], dtype=np.int64)[at]
    steps: NDArray[np.int64] = (pitches - pitches[0]) % 12
    return steps


def interval_sequences(tunes: Sequence[AbcTune]) -> NDArray[np.float32]:
    """Mark which interval sequences each tune has.

    Returns
    -------
    ndarray, shape (n_tunes, 8192), float32
        0 or 1; sequences are hashed to columns.
    """
    marks = np.zeros((len(tunes), _COLUMNS), dtype=np.float32)
    for i, tune in enumerate(tunes):
        steps = np.diff(melody_pitches(tune)).astype(np.int8)
        for k in range(steps.size - _GRAM + 1):
            marks[i, zlib.crc32(steps[k : k + _GRAM].tobytes()) % _COLUMNS] = 1.0
    return marks


def likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the likeness of each melody of ``a`` (n, 8192) to each of ``b`` (m, 8192): (n, m)."""
    shorter = np.minimum(a.sum(axis=1)[:, None], b.sum(axis=1)[None])
    shared: NDArray[np.float32] = (a @ b.T) / np.maximum(shorter, 1.0)
    return shared


def too_like(tunes: Sequence[AbcTune], others: Sequence[AbcTune]) -> NDArray[np.bool_]:
    """Say which tunes may be one of ``others``, by title, incipit or likeness; rather too many.

    Returns
    -------
    ndarray, shape (n_tunes,), bool
    """
    if not others:
        return np.zeros(len(tunes), dtype=bool)
    titles = {plain_tune_title(t.title) for t in others} - {""}
    named = np.array([plain_tune_title(t.title) in titles for t in tunes], dtype=bool)
    alike = likeness(interval_sequences(tunes), interval_sequences(others)).max(axis=1) >= TOO_LIKE
    openings = np.stack([incipit(t) for t in others])
    mine = np.stack([incipit(t) for t in tunes])
    same = (mine[:, None] == openings[None]).sum(axis=2).max(axis=1)
    near: NDArray[np.bool_] = named | alike | (same >= INCIPIT_BEATS - INCIPIT_SLACK)
    return near


def group_settings(tunes: Sequence[AbcTune]) -> tuple[list[int], list[int]]:
    """Sort settings into tunes, and tunes into families that must not be told apart.

    Returns
    -------
    tune, family : list of int
        For each setting the first setting of its tune, and of its family. Settings of one tune are
        like each other in melody; a family also holds those that share a title alone.
    """
    marks = interval_sequences(tunes)
    alike = likeness(marks, marks)
    titles = [plain_tune_title(t.title) for t in tunes]
    incipits = [incipit(t).tobytes() for t in tunes]
    same: list[tuple[int, int]] = []
    related: list[tuple[int, int]] = []
    for i, j in _pairs_of(titles):
        related.append((i, j))
        if alike[i, j] >= SAME_WITHIN_TITLE:
            same.append((i, j))
    # An opening alone is shared by different tunes: it keeps them from being negatives.
    related.extend(_pairs_of(incipits))
    same.extend((int(i), int(j)) for i, j in np.argwhere(np.triu(alike >= SAME_MELODY, 1)))
    return _roots(len(tunes), same), _roots(len(tunes), [*same, *related])


def _pairs_of(keys: Sequence[str | bytes]) -> Iterable[tuple[int, int]]:
    first: dict[str | bytes, list[int]] = {}
    for i, key in enumerate(keys):
        if key:
            for j in first.setdefault(key, []):
                yield j, i
            first[key].append(i)


def _roots(n: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Give each of ``n`` items the least item that it is joined to through any pairs."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in pairs:
        a, b = sorted((root(i), root(j)))
        parent[b] = a
    return [root(i) for i in range(n)]
