"""The demo's own server: `calwatch serve` as a process with an SQLite file in a temporary folder, and its API."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec
import urllib3

HOST: Final = "127.0.0.1"
USUAL_PORT: Final = 8080
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
LOG_LINES: Final = 15
CLOCK: Final = "clock"
"""The file of the server's time."""
PACE: Final = {"CALWATCH_ROLLUP_SECONDS": "0.2", "CALWATCH_EVALUATE_SECONDS": "0.5"}
"""How often the server works: its time runs thousands of times faster than the wall clock."""


Content = TypeVar("Content")


class DemoError(Exception):
    """The demo can't go on."""


class Api:
    """The server's API, and its time.

    Parameters
    ----------
    url : where it listens
    clock : file of its time

    """

    def __init__(self, url: str, clock: Path) -> None:
        self.url = url
        self._clock = clock
        self._http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5.0, read=30.0), retries=False)

    def get(self, path: str, content: type[Content], **query: str) -> Content:
        """Return the answer to a query.

        Raises
        ------
        DemoError
            for any status but 2xx, with the answer's text.

        """
        body = self._call("GET", f"{path}?{urlencode(query)}" if query else path)
        return msgspec.json.decode(body, type=content)

    def put(self, path: str, settings: msgspec.Struct) -> None:
        """Declare settings; raises as `get` does."""
        self._call("PUT", path, msgspec.json.encode(settings))

    def set_time(self, now: datetime | None) -> None:
        """Set the server's time, which stands still until it is set again; None lets it be that of the wall clock."""
        if now is None:
            self._clock.unlink(missing_ok=True)
            return
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(now.isoformat(), encoding="utf-8")
        fresh.replace(self._clock)

    def answers(self) -> bool:
        """Return whether the server is ready."""
        try:
            return self._http.request("GET", f"{self.url}/readyz").status == HTTPStatus.OK
        except urllib3.exceptions.HTTPError:
            return False

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {"Content-Type": "application/json"} if body else None
        try:
            answer = self._http.request(method, self.url + path, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise DemoError(f"the server does not answer {method} {path}: {error}") from error
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise DemoError(f"{method} {path} is answered with {answer.status}: {answer.data.decode(errors='replace')}")
        return answer.data


def port_for(wanted: int | None) -> int:
    """Return the wanted port, else the usual one, else any free one.

    Raises
    ------
    DemoError
        when the wanted port is taken.

    """
    if _is_free(USUAL_PORT if wanted is None else wanted):
        return USUAL_PORT if wanted is None else wanted
    if wanted is not None:
        raise DemoError(f"port {wanted} is in use: name another with --port, or none to have a free one found")
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        # As the server does: remains of old connections are no hindrance.
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, port))
        except OSError:
            return False
    return True


@contextmanager
def serving(folder: Path, port: int) -> Iterator[Api]:
    """Run the server while the block runs; end it by its process id in any case.

    Raises
    ------
    DemoError
        when it does not start, with the end of its log.

    """
    command = [sys.executable, "-m", "monitor", "serve", "--host", HOST, "--port", str(port)]
    log = folder / "server.log"
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches only the demo, which ends the server in its own time.
        process = subprocess.Popen(  # noqa: S603  our own command
            command,
            env=_environment(folder),
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        api = Api(f"http://{HOST}:{port}", folder / CLOCK)
        _await(api, process, log)
        yield api
    finally:
        _end(process)


def _environment(folder: Path) -> dict[str, str]:
    whole = os.environ  # noqa: TID251 - handed on to the server, not read
    inherited = {name: value for name, value in whole.items() if not name.startswith("CALWATCH_")}
    return (
        inherited
        | PACE
        | {
            "CALWATCH_DATABASE_URL": f"sqlite:///{folder / 'calwatch.db'}",
            "CALWATCH_CLOCK_FILE": str(folder / CLOCK),
        }
    )


def _await(api: Api, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not api.answers():
        if process.poll() is not None or time.monotonic() > deadline:
            told = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
            raise DemoError(f"the server did not start; its log ends:\n{told}")
        time.sleep(0.1)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
