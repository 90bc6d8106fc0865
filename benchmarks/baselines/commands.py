"""``coverdex encoder evaluate``: encoders and the systems of the literature side by side.

The table, or with ``--json`` one document, goes to stdout; progress and notes go to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ...indexer.command_options import Subset

if TYPE_CHECKING:
    from ...indexer import Catalogue
    from ...indexer.rejection import Rejection
    from ..bootstrap import Interval
    from ..robustness import RobustnessRow
    from ..side_by_side import SystemResult
    from .system import System


#: Rejections that are named on stderr.
_REJECTIONS_SHOWN = 5


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
    kind: Annotated[
        Literal["hpcp", "crema", "cens"], typer.Option("--kind", help="Kind of chroma to read.")
    ] = "hpcp",
    subset: Subset = None,
    metadata: Annotated[
        Path | None, typer.Option("--metadata", help="Metadata file, where not at its place.")
    ] = None,
    changed: Annotated[
        bool,
        typer.Option(
            "--changed",
            help="Also change every query (key, tempo, excerpts, length, noise) and measure each "
            "encoder again.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Also write JSON, Markdown and figures to this folder."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare encoders, 2DFTM and Qmax on one catalogue: MAP and MR1 with 95% intervals.

    Every performance is compared with every other, so time grows with the
    square of the catalogue for the aligners SiMPle, Qmax and Dmax.
    The figures of a model card are those of --changed --out FOLDER.
    """
    from ...encoder import missing_references
    from ...indexer import open_catalogue
    from ...indexer.progress import shown_progress
    from ..drawing import make_folder
    from ..model_card_figures import write_figures
    from ..side_by_side import compare_systems, default_systems, system_named

    catalogue = open_catalogue(path, kind=kind, subset=subset, metadata=metadata)
    if not systems:
        for name, how in missing_references().items():
            print(f"no column for {name}: {how} with --system", file=sys.stderr)
    chosen = [system_named(name) for name in systems] if systems else default_systems()
    if out is not None:
        make_folder(out)  # before the aligners take their hours
    try:
        results = compare_systems(catalogue, chosen, progress_of=shown_progress)
    finally:  # also where it ends in an error, which they may explain
        tell_rejections(catalogue.rejections)
    changed_queries = _changed_queries(catalogue, chosen) if changed else {}
    document = _document(path, catalogue, results, changed_queries)
    if as_json:
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        _print_table(results)
        _print_changed(changed_queries)
    if out is not None:  # last: what is printed is not lost where the disk refuses
        written = write_figures(out, document, results, changed_queries)
        print(f"wrote {', '.join(map(str, written))}", file=sys.stderr)


def tell_rejections(rejections: Sequence[Rejection]) -> None:
    """Say what could not be read, and why, for the first few."""
    if rejections:
        print(f"{len(rejections)} performances could not be read:", file=sys.stderr)
    for rejection in rejections[:_REJECTIONS_SHOWN]:
        print(f"  {rejection.path}: {rejection.message}", file=sys.stderr)
    if len(rejections) > _REJECTIONS_SHOWN:
        print(f"  and {len(rejections) - _REJECTIONS_SHOWN} more", file=sys.stderr)


def _changed_queries(
    catalogue: Catalogue, systems: Sequence[System]
) -> dict[str, list[RobustnessRow]]:
    """Measure each encoder among the systems with changed queries."""
    from ...indexer.progress import shown_progress
    from ..encoder_system import EncoderSystem
    from ..robustness import measure_robustness
    from ..side_by_side import names_of

    performances = [(record.work_id, chroma) for record, chroma in catalogue]
    rows = {}
    for system, name in zip(systems, names_of(systems), strict=True):
        if isinstance(system, EncoderSystem):
            with shown_progress(f"{name}, changed", "changes") as progress:
                rows[name] = measure_robustness(system.encoder, performances, progress=progress)
    return rows


def _document(
    path: str,
    catalogue: Catalogue,
    results: list[SystemResult],
    changed_queries: Mapping[str, Sequence[RobustnessRow]],
) -> dict[str, Any]:
    from ..bootstrap import N_DRAWS, SEED
    from ..report.run import environment

    return {
        "catalogue": path,
        "kind": str(catalogue.kind),
        "rejected": len(catalogue.rejections),
        "rejections": [asdict(rejection) for rejection in catalogue.rejections],
        "bootstrap": {"by": "work", "draws": N_DRAWS, "seed": SEED},
        "environment": environment(),
        "systems": [result.summary() for result in results],
        "changed_queries": {
            name: [row.summary() for row in rows] for name, rows in changed_queries.items()
        },
    }


def _print_changed(changed_queries: Mapping[str, Sequence[RobustnessRow]]) -> None:
    from rich.console import Console

    from ..robustness import robustness_table

    for name, rows in changed_queries.items():
        Console().print(robustness_table(rows, title=f"{name} when the query is changed"))


def _print_table(results: list[SystemResult]) -> None:
    from rich.console import Console
    from rich.table import Table

    counts = results[0].evaluation.counts
    table = Table(
        title=f"{counts.n_performances} performances of {counts.n_works} works, "
        f"{counts.n_queries} queries",
        caption="95% intervals by bootstrap over works; smaller MR1 is better",
    )
    table.add_column("System", overflow="fold")
    for heading in ("MAP", "95%", "MR1", "95%", "Hits@1", "Seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        evaluation, intervals = result.evaluation, result.intervals
        table.add_row(
            result.name,
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
            console.print(f"{result.name}: {result.leakage.verdict}", highlight=False, markup=False)


def _interval(interval: Interval | None, digits: int) -> str:
    if interval is None:
        return "one work"
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"
