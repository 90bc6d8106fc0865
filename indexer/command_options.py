"""Options that the commands of this folder share, and how they are read."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from ..encoder.encoder import Encoder
    from ..search import Index
    from .catalogue import Catalogue
    from .rejection import Rejection

Catalogues = Annotated[
    str,
    typer.Argument(
        metavar="PATH",
        help="Da-TACOS folder, Parquet file of chroma, folder of sound files, folder of shards, or "
        "'demo'.",
        show_default=False,
    ),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="Name of a shipped encoder, or a checkpoint folder; default: coverdex-64.",
    ),
]
OwnEncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="Name of a shipped encoder, or a checkpoint folder; default: the index's own.",
    ),
]
EncoderId = Annotated[
    str | None, typer.Option("--encoder-id", help="Who made shards that do not say.")
]
Kind = Annotated[
    Literal["hpcp", "crema", "cens"] | None,
    typer.Option("--kind", help="Kind of chroma to read; the encoder's own by default."),
]
Subset = Annotated[
    Literal["benchmark", "coveranalysis"] | None,
    typer.Option("--subset", help="Which subset, for a folder that holds both."),
]
MetadataFile = Annotated[
    Path | None, typer.Option("--metadata", help="Metadata file, where it is not at its place.")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=0, help="Reading processes; by default as the machine allows."),
]


def _of_text(index: Path) -> Path:
    """Refuse a name that FAISS and Arrow cannot open."""
    from .file_names import check_is_text

    check_is_text(index)
    return index


IndexFolder = Annotated[
    Path, typer.Argument(help="Folder of the index.", show_default=False, callback=_of_text)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def check_recall_wanted(recall: float | None) -> float | None:
    """Refuse a recall that is no share; 0 would ask for nothing."""
    from ..search.errors import IndexPlanError
    from ..search.plan import check_recall

    try:
        check_recall(1.0 if recall is None else recall)
    except IndexPlanError as error:
        raise typer.BadParameter(str(error)) from None
    return recall


@contextmanager
def factory_of_the_command_line() -> Iterator[None]:
    """Make a factory string that will not do wrong usage, where it was given with --factory."""
    from ..search.errors import FactoryError

    try:
        yield
    except FactoryError as error:
        raise typer.BadParameter(str(error), param_hint="'--factory'") from None


def encoder_and_catalogue(
    encoder: str | None,
    paths: Sequence[str],
    kind: str | None = None,
    subset: str | None = None,
    metadata: Path | None = None,
    *,
    index: Index | None = None,
) -> tuple[Encoder, Catalogue]:
    """Load the encoder and open what the paths name: one catalogue, or files of one kind.

    Where no encoder is named it is the one of the index that is added to, or else the default one.
    """
    from ..encoder import Encoder
    from ..search.own_encoder import load_encoder_of
    from .catalogue import check_is_there, open_catalogue
    from .feature_files import FEATURE_FILE_ENDINGS, FileListCatalogue
    from .sound_files import SoundFileCatalogue, is_sound_file

    of_sound = all(is_sound_file(path) and not Path(path).is_dir() for path in paths)
    odd = [path for path in paths if not (of_sound or path.endswith(FEATURE_FILE_ENDINGS))]
    one_catalogue = len(paths) == 1 and bool(odd)
    if odd and not one_catalogue:
        raise typer.BadParameter(
            f"{odd[0]} is no feature file (.h5); give one catalogue, feature files or sound files"
        )
    if not one_catalogue and (subset is not None or metadata is not None):
        raise typer.BadParameter("--subset and --metadata go with a folder of Da-TACOS")
    if one_catalogue:
        check_is_there(paths[0])  # whoever misspelt it is not to look for an encoder
    loaded = Encoder.load(encoder) if index is None else load_encoder_of(index, encoder)
    wanted = kind or str(loaded.kind)
    if one_catalogue:
        return loaded, open_catalogue(paths[0], kind=wanted, subset=subset, metadata=metadata)
    files = SoundFileCatalogue if of_sound else FileListCatalogue
    return loaded, files(paths, kind=wanted)


def refuse_options_of_others(
    of_shards: bool, for_shards: object | None, for_catalogues: object | None
) -> None:
    """Refuse options that go with the other kind of source, shards or catalogues."""
    if of_shards and for_catalogues:
        raise typer.BadParameter("these are embeddings already; --encoder and the like are done")
    if not of_shards and for_shards:
        raise typer.BadParameter("--encoder-id is for shards; give --encoder")


def refuse_if_none_exists(paths: Sequence[str], rejections: Sequence[Rejection]) -> None:
    """Say of a command that came to nothing that none of the files it was given is there.

    Raises
    ------
    NotFoundError
        All rejections are of named files that do not exist.
    """
    from ..encoder.errors import NotFoundError
    from .rejection import NO_FEATURE_FILE

    named = {str(Path(path)) for path in paths}
    absent = [r.path for r in rejections if r.reason == NO_FEATURE_FILE and r.path in named]
    if absent and len(absent) == len(rejections):
        raise NotFoundError(f"no file {absent[0]}, so nothing was done; give existing files")


def listed_lines(file_list: Path | None) -> list[str]:
    """Read the lines of a text file, of stdin where it is ``-``; none where none is named.

    A byte order mark, as Windows writes it, is no part of the first line.

    Raises
    ------
    NotFoundError
        No such file.
    CoverdexError
        It is not UTF-8.
    """
    from ..encoder.errors import CoverdexError, NotFoundError

    if file_list is None:
        return []
    try:
        written = sys.stdin.buffer.read() if str(file_list) == "-" else file_list.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"no list at {file_list}; give a text file, or - for stdin") from None
    try:
        text = written.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = written.count(b"\n", 0, error.start) + 1
        raise CoverdexError(
            f"the list {file_list} is not UTF-8 in line {line}; save it as UTF-8"
        ) from None
    # Ids and names of files may hold signs that end a line for Unicode, such as U+2028.
    lines = (line.strip(" \t\n") for line in io.StringIO(text, newline=None))
    return [line for line in lines if line]


def print_described(described: Mapping[str, Any]) -> None:
    """Print names and values as a table on stdout, those without a value left out."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False)
    for name, value in described.items():
        if value not in (None, "", {}, []):
            text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
            table.add_row(f"[bold]{name.replace('_', ' ')}", escape(text))
    Console().print(table)
