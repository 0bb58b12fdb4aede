"""The command `calwatch`."""

import json
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn

from ..domain.errors import MonitorError
from ..domain.times import rfc3339
from ..runtime import collector
from ..runtime.clock import wall_clock
from ..runtime.config import load, unknown
from ..runtime.wiring import build, configure_logging, open_database
from ..store import keys, models
from ..store.engine import Database
from ..store.migrate import upgrade
from . import calibrators
from .processes import serve_by

log = logging.getLogger("calwatch")

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Watch the calibration of models in production.")
keys_app = typer.Typer(no_args_is_help=True, help="Keys for the API.")
app.add_typer(keys_app, name="keys")

LOOK_SECONDS = 1.0
BACKLOG = 2048
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def run() -> None:
    """Run the command; a mistake of the user's is one line, not a traceback."""
    try:
        app()
    except MonitorError as error:
        sys.stderr.write(f"calwatch: {error}\n")
        sys.exit(2)


@app.command()
def serve(
    *,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on", min=0, max=65535)] = 8080,
    jobs: Annotated[bool, typer.Option(help="run the jobs in this process too")] = True,
    processes: Annotated[int, typer.Option(help="server processes on the port", min=1, max=64)] = 1,
    fd: Annotated[int | None, typer.Option(hidden=True, help="a listening socket, in place of host and port")] = None,
) -> None:
    """Serve the API and the page; by default run the jobs too."""
    from ..api.app import create_app  # noqa: PLC0415 - workers and tools need no web framework

    settings = load()
    _begin(settings.log_level)
    if processes > 1:
        sys.exit(_serve_by_several(processes, host, port, jobs=jobs))
    services = build(settings, with_jobs=jobs)
    local = host in LOOPBACK
    with services.database.read() as connection:
        keyless = not keys.valid(connection)
    if keyless and not local:
        services.database.close()
        raise typer.BadParameter(
            f"{host} is not a loopback address and there are no API keys; make one with `calwatch keys create NAME`"
        )
    config = uvicorn.Config(
        create_app(services, local=local, now=services.now),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    # The web server repeats a signal once it has stopped, which would make a wanted end look like a crash.
    _on_signal(lambda: setattr(server, "should_exit", True))
    collector.settle()
    if fd is None:
        log.info("serving http://%s:%s", f"[{host}]" if ":" in host else host, port)
    server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])


def _serve_by_several(count: int, host: str, port: int, *, jobs: bool) -> int:
    """Serve by several processes, of which one at a time runs the jobs; return the exit status."""
    stop = threading.Event()
    _on_signal(stop.set)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=BACKLOG) as listening:
        listening.set_inheritable(True)
        name, bound = listening.getsockname()[:2]
        log.info("serving http://%s:%s by %d processes", f"[{name}]" if ":" in name else name, bound, count)
        arguments = ["--host", host, "--port", str(bound), "--jobs" if jobs else "--no-jobs"]
        return serve_by(count, arguments, listening.fileno(), stop)


@app.command()
def worker() -> None:
    """Run the jobs only: rolling up, evaluating, notifying."""
    settings = load()
    _begin(settings.log_level)
    services = build(settings, with_jobs=True)
    stop = threading.Event()
    _on_signal(stop.set)
    services.start()
    collector.settle()
    log.info("working on %s", socket.gethostname())
    # Now and then, since a signal that another thread of the process was given does not wake this one.
    while not stop.wait(LOOK_SECONDS):
        pass
    services.stop()


@app.command()
def migrate() -> None:
    """Bring the database to the schema of this version."""
    database = Database(load().database_url)
    upgrade(database)
    database.close()
    typer.echo("the database is at the newest schema")


@app.command()
def verify(model: Annotated[str | None, typer.Argument(help="only this model")] = None) -> None:
    """Recompute rollups from the rows by other code and compare them bit for bit."""
    from ..rollup.verify import differences_of  # noqa: PLC0415 - only this command needs it

    database = open_database(load())
    count = 0
    with database.read() as connection:
        chosen = [declared for declared in models.everyone(connection) if model in {None, declared.name}]
        if model is not None and not chosen:
            raise typer.BadParameter(f"there is no model {model}")
        for declared in chosen:
            differences = differences_of(connection, declared)
            count += len(differences)
            for difference in differences:
                typer.echo(f"{declared.name}: {difference}")
    database.close()
    typer.echo(
        f"{len(chosen)} model(s): " + ("all rollups equal their rows" if not count else f"{count} difference(s)")
    )
    if count:
        raise typer.Exit(1)


