"""``coverdex index ...`` and ``coverdex embed``: from catalogues to indexes, on the command line.

What a command answers goes to stdout, and with ``--json`` one document; progress and warnings go to
stderr. Errors are left to :mod:`coverdex.cli`, which knows the exit codes.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .change_commands import add, compact, remove, tune, update, verify
from .command_options import (
    AsJson,
    Catalogues,
    EncoderId,
    EncoderName,
    IndexFolder,
    Kind,
    MetadataFile,
    Subset,
    Workers,
    check_recall_wanted,
    encoder_and_catalogue,
    factory_of_the_command_line,
    listed_lines,
    print_described,
    refuse_if_none_exists,
    refuse_options_of_others,
)
from .export_command import export

if TYPE_CHECKING:
    from .build import BuildReport
    from .embedding import EmbeddingReport

app = typer.Typer(
    help="Build an index, look into it, change it.", no_args_is_help=True, add_completion=False
)


@app.command()
def build(
    path: Catalogues,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the index to write.")],
    encoder: EncoderName = None,
    kind: Kind = None,
    subset: Subset = None,
    metadata: MetadataFile = None,
    factory: Annotated[
        str, typer.Option("--factory", help="FAISS factory string; auto plans it from the size.")
    ] = "auto",
    memory: Annotated[
        int | None, typer.Option("--memory", min=1, help="Most MB for the vectors, for planning.")
    ] = None,
    recall: Annotated[
        float,
        typer.Option(
            "--recall", help="Recall@10 wanted, for planning.", callback=check_recall_wanted
        ),
    ] = 0.99,
    encoder_id: EncoderId = None,
    workers: Workers = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Write no index, and exit with code 1, if anything is rejected."
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bulk-index a catalogue, or shards that `coverdex embed` made.

    What cannot be indexed is listed in OUT.rejected.parquet and the rest is indexed. A build that
    was interrupted goes on where it stopped when it is started again.
    """
    from .build import build_index, build_index_from_shards
    from .preparation import default_workers
    from .progress import shown_progress, shown_steps
    from .shard_reading import holds_shards

    options: dict[str, Any] = {"strict": strict, "overwrite": overwrite, "factory": factory}
    options |= {"memory": memory and memory * 1_000_000, "recall": recall}
    of_shards = holds_shards(path)
    refuse_options_of_others(of_shards, encoder_id, encoder or kind or subset or metadata)
    if of_shards:
        with factory_of_the_command_line(), shown_steps():
            report = build_index_from_shards(path, out, encoder_id=encoder_id, **options)
    else:
        loaded, catalogue = encoder_and_catalogue(encoder, [path], kind, subset, metadata)
        n_workers = default_workers(catalogue) if workers is None else workers
        with (
            factory_of_the_command_line(),
            shown_progress("embedding") as progress,
            shown_steps(),
        ):
            report = build_index(
                catalogue, out, encoder=loaded, workers=n_workers, progress=progress, **options
            )
    _report(report, as_json=as_json)


@app.command()
def info(
    index: IndexFolder,
    as_json: AsJson = False,
) -> None:
    """Say what an index holds, who made it and how it is asked."""
    import pyarrow.compute as pc

    from ..search import Index

    opened = Index.open(index)
    works = opened.columns(["work_id"]).column("work_id")
    sizes = pc.value_counts(works.drop_null()).field("counts").to_pylist()
    described: dict[str, Any] = {
        "path": str(opened.path),
        **asdict(opened.manifest),
        "count": len(opened),
        "changes": dict(zip(("added", "removed"), opened.n_changes, strict=True)),
        "works": len(sizes),
        "performances_with_covers": sum(size for size in sizes if size > 1),
        "without_work": works.null_count,
        "size": sum(file.size for file in opened.manifest.files.values()),
    }
    if as_json:
        print(json.dumps(described, ensure_ascii=False, indent=2))
        return
    described["bytes"] = f"{described.pop('size'):,}"
    if not any(described["changes"].values()):
        del described["changes"]
    described["files"] = ", ".join(file.path for file in opened.manifest.files.values())
    print_described(described)


