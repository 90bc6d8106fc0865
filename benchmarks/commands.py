"""``coverdex evaluate``, ``benchmark`` and ``datasets``: the evaluation on the command line.

The answer, a table or with ``--json`` one document, goes to stdout; notes go to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..indexer.command_options import Subset
from .report.commands import benchmark

if TYPE_CHECKING:
    from ..indexer import Catalogue
    from .dataset_description import DatasetDescription
    from .evaluation import Evaluation
    from .protocols import ProtocolCheck
    from .published_codes import Figures
    from .rankings import Ranking
    from .work_lists import WorkList

__all__ = ["benchmark", "datasets", "evaluate"]

datasets = typer.Typer(no_args_is_help=True, add_completion=False)


class PublishedCode(StrEnum):
    """Public evaluation codes whose rules can be applied."""

    MOVE = "move"
    ACOSS = "acoss"
    COVERHUNTER = "coverhunter"


def evaluate(
    ranking: Annotated[
        Path,
        typer.Argument(
            help="Index folder, .npy similarity matrix, or run file (TREC or .parquet).",
            show_default=False,
        ),
    ],
    works: Annotated[
        str | None,
        typer.Option(
            "--works",
            help="Which performance is of which work, for a matrix, a run or an index that knows "
            "none: CSV, TSV, Parquet, Da-TACOS metadata, an index, a catalogue, or 'demo'.",
        ),
    ] = None,
    protocol: Annotated[
        Literal["da-tacos-benchmark", "covers80", "any"],
        typer.Option("--protocol", help="Whose rules the catalogue is checked against."),
    ] = "any",
    ids: Annotated[
        str | None,
        typer.Option("--ids", help="The protocol's official list, to name what is missing."),
    ] = None,
    published: Annotated[
        list[PublishedCode] | None,
        typer.Option(
            "--as", help="Also what this public code would have printed; may be repeated."
        ),
    ] = None,
    distances: Annotated[
        bool, typer.Option("--distances", help="The matrix holds distances: smaller is closer.")
    ] = False,
    per_query: Annotated[
        Path | None,
        typer.Option(
            "--per-query",
            help="File of every query's figures: Parquet, or .csv or .jsonl as its name ends. "
            "Default: beside the ranking, with .per-query.parquet after its name.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure MAP, MR1 and the rest, with 95% intervals, by the protocol of Da-TACOS.

    Every performance whose work has another one is a query; all other performances are its
    candidates, those without a cover included. The search is exact and complete.
    """
    from ..search import IndexExistsError
    from .metrics import NothingToEvaluateError
    from .protocols import check_protocol, protocol_named
    from .published_codes import PUBLISHED_CODES
    from .rankings import open_ranking, queries_left_out, share_listed
    from .training_lists import leakage_of_ranking
    from .work_lists import read_work_list

    if ids is not None and protocol == "any":
        raise typer.BadParameter("--ids is the list of a protocol: give --protocol too")
    figures = per_query or _beside(ranking)
    if figures.resolve() in (Path(each).resolve() for each in (ranking, works, ids) if each):
        raise typer.BadParameter(
            f"{figures} is what is evaluated, and would be overwritten by every query's figures; "
            "give another name with --per-query"
        )
    asked = protocol_named(protocol)
    opened = open_ranking(ranking, works, distances=distances)
    check = check_protocol(asked, opened.listed, read_work_list(ids) if ids else None)
    evaluation = _with_progress(opened)
    if evaluation.counts.n_queries == 0:
        raise NothingToEvaluateError(
            f"{ranking} has no two performances of one work, so there is nothing to look for; "
            "MAP and MR1 need works with at least two performances"
        )
    refused: OSError | IndexExistsError | None = None
    try:
        write_per_query(evaluation, opened.listed, figures)
        written = f"wrote {evaluation.counts.n_queries} queries to {figures}"
    except (OSError, IndexExistsError) as error:
        # Figures are worth more than the file: a ranking may lie where nothing can be written.
        written = f"every query's figures are not saved ({error}); name a file with --per-query"
        refused = error if per_query is not None else None
    if refused is None:
        print(written, file=sys.stderr)
    listed = share_listed(opened, evaluation.queries)
    leakage = leakage_of_ranking(opened)
    also = {str(code): PUBLISHED_CODES[code](evaluation) for code in published or []}
    if as_json:
        document = {
            "ranking": str(ranking),
            "encoder_id": opened.encoder_id,
            "protocol": check.summary(),
            "share_listed": listed,
            "queries_left_out": queries_left_out(opened, evaluation.queries),
            "leakage": leakage and leakage.training_summary(),
            **evaluation.summary(),
            "as_published": also,
        }
        print(json.dumps(document, indent=2))
    else:
        _print_evaluation(evaluation, opened, check, listed, also)
        if leakage is not None:
            print(f"leakage: {leakage.verdict}")
    if refused is not None:
        raise refused  # the file was asked for


def _with_progress(opened: Ranking) -> Evaluation:
    """Evaluate a ranking; of 100,000 performances that takes minutes, which a bar counts."""
    from ..indexer.progress import shown_progress
    from .cover_ranks import Cliques
    from .metrics import evaluate as evaluated

    n_queries, done = Cliques.of(opened.listed.works).queries.size, 0
    with shown_progress("evaluating", "queries") as progress:
        progress(0, n_queries)

        def finished(n_more: int) -> None:
            nonlocal done
            done += n_more
            progress(done, n_queries)

        return evaluated(opened.source, opened.listed.works, progress=finished)


