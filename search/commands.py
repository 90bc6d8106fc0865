"""``coverdex query``: the covers of a performance of the catalogue, or of a new track.

The answer, a ranked table or with ``--json`` one document, goes to stdout; notes go to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from unicodedata import category

import typer

from .where_option import check_conditions

if TYPE_CHECKING:
    from ..encoder.encoder import Encoder
    from .candidate import Candidate
    from .index import Index
    from .queries import SearchOptions

#: Width of the table's columns beside ids, titles and artists, and of what is between columns.
OTHER_COLUMNS = 42


def query(
    index: Annotated[Path, typer.Argument(help="Folder of the index.", show_default=False)],
    performance: Annotated[
        str | None,
        typer.Option("--performance", "-p", help="Id of a performance of the index."),
    ] = None,
    hpcp: Annotated[
        Path | None, typer.Option("--hpcp", help="Feature file of a track (Da-TACOS layout).")
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option("--audio", help="Sound file of a track; needs the extra coverdex\\[audio]."),
    ] = None,
    frame_rate: Annotated[
        float | None,
        typer.Option(
            "--frame-rate", help="Frames per second of --hpcp, in Hz; Da-TACOS has 86.13."
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", "-n", min=1, help="How many candidates.")] = 10,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="Name or folder of the encoder for --hpcp and --audio; default: the index's own.",
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            help="Condition on the metadata, such as 'year>=1960' or 'key in C,Am'; repeatable, "
            "and all must hold.",
            callback=check_conditions,
        ),
    ] = None,
    exclude_work: Annotated[
        list[str] | None,
        typer.Option("--exclude-work", help="Leave this work out; repeatable."),
    ] = None,
    one_per_work: Annotated[
        bool, typer.Option("--one-per-work", help="Only the nearest performance of each work.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare with every embedding in float32.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Write the candidates to a .csv, .jsonl or .parquet file."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rank the nearest covers of one performance.

    Ask with --performance about a track that the index holds, which is left out of its own
    answer, or with --hpcp or --audio about any other.
    """
    if sum(each is not None for each in (performance, hpcp, audio)) != 1:
        raise typer.BadParameter("give one of --performance, --hpcp and --audio")
    if hpcp is None and frame_rate is not None:
        raise typer.BadParameter("--frame-rate goes with --hpcp")
    if performance is not None and encoder is not None:
        raise typer.BadParameter("--encoder goes with --hpcp and --audio")
    if out is not None and out.suffix.lower() not in (".csv", ".jsonl", ".parquet"):
        raise typer.BadParameter(f"--out {out} ends neither in .csv nor .jsonl nor .parquet")
    from .index import Index

    opened = Index.open(index)
    options: SearchOptions = {
        "limit": top,
        "where": where or [],
        "exclude_works": exclude_work or [],
        "one_per_work": one_per_work,
        "exact": exact,
    }
    if performance is not None:
        asked = _describe(opened, performance)
        candidates = opened.search_by_id(performance, **options)
    elif hpcp is not None:
        asked, candidates = _ask_about_file(opened, hpcp, frame_rate, encoder, options)
    else:
        assert audio is not None
        asked, candidates = _ask_about_sound(opened, audio, encoder, options)
    if out is not None:
        _write(out, opened, asked, candidates)
    if as_json:
        print(json.dumps(_document(opened, asked, candidates), ensure_ascii=False, indent=2))
    else:
        _print_table(asked, candidates)


def _describe(index: Index, performance_id: str) -> dict[str, Any]:
    row = index.metadata(performance_id)
    return {name: row[name] for name in ("performance_id", "work_id", "title", "artist")}


def _ask_about_file(
    index: Index,
    path: Path,
    frame_rate: float | None,
    encoder_name: str | None,
    options: SearchOptions,
) -> tuple[dict[str, Any], list[Candidate]]:
    from ..encoder import Chroma, read_chroma

    file = read_chroma(path)
    chroma = file.chroma
    if frame_rate is not None:
        chroma = Chroma(chroma.values, frame_rate, chroma.kind)
    encoder = _own_encoder(index, encoder_name)
    own = file.performance_id
    asked = {
        "performance_id": own,
        "work_id": file.work_id,
        "path": str(path),
        "encoder_id": encoder.id,
    }
    if own is not None and own in index:
        print(f"{own} is in the index itself and left out of its answer", file=sys.stderr)
    return asked, index.search(encoder.embed(chroma), exclude=own or (), **options)