def embed(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="A catalogue (Da-TACOS folder, Parquet file of chroma, folder of sound files, "
            "'demo'), feature files or sound files.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the shards to write.")] = ...,  # type: ignore[assignment]  # required
    file_list: Annotated[
        Path | None,
        typer.Option(
            "--list", help="Text file naming one feature or sound file per line; - is stdin."
        ),
    ] = None,
    encoder: EncoderName = None,
    kind: Kind = None,
    subset: Subset = None,
    metadata: MetadataFile = None,
    share: Annotated[
        str, typer.Option("--share", help="i/n: make every n-th shard only, from the i-th.")
    ] = "1/1",
    workers: Workers = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit with code 1 if anything is rejected; the rest is embedded."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Embed a catalogue into Parquet shards, without building an index.

    `coverdex index build` takes the folder of shards. Several machines can share the work with
    --share 1/4, 2/4, ... into one folder, or into folders that are put together afterwards. Exit
    code 1 if nothing could be embedded, 3 if the files that are named do not exist.
    """
    from .embedding import embed_catalogue
    from .preparation import default_workers
    from .progress import shown_progress

    share_of_all = _parsed_share(share)
    sources = [*(paths or []), *listed_lines(file_list)]
    if not sources and file_list is not None:
        raise typer.BadParameter(f"the list {file_list} is empty; put one file on each line")
    if not sources:
        raise typer.BadParameter("give a catalogue, feature files, or --list")
    loaded, catalogue = encoder_and_catalogue(encoder, sources, kind, subset, metadata)
    n_workers = default_workers(catalogue) if workers is None else workers
    with shown_progress("embedding") as progress:
        report = embed_catalogue(
            catalogue,
            out,
            encoder=loaded,
            workers=n_workers,
            share=share_of_all,
            progress=progress,
        )
    _report_embedding(report, encoder_id=loaded.id, as_json=as_json)
    nothing = not report.n_embedded and share_of_all[1] == 1  # a share may well be empty
    if nothing:
        refuse_if_none_exists(sources, report.rejections)
    if report.rejections and (strict or nothing):
        raise typer.Exit(1)


def _parsed_share(text: str) -> tuple[int, int]:
    position, _, n_shares = text.partition("/")
    if not (position.isdecimal() and n_shares.isdecimal()):  # isdigit would take "²"
        raise typer.BadParameter(f"--share is {text}; give i/n, such as 2/4")
    if not 1 <= int(position) <= int(n_shares):
        raise typer.BadParameter(f"--share is {text}; give i/n with i from 1 to n")
    return int(position), int(n_shares)


def _report(report: BuildReport, *, as_json: bool) -> None:
    from .rejection import summarise_rejections

    line = (
        f"indexed {report.n_indexed} performances in {report.seconds:.1f} s, "
        f"{summarise_rejections(report.rejections)}"
    )
    if report.rejections:
        line += f": see {report.rejection_report}"
    if as_json:
        print(line, file=sys.stderr)
        print(json.dumps(report.as_document(), ensure_ascii=False, indent=2))
    else:
        print(line)


def _report_embedding(report: EmbeddingReport, *, encoder_id: str, as_json: bool) -> None:
    from .rejection import summarise_rejections

    line = (
        f"embedded {report.n_embedded} performances in {len(report.shards)} shards "
        f"({report.n_kept} were there already), {summarise_rejections(report.rejections)}"
    )
    for rejection in report.rejections:
        print(f"{rejection.reason}: {rejection.message}", file=sys.stderr)
    if not as_json:
        print(line)
        return
    print(line, file=sys.stderr)
    document = {
        "folder": str(report.folder),
        "shards": [path.name for path in report.shards],
        "n_embedded": report.n_embedded,
        "n_kept": report.n_kept,
        "rejections": [asdict(rejection) for rejection in report.rejections],
        "encoder_id": encoder_id,
    }
    print(json.dumps(document, ensure_ascii=False, indent=2))


for change in (add, update, remove, compact, tune, verify, export):
    app.command()(change)
