"""Serving: a socket, a log, and an orderly end.

Everything that can fail is done before the socket accepts: the index is opened, the encoder loaded,
the port taken. So a service that can be connected to can answer, and one that cannot start says why
in one line and leaves with the exit code of that reason.

On SIGTERM or SIGINT the service takes no new connections, lets running requests finish for up to
``shutdown_timeout`` seconds and exits with 0. Logs go to stderr.
"""

from __future__ import annotations

import logging
import signal
import socket
from typing import Any

import uvicorn

from ..encoder import CoverdexError
from .app import create_app
from .engine import Engine
from .settings import Settings
from .workers import set_compute_threads

logger = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until a signal says stop.

    Parameters
    ----------
    settings : Settings
        What to serve and how.

    Raises
    ------
    NotFoundError
        No such index or encoder.
    IncompatibleError
        Index and encoder do not belong together.
    CoverdexError
        The index or checkpoint is damaged, or the address cannot be listened on.
    """
    set_compute_threads(settings.compute_threads)
    engine = Engine.open(settings.index, settings.encoder)
    listener = listen(settings.host, settings.port)
    config = uvicorn.Config(
        create_app(settings, engine=engine),
        log_config=log_config(settings.log_level),
        timeout_graceful_shutdown=settings.shutdown_timeout,
        server_header=False,
    )
    server = uvicorn.Server(config)
    logger.info(
        "serving %d performances at %s (API at /docs)",
        len(engine.index),
        address_of(listener),
    )
    # uvicorn raises the signal that stopped it once more when all is done, for a handler above it.
    # Here there is none and the process would die of it, though stopping when told is success.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, server.handle_exit)
    with listener:
        server.run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """Take the address; port 0 takes a free one.

    Raises
    ------
    CoverdexError
        The address is taken, forbidden or none of this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except (OSError, ValueError) as error:  # ValueError: what cannot even be looked up as a name
        reason = getattr(error, "strerror", None) or str(error)
        raise CoverdexError(
            f"cannot listen on {host} port {port}: {reason}; give another --host or --port"
        ) from error


def address_of(listener: socket.socket) -> str:
    """Return the URL that ``listener`` is reached at."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def log_config(level: str) -> dict[str, Any]:
    """Describe the log for :func:`logging.config.dictConfig`: one format, all of it on stderr."""
    loggers = ("coverdex", "uvicorn", "uvicorn.access")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"format": "%(asctime)s %(levelname)s %(message)s"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        "loggers": {
            name: {"handlers": ["stderr"], "level": level.upper(), "propagate": False}
            for name in loggers
        },
    }
