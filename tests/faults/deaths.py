"""Serving code that logs events and dies, each way of it by a process of its own: `python deaths.py WAY`.

What was logged stands in the file `logged`, a line per event, written once `log` has returned.
"""

import asyncio
import atexit
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from monitor import Client, lifespan

FOLDER = Path(os.environ["DEATHS_FOLDER"])
RUN = os.environ["DEATHS_RUN"]
PORT = os.environ["DEATHS_PORT"]
OPTIONS = {"spool": os.environ["DEATHS_SPOOL"]} if "DEATHS_SPOOL" in os.environ else {}
EVENTS = 40

LAST: list[Callable[[], None]] = []
atexit.register(lambda: [work() for work in LAST])  # from before the client, so it runs after the client's own hook

client = Client(
    os.environ["DEATHS_URL"],
    "m",
    timeout=float(os.environ.get("DEATHS_TIMEOUT", "20")),
    flush_seconds=float(os.environ.get("DEATHS_FLUSH_SECONDS", "1")),
    handle_sigterm="DEATHS_HANDLE_SIGTERM" in os.environ,
    **OPTIONS,
)


def emit(count: int = EVENTS) -> None:
    """Log events, and note each once `log` has returned."""
    note = os.open(FOLDER / "logged", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for _ in range(count):
        name = f"{RUN}-{os.getpid()}-{time.monotonic_ns()}"
        client.log(name, probability=0.5)
        os.write(note, f"{name}\n".encode())
    os.close(note)


def noted() -> int:
    """Return how many events were logged so far."""
    path = FOLDER / "logged"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait(condition: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError((FOLDER / "server.log").read_text())
        time.sleep(0.02)


# Ways to end that run code of ours


def ends() -> None:
    emit()


def exits() -> None:
    emit()
    sys.exit(3)


def raises() -> None:
    emit()
    raise RuntimeError("nobody catches this")


def is_outlived_by_a_thread() -> None:
    def late() -> None:
        time.sleep(0.2)
        emit()

    threading.Thread(target=late).start()


def logs_at_exit() -> None:
    atexit.register(emit)
    LAST.append(emit)
    emit()


def is_interrupted() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    emit()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)


def is_terminated() -> None:
    emit()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)


