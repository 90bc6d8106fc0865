"""``coverdex benchmark encoder-speed``: how fast an encoder is, on the command line.

The table, or with ``--json`` one document, goes to stdout; progress goes to stderr.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def encoder_speed(
    catalogue: Annotated[
        str | None,
        typer.Argument(
            help="Da-TACOS folder, Parquet file of chroma, or 'demo'; made up if left out.",
            show_default=False,
        ),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="A shipped name or a checkpoint folder.")
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option("--threads", min=1, help="May be repeated. Default: 1 and 2."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="The quickest counts.")] = 5,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write JSON and Markdown here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how fast an encoder embeds feature files, and where the time goes.

    Performances per second, multiples of real time, peak memory, and the
    shares of reading, preprocessing and the network, beside a plain loop.
    """
    import tempfile

    from ..encoder import Encoder
    from . import encoder_speed as speed
    from .encoder_speed_table import encoder_speed_document as document_of
    from .encoder_speed_table import encoder_speed_table as table_of
    from .encoder_speed_table import write_encoder_speed
    from .report.run import environment

    encoder_id = Encoder.load(encoder).id
    with tempfile.TemporaryDirectory() as folder:
        source = catalogue or str(speed.write_made_up_catalogue(Path(folder)))
        speeds = speed.measure_encoder(
            source,
            encoder=encoder,
            threads=threads or (1, 2),
            rounds=rounds,
            progress=lambda what: print(what, file=sys.stderr),
        )
    settings = {"catalogue": catalogue or "made up", "encoder": encoder_id, "rounds": rounds}
    document = document_of(speeds, settings, environment())
    if out is not None:
        written = write_encoder_speed(document, speeds, out)
        print(f"wrote {' and '.join(map(str, written))}", file=sys.stderr)
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        from rich.console import Console

        title = f"{encoder_id} on {settings['catalogue']}"
        Console().print(table_of(speeds, title=title))