@app.command()
def rebuild(model: Annotated[str, typer.Argument(help="the model")]) -> None:
    """Roll a model up afresh, after a change of its segments."""
    from ..rollup.rebuild import rebuild_model  # noqa: PLC0415 - only this command needs it

    database = open_database(load())
    with database.read() as connection:
        declared = models.by_name(connection, model)
    if declared is None:
        raise typer.BadParameter(f"there is no model {model}")
    with typer.progressbar(length=1000, label=f"rolling up {model}") as bar:
        shown = 0

        def progress(done: int, total: int) -> None:
            nonlocal shown
            bar.update(1000 * done // max(1, total) - shown)
            shown = 1000 * done // max(1, total)

        rebuild_model(database, declared, report=progress)
    database.close()


@app.command()
def replay(
    model: Annotated[str, typer.Argument(help="the model")],
    *,
    policy: Annotated[Path, typer.Option(help="a JSON file of settings, any subset", exists=True, dir_okay=False)],
    start: Annotated[str | None, typer.Option(help="RFC 3339; the beginning of the history if not given")] = None,
    end: Annotated[str | None, typer.Option(help="RFC 3339; the end of the history if not given")] = None,
    step: Annotated[
        str | None, typer.Option(help="event time between evaluations; 1h, or what gives 2,000 steps, if not given")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print what the API would answer")] = False,
) -> None:
    """Tell what other settings would have done over stored history: alerts, promotions, rollbacks."""
    from ..runtime.replay import history, plan_of, replay_history  # noqa: PLC0415 - only this command needs it
    from .output import json_of, progress, told  # noqa: PLC0415 - likewise

    request = {**_settings_in(policy), "start": start, "end": end, "step": step}
    database = open_database(load())
    with database.read() as connection:
        declared = models.by_name(connection, model)
        if declared is None:
            raise typer.BadParameter(f"there is no model {model}")
        plan = plan_of(declared, request)
        past = history(connection, declared, plan, wall_clock())
    database.close()
    with progress(f"replaying {model}", silent=as_json) as report:
        outcome = replay_history(declared, plan, past, report=report)
    typer.echo(json_of(outcome) if as_json else told(outcome))


def _settings_in(policy: Path) -> dict[str, Any]:
    try:
        settings = json.loads(policy.read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{policy} is not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise typer.BadParameter(f"{policy} must hold a JSON object of settings")
    return settings


@keys_app.command("create")
def create_key(name: Annotated[str, typer.Argument(help="what the key is for")]) -> None:
    """Make a key; it is shown once."""
    database = open_database(load())
    with database.write() as connection:
        typer.echo(keys.create(connection, name, wall_clock()))
    database.close()


@keys_app.command("list")
def list_keys() -> None:
    """List keys: id, name, when made, when revoked."""
    database = open_database(load())
    with database.read() as connection:
        for number, name, created, revoked in keys.listed(connection):
            ended = f"revoked {rfc3339(revoked)}" if revoked is not None else "in force"
            typer.echo(f"{number}\t{name}\t{rfc3339(created)}\t{ended}")
    database.close()


@keys_app.command("revoke")
def revoke_key(number: Annotated[int, typer.Argument(help="the key's id, as listed")]) -> None:
    """End a key; servers stop taking it within seconds."""
    database = open_database(load())
    with database.write() as connection:
        ended = keys.revoke(connection, number, wall_clock())
    database.close()
    if not ended:
        raise typer.BadParameter(f"there is no key {number} in force")


calibrators.add_to(app)


def _on_signal(act: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: act())


def _begin(level: str) -> None:
    configure_logging(level)
    for name in unknown():
        log.warning("%s is set in the environment but is no setting of this version", name)
