"""MIDI files as rolls: a corpus of one's own, one folder or file per work.

Layout: a folder in which ``WORK/anything.mid`` is a version of the work ``WORK``, and ``WORK.mid``
at the top is the only version of its work. Files are read by the library ``pretty_midi``.

MIDI does not say which track is the melody. Of the tracks that are not drums, the one with the
lowest mean pitch is the bass (below E3), the highest that plays mostly one note at a time is the
melody, and the rest are chords; a file of one track is chords, from which :func:`split_bass` takes
the bass.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..chroma import MAX_DURATION
from ..errors import TrainingError
from .corpus import BASS, CHORDS, MELODY, Notes, Version, roll_from_notes, split_bass

#: A track's mean pitch below which it may be the bass (MIDI, E3).
BASS_BELOW = 52.0
#: Sounding notes at once up to which a track may be the melody.
MELODY_VOICES = 1.2


def read_midi_folder(folder: Path) -> Iterator[Version]:
    """Read every MIDI file of a folder, sorted by path; hidden files are passed over.

    Yields
    ------
    Version
        Of the corpus named like the folder; files without notes are left out.

    Raises
    ------
    TrainingError
        ``pretty_midi`` is not installed, the folder holds no MIDI file, or one cannot be read or
        lasts more than a day.
    """
    try:
        import pretty_midi
    except ImportError:
        raise TrainingError(
            "reading MIDI needs pretty_midi; install it with pip install 'coverdex[midi]'"
        ) from None
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in (".mid", ".midi")
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not files:
        raise TrainingError(f"{folder} holds no .mid file; give a folder of MIDI")
    for file in files:
        try:
            midi = pretty_midi.PrettyMIDI(str(file))
        except Exception as error:  # the library raises whatever its parser does
            raise TrainingError(f"{file} cannot be read as MIDI: {error}") from error
        notes = notes_of_tracks([i.notes for i in midi.instruments if not i.is_drum])
        if notes.onset.size == 0:
            continue
        seconds = float((notes.onset + notes.duration).max() - notes.onset.min())
        if seconds > MAX_DURATION:
            raise TrainingError(
                f"{file} lasts {seconds / 3600:.4g} hours; give at most {MAX_DURATION / 3600:g} "
                "(are its ticks per beat right?), or leave it out"
            )
        inside = file.relative_to(folder)
        work = inside.parts[0] if len(inside.parts) > 1 else inside.stem
        yield Version(
            work_id=f"{folder.name}_{work}",
            version_id=inside.as_posix(),
            corpus=folder.name,
            roll=roll_from_notes(split_bass(notes)),
        )


def notes_of_tracks(tracks: list[list[Any]]) -> Notes:
    """Give each track a part and put the notes of all together.

    Parameters
    ----------
    tracks : list of list
        Notes with ``start``, ``end`` (seconds), ``pitch`` and ``velocity``.
    """
    kept = [t for t in tracks if t]
    parts = [CHORDS] * len(kept)
    if len(kept) > 1:
        heights = [float(np.mean([n.pitch for n in t])) for t in kept]
        lowest = int(np.argmin(heights))
        if heights[lowest] < BASS_BELOW:
            parts[lowest] = BASS
        single = [
            i for i, t in enumerate(kept) if parts[i] == CHORDS and _voices(t) <= MELODY_VOICES
        ]
        if single:
            parts[max(single, key=lambda i: heights[i])] = MELODY
    notes = [(n, p) for t, p in zip(kept, parts, strict=True) for n in t]
    return Notes(
        onset=np.array([n.start for n, _ in notes], dtype=np.float64),
        duration=np.array([max(n.end - n.start, 1e-3) for n, _ in notes], dtype=np.float64),
        pitch=np.array([n.pitch for n, _ in notes], dtype=np.int64),
        loudness=np.array([n.velocity for n, _ in notes], dtype=np.float64),
        part=np.array([p for _, p in notes], dtype=np.int64),
    )


def _voices(track: list[Any]) -> float:
    """Mean number of notes that sound at once, while any does."""
    starts = np.array([n.start for n in track])
    ends = np.array([n.end for n in track])
    order = np.argsort(starts)
    starts, ends = starts[order], np.maximum(ends[order], starts[order] + 1e-3)
    reached = np.maximum.accumulate(ends)
    gaps = np.maximum(0.0, starts[1:] - reached[:-1]).sum()
    return float((ends - starts).sum() / (reached[-1] - starts[0] - gaps))
