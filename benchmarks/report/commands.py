"""``coverdex benchmark``: run a specification, compare two runs, look for leakage.

What is answered goes to stdout (with ``--json``: one document); progress goes to stderr.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...indexer.command_options import Subset
from ..durability_command import durability
from ..encoder_speed_command import encoder_speed
from ..evaluator_speed_command import evaluator_speed
from ..speed.commands import speed

if TYPE_CHECKING:
    from .comparison import Comparison
    from .run import Results

benchmark = typer.Typer(no_args_is_help=True, add_completion=False)
benchmark.command("durability")(durability)
benchmark.command("encoder-speed")(encoder_speed)
benchmark.command("evaluator-speed")(evaluator_speed)
benchmark.command()(speed)


@benchmark.callback()
def _group() -> None:
    """Run benchmarks and compare them."""


#: Figures by the name under which papers print them; a terminal has 80 columns.
_SHORT_NAMES = {"map": "MAP", "mr1": "MR1", "mrr": "MRR", "hits_at_1": "hits@1"}


@benchmark.command()
def run(
    spec: Annotated[Path, typer.Argument(help="The specification, TOML.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate systems on a catalogue and write a report: tables, figures, a page, a JSON file."""
    from ...indexer.progress import shown_progress
    from ..baselines.commands import tell_rejections
    from ..drawing import require_matplotlib
    from . import run as running
    from .folder import RESULTS, check_that_it_can_be_written, write_report
    from .spec import read_spec

    require_matplotlib()
    asked = read_spec(spec)
    check_that_it_can_be_written(out)
    results = running.run(asked, progress_of=shown_progress)
    tell_rejections(results.rejections)
    folder = write_report(results, out)
    if as_json:
        print((folder / RESULTS).read_text(encoding="utf-8"), end="")
    else:
        _print_results(results)
    print(f"wrote {folder / 'report.html'}", file=sys.stderr)
    if results.failed:
        name, error = next(iter(results.failed.items()))
        print(f"{name} failed and is missing in it:", file=sys.stderr)
        raise error


