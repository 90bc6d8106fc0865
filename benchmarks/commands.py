"""``coverdex evaluate`` and ``coverdex datasets``: the evaluation on the command line.

The answer, a table or with ``--json`` one document, goes to stdout; notes go to stderr.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from .evaluation import Evaluation

datasets = typer.Typer(no_args_is_help=True, add_completion=False)


def evaluate(
    index: Annotated[Path, typer.Argument(help="Folder of the index.", show_default=False)],
    per_query: Annotated[
        Path | None,
        typer.Option("--per-query", help="Also write every query's figures to this Parquet file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure MAP, MR1 and the rest of an index by the protocol of Da-TACOS.

    Every performance whose work has another one is a query; all other performances are its
    candidates, those without a cover included. The search is exact and complete.
    """
    from ..search import Index
    from .metrics import NothingToEvaluateError, evaluate_index

    opened = Index.open(index)
    evaluation = evaluate_index(opened)
    if evaluation.counts.n_queries == 0:
        raise NothingToEvaluateError(
            f"{index} has no two performances of one work, so there is nothing to look for; "
            "MAP and MR1 need works with at least two performances"
        )
    if per_query is not None:
        write_per_query(evaluation, opened.performances, per_query)
        print(f"wrote {evaluation.counts.n_queries} queries to {per_query}", file=sys.stderr)
    if as_json:
        document = {
            "index": {"path": str(opened.path), "encoder_id": opened.manifest.encoder_id},
            **evaluation.summary(),
        }
        print(json.dumps(document, indent=2))
    else:
        _print_evaluation(evaluation, title=f"{opened.path.name} · {opened.manifest.encoder_id}")


def write_per_query(evaluation: Evaluation, performances: Any, path: Path) -> None:
    """Write the figures of every query, ids from the table ``performances`` (n rows)."""
    import pyarrow.parquet as pq

    table = evaluation.per_query(
        performances.column("performance_id").to_pylist(),
        performances.column("work_id").to_pylist(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def _print_evaluation(evaluation: Evaluation, *, title: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    counts = evaluation.counts
    table = Table(title=escape(title), title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    rows = [
        ("MAP", f"{evaluation.map:.4f}", "mean average precision; 1 is perfect"),
        ("MR1", f"{evaluation.mr1:.2f}", "mean rank of the first cover; 1 is perfect"),
        ("MRR", f"{evaluation.mrr:.4f}", "mean reciprocal of that rank"),
        ("hits@1", f"{evaluation.hits_at_1:.4f}", "queries with a cover at rank 1"),
        ("hits@10", f"{evaluation.hits_at_10:.4f}", "queries with a cover among the first 10"),
        ("queries", f"{counts.n_queries:,}", f"of {counts.n_query_works:,} works with covers"),
        ("candidates", f"{counts.n_performances - 1:,}", "per query: all other performances"),
        ("noise", f"{counts.n_noise:,}", "candidates without a cover, never queries"),
    ]
    if evaluation.n_tied:
        rows.append(("tied", f"{evaluation.n_tied:,}", "queries with a cover tied with others"))
    for row in rows:
        table.add_row(*row)
    Console().print(table)


@datasets.callback()
def _group() -> None:
    """Get datasets."""


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
    """Download parts of Da-TACOS, go on where an earlier download stopped, and check them.

    `coverdex datasets download da-tacos --what metadata benchmark_hpcp`. Addresses and checksums
    come from mirdata (the extra `coverdex[download]`).
    """
    from .download import download_datacos
    from .download_progress import shown_download

    wanted = [*(what or []), *(more or [])]  # an option takes one word; those after it are loose
    if name != "da-tacos":
        raise typer.BadParameter(f"the dataset is {name}; the one that can be had is da-tacos")
    with shown_download() as progress:
        parts = download_datacos(wanted, out, keep_archives=keep_archives, progress=progress)
    print(f"{', '.join(parts)} in {out}; next: coverdex index build {out} --out my.index")