def _beside(ranking: Path) -> Path:
    """Name the file of figures: beside the ranking, not in it, also where it is ``.`` or ``..``."""
    named = ranking.resolve() if ranking.name in ("", "..") else ranking
    return named.parent / f"{named.name}.per-query.parquet"


def write_per_query(evaluation: Evaluation, listed: WorkList, path: Path) -> None:
    """Write the figures of every query, with the ids of ``listed``, as the name of the file ends.

    Parquet, unless it ends in ``.csv`` or ``.jsonl``.
    """
    from ..search import write_table

    ending = path.suffix.lower().removeprefix(".")
    file_format = ending if ending in ("csv", "jsonl") else "parquet"
    figures = evaluation.per_query(listed.performances, listed.works)
    write_table([figures], path, file_format=file_format)


def _print_evaluation(
    evaluation: Evaluation,
    opened: Ranking,
    check: ProtocolCheck,
    listed: float,
    also: Mapping[str, Figures],
) -> None:
    from rich.console import Console

    from .evaluation_table import evaluation_table, published_table
    from .rankings import listed_in_words, queries_left_out

    console = Console()
    title = " · ".join(filter(None, (opened.name, opened.encoder_id)))
    console.print(evaluation_table(evaluation, title=title))
    if check.protocol.works_of_size:
        console.print(check.verdict, style="green" if check.comparable else "bold red")
        for finding in check.findings:
            console.print(f"  {finding}", markup=False, highlight=False)
    if listed < 1:
        console.print(
            "the run lists "
            f"{listed_in_words(listed, queries_left_out(opened, evaluation.queries))}; the others "
            "are tied behind them, so the figures are estimates",
            style="yellow",
        )
    for name, figures in also.items():
        console.print(published_table(name, figures))


@datasets.callback()
def _group() -> None:
    """Get datasets and describe them."""


@datasets.command()
def download(
    name: Annotated[str, typer.Argument(help="The dataset: da-tacos.", show_default=False)],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[PART]...", help="Parts.", hidden=True)
    ] = None,
    what: Annotated[
        list[str] | None,
        typer.Option("--what", help="Parts, such as metadata benchmark_hpcp.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to download to.")] = Path(
        "da-tacos"
    ),
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep the archives beside what was unpacked.")
    ] = False,
) -> None:
    r"""Download parts of Da-TACOS, go on where an earlier download stopped, and check them.

    `coverdex datasets download da-tacos --what metadata benchmark_hpcp`. Addresses and checksums
    come from mirdata: `pip install "coverdex\[download]"`.
    """
    from .download import download_datacos
    from .download_progress import shown_download

    wanted = [*(what or []), *(more or [])]  # an option takes one word; those after it are loose
    if name != "da-tacos":
        raise typer.BadParameter(f"the dataset is {name}; the one that can be had is da-tacos")
    with shown_download() as progress:
        parts = download_datacos(wanted, out, keep_archives=keep_archives, progress=progress)
    print(f"{', '.join(parts)} in {out}; next: coverdex index build {out} --out my.index")


@datasets.command()
def describe(
    path: Annotated[
        str,
        typer.Argument(
            help="Da-TACOS folder, Parquet file of chroma, or 'demo'.", show_default=False
        ),
    ],
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Also draw figures into this folder.")
    ] = None,
    track: Annotated[
        str | None,
        typer.Option("--track", help="Performance whose chroma is drawn; default: the first."),
    ] = None,
    read: Annotated[
        bool,
        typer.Option(
            "--read/--no-read", help="Read every performance, for durations and what is broken."
        ),
    ] = True,
    kind: Annotated[
        Literal["hpcp", "crema", "cens"], typer.Option("--kind", help="Kind of chroma to read.")
    ] = "hpcp",
    subset: Subset = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Describe a catalogue: works, titles and artists that covers keep, years, what is missing."""
    from ..indexer import open_catalogue
    from .dataset_reading import check_track, read_durations, read_track
    from .drawing import make_folder, require_matplotlib

    if figures is None and track is not None:
        raise typer.BadParameter("--track says whose chroma is drawn, and goes with --figures")
    if figures is not None:
        require_matplotlib()
    catalogue = open_catalogue(path, kind=kind, subset=subset)
    if figures is not None:
        check_track(catalogue, track)  # before all files are read, which may take long
        make_folder(figures, "--figures")
    durations = read_durations(catalogue) if read else {}
    description = _description(catalogue, durations)
    if as_json:
        document = {"catalogue": path, **description.summary()}
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        from rich.console import Console

        from .dataset_table import dataset_table

        Console().print(dataset_table(description, title=path))
    if figures is not None:
        from .dataset_figures import draw_chroma, draw_dataset

        drawn = draw_dataset(description, catalogue.performances, durations, figures)
        record, chroma = read_track(catalogue, track)
        title = " · ".join(filter(None, (record.performance_id, record.title, record.artist)))
        drawn.append(draw_chroma(chroma, figures / "chroma.png", title=title))
        print(f"drew {', '.join(p.name for p in drawn)} in {figures}", file=sys.stderr)


def _description(catalogue: Catalogue, durations: Mapping[str, float]) -> DatasetDescription:
    from . import dataset_description

    rejected = len(catalogue.rejections)
    return dataset_description.describe(catalogue.performances, durations, rejected=rejected)
