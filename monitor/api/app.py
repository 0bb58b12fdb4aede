"""The web application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import FileResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from monitor.api import calibration, calibrators, models, problems
from monitor.api.events import EventsEndpoint, openapi_path
from monitor.api.guard import Guard
from monitor.errors import Unavailable
from monitor.export import CalibrationCollector
from monitor.store.migrate import pending
from monitor.wiring import Services, wall_clock

STATIC: Final = Path(__file__).parent / "static"
PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
PROBLEM_SCHEMA: Final = {
    "type": "object",
    "description": "RFC 9457",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "value": {}, "reason": {"type": "string"}},
            },
        },
    },
}


def own_version() -> str:
    """Return the version of this installation."""
    try:
        return version("calwatch")
    except PackageNotFoundError:
        return "0"


def create_app(services: Services, *, local: bool) -> FastAPI:
    """Return the application over the given services.

    Parameters
    ----------
    services : what routes work with; started and stopped by the application
    local : it listens on a loopback address, where no key is needed until there is one

    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        services.start()
        yield
        await run_in_threadpool(services.stop)

    app = FastAPI(title="calwatch", version=own_version(), lifespan=lifespan, redoc_url=None)
    app.state.services = services
    problems.install(app)
    # On top of the routes of models, whose names may contain anything.
    app.router.routes.append(Route("/v1/events", EventsEndpoint(services.ingest), methods=["POST"]))
    _add_probes(app, services)
    for router in (calibration.router, calibrators.router, models.router):
        app.include_router(router)
    _add_page(app)
    _describe_events(app)
    app.add_middleware(Guard, database=services.database, local=local)
    return app


def _add_probes(app: FastAPI, services: Services) -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(CalibrationCollector(services.database, wall_clock))

    @app.get("/metrics", tags=["operations"], response_class=PlainTextResponse)
    def metrics() -> Response:
        """Return all figures in Prometheus' text format."""
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

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

    app.mount("/static", StaticFiles(directory=STATIC), name="static")


def _describe_events(app: FastAPI) -> None:
    """Let OpenAPI describe the endpoint that the framework does not know."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        schema = described()
        if "/v1/events" not in schema["paths"]:
            path, schemas = openapi_path()
            schema["paths"] = path | schema["paths"]
            schema.setdefault("components", {}).setdefault("schemas", {}).update(schemas | {"Problem": PROBLEM_SCHEMA})
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema
