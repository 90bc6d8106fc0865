"""Running a benchmark: every system ranks the catalogue, every ranking is evaluated.

The catalogue is read once into memory if a system has to hear it (about a megabyte per four
minutes); a specification of rankings alone, such as an index of all of Da-TACOS, reads no chroma.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...encoder.errors import CoverdexError, InvalidChromaError, NotFoundError
from ..baselines.system import Progress, progress_unit_of
from ..encoder_system import EncoderSystem
from ..leakage import Known, Leakage, check_leakage
from ..metrics import NothingToEvaluateError, evaluate
from ..near_duplicates import near_duplicates_of
from ..protocols import ProtocolCheck, check_protocol, protocol_named
from ..published_codes import PUBLISHED_CODES
from ..rankings import Ranking, open_ranking, queries_left_out, share_listed
from ..side_by_side import names_of, system_named
from ..similarity import EmbeddingSimilarity, MatrixSimilarity, SimilaritySource
from ..similarity_profile import SimilarityProfile, similarity_profile
from ..training_lists import learnt_by, learnt_by_ranking, read_training_list
from ..work_lists import WorkList, read_work_list
from .spec import RankingSpec, Spec, check_names

if TYPE_CHECKING:
    from ...encoder import Chroma, Encoder
    from ...indexer import Catalogue, PerformanceRecord
    from ...indexer.rejection import Rejection
    from ..evaluation import Evaluation
    from ..leakage import Embed

ProgressOf = Callable[[str, str], AbstractContextManager[Progress | None]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """One system on the catalogue.

    Parameters
    ----------
    name : str
    parameters : mapping
        What distinguishes it from another of the same name.
    evaluation : Evaluation
    profile : SimilarityProfile
    seconds : float or None
        From chroma in memory to the similarity matrix; None if it ran elsewhere.
    share_listed : float
        Share of the candidates that it orders; below 1 for a run file that is cut off.
    queries_left_out : int
        Queries for which a run file orders no candidate.
    """

    name: str
    parameters: Mapping[str, Any]
    evaluation: Evaluation
    profile: SimilarityProfile
    seconds: float | None = None
    share_listed: float = 1.0
    queries_left_out: int = 0

    @property
    def recall_curve(self) -> tuple[list[int], list[float]]:
        """Some k from 1 to all candidates, evenly on a log scale, and the recall at each."""
        n_candidates = max(1, self.evaluation.counts.n_performances - 1)
        ks = np.unique(np.geomspace(1, n_candidates, 60).round().astype(int)).tolist()
        return ks, self.evaluation.recall_curve(ks).tolist()

    def summary(self) -> dict[str, Any]:
        """Give the figures for JSON; null where there is none."""
        separation = self.profile.separation
        return {
            "system": self.name,
            "parameters": dict(self.parameters),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "share_listed": self.share_listed,
            "queries_left_out": self.queries_left_out,
            "hubness": self.profile.hubness,
            "separation": None if math.isnan(separation) else separation,
            **self.evaluation.summary(),
            "recall_curve": dict(zip(("k", "recall"), self.recall_curve, strict=True)),
            "as_published": {
                name: figures(self.evaluation) for name, figures in PUBLISHED_CODES.items()
            },
        }


@dataclass(frozen=True, eq=False)
class Results:
    """Everything that a report tells.

    Parameters
    ----------
    spec : Spec
    listed : WorkList
        The performances that were evaluated.
    n_rejected : int
        Performances of the catalogue that could not be read, left out for all systems.
    check : ProtocolCheck
    leakage : Leakage
    outcomes : list of Outcome
    example : (PerformanceRecord, Chroma) or None
        One performance, for a picture.
    environment : dict
        When, on what, with which versions, at which commit.
    rejections : list of Rejection
        What could not be read, and why.
    failed : dict of str to Exception
        Systems and rankings that ended in an error, without outcome; those beside them have one.
    """

    spec: Spec
    listed: WorkList
    n_rejected: int
    check: ProtocolCheck
    leakage: Leakage
    outcomes: list[Outcome]
    example: tuple[PerformanceRecord, Chroma] | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    failed: dict[str, Exception] = field(default_factory=dict)


def run(spec: Spec, *, progress_of: ProgressOf | None = None) -> Results:
    """Run a benchmark. What fails is left out, systems and rankings: others have taken hours.

    Parameters
    ----------
    spec : Spec
    progress_of : callable, optional
        Called with each system's name and what its progress counts; gives a context manager that
        yields a progress callback.

    Raises
    ------
    CoverdexError
        If something named does not exist or does not fit the catalogue, or no work of it has two
        performances.
    Exception
        What a system or a ranking has raised, if there is nothing else to report.
    """
    from ...indexer import open_catalogue

    protocol = protocol_named(spec.protocol)
    _check_that_rankings_are_there(spec)
    catalogue = open_catalogue(spec.catalogue, kind=spec.kind, subset=spec.subset)
    systems = [system_named(name) for name in spec.systems]
    # A checkpoint's folder may be called otherwise than the checkpoint, so it's looked at again.
    names = names_of(systems)
    check_names([*names, *(ranking.name for ranking in spec.rankings)])
    encoder = next((s.encoder for s in systems if isinstance(s, EncoderSystem)), None)
    embed = _embedder(encoder) if encoder is not None and spec.training else None
    given = (
        [read_training_list(spec.training, embed=embed, kind=spec.kind)] if spec.training else []
    )
    # A Parquet catalogue is read in the order of its rows, and matrices stand in that of the ids.
    readings = sorted(catalogue, key=_id_of_reading) if systems else []
    records = [record for record, _ in readings]
    if not systems:
        records = _records_for_rankings(spec, catalogue, progress_of)
    listed = WorkList([r.performance_id for r in records], [r.work_id for r in records])
    expected = read_work_list(spec.ids) if spec.ids else None
    check = check_protocol(protocol, listed, expected)
    _check_that_there_are_queries(catalogue, listed)
    rankings = _opened_rankings(spec, listed, catalogue.rejections)
    chromas = [chroma for _, chroma in readings]
    outcomes: list[Outcome] = []
    duplicates: list[tuple[str, str, float]] | None = None  # by the first system that embeds
    failed: dict[str, Exception] = {}
    for system, name in zip(systems, names, strict=True):
        unit = progress_unit_of(system)
        showing = progress_of(name, unit) if progress_of else nullcontext(None)
        try:
            with showing as progress:
                start = time.perf_counter()
                matrix = MatrixSimilarity(system.similarity_matrix(chromas, progress=progress))
                seconds = time.perf_counter() - start
            outcomes.append(_outcome(name, system.parameters, matrix, listed, seconds))
        except Exception as error:
            failed[name] = error
            continue
        if isinstance(system, EncoderSystem) and duplicates is None:
            duplicates = near_duplicates_of(matrix, listed.performances)
    learnt = {
        name: learnt_by(system.encoder.checkpoint)
        for system, name in zip(systems, names, strict=True)
        if isinstance(system, EncoderSystem) and name not in failed
    }
    for ranking, opened in rankings:
        parameters = {"path": ranking.path, "encoder_id": opened.encoder_id}
        try:
            outcome = _outcome(ranking.name, parameters, opened.source, listed, None)
        except Exception as error:  # a NaN, which is found where the matrix is read
            failed[ranking.name] = error
            continue
        learnt[ranking.name] = learnt_by_ranking(opened)
        if isinstance(opened.source, EmbeddingSimilarity) and duplicates is None:
            duplicates = near_duplicates_of(opened.source, listed.performances)
        queries = outcome.evaluation.queries
        ordered, none = share_listed(opened, queries), queries_left_out(opened, queries)
        outcomes.append(replace(outcome, share_listed=ordered, queries_left_out=none))
    if not outcomes:
        raise next(iter(failed.values()))
    known = (
        [Known.of(record, chroma, embed) for record, chroma in readings]
        if readings
        else [Known(r.performance_id, r.work_id, r.title) for r in records]
    )
    own = {found.name: found for found in learnt.values() if found is not None}
    leakage = check_leakage(
        known,
        given or own.values(),
        unknown=[] if given else [name for name, found in learnt.items() if found is None],
        near_duplicates=duplicates,
    )
    return Results(
        spec,
        listed,
        len(catalogue.rejections),
        check,
        leakage,
        outcomes,
        readings[0] if readings else None,
        environment(),
        list(catalogue.rejections),
        failed,
    )


def embedder_named(name: str) -> Embed:
    """Load an encoder as a function from chroma to embedding; None for silence."""
    from ...encoder import Encoder

    return _embedder(Encoder.load(name))


def _embedder(encoder: Encoder) -> Embed:
    def embed(chroma: Chroma) -> NDArray[np.float32] | None:
        try:
            return encoder.embed(chroma)
        except InvalidChromaError:
            return None  # silence: the digest tells

    return embed


def environment() -> dict[str, Any]:
    """Say when, on what machine, with which versions and at which commit this runs."""
    from ...encoder.training.provenance import commit, versions

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": versions(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def _outcome(
    name: str,
    parameters: Mapping[str, Any],
    source: SimilaritySource,
    listed: WorkList,
    seconds: float | None,
) -> Outcome:
    evaluation = evaluate(source, listed.works)
    profile = similarity_profile(source, evaluation.cliques)
    return Outcome(name, parameters, evaluation, profile, seconds)


def _opened_rankings(
    spec: Spec, listed: WorkList, rejections: Sequence[Rejection]
) -> list[tuple[RankingSpec, Ranking]]:
    """Open the rankings, before the systems take their hours: one may not fit the catalogue."""
    rankings = []
    for ranking in spec.rankings:
        path = Path(ranking.path)
        opened = open_ranking(path, None if path.is_dir() else listed, distances=ranking.distances)
        if opened.listed.performances != listed.performances:
            raise CoverdexError(
                f"{path} holds {len(opened.listed):,} performances and not the {len(listed):,} of "
                f"the catalogue in their order{_differing(opened.listed, listed)}; build it from "
                "this catalogue, and leave out of the catalogue what an index cannot hold"
            )
        if opened.source.n != len(listed):
            raise CoverdexError(
                f"{path} has {opened.source.n:,} rows and the catalogue {len(listed):,} "
                f"performances{_without(rejections)}; give one row for each, in the order of their "
                "ids"
            )
        rankings.append((ranking, opened))
    return rankings


def _without(rejections: Sequence[Rejection]) -> str:
    """Say that a catalogue is smaller than it looks, and by what."""
    if not rejections:
        return ""
    names = [str(rejection.performance or rejection.path) for rejection in rejections]
    more = ", ..." if len(names) > 5 else ""
    return f" without what could not be read ({', '.join(names[:5])}{more})"


def _differing(index: WorkList, catalogue: WorkList) -> str:
    """Name one performance that the index lacks, or has and the catalogue hasn't."""
    held, wanted = set(index.performances), set(catalogue.performances)
    for what, ids in (("lacks", wanted - held), ("has also", held - wanted)):
        if ids:
            more = f" and {len(ids) - 1:,} more" if len(ids) > 1 else ""
            return f" (it {what} {min(ids)}{more})"
    return ""


