r"""A catalogue of every kind of seed, played by samplers, to train on.

The simulator says what chroma of a band should look like; here a band plays and the extractor
listens (:mod:`.rendering`). What is played are the works that a configuration with simulated covers
trains on, their arrangements included (:mod:`.arrangements`), so held-out works and titles that are
left out are never heard. Of each work several performances are made. For each one

1. a version is drawn, another one than before while there are others;
2. its form is changed as in a simulated cover, some parts pause in some sections, and the pitch
   classes are put into octaves (:mod:`.roll_performance`);
3. a band plays: instruments, levels, tempo, key, drums, room and tuning are drawn, and in half of
   the performances the melody is bent as a voice bends it (:mod:`.singing`).

::

    python -m coverdex.encoder.training.rendered_seeds \
        --config encoder/training/configs/coverdex-64-network.toml \
        --works pop909=900 jazz_charts=900 cocopops=300 asap=100 tunes=500 \
        --soundfont FluidR3_GM.sf2 TimGM6mb.sf2 --out runs/rendered-seeds

The result has the layout of Da-TACOS and titles that are the ids of the seeds, for
:mod:`.rendered_versions`. Everything follows from the seed. Works of all collections come in one
random order and their files are written as they are made: rendering that was stopped goes on where
it was, and ``--most`` takes the first so many works of the same order, in whole blocks of
:data:`BLOCK`, so that more can be rendered later without changing any.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ..errors import TrainingError
from ..preprocessing import Preprocessing
from .batch import SourceContext
from .config import TrainingConfig, read_config
from .corpus import Notes, RollCorpus
from .cover_batches import CoverBatches, cover_batches
from .rendered_catalogue import RenderedPerformance, with_progress, write_metadata
from .rendering import check_soundfonts, render_together
from .roll_performance import perform

#: Works are numbered from here, apart from those of :mod:`.rendered_charts`.
_FIRST = 200_000
#: Performances that one run of the sampler plays, with the same soundfont and room.
_TOGETHER = 16
#: Works whose performances are shuffled with each other, so that those of one work meet several
#: soundfonts and are nevertheless made soon after one another.
BLOCK = 64


@dataclass(frozen=True)
class Job:
    """One performance that is to be made.

    Parameters
    ----------
    work : int
        Number of the work in the corpus.
    number : int
        Its number in the catalogue.
    take : int
        Which performance of the work, from 0.
    version : int
        Number of the version in the corpus.
    """

    work: int
    number: int
    take: int
    version: int

    def named(self, corpus: RollCorpus) -> RenderedPerformance:
        """Give it ids in the catalogue, and ids of the seeds as titles."""
        title = corpus.work_ids[self.work]
        seed = f"{corpus.corpora[self.version]}/{corpus.version_ids[self.version]}"
        performance_id = f"P_{self.number * 10 + self.take}"
        return RenderedPerformance(f"W_{self.number}", performance_id, title, title, seed)


def draw_jobs(
    batches: CoverBatches, wanted: Mapping[str, int], *, takes: int, seed: int
) -> list[Job]:
    """Choose works and the versions that are played.

    Parameters
    ----------
    batches : CoverBatches
        Of which the corpus and its groups of works that may be the same count: one work of each
        group is taken.
    wanted : mapping of str to int
        Works of each collection, at most.
    takes : int
        Performances of each work, at most ten.
    seed : int

    Returns
    -------
    list of Job
        In the order in which they are to be made.

    Raises
    ------
    TrainingError
        There is no such collection, or more performances are asked for than there are ids.
    """
    corpus = batches.simulator.corpus
    if unknown := sorted(set(wanted) - set(corpus.corpora)):
        known = ", ".join(sorted(set(corpus.corpora)))
        raise TrainingError(f"the seeds have no collection {', '.join(unknown)}; they have {known}")
    if not 1 <= takes <= 10:
        raise TrainingError(f"{takes} performances of each work were asked for; give 1 to 10")
    rng = np.random.default_rng([seed, 31])
    collections, versions = corpus.corpus_of_work(), corpus.versions_by_work()
    left = dict(wanted)
    works = []
    for group in rng.permutation(len(batches.sampler.groups)):
        work = int(rng.choice(batches.sampler.groups[group]))
        if left.get(collections[work], 0) > 0:
            left[collections[work]] -= 1
            works.append(work)
    works = [works[i] for i in rng.permutation(len(works))]
    jobs: list[Job] = []
    for first in range(0, len(works), BLOCK):
        block = []
        for number, work in enumerate(works[first : first + BLOCK], _FIRST + first):
            order = rng.permutation(versions[work])
            block += [Job(work, number, k, int(order[k % order.size])) for k in range(takes)]
        jobs += [block[i] for i in rng.permutation(len(block))]
    return jobs


def of_first_works(jobs: Sequence[Job], n_works: int) -> list[Job]:
    """Keep the jobs of the first works, the last block of them whole."""
    n_blocks = -(-n_works // BLOCK)
    return [job for job in jobs if job.number < _FIRST + n_blocks * BLOCK]


def write_list(corpus: RollCorpus, jobs: Sequence[Job], folder: Path) -> None:
    """Write the catalogue's metadata; titles are the ids of the seeds.

    Raises
    ------
    TrainingError
        As :func:`~.rendered_catalogue.write_metadata`.
    """
    ordered = sorted(jobs, key=lambda job: (job.number, job.take))
    write_metadata((job.named(corpus) for job in ordered), folder)


def render_jobs(
    corpus: RollCorpus,
    jobs: Sequence[Job],
    soundfonts: Sequence[Path],
    folder: Path,
    *,
    seconds: float,
    seed: int,
    workers: int = 1,
) -> Iterator[int]:
    """Render what is not there yet; yields the number of performances after each run.

    With several workers, runs are played side by side in processes of their own; the files are the
    same. Whoever stops waits for what the processes have been handed, not for all that is drawn.

    Raises
    ------
    TrainingError
        A worker process died.
    """
    wanted = ((first, jobs[first : first + _TOGETHER]) for first in range(0, len(jobs), _TOGETHER))
    if workers == 1:
        for first, together in wanted:
            if (
                run := _run(corpus, first, together, soundfonts, folder, seconds, seed)
            ) is not None:
                run.write(folder)
            yield len(together)
        return
    # Spawned: a fork of a process that has used several threads may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[tuple[int, Future[None]]] = deque()
        try:
            for first, together in wanted:
                run = _run(corpus, first, together, soundfonts, folder, seconds, seed)
                if run is None:
                    yield len(together)
                    continue
                waiting.append((len(together), pool.submit(run.write, folder)))
                if len(waiting) > 2 * workers:
                    yield _finished(waiting.popleft())
            while waiting:
                yield _finished(waiting.popleft())
        except BrokenExecutor as error:
            raise TrainingError(
                "a process that renders died, as when memory runs out; give the same command "
                "again, which goes on where it was, with fewer --workers"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, eq=False)
class _Run:
    """Performances that the sampler plays in one go, as notes; worker processes get these."""

    performances: Sequence[RenderedPerformance]
    played: Sequence[tuple[Notes, np.random.Generator]]
    soundfont: Path
    room: bool
    seconds: float

    def write(self, folder: Path) -> None:
        heard = render_together(
            self.played,
            self.soundfont,
            seconds=self.seconds,
            room=self.room,
            detuning=0.35,
            singing=0.5,
        )
        for performance, chroma in zip(self.performances, heard, strict=True):
            performance.write(chroma, folder)


def _run(
    corpus: RollCorpus,
    first: int,
    together: Sequence[Job],
    soundfonts: Sequence[Path],
    folder: Path,
    seconds: float,
    seed: int,
) -> _Run | None:
    """Draw the performances of one run; None where their files are all there."""
    named = [job.named(corpus) for job in together]
    if all(performance.file(folder).exists() for performance in named):
        return None
    rng = np.random.default_rng([seed, 32, first])
    soundfont, room = soundfonts[int(rng.integers(len(soundfonts)))], rng.random() < 0.5
    bands = [np.random.default_rng([seed, 33, job.number, job.take]) for job in together]
    played = [
        (perform(corpus, job.version, band, seconds=1.3 * seconds), band)
        for job, band in zip(together, bands, strict=True)
    ]
    return _Run(named, played, soundfont, bool(room), seconds)


def _finished(run: tuple[int, Future[None]]) -> int:
    count, future = run
    future.result()
    return count


def _batches(config: TrainingConfig, base: Path) -> CoverBatches:
    # What is rendered here is what the configuration will learn from.
    settings = {k: v for k, v in config.data.items() if k not in ("source", "rendered")}
    if config.data.get("source") != "simulated-covers" or config.preprocessing is None:
        raise TrainingError("the configuration has no simulated covers from nothing; give one")
    with tempfile.TemporaryDirectory() as folder:
        context = SourceContext(
            Preprocessing(**config.preprocessing),
            config.kind,
            config.seed,
            "cpu",
            Path(folder),
            base,
        )
        made = cover_batches(settings, context)
        assert isinstance(made, CoverBatches)  # the decorator says no more than that it is a source
        return made


def _counts(text: str) -> tuple[str, int]:
    name, equals, number = text.partition("=")
    if not equals or not number.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not COLLECTION=NUMBER")
    return name, int(number)


def main() -> None:
    """Draw, render, write; see the module's text."""
    parser = argparse.ArgumentParser(description="Render seeds as a catalogue to train on")
    parser.add_argument("--config", type=Path, required=True, help="with simulated covers")
    parser.add_argument("--works", type=_counts, nargs="+", required=True, help="COLLECTION=NUMBER")
    parser.add_argument("--takes", type=int, default=2, help="performances of each work")
    parser.add_argument("--soundfont", type=Path, nargs="+", required=True, help="SF2 files")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each performance")
    parser.add_argument("--most", type=int, help="works, in whole blocks of 64; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that play and listen")
    parser.add_argument("--out", type=Path, required=True, help="folder of the catalogue")
    options = parser.parse_args()
    if options.workers < 1:
        parser.error(f"--workers {options.workers}: give 1 or more")
    check_soundfonts(options.soundfont)
    batches = _batches(read_config(options.config), options.config.parent)
    jobs = draw_jobs(batches, dict(options.works), takes=options.takes, seed=options.seed)
    if options.most is not None:
        jobs = of_first_works(jobs, options.most)
    corpus = batches.simulator.corpus
    write_list(corpus, jobs, options.out)
    made = render_jobs(
        corpus,
        jobs,
        options.soundfont,
        options.out,
        seconds=options.seconds,
        seed=options.seed,
        workers=options.workers,
    )
    with_progress(made, len(jobs))


if __name__ == "__main__":
    main()
