"""``coverdex benchmark speed``: how quick index and build are, as ratios in one run.

Tables go to stdout (with ``--json``: one document), files to ``--out``, progress to stderr.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from .part_result import PartResult
    from .runs import SpeedRun


class Part(StrEnum):
    """What can be measured."""

    QUERY = "query"
    BATCH = "batch"
    APPROXIMATE = "approximate"
    LIKENESS = "likeness"
    BUILD = "build"
    EDIT = "edit"


def speed(
    parts: Annotated[
        list[Part] | None,
        typer.Option("--part", "-p", help="What to measure; may be repeated. Default: all."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for one JSON and one Markdown file per part."),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option("--work", help="Folder that keeps vectors and indexes for the next run."),
    ] = None,
    seeds: Annotated[
        Path | None,
        typer.Option("--seeds", help="Folder of symbolic music; default: shared/data/seeds."),
    ] = None,
    real: Annotated[
        int, typer.Option("--real", min=8, help="Covers to simulate and embed.")
    ] = 262_144,
    queries: Annotated[int, typer.Option("--queries", min=1, help="Queries of a batch.")] = 1_000,
    sizes: Annotated[
        str, typer.Option("--sizes", help="Vectors of the parts query and batch (the last).")
    ] = "15000,100000,1000000",
    approximate_sizes: Annotated[
        str, typer.Option("--approximate-sizes", help="Vectors of the part approximate.")
    ] = "1000000",
    edit_sizes: Annotated[
        str, typer.Option("--edit-sizes", help="Vectors of the part edit.")
    ] = "15000",
    build_sizes: Annotated[
        str, typer.Option("--build-sizes", help="Short performances of the part build.")
    ] = "1000,4000,15000",
    long_performances: Annotated[
        int, typer.Option("--long", min=1, help="Performances of four minutes of the part build.")
    ] = 600,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Of the vectors and of the part build.")
    ] = None,
    contenders: Annotated[
        list[str] | None,
        typer.Option(
            "--contender",
            help="Of the part approximate, built even if it takes hours; may be repeated.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Of the part batch.")] = 1,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="Rounds of each measurement.")
    ] = None,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only make vectors and indexes in --work.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure queries, approximate search, builds and changes, each against what it is made of.

    Leave the machine alone meanwhile. With --prepare, what takes long is made
    beforehand; the next run with the same --work only measures.
    """
    from ..report.run import environment
    from .runs import SpeedRun

    chosen = parts or list(Part)
    with ExitStack() as stack:
        kept = work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kept.mkdir(parents=True, exist_ok=True)
        run = SpeedRun(
            work=kept,
            seeds=seeds,
            n_real=real,
            n_queries=queries,
            sizes=_numbers(sizes),
            approximate_sizes=_numbers(approximate_sizes),
            edit_sizes=_numbers(edit_sizes),
            build_sizes=_numbers(build_sizes),
            n_long=long_performances,
            encoder=encoder,
            contenders=tuple(contenders or ()),
            threads=threads,
            rounds=rounds,
        )
        if prepare:
            run.prepare([part.value for part in chosen])
            return
        results = [_measured(part, run) for part in chosen]
        made_in = environment()
        for result in results:
            if out is not None:
                result.write(out, made_in)
        _print(results, as_json=as_json)
    if out is not None:
        print(f"wrote {len(results)} tables to {out}", file=sys.stderr)


def _measured(part: Part, run: SpeedRun) -> PartResult:
    print(f"measuring {part.value}", file=sys.stderr)
    measure: Callable[[], PartResult] = getattr(run, part.value)
    return measure()


def _print(results: list[PartResult], *, as_json: bool) -> None:
    if as_json:
        documents = [result.document() for result in results]
        print(json.dumps(documents, indent=2, ensure_ascii=False, default=list))
        return
    from rich.console import Console

    console = Console()
    for result in results:
        console.print(result.as_table())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(f"{text!r}; give whole numbers, separated by commas")
    return numbers
