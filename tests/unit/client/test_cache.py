"""The last known good calibrator on disk: what is read, what is written, and what is done about a disk that is no good."""

import errno
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitor import Client
from monitor.calibrators.compiled import compile_scalar
from monitor.calibrators.document import seal
from monitor.client.cache import ABANDONED, CONFIRMED, LARGEST_FILE, MAGIC, Cache, place
from monitor.client.champion import Champion, load
from monitor.client.champions import Champions
from monitor.client.limited import LimitedWarnings
from monitor.client.transport import Answer
from monitor.domain.errors import Unavailable

MODEL = "acme/churn risk"
NOBODY = "http://127.0.0.1:9"
MISSING = Answer(status=404, body=b'{"status": 404}')


def temperature(number: int, value: float | None = None, model: str = MODEL) -> dict[str, Any]:
    fitted = {"method": "temperature", "task": "binary", "parameters": {"temperature": value or 1.0 + number}}
    return seal(fitted, model=model, number=number, fitted_from={}, gate=None, created_at="2026-01-01T00:00:00Z")


class Server:
    """Stands in for the transport: tells what serves, or is away."""

    def __init__(self) -> None:
        self.champion: Any = None
        self.versions: dict[int, Any] = {}
        self.away = False
        self.asked = 0

    def get(self, path: str, *, etag: str | None) -> Answer:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        if path.endswith("/serving"):
            tag = "none" if self.champion is None else self.champion["sha256"]
            if etag == tag:
                return Answer(status=304, body=b"")
            return Answer(status=200, body=json.dumps({"champion": self.champion}).encode(), etag=tag)
        found = self.versions.get(int(path.rpartition("/")[2]))
        return MISSING if found is None else Answer(status=200, body=json.dumps(found).encode())


class Host:
    """A server, a cache file, and clients that start and end."""

    def __init__(self, folder: Path) -> None:
        self.server = Server()
        self.file = folder / "kept.json"
        self.previous = folder / "kept.previous.json"
        self.now = time.time()

    def start(self, *, bootstrap: Path | None = None, pin: int | None = None, away: bool = False) -> Champions:
        """Start a client; unless the server is away it hears from it once."""
        self.server.away = away
        warnings = LimitedWarnings(period=0.0)
        started = Champions(
            self.server,
            warnings,
            model=MODEL,
            refresh_seconds=30,
            cache=Cache(self.file, warnings, model=MODEL, clock=lambda: self.now),
            bootstrap=bootstrap,
            pin=pin,
            clock=lambda: self.now,
        )
        assert away or started.fetch()
        return started

    def serve(self, *champions: Any) -> None:
        """Let one champion after the other come into service while a client runs."""
        started = self.start(away=True)
        self.server.away = False
        for champion in champions:
            self.server.champion = champion
            self.now += 60
            assert started.fetch()

    def after(self) -> int | None:
        """Return what a client serves that starts while the server is away."""
        return self.start(away=True).current.number


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_start_without_the_server_serves_what_was_kept_last(host: Host) -> None:
    host.serve(temperature(1), temperature(2))
    started = host.start(away=True)
    assert (started.current.number, started.current.scalar(0.9)) == (2, compile_scalar(temperature(2))(0.9))
    assert (started.corrupt, started.unwritten) == (0, 0)
    host.now += 100
    assert started.age == pytest.approx(100)


