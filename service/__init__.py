"""The HTTP query service: ranked covers of a track, and the similarity of two.

:func:`create_app`
    the FastAPI application;
:class:`Settings`
    what a deployment can set, by environment variables with the prefix ``COVERDEX_``;
:class:`Engine`
    an open index together with the encoder that made it;
:func:`run`
    serve until told to stop: what ``coverdex serve`` calls.

``docs/service.md`` tells how to use and run it. Importing this package loads neither FastAPI nor
torch: each name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .app import create_app
    from .engine import Engine
    from .server import run
    from .settings import Settings

_HOME_OF = {
    "Engine": "engine",
    "Settings": "settings",
    "create_app": "app",
    "run": "server",
}

__all__ = ["Engine", "Settings", "create_app", "run"]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
