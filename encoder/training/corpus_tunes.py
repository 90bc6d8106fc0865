r"""A seed corpus of dance tunes: one melody, many players.

Where pop covers share harmony and form, versions of a traditional tune share the melody alone:
harmony, tempo, ornaments, repeats and instruments are the player's. This command makes a note table
(:mod:`.corpus_tables`) of such versions from printed collections, to be given as a seed like any
other::

    pip install "coverdex[demo-render]"        # for music21, which carries the collections
    python -m coverdex.encoder.training.corpus_tunes --out tunes.parquet \
        --leave-out indexer/demo/tunes.json

Sources: *O'Neill's Music of Ireland* (1903), *Ryan's Mammoth Collection* (1883) and James Aird's
*A Selection of Scotch, English, Irish and Foreign Airs* (1782 on): prints in the public domain, in
ABC transcriptions by many people, to whom thanks (each file names its own; for O'Neill among others
Bob Safranek, Dan G. Petersen, Henrik Norbeck and John Chambers, for Ryan mostly Ray Davies and John
Chambers, for Aird Jack Campin), which the corpus of music21 distributes with their permission.
What its licence note says is told in the demo catalogue's README. Neither notation nor table
is part of this package, and tunes whose text names thesession.org are passed over.

Left out, with everything that may be the same tune (:mod:`.tune_grouping`): the tunes that a
catalogue for testing is made of, listed in a JSON file like the demo catalogue's ``tunes.json``:
``works``, each with ``title`` and ``settings``, each of these with ``title``, ``file`` (path in
music21's corpus) and ``position`` (of the tune in its file, from 0).

Settings of one tune become versions of one work; a work with fewer settings than versions has
several versions of one setting, all different (:mod:`.tune_versions`). Ids are
``tune_TITLE_NNNN``; works of one TITLE are different melodies that may be related, and the sampler
keeps them out of one batch.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import NotFoundError, TrainingError
from .abc_notation import AbcTune, read_abc
from .corpus import Notes
from .tune_grouping import group_settings, plain_tune_title, too_like
from .tune_versions import draw_version

#: Folders of music21's corpus.
COLLECTIONS = ("oneills1850", "ryansMammoth", "airdsAirs")

#: Fewest notes of a setting that is worth a version.
FEWEST_NOTES = 24

#: Columns of a note table, in the types of :mod:`.corpus_tables`.
SCHEMA = pa.schema(
    [
        ("work_id", pa.string()),
        ("version_id", pa.string()),
        ("onset_ms", pa.list_(pa.int32())),
        ("duration_ms", pa.list_(pa.int32())),
        ("midi_pitch", pa.list_(pa.uint8())),
        ("velocity", pa.list_(pa.uint8())),
        ("part", pa.list_(pa.uint8())),
    ]
)


@dataclass(frozen=True)
class Setting:
    """A tune on a page: the file in the corpus, its position there from 0, and the notation."""

    file: str
    position: int
    tune: AbcTune


@dataclass(frozen=True)
class TuneWork:
    """Settings of one tune, under one id."""

    work_id: str
    settings: tuple[Setting, ...]


def music21_corpus() -> Path:
    """Find the corpus of the installed music21.

    Raises
    ------
    TrainingError
        It is not installed.
    """
    from importlib.util import find_spec

    spec = find_spec("music21")
    if spec is None or spec.origin is None:
        raise TrainingError(
            'the tunes come with music21; run `pip install "coverdex[demo-render]"`'
        )
    return Path(spec.origin).parent / "corpus"


def read_settings(corpus: Path, collections: Sequence[str] = COLLECTIONS) -> list[Setting]:
    """Read the tunes of some folders of ABC files.

    Parameters
    ----------
    corpus : Path
    collections : sequence of str
        Folders in it.

    Returns
    -------
    list of Setting
        By file and position; files that name thesession.org and very short tunes left out.

    Raises
    ------
    NotFoundError
        A folder holds no ABC file.
    """
    settings: list[Setting] = []
    for collection in collections:
        files = sorted((corpus / collection).glob("*.abc"))
        if not files:
            raise NotFoundError(f"no ABC files in {corpus / collection}")
        for file in files:
            text = file.read_text(encoding="utf-8", errors="replace")
            if "thesession" in text.lower():
                continue
            for position, tune in enumerate(read_abc(text)):
                if tune and sum(len(s.notes) for s, _ in tune.strains) >= FEWEST_NOTES:
                    settings.append(Setting(f"{collection}/{file.name}", position, tune))
    return settings


def leave_out_tunes(settings: Sequence[Setting], listed: Path) -> list[Setting]:
    """Leave out the tunes of a catalogue, and whatever may be one of them.

    Parameters
    ----------
    settings : sequence of Setting
    listed : Path
        JSON as described above.

    Raises
    ------
    NotFoundError
        No such file.
    TrainingError
        It is no such list, or a listed setting is not among ``settings``: the list is of another
        corpus.
    """
    try:
        works = json.loads(listed.read_text(encoding="utf-8"))["works"]
        places = {(s["file"], int(s["position"])) for work in works for s in work["settings"]}
        titles = {plain_tune_title(t["title"]) for work in works for t in (work, *work["settings"])}
    except FileNotFoundError:
        raise NotFoundError(f"no list of tunes at {listed}") from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise TrainingError(
            f"{listed} is no list of tunes ({type(error).__name__}: {error}); give JSON with "
            "works, each with title and settings, these with title, file and position"
        ) from error
    excluded = [s.tune for s in settings if (s.file, s.position) in places]
    if len(excluded) < len(places):
        raise TrainingError(
            f"{listed} names {len(places)} settings, of which {len(places) - len(excluded)} are "
            "not in the corpus; give the list that was made from this corpus"
        )
    near = too_like([s.tune for s in settings], excluded)
    titles -= {""}
    return [
        s
        for s, out in zip(settings, near, strict=True)
        if not out and plain_tune_title(s.tune.title) not in titles
    ]


def tune_works(settings: Sequence[Setting]) -> list[TuneWork]:
    """Group settings into works; ids say which works are related."""
    tunes, families = group_settings([s.tune for s in settings])
    members: dict[tuple[int, int], list[Setting]] = defaultdict(list)
    for setting, tune, family in zip(settings, tunes, families, strict=True):
        members[family, tune].append(setting)
    works: list[TuneWork] = []
    number: dict[int, int] = defaultdict(int)
    for (family, _), of_work in sorted(members.items()):
        number[family] += 1
        # The number of the family keeps "A Reel" and another "A Reel" apart.
        name = f"{plain_tune_title(settings[family].tune.title) or 'untitled'}{family}"
        works.append(TuneWork(f"tune_{name}_{number[family]:04d}", tuple(of_work)))
    return works


def choose_works(works: Sequence[TuneWork], n: int, seed: int) -> list[TuneWork]:
    """Choose ``n`` works: first those of several settings, then others at random."""
    lot = np.random.default_rng([seed, 1]).permutation(len(works))
    order = sorted(lot.tolist(), key=lambda i: len(works[i].settings) < 2)
    return [works[i] for i in sorted(order[:n])]


def draw_versions(
    works: Sequence[TuneWork], n_versions: int, seed: int, seconds: tuple[float, float]
) -> Iterator[tuple[str, str, Notes]]:
    """Draw versions of each work, its settings in turn.

    Yields
    ------
    work_id, version_id : str
    notes : Notes
    """
    for i, work in enumerate(works):
        for k in range(max(n_versions, min(len(work.settings), n_versions + 2))):
            setting = work.settings[k % len(work.settings)]
            rng = np.random.default_rng([seed, 2, i, k])
            version_id = f"{setting.file.removesuffix('.abc')}/{setting.position}/{k}"
            yield work.work_id, version_id, draw_version(setting.tune, rng, seconds=seconds)


def tune_versions(
    leave_out: Path,
    *,
    corpus: Path | None = None,
    n_works: int = 2400,
    n_versions: int = 3,
    seconds: tuple[float, float] = (35.0, 75.0),
    seed: int = 1,
) -> Iterator[tuple[str, str, Notes]]:
    """Draw versions of dance tunes from the collections, as :func:`draw_versions` does.

    Parameters
    ----------
    leave_out : Path
        JSON list of the tunes of a catalogue for testing, as described above.
    corpus : Path, optional
        Folder of the collections; that of music21 when left out.
    n_works, n_versions : int
        Most works, and versions of each.
    seconds : (float, float)
        Range of the length of a version.
    seed : int

    Yields
    ------
    work_id, version_id : str
    notes : Notes
    """
    kept = leave_out_tunes(read_settings(corpus or music21_corpus()), leave_out)
    works = choose_works(tune_works(kept), n_works, seed)
    yield from draw_versions(works, n_versions, seed, seconds)


def table_row(work_id: str, version_id: str, notes: Notes) -> dict[str, object]:
    """Put a version into the columns of a note table."""
    order = np.lexsort((notes.pitch, notes.onset))
    return {
        "work_id": work_id,
        "version_id": version_id,
        "onset_ms": np.round(1000 * notes.onset[order]).astype(np.int32),
        "duration_ms": np.maximum(1, np.round(1000 * notes.duration[order])).astype(np.int32),
        "midi_pitch": notes.pitch[order].astype(np.uint8),
        "velocity": np.round(notes.loudness[order]).astype(np.uint8),
        "part": notes.part[order].astype(np.uint8),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the table; ``--help`` lists the settings."""
    parser = argparse.ArgumentParser(description="Make a note table of versions of dance tunes.")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--leave-out", type=Path, required=True, help="JSON list of a test's tunes")
    parser.add_argument("--corpus", type=Path, help="folder of collections; music21's by default")
    parser.add_argument("--works", type=int, default=2400, help="most works")
    parser.add_argument("--versions", type=int, default=3, help="versions of each")
    parser.add_argument("--seconds", type=float, nargs=2, default=(35.0, 75.0), help="length")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    settings = read_settings(chosen.corpus or music21_corpus())
    kept = leave_out_tunes(settings, chosen.leave_out)
    works = choose_works(tune_works(kept), chosen.works, chosen.seed)
    versions = draw_versions(works, chosen.versions, chosen.seed, tuple(chosen.seconds))
    rows = [table_row(*version) for version in versions]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), chosen.out, compression="zstd")
    print(
        f"{len(settings)} settings read, {len(settings) - len(kept)} left out, "
        f"{len(works)} works and {len(rows)} versions written to {chosen.out}"
    )


if __name__ == "__main__":
    main()
