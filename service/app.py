"""The application: routes, error handling and the life of the engine, put together.

``coverdex serve`` opens index and encoder, makes the application and runs it. Under a server of
your own choosing, the application opens them itself when it starts, as the environment says::

    COVERDEX_INDEX=my.index uvicorn --factory coverdex.service:create_app

The documentation page at ``/docs`` comes with its scripts from this service, not from a content
delivery network, so that it works where there is none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from .. import __version__
from .body_limit import BodyLimitMiddleware
from .cut_off import CutOffMiddleware
from .engine import Engine
from .error_handling import handle_errors
from .head import HeadMiddleware
from .openapi import DESCRIPTION, TAGS, document_with
from .routes import health, index, search, similarity
from .settings import Settings
from .workers import WorkerPool


def create_app(settings: Settings | None = None, *, engine: Engine | None = None) -> FastAPI:
    """Make the service's application.

    Parameters
    ----------
    settings : Settings, optional
        By default read from the environment.
    engine : Engine, optional
        An engine that is open already; by default the application opens the one that ``settings``
        name when it starts, and fails to start when that fails.

    Returns
    -------
    fastapi.FastAPI
        An ASGI application. Its lifespan must run, as every ASGI server does; mounted in another
        application whose lifespan does not reach it, it answers queries with 503.
    """
    chosen = Settings() if settings is None else settings  # type: ignore[call-arg]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        workers = WorkerPool(
            workers=chosen.workers,
            backlog=chosen.backlog,
            compute_threads=chosen.compute_threads,
        )
        try:
            app.state.workers = workers
            app.state.engine = engine or await workers.run(
                lambda: Engine.open(chosen.index, chosen.encoder)
            )
            yield
        finally:
            app.state.engine = None
            workers.close()

    app = FastAPIOffline(
        docs_url="/docs",
        redoc_url=None,
        title="Coverdex",
        summary="Vector search for cover versions.",
        description=DESCRIPTION.strip(),
        version=__version__,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=TAGS,
        redirect_slashes=False,
        lifespan=lifespan,
        static_url="/docs/static",
        swagger_ui_parameters={"validatorUrl": None, "defaultModelsExpandDepth": 1},
    )
    app.state.settings = chosen
    for routes in (search, similarity, index, health):
        app.include_router(routes.router)
    app.add_api_route("/", _to_the_docs, include_in_schema=False)
    app.add_middleware(BodyLimitMiddleware, max_body_bytes=chosen.max_body_bytes)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(CutOffMiddleware)
    handle_errors(app)
    app.openapi = document_with(app, chosen)  # type: ignore[method-assign]
    return app


async def _to_the_docs() -> RedirectResponse:
    return RedirectResponse("docs")