def _ask_about_sound(
    index: Index, path: Path, encoder_name: str | None, options: SearchOptions
) -> tuple[dict[str, Any], list[Candidate]]:
    from ..encoder import extract_hpcp

    encoder = _own_encoder(index, encoder_name)
    # For another kind the encoder says what it reads.
    chroma = extract_hpcp(path)
    asked = {
        "performance_id": None,
        "work_id": None,
        "path": str(path),
        "encoder_id": encoder.id,
    }
    return asked, index.search(encoder.embed(chroma), **options)


def _own_encoder(index: Index, name: str | None) -> Encoder:
    from .own_encoder import load_encoder_of

    encoder = load_encoder_of(index, name)
    index.check_encoder(encoder.id)
    return encoder


def _write(out: Path, index: Index, asked: dict[str, Any], candidates: list[Candidate]) -> None:
    from .export import candidate_table, write_table

    name = asked["performance_id"] or asked.get("path", "")
    table = candidate_table([name], [candidates], schema=index.schema)
    n_rows = write_table([table], out, file_format=out.suffix.removeprefix("."))
    print(f"{n_rows} candidates written to {out}", file=sys.stderr)


def _is_cover(asked: dict[str, Any], candidate: Candidate) -> bool | None:
    """Say whether a candidate performs the query's work; None where either work is unknown."""
    if asked["work_id"] is None or candidate.work_id is None:
        return None
    return bool(asked["work_id"] == candidate.work_id)


def _document(index: Index, asked: dict[str, Any], candidates: list[Candidate]) -> dict[str, Any]:
    return {
        "index": {
            "path": str(index.path),
            "encoder_id": index.manifest.encoder_id,
            "count": len(index),
        },
        "query": asked,
        "candidates": [
            {
                "rank": candidate.rank,
                "similarity": candidate.similarity,
                "performance_id": candidate.performance_id,
                "work_id": candidate.work_id,
                "title": candidate.title,
                "artist": candidate.artist,
                "correct": _is_cover(asked, candidate),
                "metadata": dict(candidate.metadata),
            }
            for candidate in candidates
        ],
    }


def _shown(text: str, width: int | None = None) -> str:
    r"""Return text of a catalogue as a cell that shows it, whatever it holds.

    Control signs, which could move the cursor or end the line, become ``\x1b`` and the like, and
    square brackets no styles. Lines end after ``width`` letters.
    """
    from rich.markup import escape

    plain = "".join(ascii(c)[1:-1] if category(c) == "Cc" else c for c in text)
    if width is None:
        return escape(plain)
    return "\n".join(escape(plain[at : at + width]) for at in range(0, len(plain), width))


def _width_of_ids(console_width: int, candidates: Sequence[Candidate]) -> int:
    """Return after how many letters ids of performances and works go on in the next line.

    As far as they would leave titles and artists no room, or push the similarity off the table:
    those of MusicBrainz have 36 letters.
    """
    longest = [
        max((len(name or "") for name in names), default=0)
        for names in ([c.performance_id for c in candidates], [c.work_id for c in candidates])
    ]
    room = (console_width - OTHER_COLUMNS) * 2 // 3
    return max(longest) or 1 if sum(longest) <= room else max(room // 2, 8)


def _print_table(asked: dict[str, Any], candidates: list[Candidate]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    marks = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}
    judged = asked["work_id"] is not None
    known = [
        str(asked[key])
        for key in ("performance_id", "work_id", "title", "artist", "path")
        if asked.get(key) is not None
    ]
    table = Table(
        box=box.SIMPLE_HEAD, title=_shown("Nearest to " + " · ".join(known)), title_justify="left"
    )
    for name in ("Rank", "Similarity"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("Performance", "Work"):
        table.add_column(name, no_wrap=True)
    for name in ("Title", "Artist"):
        table.add_column(name)
    if judged:
        table.add_column("Correct", no_wrap=True)
    console = Console()
    width = _width_of_ids(console.width, candidates)
    for candidate in candidates:
        row = [str(candidate.rank), f"{candidate.similarity:.4f}"]
        row += [_shown(name or "", width) for name in (candidate.performance_id, candidate.work_id)]
        row += [_shown(text or "") for text in (candidate.title, candidate.artist)]
        if judged:
            row.append(marks[_is_cover(asked, candidate)])
        table.add_row(*row)
    console.print(table)
