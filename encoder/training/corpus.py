"""Corpora of symbolic music as rolls: what sounds in each part, in each eighth of a second.

Covers are *simulated* from symbolic music (see :mod:`.simulator`), so a training corpus is a set of
works, each with one or more versions, each version a **pitch-class roll by part**:

* shape ``(n_frames, N_PARTS, 12)``, uint8 loudness (0 silent, about 100 one note at mezzo-forte);
* ``ROLL_RATE`` frames per second of the score's own time;
* parts in the order of :data:`PARTS`: melody, inner melody, chords, bass, and ``pad``, the chords
  and bass smeared over about two seconds, as block chords or strings would render them;
* pitch classes counted from A, as HPCP counts them: ``(midi_pitch - 69) % 12``.

All versions of a corpus lie end to end in one array (:class:`RollCorpus`), so that a batch of views
is one gather. Notes come from tables (:mod:`.corpus_tables`), chord charts (:mod:`.corpus_charts`)
or MIDI files (:mod:`.corpus_midi`); rolls at 8 Hz of some 2,400 works take about 300 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Frames per second of a roll, in the score's own time.
ROLL_RATE = 8.0

#: Order of the parts along a roll's second axis.
PARTS = ("melody", "inner", "chords", "bass", "pad")
N_PARTS = len(PARTS)
MELODY, INNER, CHORDS, BASS, PAD = range(N_PARTS)

#: Length in seconds of the smear that turns chords and bass into the ``pad`` part.
PAD_SECONDS = 2.0

#: Loudness in a roll of a note of velocity 80.
NOTE_LOUDNESS = 60.0


@dataclass(frozen=True, eq=False)
class Notes:
    """The notes of one version, as parallel arrays of length ``n_notes``.

    Parameters
    ----------
    onset, duration : ndarray, shape (n_notes,), float64
        Seconds.
    pitch : ndarray, shape (n_notes,), int64
        MIDI note numbers, 69 = A 440 Hz.
    loudness : ndarray, shape (n_notes,), float64
        MIDI velocity, 0-127.
    part : ndarray, shape (n_notes,), int64
        Index into :data:`PARTS` (never ``pad``, which is derived).
    """

    onset: NDArray[np.float64]
    duration: NDArray[np.float64]
    pitch: NDArray[np.int64]
    loudness: NDArray[np.float64]
    part: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Version:
    """One version of one work.

    Parameters
    ----------
    work_id, version_id, corpus : str
        ``corpus`` names the collection it comes from.
    roll : ndarray, shape (n_frames, N_PARTS, 12), uint8
        See the module's text.
    cyclic : bool
        True when the form is played round and round (a chord chart), so that time wraps.
    """

    work_id: str
    version_id: str
    corpus: str
    roll: NDArray[np.uint8]
    cyclic: bool = False


def roll_from_notes(notes: Notes, rate: float = ROLL_RATE) -> NDArray[np.uint8]:
    """Draw notes as a roll: a note is present in every frame whose centre it covers, at least one.

    Parameters
    ----------
    notes : Notes
    rate : float
        Frames per second.

    Returns
    -------
    ndarray, shape (n_frames, N_PARTS, 12), uint8
        Silence before the first note is left out.

    Raises
    ------
    ValueError
        When there are no notes.
    """
    if notes.onset.size == 0:
        raise ValueError("a version has no notes; leave it out of the corpus")
    origin = notes.onset.min()
    start = np.round((notes.onset - origin) * rate).astype(np.int64)
    stop = np.maximum(np.round((notes.onset + notes.duration - origin) * rate), start + 1)
    stop = stop.astype(np.int64)
    n_frames = int(stop.max())
    column = notes.part * 12 + (notes.pitch - 69) % 12
    loudness = NOTE_LOUDNESS * np.sqrt(np.maximum(notes.loudness, 1.0) / 80.0)
    width = (N_PARTS - 1) * 12
    size = (n_frames + 1) * width
    edges = np.bincount(start * width + column, loudness, size)
    edges -= np.bincount(stop * width + column, loudness, size)
    played = np.cumsum(edges.reshape(n_frames + 1, N_PARTS - 1, 12), axis=0)[:n_frames]
    return with_pad(played.astype(np.float64), rate)


def with_pad(played: NDArray[np.float64], rate: float = ROLL_RATE) -> NDArray[np.uint8]:
    """Append the ``pad`` part to the four played ones and quantise.

    Parameters
    ----------
    played : ndarray, shape (n_frames, 4, 12), float
        Loudness of melody, inner, chords and bass.
    rate : float
        Frames per second.

    Returns
    -------
    ndarray, shape (n_frames, N_PARTS, 12), uint8
    """
    accompaniment = played[:, CHORDS] + played[:, BASS]
    if not accompaniment.any():
        accompaniment = played[:, MELODY] + played[:, INNER]
    pad = moving_average(accompaniment, max(1, round(PAD_SECONDS * rate)))
    peak = pad.max()
    pad *= NOTE_LOUDNESS * 1.5 / peak if peak > 0 else 1.0
    both = np.concatenate([played, pad[:, None]], axis=1)
    return np.clip(np.round(both), 0, 255).astype(np.uint8)


def moving_average(x: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Mean of ``x`` over a centred window of ``width`` frames along the first axis."""
    left = width // 2
    padded = np.pad(x, [(left + 1, width - left - 1)] + [(0, 0)] * (x.ndim - 1), mode="edge")
    padded[0] = 0
    summed = np.cumsum(padded, axis=0)
    result: NDArray[np.float64] = (summed[width:] - summed[:-width]) / width
    return result


