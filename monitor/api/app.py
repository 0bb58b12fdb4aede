"""The web application."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import FileResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Route

from ..domain.errors import Unavailable
from ..runtime.clock import Clock, wall_clock
from ..runtime.replays import Replays
from ..runtime.wiring import Services
from ..store.migrate import pending
from . import docs, problems
from .auth import Guard, Guarded
from .docs import STATIC
from .exposition import exposition
from .freshness import Freshness
from .front import EVENTS, Application
from .metrics import CalibrationCollector
from .paths import Calls, RequestNormaliser
from .routes import (
    alerts,
    audit,
    baseline,
    calibrate,
    calibration,
    calibrators,
    estimates,
    labels,
    models,
    prediction_sets,
    rejections,
    replay,
    segments,
    serving,
    stored_events,
    thresholds,
)
from .routes.events import EventsEndpoint

ROUTES: Final = (
    models,
    stored_events,
    rejections,
    alerts,
    calibration,
    baseline,
    segments,
    estimates,
    labels,
    calibrators,
    calibrate,
    audit,
    serving,
    thresholds,
    prediction_sets,
    replay,
)
"""The modules of routes about models."""

PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """The page's files, revalidated at each visit: modules of two versions do not work together."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        """Return a file, or that it has not changed."""
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = PAGE_HEADERS["Cache-Control"]
        return response


def own_version() -> str:
    """Return the version of this installation."""
    try:
        return version("calwatch")
    except PackageNotFoundError:
        return "0"


def model_routes() -> list[BaseRoute]:
    """Return all routes about models."""
    return [route for module in ROUTES for route in module.router.routes]


def create_app(services: Services, *, local: bool, now: Clock = wall_clock) -> FastAPI:
    """Return the application over the given services.

    Parameters
    ----------
    services : database, ingest and jobs; started and stopped with the application
    local : whether it listens on a loopback address, where no key is needed until one is made
    now : the time in microseconds since 1970

    """
    running = Replays(services.database, now)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        services.start()
        yield
        await run_in_threadpool(running.stop)
        await run_in_threadpool(services.stop)

    events = EventsEndpoint(services.ingest)
    guard = Guard(database=services.database, local=local)
    app = Application(
        events=events,
        guard=guard,
        title="calwatch",
        version=own_version(),
        description="Watches whether a model in production still means what it says.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.now = now
    app.state.replays = running
    app.state.freshness = Freshness(services.database, services.roll_up_soon)
    problems.install(app)
    app.router.routes.append(Route(EVENTS, events, methods=["POST"]))
    for module in ROUTES:
        app.include_router(module.router)
    _add_probes(app, services, now)
    _add_page(app)
    docs.install(app, model_routes())
    app.add_middleware(Guarded, guard=guard)
    app.add_middleware(RequestNormaliser, calls=Calls(model_routes()))
    return app


def _add_probes(app: FastAPI, services: Services, now: Callable[[], int]) -> None:
    collector = CalibrationCollector(services.database, now, most_series=services.settings.exported_series)

    @app.get("/metrics", tags=["operations"], response_class=PlainTextResponse)
    def metrics() -> Response:
        """Return all figures in Prometheus' text format."""
        return Response(exposition(collector.collect()), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    @app.get("/healthz", tags=["operations"])
    def healthz() -> dict[str, str]:
        """Say that the process lives."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"])
    def readyz() -> dict[str, str]:
        """Say whether requests can be served: the database answers, at the schema of this version."""
        if pending(services.database):
            raise Unavailable("the database is not at the schema of this version")
        return {"status": "ready"}


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers=PAGE_HEADERS)

    app.mount("/static", PageFiles(directory=STATIC), name="static")
