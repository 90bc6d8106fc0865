"""``coverdex index add``, ``update``, ``remove``, ``compact``, ``verify``: an index over its life.

Each change is durable when the command ends, and services that follow the index see it with their
next query (:mod:`coverdex.search.editor`).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .command_options import (
    AsJson,
    EncoderId,
    IndexFolder,
    MetadataFile,
    OwnEncoderName,
    Subset,
    Workers,
    check_recall_wanted,
    encoder_and_catalogue,
    factory_of_the_command_line,
    listed_lines,
    refuse_if_none_exists,
    refuse_options_of_others,
)

if TYPE_CHECKING:
    from .additions import AdditionReport

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        help="Feature files, sound files, a catalogue, or a folder of shards.",
        show_default=False,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Exit with code 1 if anything is rejected; unlike a strict build, the rest is put in.",
    ),
]


def add(
    index: IndexFolder,
    paths: Sources,
    update: Annotated[
        bool, typer.Option("--update", help="Replace performances that are there already.")
    ] = False,
    encoder: OwnEncoderName = None,
    subset: Subset = None,
    metadata: MetadataFile = None,
    encoder_id: EncoderId = None,
    workers: Workers = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Add performances to an index.

    What cannot be added is told and the rest is added. Exit code 1 if nothing could be added, 3 if
    what is named does not exist.
    """
    source = _Source(paths, encoder, subset, metadata, encoder_id, workers)
    report = _put(index, source, update=update, must_exist=False)
    _report_addition(report, paths, strict=strict, as_json=as_json)


