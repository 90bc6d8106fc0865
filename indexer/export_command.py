"""``coverdex index export``: embeddings, or all nearest pairs, for other tools.

The formats are those of :mod:`coverdex.search.export`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..search.where_option import check_conditions
from .command_options import AsJson, IndexFolder


def export(
    index: IndexFolder,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Folder for embeddings; file for pairs.", show_default=False
        ),
    ],
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Embeddings: parquet, numpy or faiss. Pairs: parquet, csv or jsonl, by default as "
            "the name of the file ends.",
        ),
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option("--pairs", min=1, help="Export every performance's nearest so many instead."),
    ] = None,
    least_similarity: Annotated[
        float | None,
        typer.Option("--least-similarity", min=-1, max=1, help="Leave out pairs below."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            help="Condition on the candidates of pairs, such as year>=1960.",
            callback=check_conditions,
        ),
    ] = None,
    one_per_work: Annotated[
        bool,
        typer.Option("--one-per-work", help="Of each work only the nearest performance."),
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare with every embedding in float32.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Export embeddings, or with --pairs all nearest pairs of an index."""
    if pairs is None and (least_similarity is not None or where or one_per_work or exact):
        raise typer.BadParameter(
            "--least-similarity, --where, --one-per-work and --exact go with --pairs"
        )
    from ..search.export import EMBEDDING_FORMATS
    from ..search.table_files import TABLE_FORMATS

    taken = EMBEDDING_FORMATS if pairs is None else TABLE_FORMATS
    wanted = (file_format or ("parquet" if pairs is None else out.suffix.lstrip("."))).lower()
    if wanted not in taken:
        raise typer.BadParameter(
            f"unknown format {wanted!r}; give --format, one of {', '.join(taken)}"
        )
    from ..search import Index
    from .target_folder import check_name, only_maker

    check_name(out)
    opened = Index.open(index)
    document: dict[str, Any]
    if pairs is None:
        from ..search.export import export_embeddings

        with only_maker(out):
            files = export_embeddings(opened, out, file_format=wanted)
        document = {"files": [str(file) for file in files], "rows": len(opened)}
        line = f"wrote {len(opened)} embeddings to {', '.join(document['files'])}"
    else:
        from ..search.export import nearest_pairs, write_table
        from .progress import shown_progress

        with shown_progress("searching") as progress:
            tables = nearest_pairs(
                opened,
                limit=pairs,
                least_similarity=-1.0 if least_similarity is None else least_similarity,
                progress=progress,
                where=where or (),
                one_per_work=one_per_work,
                exact=exact,
            )
            rows = write_table(tables, out, file_format=wanted)
        document = {"files": [str(out)], "rows": rows}
        line = f"wrote {rows} pairs to {out}"
    print(line, file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(document, ensure_ascii=False, indent=2))