def split_bass(notes: Notes, *, below: int = 52, window: float = 0.3) -> Notes:
    """Give the lowest notes of the chords part to the bass.

    A piano part carries its own bass. A note of the chords becomes bass when it lies below
    ``below`` (MIDI, 52 = E3) and no chord note that starts within ``window`` seconds is lower.
    """
    part = notes.part.copy()
    chords = np.flatnonzero(part == CHORDS)
    if chords.size == 0 or (part == BASS).any():
        return notes
    order = chords[np.argsort(notes.onset[chords], kind="stable")]
    bins = np.floor(notes.onset[order] / window).astype(np.int64)
    bins -= bins.min()  # an upbeat may begin before zero, and times may be those of a clock
    lowest = np.full(int(bins.max()) + 1, 128, dtype=np.int64)
    np.minimum.at(lowest, bins, notes.pitch[order])
    is_bass = (notes.pitch[order] == lowest[bins]) & (notes.pitch[order] < below)
    part[order[is_bass]] = BASS
    return Notes(notes.onset, notes.duration, notes.pitch, notes.loudness, part)


@dataclass(frozen=True, eq=False)
class RollCorpus:
    """Many versions of many works, laid end to end.

    Parameters
    ----------
    rolls : ndarray, shape (total_frames, N_PARTS * 12), uint8
        Part-major columns: ``part * 12 + pitch_class``.
    first, n_frames : ndarray, shape (n_versions,), int64
        Where each version lies in ``rolls``.
    cyclic : ndarray, shape (n_versions,), bool
    work : ndarray, shape (n_versions,), int64
        Index of each version's work in ``work_ids``.
    work_ids, version_ids, corpora : tuple of str
        Names; ``version_ids`` and ``corpora`` by version.
    """

    rolls: NDArray[np.uint8]
    first: NDArray[np.int64]
    n_frames: NDArray[np.int64]
    cyclic: NDArray[np.bool_]
    work: NDArray[np.int64]
    work_ids: tuple[str, ...]
    version_ids: tuple[str, ...]
    corpora: tuple[str, ...]

    @classmethod
    def from_versions(cls, versions: Iterable[Version]) -> RollCorpus:
        """Lay versions end to end; equal ``work_id`` means the same work."""
        kept = list(versions)
        if not kept:
            raise ValueError("the corpus is empty; check its folder and what was left out")
        work_ids = sorted({v.work_id for v in kept})
        position = {w: i for i, w in enumerate(work_ids)}
        lengths = np.array([v.roll.shape[0] for v in kept], dtype=np.int64)
        return cls(
            rolls=np.concatenate([v.roll.reshape(v.roll.shape[0], -1) for v in kept]),
            first=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64),
            n_frames=lengths,
            cyclic=np.array([v.cyclic for v in kept]),
            work=np.array([position[v.work_id] for v in kept], dtype=np.int64),
            work_ids=tuple(work_ids),
            version_ids=tuple(v.version_id for v in kept),
            corpora=tuple(v.corpus for v in kept),
        )

    @property
    def n_works(self) -> int:
        """Number of works."""
        return len(self.work_ids)

    @property
    def n_versions(self) -> int:
        """Number of versions."""
        return len(self.version_ids)

    def versions_by_work(self) -> list[NDArray[np.int64]]:
        """Return for each work the indices of its versions."""
        order = np.argsort(self.work, kind="stable")
        return np.split(order, np.searchsorted(self.work[order], np.arange(1, self.n_works)))

    def corpus_of_work(self) -> tuple[str, ...]:
        """Return for each work the collection of its first version."""
        return tuple(self.corpora[int(v[0])] for v in self.versions_by_work())


def without_works(versions: Sequence[Version], work_ids: Iterable[str]) -> list[Version]:
    """Leave out the versions of the given works."""
    dropped = set(work_ids)
    return [v for v in versions if v.work_id not in dropped]