def test_a_corrupt_file_gives_way_to_the_one_before(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.serve(temperature(1), temperature(2))
    host.file.write_bytes(host.file.read_bytes()[:-1])
    started = host.start(away=True)
    assert (started.current.number, started.corrupt) == (1, 1)
    assert "kept.json is not used" in caplog.text


@pytest.mark.parametrize("change", [(b'"fetched_at":1', b'"fetched_at":2'), (b'"2026-01-01', b'"2027-01-01')], ids=str)
def test_a_change_that_a_document_would_not_notice_is_noticed(host: Host, change: tuple[bytes, bytes]) -> None:
    host.serve(temperature(1), temperature(2))
    before = host.file.read_bytes()
    host.file.write_bytes(before.replace(*change))
    assert host.file.read_bytes() != before
    assert (host.start(away=True).corrupt, host.after()) == (1, 1)


def test_without_any_intact_file_the_bootstrap_serves_and_else_nothing(host: Host, tmp_path: Path) -> None:
    host.serve(temperature(1), temperature(2))
    host.file.write_bytes(b"")
    host.previous.write_bytes(b"\x00" * 100)
    assert (host.start(away=True).corrupt, host.after()) == (2, None)
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text(json.dumps(temperature(7)))
    assert host.start(away=True, bootstrap=bootstrap).current.number == 7


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(temperature(7))[:-1],
        json.dumps(temperature(7) | {"parameters": {"temperature": 9.0}}),
        json.dumps({name: value for name, value in temperature(7).items() if name != "sha256"}),
        json.dumps(temperature(7, model="other")),
        "null",
        "[" * 100_000,
        "\udcff",
    ],
    ids=["truncated", "changed", "unsealed", "other model", "null", "bomb", "no text"],
)
def test_a_bootstrap_that_does_not_verify_is_not_used(
    host: Host, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text(content, errors="surrogateescape")
    assert host.start(away=True, bootstrap=bootstrap).current.number is None
    assert "bootstrap.json is not used" in caplog.text


def test_the_bootstrap_serves_until_anything_else_is_known(host: Host, tmp_path: Path) -> None:
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text(json.dumps(temperature(7)))
    host.server.champion = temperature(2)
    assert host.start(bootstrap=bootstrap).current.number == 2
    assert host.start(away=True, bootstrap=bootstrap).current.number == 2
    assert host.start(away=True, bootstrap=tmp_path / "none.json").current.number == 2


@pytest.mark.parametrize("back", [None, temperature(1), temperature(2, 9.0)], ids=["identity", "older", "same number"])
def test_what_was_rolled_back_never_comes_back_from_disk(host: Host, back: Any) -> None:
    host.serve(temperature(1), temperature(2), back)
    expected = None if back is None else back["number"]
    assert host.after() == expected
    host.file.write_bytes(b"")
    assert host.after() == expected
    started = host.start(away=True)
    assert started.current.scalar(0.9) == (0.9 if back is None else compile_scalar(back)(0.9))


def test_who_dies_between_the_two_files_of_a_rollback_leaves_what_was(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.serve(temperature(1), temperature(2))
    whole = Cache._write  # noqa: SLF001

    def dies(cache: Cache, path: Path, kept: Any) -> None:
        if path == host.file:
            raise SystemExit
        whole(cache, path, kept)

    with monkeypatch.context() as patch:
        patch.setattr(Cache, "_write", dies)
        with pytest.raises(SystemExit):
            host.serve(None)
    assert host.after() == 2
    host.serve(None)
    assert host.after() is None
    host.file.unlink()
    assert host.after() is None


@pytest.mark.parametrize("back", [None, temperature(1)], ids=["identity", "older"])
@pytest.mark.parametrize("room", [0, 1], ids=["for none", "for one file"])
def test_a_full_disk_does_not_keep_what_was_rolled_back(
    host: Host, monkeypatch: pytest.MonkeyPatch, back: Any, room: int
) -> None:
    host.serve(temperature(1), temperature(3), temperature(2))  # both files hold 2
    left, sync = [None] * room, os.fsync

    def full(handle: int) -> None:
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        left.pop()
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr("monitor.client.cache.os.fsync", full)
        patch.setattr("monitor.client.cache._sync", lambda _folder: None)
        host.serve(back)
    assert host.after() == (back["number"] if back and room else None)


NOT_OURS = {
    "without a hash": {"number": 3, "parameters": {}},
    "with the hash of another": temperature(3) | {"parameters": {"temperature": 9.0}},
    "without a number": temperature(3) | {"number": None},
}


@pytest.mark.parametrize("document", NOT_OURS.values(), ids=NOT_OURS.keys())
def test_an_intact_file_of_a_document_that_does_not_verify_is_written_afresh(host: Host, document: Any) -> None:
    body = json.dumps({"model": MODEL, "fetched_at": 1.0, "champion": document}).encode()
    host.file.write_bytes(MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    host.server.champion = temperature(3)
    started = host.start()
    assert (started.corrupt, started.unwritten, host.after()) == (1, 0, 3)


def test_files_that_change_under_a_running_client_are_written_afresh(host: Host) -> None:
    host.server.champion = temperature(1)
    running = host.start()
    for damage in (host.file.unlink, lambda: host.file.write_bytes(b"x"), lambda: os.truncate(host.file, 9)):
        damage()
        host.server.away = False
        assert running.fetch()
        assert host.after() == 1


def test_what_stands_is_not_written_again(host: Host) -> None:
    host.server.champion = temperature(1)
    running = host.start()
    before = host.file.stat()
    assert running.fetch()
    host.start()
    assert host.file.stat() == before


def test_a_start_knows_within_an_hour_when_the_server_was_last_heard(host: Host) -> None:
    host.serve(temperature(1), temperature(2))
    running = host.start()
    for _ in range(100):
        host.now += 1_800
        assert running.fetch()
    age = host.start(away=True).age
    assert age is not None
    assert age <= CONFIRMED
    host.file.unlink()
    assert host.after() == 1  # what was before is still there


def test_a_slow_process_does_not_overwrite_what_a_later_one_knows(host: Host) -> None:
    host.serve(temperature(1), temperature(2))
    warnings = LimitedWarnings()
    slow = Cache(host.file, warnings, model=MODEL, clock=lambda: host.now)
    slow.keep(temperature(1), host.now - 5)
    assert host.after() == 2
    slow.keep(temperature(1), host.now + 5)
    assert host.after() == 1


def test_a_file_from_the_future_holds_up_nobody(host: Host) -> None:
    host.serve(temperature(1))
    host.now -= 10_000
    host.server.champion = temperature(2)
    host.start()
    assert host.after() == 2


def test_temporary_files_of_the_dead_are_removed_and_those_of_the_living_left(host: Host) -> None:
    old, young, other = (host.file.parent / f".{name}.tmp" for name in ("kept.a", "kept.b", "else.c"))
    for each in (old, young, other):
        each.write_text("x")
        os.utime(each, (host.now - (2 * ABANDONED if each != young else 0),) * 2)
    host.serve(temperature(1))
    assert [each.exists() for each in (old, young, other)] == [False, True, True]


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)


BAD = {
    "a directory": Path.mkdir,
    "a pipe": pipe,
    "a link to itself": link_to_itself,
    "a link to a device": link_to_a_device,
    "huge": huge,
    "no text": lambda path: path.write_bytes(bytes(range(256))),
    "a bomb": lambda path: path.write_bytes(b"[" * 100_000),
    "forbidden": lambda path: path.touch(mode=0),
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
def test_nothing_raises_whatever_lies_in_the_place(host: Host, make: Callable[[Path], Any]) -> None:
    make(host.file)
    make(host.previous)
    host.server.champion = temperature(1)
    started = host.start(away=True)
    assert (started.current.number, started.corrupt) == (None, 2)
    host.server.away = False
    assert started.fetch()
    assert started.current.number == 1
    assert (started.unwritten, host.after()) == ((1, None) if make is Path.mkdir else (0, 1))


def test_a_path_through_a_file_is_counted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    host = Host(tmp_path / "file")
    host.server.champion = temperature(1)
    started = host.start()
    assert (started.current.number, started.unwritten) == (1, 1)


def test_missing_directories_are_made(tmp_path: Path) -> None:
    host = Host(tmp_path / "a" / "b")
    host.serve(temperature(1))
    assert host.after() == 1


def test_files_of_another_model_are_not_used(host: Host) -> None:
    Cache(host.file, LimitedWarnings(), model="other").keep(temperature(1, model="other"), host.now)
    assert host.start(away=True).corrupt == 2
    Cache(host.file, LimitedWarnings(), model=MODEL).keep(temperature(1, model="other"), host.now)
    assert host.after() is None


def test_a_pinned_version_is_kept_and_asked_for_once(host: Host) -> None:
    host.server.champion, host.server.versions = temperature(5), {3: temperature(3)}
    host.start(pin=3)
    asked = host.server.asked
    started = host.start(pin=3)
    assert (started.current.number, host.server.asked) == (3, asked)
    assert host.start(pin=3, away=True).current.number == 3
    assert host.start(pin=4, away=True).current.number is None  # what is kept is not what is pinned


def test_each_server_and_model_and_pin_has_a_file_of_its_own() -> None:
    plain = {"url": NOBODY, "model": "a/b", "pin": None}
    others = [plain, plain | {"url": "http://c"}, plain | {"model": "a-b"}, plain | {"pin": 3}]
    files = {place("/cache", **each) for each in others}
    assert len(files) == 4
    assert all(each.parent == Path("/cache") and each.name.startswith("a-b-") for each in files)
    assert place("/etc/kept.json", **plain) == Path("/etc/kept.json")
    assert place("/etc/kept.json", url="", model="", pin=3) == Path("/etc/kept.3.json")
    assert len(place("/cache", url=NOBODY, model="✓" * 200, pin=None).name) < 255


def test_readers_never_see_half_of_what_writers_write(host: Host) -> None:
    documents = [temperature(number) for number in range(1, 5)]
    host.serve(documents[0])
    stop = threading.Event()

    def write(mine: list[dict[str, Any]]) -> None:
        cache = Cache(host.file, LimitedWarnings(), model=MODEL)
        while not stop.is_set():
            for each in mine:
                cache.keep(each, time.time())

    writers = [threading.Thread(target=write, args=(documents[i:],)) for i in range(3)]
    for each in writers:
        each.start()
    reader = Cache(host.file, LimitedWarnings(), model=MODEL)

    def used(document: Any) -> Champion:
        return load(document, model=MODEL)

    found = [reader.load(used) for _ in range(300)]
    stop.set()
    for each in writers:
        each.join()
    assert all(each is not None and each.value.number in {1, 2, 3, 4} for each in found)
    assert reader.corrupt == 0
    assert not list(host.file.parent.glob("*.tmp"))


def test_stats_tell_how_the_calibrator_fares(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    file = place(tmp_path, url=NOBODY, model=MODEL, pin=None)
    kept_at = time.time() - 50
    Cache(file, LimitedWarnings(), model=MODEL).keep(temperature(3), kept_at)
    os.truncate(file, 10)
    with Client(NOBODY, MODEL, timeout=0.2, cache=tmp_path) as client:
        assert client.calibrate(0.9) == compile_scalar(temperature(3))(0.9)
        assert client.refresh() is False
        stats = client.stats()
    assert (stats.calibrator_version, stats.cache_corrupt, stats.cache_unwritten) == (3, 1, 0)
    assert stats.fetch_failed >= 1
    assert stats.calibrator_age_seconds is not None
    assert 50 <= stats.calibrator_age_seconds < 80


def test_a_server_that_stays_away_for_long_is_asked_at_ever_the_same_pace(tmp_path: Path) -> None:
    client, now = Host(tmp_path).start(away=True), 0.0
    for _ in range(1_100):  # 2.0 ** 1024 would be too large a number
        before, now = now, client.step(now)
    assert 15.0 <= now - before <= 30.0
