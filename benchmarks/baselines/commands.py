"""``coverdex encoder evaluate``: encoders and the systems of the literature side by side.

The table, or with ``--json`` one document, goes to stdout; progress and notes go to stderr.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ...indexer import Catalogue
    from ..bootstrap import Interval
    from ..side_by_side import SystemResult


def evaluate_systems(
    path: Annotated[
        str,
        typer.Argument(
            help="Da-TACOS folder, Parquet file of chroma, or 'demo'.", show_default=False
        ),
    ],
    systems: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            "-s",
            help="2DFTM, SiMPle, Qmax, Dmax, a shipped encoder or a checkpoint folder; may be "
            "repeated. Default: coverdex-64, in a checkout siamese-cnn too, 2DFTM and Qmax.",
        ),
    ] = None,
    kind: Annotated[str, typer.Option("--kind", help="Kind of chroma to read.")] = "hpcp",
    subset: Annotated[
        str | None,
        typer.Option("--subset", help="benchmark or coveranalysis, for a folder that holds both."),
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option("--metadata", help="Metadata file, where not at its place.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare encoders, 2DFTM and Qmax on one catalogue: MAP and MR1 with 95% intervals.

    Every performance is compared with every other, so time grows with the
    square of the catalogue for the aligners SiMPle, Qmax and Dmax.
    """
    from ...encoder import missing_references
    from ...indexer import open_catalogue
    from ...indexer.progress import shown_progress
    from ..side_by_side import compare_systems, default_systems, system_named

    catalogue = open_catalogue(path, kind=kind, subset=subset, metadata=metadata)
    if not systems:
        for name, how in missing_references().items():
            print(f"no column for {name}: {how} with --system", file=sys.stderr)
    chosen = [system_named(name) for name in systems] if systems else default_systems()
    results = compare_systems(catalogue, chosen, progress_of=shown_progress)
    if catalogue.rejections:
        print(f"{len(catalogue.rejections)} performances could not be read", file=sys.stderr)
    if as_json:
        print(json.dumps(_document(path, catalogue, results), ensure_ascii=False, indent=2))
    else:
        _print_table(results)


def _document(path: str, catalogue: Catalogue, results: list[SystemResult]) -> dict[str, Any]:
    from ..bootstrap import N_DRAWS, SEED

    return {
        "catalogue": path,
        "kind": str(catalogue.kind),
        "rejected": len(catalogue.rejections),
        "bootstrap": {"by": "work", "draws": N_DRAWS, "seed": SEED},
        "systems": [result.summary() for result in results],
    }


def _print_table(results: list[SystemResult]) -> None:
    from rich.console import Console
    from rich.table import Table

    counts = results[0].evaluation.counts
    table = Table(
        title=f"{counts.n_performances} performances of {counts.n_works} works, "
        f"{counts.n_queries} queries",
        caption="95% intervals by bootstrap over works; smaller MR1 is better",
    )
    table.add_column("System", no_wrap=True)
    for heading in ("MAP", "95%", "MR1", "95%", "Hits@1", "Seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        evaluation, intervals = result.evaluation, result.intervals
        table.add_row(
            result.system.name,
            f"{evaluation.map:.3f}",
            _interval(intervals["map"], 2),
            f"{evaluation.mr1:.1f}",
            _interval(intervals["mr1"], 1),
            f"{evaluation.hits_at_1:.3f}",
            f"{result.seconds:.0f}",
        )
    console = Console()
    console.print(table)
    for result in results:
        if result.leakage is not None:
            console.print(
                f"{result.system.name}: {result.leakage.verdict}", highlight=False, markup=False
            )


def _interval(interval: Interval | None, digits: int) -> str:
    if interval is None:
        return "one work"
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"