def _records_for_rankings(
    spec: Spec, catalogue: Catalogue, progress_of: ProgressOf | None
) -> list[PerformanceRecord]:
    """Give the performances that rankings alone are evaluated on.

    No chroma is read for them, unless an index lacks some: then it may be that these could not be
    read when it was built, and what cannot be read is left out for all systems.
    """
    from ...search import Index

    records = list(catalogue.performances)
    held: set[str] = {record.performance_id for record in records}
    for folder in (Path(ranking.path) for ranking in spec.rankings):
        if folder.is_dir():
            held &= set(Index.open(folder).performances.column("performance_id").to_pylist())
    if len(held) == len(records):
        return records
    with progress_of("reading", "performances") if progress_of else nullcontext(None) as progress:
        readable = []
        for record, _ in catalogue:
            readable.append(record)
            if progress is not None:
                progress(len(readable), len(records))
    return sorted(readable, key=lambda record: record.performance_id)


def _id_of_reading(reading: tuple[PerformanceRecord, Chroma]) -> str:
    return reading[0].performance_id


def _check_that_rankings_are_there(spec: Spec) -> None:
    """Look before the catalogue is read, which may take long by itself."""
    for ranking in spec.rankings:
        if not Path(ranking.path).exists():
            raise NotFoundError(
                f"nothing at {ranking.path} for the ranking {ranking.name!r}; give an index "
                "folder, a .npy similarity matrix, or a run file"
            )


def _check_that_there_are_queries(catalogue: Catalogue, listed: WorkList) -> None:
    known = [work for work in listed.works if work]
    if len(set(known)) == len(known):
        unread = ""
        if catalogue.rejections:
            first = catalogue.rejections[0].message
            unread = f", and {len(catalogue.rejections):,} could not be read, the first: {first}"
        raise NothingToEvaluateError(
            f"no two of the {len(listed):,} performances of {catalogue.source} are of one work"
            f"{unread}; give a catalogue whose works have two performances or more"
        )