def processes(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    children = [context.Process(target=emit) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()


def pool(method: str) -> None:
    with multiprocessing.get_context(method).Pool(2) as workers:
        workers.map(emit, [5] * 8)
        workers.close()
        workers.join()


def renewing_pool() -> None:
    """Let each worker end after two tasks."""
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=2) as workers:
        workers.map(emit, [5] * 8, chunksize=1)
        workers.close()
        workers.join()


def executor() -> None:
    with ProcessPoolExecutor(2) as workers:
        list(workers.map(emit, [5] * 8))


def joblib() -> None:
    import deaths  # noqa: PLC0415  by name, as functions of a library are
    from joblib import Parallel, delayed  # noqa: PLC0415  of this way alone

    Parallel(n_jobs=2)(delayed(deaths.emit)(5) for _ in range(8))


def forks_within_a_fork() -> None:
    emit(3)
    child = os.fork()
    if child == 0:
        emit(3)
        fork()
        sys.exit(0)
    os.waitpid(child, 0)


def forks_from_a_thread() -> None:
    """Fork in a thread, while the others log."""
    threads = [threading.Thread(target=work) for work in (emit, emit, fork, fork, emit)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def interrupted_loop() -> None:
    """Be interrupted in an event loop, whose tasks log as they are cancelled."""
    signal.signal(signal.SIGINT, signal.default_int_handler)

    async def serve() -> None:
        try:
            emit()
            await asyncio.to_thread(emit, 5)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(5)
        finally:
            emit(3)

    asyncio.run(serve())


def forks() -> None:
    """Fork while the client's thread starts, sends and waits."""
    dice = random.Random(RUN)
    for _ in range(12):
        emit(3)
        time.sleep(dice.choice([0.0, 0.001, 0.01, 0.03]))
        fork()


def forks_while_connecting() -> None:
    """Fork while the client's thread sends for the first time."""
    emit(1)
    time.sleep(random.Random(RUN).choice([0.0, 0.0, 0.0002, 0.0005, 0.001]))
    fork()


def fork() -> None:
    child = os.fork()
    if child == 0:
        emit(3)
        sys.exit(0)
    os.waitpid(child, 0)


# Servers


@contextmanager
def server(module: str, *options: str) -> Iterator[None]:
    """Run a server, and ask it to end."""
    with (FOLDER / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *options], cwd=Path(__file__).parent, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(40)


def uvicorn(*options: str) -> None:
    with server("uvicorn", "--port", PORT, *options):
        ask()


def gunicorn(*options: str) -> None:
    with server("gunicorn", "--bind", f"127.0.0.1:{PORT}", "--workers", "2", *options, "deaths:wsgi"):
        ask()


def celery(*options: str) -> None:
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    with server("celery", "-A", "deaths:tasks", "worker", "-c", "2", *quiet, *options):
        app = __getattr__("tasks")
        for _ in range(EVENTS // 2):
            app.send_task("pair")
        wait(lambda: noted() == EVENTS)


def ask() -> None:
    wait(answers)
    for _ in range(EVENTS):
        request("/event")


def answers() -> bool:
    try:
        return request("/") == b"ok"
    except OSError:
        return False


def request(path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=20) as answer:
        return answer.read()


class Application:
    """An ASGI application that logs an event per request, with a lifespan or without."""

    def __init__(self, manager: Any = None) -> None:
        self._manager = manager

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["path"] == "/event":
            emit(1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def _live(self, receive: Any, send: Any) -> None:
        assert self._manager is not None
        async with self._manager(self):
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


bare = Application()
lived = Application(lifespan(client))


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/event":
        emit(1)
    start_response("200 OK", [])
    return [b"ok"]


def __getattr__(name: str) -> Any:
    """Make Celery's application when it is asked for: no other way needs Celery."""
    if name != "tasks":
        raise AttributeError(name)
    from celery import Celery  # noqa: PLC0415

    folder = FOLDER / "broker"
    folder.mkdir(exist_ok=True)
    made = Celery("deaths", broker="filesystem://")
    made.conf.broker_transport_options = dict.fromkeys(
        ["data_folder_in", "data_folder_out", "control_folder"], str(folder)
    )

    def pair() -> None:
        emit(2)

    made.task(name="pair")(pair)
    globals()["tasks"] = made
    return made


# Ways to end that run no code of ours


def is_killed() -> None:
    emit()
    os.kill(os.getpid(), signal.SIGKILL)


def leaves_at_once() -> NoReturn:
    emit()
    os._exit(0)


def executes() -> NoReturn:
    emit()
    os.execv(sys.executable, [sys.executable, "-c", ""])  # noqa: S606


def terminated_pool() -> None:
    with multiprocessing.get_context("fork").Pool(2) as workers:
        workers.map(emit, [5] * 8)


def logs_for_long() -> NoReturn:
    """Log without an end, to be killed at any moment."""
    while True:
        emit(1)
        time.sleep(0.0005)


WAYS: dict[str, Callable[[], object]] = {
    "end": ends,
    "sys.exit": exits,
    "exception": raises,
    "thread": is_outlived_by_a_thread,
    "atexit": logs_at_exit,
    "Ctrl-C": is_interrupted,
    "SIGTERM": is_terminated,
    "Process fork": lambda: processes("fork"),
    "Process spawn": lambda: processes("spawn"),
    "Process forkserver": lambda: processes("forkserver"),
    "Pool forkserver": lambda: pool("forkserver"),
    "Pool renewing": renewing_pool,
    "Pool fork": lambda: pool("fork"),
    "Pool spawn": lambda: pool("spawn"),
    "executor": executor,
    "joblib": joblib,
    "asyncio": interrupted_loop,
    "os.fork": forks,
    "os.fork twice": forks_within_a_fork,
    "os.fork in a thread": forks_from_a_thread,
    "os.fork while connecting": forks_while_connecting,
    "uvicorn": lambda: uvicorn("deaths:lived"),
    "uvicorn workers": lambda: uvicorn("--workers", "2", "deaths:lived"),
    "gunicorn": gunicorn,
    "gunicorn preload": lambda: gunicorn("--preload"),
    "gunicorn threads": lambda: gunicorn("--preload", "--worker-class", "gthread", "--threads", "2"),
    "gunicorn renewing": lambda: gunicorn("--preload", "--max-requests", "7"),
    "celery": celery,
    "celery renewing": lambda: celery("--max-tasks-per-child", "3"),
    "celery threads": lambda: celery("--pool", "threads"),
    "celery solo": lambda: celery("--pool", "solo"),
    "SIGKILL": is_killed,
    "os._exit": leaves_at_once,
    "exec": executes,
    "Pool.terminate": terminated_pool,
    "bare uvicorn": lambda: uvicorn("--lifespan", "off", "deaths:bare"),
    "bare uvicorn workers": lambda: uvicorn("--lifespan", "off", "--workers", "2", "deaths:bare"),
    "for long": logs_for_long,
}

if __name__ == "__main__":
    WAYS[sys.argv[1]]()