def update(
    index: IndexFolder,
    paths: Sources,
    encoder: OwnEncoderName = None,
    subset: Subset = None,
    metadata: MetadataFile = None,
    encoder_id: EncoderId = None,
    workers: Workers = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Replace performances of an index, embedding and metadata; all must be there.

    The metadata too: of feature files alone, titles and artists are not known afterwards.

    What cannot be read is told and the rest is replaced. Exit code 1 if nothing could be, 3 if what
    is named does not exist.
    """
    source = _Source(paths, encoder, subset, metadata, encoder_id, workers)
    report = _put(index, source, update=True, must_exist=True)
    _report_addition(report, paths, strict=strict, as_json=as_json)


def remove(
    index: IndexFolder,
    performances: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Performance ids.")
    ] = None,
    file_list: Annotated[
        Path | None, typer.Option("--list", help="Text file with one id per line; - is stdin.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove performances from an index.

    Ids that the index does not have are reported; it is an error (exit code 3) only if it has none
    of them.
    """
    from ..encoder.errors import NotFoundError
    from ..search import IndexEditor

    wanted = [*(performances or []), *listed_lines(file_list)]
    if not wanted and file_list is not None:
        raise typer.BadParameter(f"the list {file_list} is empty; put one id on each line")
    if not wanted:
        raise typer.BadParameter("give performance ids, or --list")
    with IndexEditor(index) as editor:
        report = editor.remove(wanted)
    line = f"removed {len(report.removed)} performances"
    if report.unknown:
        shown = ", ".join(report.unknown[:5]) + (", ..." if len(report.unknown) > 5 else "")
        line += f"; {len(report.unknown)} were not there: {shown}"
    _answer(line, {"removed": report.removed, "unknown": report.unknown}, as_json=as_json)
    if not report.removed:
        raise NotFoundError(f"none of the {len(report.unknown)} performances is in {index}")


def compact(
    index: IndexFolder,
    factory: Annotated[
        str | None, typer.Option("--factory", help="FAISS factory string of the new files.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fold the changes of an index into new files."""
    from ..search import IndexEditor
    from .progress import shown_steps

    with factory_of_the_command_line(), shown_steps(), IndexEditor(index) as editor:
        before = editor.index.manifest.generation
        manifest = editor.compact(factory=factory)
    line = (
        f"{manifest.count} performances in generation {manifest.generation}"
        if manifest.generation > before
        else "nothing to compact"
    )
    document = {"generation": manifest.generation, "count": manifest.count}
    _answer(line, {**document, "factory": manifest.factory}, as_json=as_json)


def tune(
    index: IndexFolder,
    recall: Annotated[
        float | None,
        typer.Option(
            "--recall", help="Recall@10 wanted; default: as before.", callback=check_recall_wanted
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure anew how an index is asked most quickly at a recall, on this machine."""
    from ..search import IndexEditor
    from .progress import shown_steps

    with shown_steps(), IndexEditor(index) as editor:
        manifest = editor.tune(recall=recall)
    measured = manifest.plan.get("measured", {})
    if "nprobe" not in manifest.search_parameters or not measured:
        _answer(
            f"nothing to measure: {manifest.count} performances as {manifest.factory}",
            {"factory": manifest.factory, "search_parameters": manifest.search_parameters},
            as_json=as_json,
        )
        return
    asked = ", ".join(f"{name} {value}" for name, value in manifest.search_parameters.items())
    reached = "" if measured["reached"] else ", which does not reach the recall wanted"
    document = {
        "factory": manifest.factory,
        "search_parameters": manifest.search_parameters,
        "recall_wanted": manifest.plan["recall_wanted"],
        "reached": measured["reached"],
        "queries_per_second": measured["queries_per_second"],
    }
    line = f"{asked}: {measured['queries_per_second']:,} queries per second of one thread{reached}"
    _answer(line, document, as_json=as_json)


def verify(index: IndexFolder, as_json: AsJson = False) -> None:
    """Read an index completely and check it against its checksums; exit code 1 if it is damaged."""
    from ..search import verify_index

    found = verify_index(index)
    for problem in found.problems:
        print(problem, file=sys.stderr)
    line = (
        f"{len(found.files)} files, {found.n_bytes:,} bytes: whole"
        if found.whole
        else f"damaged: {len(found.problems)} problem{'s' * (len(found.problems) != 1)}"
    )
    document = {
        "path": str(index),
        "whole": found.whole,
        "problems": list(found.problems),
        "files": list(found.files),
        "bytes": found.n_bytes,
    }
    _answer(line, document, as_json=as_json)
    if not found.whole:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Source:
    """What is to be put into an index, as the command line says it."""

    paths: list[str]
    encoder: str | None
    subset: str | None
    metadata: Path | None
    encoder_id: str | None
    workers: int | None


def _put(index: Path, source: _Source, *, update: bool, must_exist: bool) -> AdditionReport:
    from ..search import IndexEditor
    from .additions import add_catalogue, add_embeddings
    from .preparation import default_workers
    from .progress import shown_progress
    from .shard_reading import holds_shards, read_shards_at

    of_shards = len(source.paths) == 1 and holds_shards(source.paths[0])
    refuse_options_of_others(
        of_shards, source.encoder_id, source.encoder or source.subset or source.metadata
    )
    with IndexEditor(index) as editor:
        if of_shards:
            contents = read_shards_at(source.paths[0], encoder_id=source.encoder_id)
            with shown_progress("adding") as progress:
                return add_embeddings(
                    editor, contents, update=update, must_exist=must_exist, progress=progress
                )
        loaded, catalogue = encoder_and_catalogue(
            source.encoder,
            source.paths,
            None,
            source.subset,
            source.metadata,
            index=editor.index,
        )
        workers = source.workers
        with shown_progress("adding") as progress:
            return add_catalogue(
                editor,
                catalogue,
                encoder=loaded,
                update=update,
                must_exist=must_exist,
                workers=default_workers(catalogue) if workers is None else workers,
                progress=progress,
            )


def _report_addition(
    report: AdditionReport, paths: list[str], *, strict: bool, as_json: bool
) -> None:
    from .rejection import summarise_rejections

    if report.columns_left_out:
        names = ", ".join(report.columns_left_out)
        print(f"left out, because the index has no such columns: {names}", file=sys.stderr)
    if report.columns_emptied:
        counts = ", ".join(f"{name} of {n:,}" for name, n in report.columns_emptied.items())
        print(
            f"not known any more, because what was given does not say: {counts} performances; "
            "to have it, update from a catalogue with its metadata",
            file=sys.stderr,
        )
    for rejection in report.rejections:
        print(f"{rejection.reason}: {rejection.message}", file=sys.stderr)
    line = (
        f"added {len(report.added)}, updated {len(report.updated)} performances, "
        f"{summarise_rejections(report.rejections)}"
    )
    _answer(line, asdict(report), as_json=as_json)
    nothing_put = not (report.added or report.updated)
    if nothing_put:
        refuse_if_none_exists(paths, report.rejections)
    if report.rejections and (strict or nothing_put):
        raise typer.Exit(1)


def _answer(line: str, document: dict[str, Any], *, as_json: bool) -> None:
    """Print the line on stdout, or on stderr where stdout is for the document."""
    print(line, file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(document, ensure_ascii=False, indent=2))