@benchmark.command()
def compare(
    a: Annotated[
        Path,
        typer.Argument(
            help="A report, or the figures of every query that 'coverdex evaluate' has saved "
            "(.parquet).",
            show_default=False,
        ),
    ],
    b: Annotated[Path, typer.Argument(help="Another report, or such a file.", show_default=False)],
    system_a: Annotated[
        str | None, typer.Option("--system-a", help="System of the first; default: its first.")
    ] = None,
    system_b: Annotated[
        str | None, typer.Option("--system-b", help="System of the other; default: its first.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two systems query by query: differences with intervals, queries won and lost."""
    from . import comparison
    from .folder import read_n_candidates, read_query_table

    name_a, table_a = read_query_table(a, system_a)
    name_b, table_b = read_query_table(b, system_b)
    compared = comparison.compare(table_a, table_b)
    n_a, n_b = read_n_candidates(a, name_a), read_n_candidates(b, name_b)
    if n_a != n_b:
        print(
            f"NOT COMPARABLE: A ranks each query among {n_a:,} candidates and B among {n_b:,}, and "
            "with fewer candidates every figure looks better; compare runs on one catalogue",
            file=sys.stderr,
        )
    elif compared.n_other_covers:
        print(
            f"NOT COMPARABLE: {compared.n_other_covers:,} queries have more covers in one than in "
            "the other; compare runs on one catalogue",
            file=sys.stderr,
        )
    if as_json:
        document = {
            "a": {"report": str(a), "system": name_a, "n_candidates": n_a},
            "b": {"report": str(b), "system": name_b, "n_candidates": n_b},
            **compared.summary(),
        }
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _print_comparison(compared, f"A: {_shown(a, name_a)}   B: {_shown(b, name_b)}")


@benchmark.command()
def leakage(
    catalogue: Annotated[
        str, typer.Argument(help="The catalogue that is evaluated.", show_default=False)
    ],
    training: Annotated[
        str | None,
        typer.Option(
            "--training",
            help="What was trained on: CSV, TSV or Parquet, or a catalogue; by default the "
            "encoder's own list.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", help="Also compare embeddings of this encoder: takes longer."),
    ] = None,
    kind: Annotated[
        Literal["hpcp", "crema", "cens"], typer.Option("--kind", help="Kind of chroma to read.")
    ] = "hpcp",
    subset: Subset = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for works and recordings that are in a training list too, or in the catalogue twice."""
    from ...encoder import load_checkpoint
    from ...indexer import open_catalogue
    from ..baselines.commands import tell_rejections
    from ..leakage import Known, check_leakage
    from ..near_duplicates import near_duplicates_among
    from ..training_lists import learnt_by, read_training_list
    from .run import embedder_named

    embed = embedder_named(encoder) if encoder else None
    readings = open_catalogue(catalogue, kind=kind, subset=subset)
    known = [Known.of(record, chroma, embed) for record, chroma in readings]
    tell_rejections(readings.rejections)
    duplicates = near_duplicates_among(known) if embed else None
    own = learnt_by(load_checkpoint(encoder)) if encoder and not training else None
    seen = read_training_list(training, embed=embed, kind=kind) if training else own
    found = check_leakage(
        known,
        [seen] if seen else [],
        unknown=[encoder or "any encoder"] if seen is None else [],
        near_duplicates=duplicates,
    ).summary()
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    print(found.pop("verdict"))
    print(found.pop("within"))
    shared = {} if seen is None else found["trainings"][0]
    for name, listed in {
        **shared,
        **found,
        "trainings": None,
        "unknown": None,
        "compared": None,
    }.items():
        if isinstance(listed, list) and listed:
            print(f"{name.replace('_', ' ')}: {len(listed):,}")
            for each in listed[:20]:
                print(f"  {each if isinstance(each, str) else '  '.join(map(str, each))}")


def _print_results(results: Results) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..evaluation_table import interval_text
    from .cautions import cautions

    table = Table(title=escape(results.spec.title), title_justify="left")
    table.add_column("System", overflow="fold")
    for heading in ("MAP", "95% by work", "MR1", "95% by work", "hits@1"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in results.outcomes:
        evaluation, intervals = outcome.evaluation, outcome.evaluation.intervals
        table.add_row(
            escape(outcome.name),
            f"{evaluation.map:.3f}",
            interval_text(intervals["map"], 2),
            f"{evaluation.mr1:.1f}",
            interval_text(intervals["mr1"], 1),
            f"{evaluation.hits_at_1:.3f}",
        )
    console = Console()
    console.print(table)
    console.print(results.check.verdict, highlight=False, markup=False)
    for finding in results.check.findings:
        console.print(f"  {finding}", highlight=False, markup=False)
    for caution in cautions(results.outcomes):
        console.print(caution, highlight=False, markup=False)
    leakage = results.leakage
    console.print(f"leakage: {leakage.verdict}; {leakage.within}", highlight=False, markup=False)


def _shown(report: Path, system: str) -> str:
    return report.name if report.is_file() else f"{report.name}/{system}"


def _print_comparison(compared: Comparison, title: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..evaluation_table import interval_text

    left_out = compared.n_only_a + compared.n_only_b
    caption = f"{compared.n_queries:,} queries of {compared.n_works:,} works; won: B is better" + (
        f"; {left_out:,} that only one has are left out" if left_out else ""
    )
    table = Table(
        title=escape(title), title_justify="left", caption=caption, caption_justify="left"
    )
    table.add_column("", no_wrap=True)
    for heading in ("A", "B", "B - A", "95% by work", "won/lost/="):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("B is", no_wrap=True)
    for name, d in compared.differences.items():
        decimals = 1 if name == "mr1" else 3
        table.add_row(
            _SHORT_NAMES.get(name, name),
            f"{d.a:.{decimals}f}",
            f"{d.b:.{decimals}f}",
            f"{d.difference:+.{decimals}f}",
            interval_text(d.interval, decimals),
            f"{d.won}/{d.lost}/{d.drawn}",
            d.verdict,
        )
    console = Console()
    console.print(table)
    if compared.caution:
        console.print(compared.caution, highlight=False, markup=False)
