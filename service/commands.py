"""``coverdex serve``: run the HTTP query service."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer


def serve(
    index: Annotated[
        Path,
        typer.Argument(envvar="COVERDEX_INDEX", help="Folder of the index.", show_default=False),
    ],
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; 0.0.0.0 for all; default: 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port, 0 for a free one; default: 8000."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="Name or folder of the encoder; default: the index's own."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Threads that answer queries; default: one per processor."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Cosine distance below which two tracks are called covers; default: 0.5."
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(help="critical, error, warning, info or debug; default: info."),
    ] = None,
) -> None:
    """Answer queries over HTTP until stopped.

    Every option, and more, can be set in the environment as COVERDEX_..., see docs/service.md; an
    option given here wins.
    """
    from pydantic import ValidationError

    from .settings import Settings

    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "encoder": encoder,
        "workers": workers,
        "cover_threshold": threshold,
        "log_level": log_level,
    }
    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = Settings(index=index, **given)
    except ValidationError as error:
        raise typer.BadParameter(_explain(error, given)) from error

    from .server import run

    run(settings)


def _explain(error: Any, given: Collection[str]) -> str:
    """Name the settings that are wrong as they were given: as options, or by the environment."""
    return "; ".join(
        f"{_as_given(str(problem['loc'][0]), given)}: {problem['msg']}, not {problem['input']!r}"
        for problem in error.errors()
    )


def _as_given(setting: str, given: Collection[str]) -> str:
    if setting not in given:
        return f"COVERDEX_{setting.upper()}"
    option = "threshold" if setting == "cover_threshold" else setting.replace("_", "-")
    return f"--{option}"
