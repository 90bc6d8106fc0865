"""``coverdex benchmark durability``: kill an editor many times and see that nothing is lost.

The table, or with ``--json`` one document, goes to stdout; progress goes to stderr.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .durability_fault import Fault

if TYPE_CHECKING:
    from .durability import Durability


def durability(
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="How many processes to kill.")
    ] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Of the changes and of the kills.")] = 0,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--in", help="Folder on the disk to try; default: a temporary one.", show_default=False
        ),
    ] = None,
    fault: Annotated[
        Fault | None,
        typer.Option("--fault", help="Give the editor a mistake, which the check is to find."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Kill a process that changes an index, again and again, and check what is left.

    It adds, updates, removes and compacts at random; the index must then hold
    exactly what was acknowledged. Exit code 1 if it does not.
    """
    import tempfile

    from ..indexer.progress import shown_progress
    from .durability import measure_durability
    from .report.run import environment

    with (
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        shown_progress("killing", "rounds") as progress,
    ):
        found = measure_durability(
            Path(scratch) / "index", rounds=rounds, seed=seed, fault=fault, progress=progress
        )
    if as_json:
        document = {**found.as_document(), "environment": environment()}
        print(json.dumps(document, indent=2))
    else:
        _print(found)
    if found.failures:
        raise typer.Exit(1)


def _print(found: Durability) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("The process died at, or just behind,")
    for name in ("by the clock", "at the moment"):
        table.add_column(name, justify="right")
    clock, moment = found.kills["clock"], found.kills["moment"]
    for name in sorted({*clock, *moment}):
        table.add_row(name, str(clock[name]), str(moment[name]))
    console = Console()
    console.print(table)
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(found.acknowledged.items()))
    console.print(
        f"{found.rounds} rounds, seed {found.seed}: {found.acknowledged.total()} operations "
        f"acknowledged ({kinds}); of those under way {found.under_way['arrived']} arrived and "
        f"{found.under_way['did not']} did not; {len(found.failures)} failures",
        highlight=False,
    )
    for failure in found.failures:
        console.print(failure, markup=False, highlight=False)
