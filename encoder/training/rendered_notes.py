r"""A catalogue of the versions of a note table as they stand, played by samplers.

Tune families are covers of another kind: melodies that singers have handed on, alike in outline and
different in detail, without harmony. MTC-ANN (van Kranenburg, Janssen and Volk 2016, "The Meertens
Tune Collections") has 360 Dutch melodies that experts put into 26 families. Here each melody of
such a table is sung through several times by an instrument drawn at random, at its own tempo, in
its own key and tuning (:mod:`.rendering`), and the extractor listens. Nothing is arranged,
harmonised or cut: what is measured is whether melodies alone are recognised::

    python -m coverdex.encoder.training.rendered_notes --notes mtcann.parquet --verses 3 \
        --soundfont FluidR3_GM.sf2 TimGM6mb.sf2 --out rendered-families
    coverdex encoder evaluate rendered-families

Everything follows from the seed, and rendering that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..chroma import Chroma
from .corpus import Notes
from .corpus_tables import read_notes
from .rendered_catalogue import RenderedPerformance, with_progress, write_metadata
from .rendering import check_soundfonts, render_together

#: Works are numbered from here, apart from those of other rendered catalogues.
_FIRST = 300_000
#: Most versions of one work that have ids of their own.
_MOST_VERSIONS = 1_000
#: Performances that one run of the sampler plays, with the same soundfont and room.
_TOGETHER = 16
#: Greatest distance of a tuning from 440 Hz, in semitones.
_DETUNING = 0.35
#: Slowest tempo that a band draws, as a share of the notated one.
_SLOWEST = 0.77


def in_verses(notes: Notes, n_verses: int) -> Notes:
    """Repeat notes, each verse where the one before ends.

    Parameters
    ----------
    notes : Notes
    n_verses : int
        How often they are played.
    """
    later: NDArray[np.float64] = np.repeat(np.arange(n_verses), notes.onset.size)
    return Notes(
        onset=np.tile(notes.onset, n_verses) + later * length_of(notes),
        duration=np.tile(notes.duration, n_verses),
        pitch=np.tile(notes.pitch, n_verses),
        loudness=np.tile(notes.loudness, n_verses),
        part=np.tile(notes.part, n_verses),
    )


def length_of(notes: Notes) -> float:
    """Seconds from the first onset to the last end."""
    return float((notes.onset + notes.duration).max() - notes.onset.min())


def catalogue_of(path: Path) -> list[tuple[RenderedPerformance, Notes]]:
    """Give every version of a note table its ids, in the order of the table.

    Raises
    ------
    ValueError
        A work has more than 1,000 versions.
    """
    numbers: dict[str, int] = {}
    seen: dict[str, int] = {}
    found = []
    for work, version, notes in read_notes(path):
        number = _FIRST + numbers.setdefault(work, len(numbers))
        take = seen[work] = seen.get(work, -1) + 1
        if take >= _MOST_VERSIONS:
            raise ValueError(f"{work} has more than {_MOST_VERSIONS} versions; leave some out")
        named = RenderedPerformance(
            f"W_{number}", f"P_{number * _MOST_VERSIONS + take}", work, version, path.stem
        )
        found.append((named, notes))
    return found


def render_catalogue(
    catalogue: Sequence[tuple[RenderedPerformance, Notes]],
    soundfonts: Sequence[Path],
    folder: Path,
    *,
    n_verses: int,
    seconds: float,
    drums: float,
    seed: int,
) -> Iterator[int]:
    """Render what is not there yet; yields the number of performances after each run.

    Parameters
    ----------
    catalogue : sequence of (RenderedPerformance, Notes)
    soundfonts : sequence of Path
        SF2 files.
    folder : Path
        The catalogue's.
    n_verses : int
        How often the notes are played.
    seconds : float
        Greatest length of a performance.
    drums : float
        Share of the performances that have drums.
    seed : int
    """
    for first in range(0, len(catalogue), _TOGETHER):
        together = catalogue[first : first + _TOGETHER]
        if not all(named.file(folder).exists() for named, _ in together):
            rng = np.random.default_rng([seed, 41, first])
            soundfont, room = soundfonts[int(rng.integers(len(soundfonts)))], rng.random() < 0.5
            bands = [
                np.random.default_rng([seed, 42, first + place]) for place in range(len(together))
            ]
            sung = [in_verses(notes, n_verses) for _, notes in together]
            lengths = [min(seconds, length_of(notes) / _SLOWEST) for notes in sung]
            heard = render_together(
                list(zip(sung, bands, strict=True)),
                soundfont,
                seconds=max(lengths),
                room=room,
                detuning=_DETUNING,
                drums=drums,
            )
            for (named, _), chroma in zip(together, heard, strict=True):
                named.write(without_silence(chroma), folder)
        yield len(together)


def without_silence(chroma: Chroma) -> Chroma:
    """Leave out the silence after the last sound; all of it stays where nothing sounds."""
    sounding = np.flatnonzero(chroma.values.any(axis=1))
    end = sounding[-1] + 1 if sounding.size else chroma.n_frames
    return Chroma(chroma.values[:end], chroma.frame_rate)


def main() -> None:
    """Read, render, write; see the module's text."""
    parser = argparse.ArgumentParser(description="Render a note table as a catalogue")
    parser.add_argument("--notes", type=Path, required=True, help="note table (Parquet)")
    parser.add_argument("--soundfont", type=Path, nargs="+", required=True, help="SF2 files")
    parser.add_argument("--verses", type=int, default=1, help="how often the notes are played")
    parser.add_argument("--seconds", type=float, default=120.0, help="at most, per performance")
    parser.add_argument("--drums", type=float, default=0.0, help="share of them with drums")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder of the catalogue")
    options = parser.parse_args()
    check_soundfonts(options.soundfont)
    catalogue = catalogue_of(options.notes)
    write_metadata((named for named, _ in catalogue), options.out)
    made = render_catalogue(
        catalogue,
        options.soundfont,
        options.out,
        n_verses=options.verses,
        seconds=options.seconds,
        drums=options.drums,
        seed=options.seed,
    )
    with_progress(made, len(catalogue))


if __name__ == "__main__":
    main()
