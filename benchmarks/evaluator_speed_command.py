"""``coverdex benchmark evaluator-speed``: the evaluator against the plain way, side by side.

The table, or with ``--json`` one document, goes to stdout.
"""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer


def evaluator_speed(
    works: Annotated[int, typer.Option(min=1, help="Works of 13 performances.")] = 1000,
    noise_works: Annotated[int, typer.Option(min=0, help="Works of one performance.")] = 2000,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of each; default: one per processor.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure time and memory of the evaluation, against a full matrix and a full sort.

    Both evaluate the same planted catalogue, of the structure of Da-TACOS' benchmark unless asked
    otherwise, each in a process of its own.
    """
    from .evaluator_speed import compare_ways

    document = compare_ways(works, noise_works, threads or os.cpu_count() or 1)
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        _print_table(document)


def _print_table(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    machine = document["environment"]["machine"]
    table = Table(
        title=f"{document['n_performances']:,} performances, {document['threads']} threads",
        title_justify="left",
        caption=f"{machine['processor']}, commit {str(document['environment']['commit'])[:7]}",
        caption_justify="left",
    )
    table.add_column("")
    for heading in ("seconds", "CPU seconds", "peak MiB", "MAP", "MR1"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, shown in (("coverdex", "Coverdex"), ("plain", "full matrix and sort")):
        way = document[name]
        if "failed" in way:
            table.add_row(f"{shown}: {way['failed']}")
            continue
        table.add_row(
            shown,
            f"{way['seconds']:.1f}",
            f"{way['cpu_seconds']:.1f}",
            f"{way['peak_mib']:,.0f}",
            f"{way['map']:.5f}",
            f"{way['mr1']:.4f}",
        )
    ratios = ("times_faster", "times_less_cpu", "times_less_memory")
    if all(name in document for name in ratios):
        table.add_section()
        table.add_row("ratio", *(f"{document[name]:.1f}" for name in ratios))
    Console().print(table)
