"""The corpora of a run with simulated covers: the works that it learns from, and those held out.

What is read is said by the settings of :mod:`.cover_settings`: tables or folders of symbolic music,
dance tunes, arrangements of both; titles that may be in a test are left out, and some works of one
collection are held out for the curves. Reading takes minutes. What was read last is kept, since
runs that are compared with each other (:mod:`.design_search`) differ in other settings mostly;
nothing changes a corpus, so runs can share one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import TrainingError
from .arrangements import read_arrangements
from .batch import SourceContext
from .corpus import RollCorpus, Version, roll_from_notes
from .corpus_tunes import tune_versions
from .cover_settings import CoverSettings, TuneSettings
from .seeds import hold_out, leave_out, read_seeds

#: Settings of the source that decide what is read.
DECISIVE = {
    "seeds",
    "leave_out_titles",
    "held_out_corpus",
    "held_out_works",
    "held_out_seed",
    "arrangements",
    "tunes",
}


class SeedCorpora(NamedTuple):
    """What was read.

    Parameters
    ----------
    trained : RollCorpus
        Works to train on, arrangements included.
    held_out : RollCorpus or None
        Works that training must not see; as they are, not arranged.
    """

    trained: RollCorpus
    held_out: RollCorpus | None


_last: tuple[str, SeedCorpora] | None = None


def read_corpora(settings: CoverSettings, context: SourceContext) -> SeedCorpora:
    """Read the seeds, or take those that were read last if they are the same.

    Parameters
    ----------
    settings : CoverSettings
    context : SourceContext
        From whose folder relative paths count.

    Raises
    ------
    TrainingError
        The seeds hold too little, or something that cannot be read.
    NotFoundError
        No such seeds.
    """
    global _last
    chosen = settings.model_dump(mode="json", include=DECISIVE)
    paths = [context.path(seed) for seed in settings.seeds]
    changed = [path.stat().st_mtime_ns for path in paths if path.exists()]
    key = json.dumps([str(context.base.resolve()), chosen, changed], sort_keys=True)
    if _last is None or _last[0] != key:
        _last = None  # two corpora at once would take twice the memory
        _last = key, _read(settings, context)
    return _last[1]


def _read(settings: CoverSettings, context: SourceContext) -> SeedCorpora:
    paths = [context.path(seed) for seed in settings.seeds]
    _check_arranged(settings.arrangements, paths)
    versions = leave_out(
        read_seeds(paths) + _tunes(settings.tunes, context), settings.leave_out_titles
    )
    if not versions:
        raise TrainingError(
            f"[data] seeds ({', '.join(settings.seeds) or 'none'}) hold no work to train on; give "
            "more, or leave out fewer titles"
        )
    held: RollCorpus | None = None
    if settings.held_out_works and settings.held_out_corpus:
        versions, held_versions = hold_out(
            versions,
            corpus=settings.held_out_corpus,
            n_works=settings.held_out_works,
            seed=settings.held_out_seed,
        )
        held = RollCorpus.from_versions(held_versions)
        if not versions:
            raise TrainingError(
                "[data] held_out_works leaves no work to train on; hold out fewer, or give more "
                "seeds"
            )
    works = {version.work_id for version in versions}
    versions += read_arrangements(paths, settings.arrangements, works)
    return SeedCorpora(RollCorpus.from_versions(versions), held)


def _check_arranged(arrangements: Mapping[str, int], paths: Sequence[Path]) -> None:
    """Refuse arrangements of what is no table of the seeds, before they are read."""
    tables = [path.stem for path in paths if not path.is_dir()]
    unknown = sorted(set(arrangements) - set(tables))
    if unknown and all(path.exists() for path in paths):  # one that is not is named later
        raise TrainingError(
            f"[data.arrangements] names {', '.join(unknown)}; the tables of the seeds are "
            f"{', '.join(tables) or 'none'}, and nothing else is arranged"
        )


def _tunes(settings: TuneSettings | None, context: SourceContext) -> list[Version]:
    """Draw the versions of the dance tunes, if any are wanted."""
    if settings is None:
        return []
    drawn = tune_versions(
        context.path(settings.leave_out),
        corpus=context.path(settings.corpus) if settings.corpus else None,
        n_works=settings.works,
        n_versions=settings.versions,
    )
    return [
        Version(work, version, "tunes", roll_from_notes(notes)) for work, version, notes in drawn
    ]
