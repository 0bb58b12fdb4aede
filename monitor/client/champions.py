"""The calibrators in force: fetched in the background, identity until there is one.

What serves is an immutable snapshot which is swapped whole, so a value and the version that made it always belong together.
"""

import random
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from math import inf
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from ..calibrators.errors import BadDocument
from ..domain.errors import Unavailable
from ..domain.names import version_name
from ..domain.times import Uniform, backoff
from .cache import LARGEST_FILE, Cache, read_bounded
from .canary import Lot
from .champion import IDENTITY, Champion, load
from .limited import LimitedWarnings, described
from .transport import Answer, Transport

FIRST_PAUSE: Final = 1.0
CANARY_ALONE: Final = 10
"""Refreshes without an answer of the server after which a canary ends."""


class _Problem(msgspec.Struct):
    """A 404 of the server itself; a proxy's has no such body."""

    status: int


class _Offered(msgspec.Struct):
    """A calibrator for a share of traffic, as the server sends it."""

    share: float
    document: Any


class _Served(msgspec.Struct):
    """The server's answer about what serves; one without `champion` is not valid, and does not mean that there is none."""

    champion: Any
    canary: _Offered | None = None


class Canary(NamedTuple):
    """A calibrator on trial, and its share of events."""

    champion: Champion
    share: float
    lot: Lot

    def serves(self, event_id: str) -> bool:
        """Return whether the canary serves an event."""
        return self.lot.of(event_id) < self.share


class Serving(NamedTuple):
    """The calibrators that serve now, swapped whole."""

    champion: Champion
    canary: Canary | None = None

    def of_event(self, event_id: str) -> Champion:
        """Return the calibrator that serves an event."""
        canary = self.canary
        return canary.champion if canary is not None and canary.serves(event_id) else self.champion

    @property
    def takes_vectors(self) -> bool:
        """Whether a list holds the classes of one event, not one event after the other."""
        return self.champion.takes_vectors or (self.canary is not None and self.canary.champion.takes_vectors)


NOTHING: Final = Serving(IDENTITY)


class Champions:
    """Keeper of one model's serving calibrators; a document that does not verify never replaces one that works."""

    def __init__(
        self,
        transport: Transport,
        warnings: LimitedWarnings,
        *,
        model: str,
        refresh_seconds: float,
        cache: Cache | None = None,
        bootstrap: Path | None = None,
        pin: int | None = None,
        uniform: Uniform = random.uniform,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport
        self._warnings = warnings
        self._model = model
        self._of_model = f"/v1/models/{quote(model, safe='')}"
        self._refresh_seconds = refresh_seconds
        self._cache = cache
        self._pin = pin
        self._uniform = uniform
        self._clock = clock
        self.serving = NOTHING
        self._tag: tuple[str, str] | None = None  # the path that told what serves, and its ETag
        self._known_at: float | None = None  # time of the server's answer, in seconds since 1970
        self._heard = 0.0  # the same on the monotonic clock
        self.reset()
        self._begin(bootstrap)

    def reset(self) -> None:
        """Take a new lock and new counts, and be due at once, as a forked child must; the serving calibrators stay."""
        self._lock = threading.Lock()
        self._due = 0.0
        self._failures = 0
        self.failed = 0  # fetches without a valid answer
        if self._cache is not None:
            self._cache.reset()

    @property
    def current(self) -> Champion:
        """The champion in force."""
        return self.serving.champion

    @property
    def corrupt(self) -> int:
        """Number of cache files that could not be used."""
        return 0 if self._cache is None else self._cache.corrupt

    @property
    def unwritten(self) -> int:
        """Number of failed writes of the cache."""
        return 0 if self._cache is None else self._cache.unwritten

    @property
    def age(self) -> float | None:
        """Seconds since the server last confirmed what serves; None before it ever did."""
        return None if self._known_at is None else max(0.0, self._clock() - self._known_at)

    def step(self, now: float) -> float:
        """Fetch what serves if it is due; return the time of the next step."""
        if now >= self._due:
            fetched = self.fetch()
            self._due = now + (self._refreshed() if fetched else self._paused())
            if not fetched:
                self._end_canary(now)
        return inf if self._has_pinned else self._due

    def fetch(self) -> bool:
        """Ask the server what serves now; return whether it answered. Without an answer nothing changes."""
        with self._lock:
            if self._has_pinned:
                return True
            try:
                self.serving = self._pinned() if self._pin is not None else self._told()
            except Exception as error:  # noqa: BLE001  whatever the server sent, what worked stays
                self.failed += 1
                serving = version_name(self.current.number)
                self._warnings.warn("champion", f"served by {serving} as before: {described(error)}")
                return False
            self._known_at, self._heard = self._clock(), time.monotonic()
            if self._cache is not None:
                self._cache.keep(self.current.document, self._known_at)
        return True

    def _begin(self, bootstrap: Path | None) -> None:
        """Serve from the disk until the server answers: the newest usable file of the cache, else the bootstrap file, else identity."""
        cached = None if self._cache is None else self._cache.load(self._usable)
        if cached is not None:
            self.serving, self._known_at = Serving(cached.value), cached.fetched_at
        elif bootstrap is not None:
            try:
                document = msgspec.json.decode(read_bounded(bootstrap, LARGEST_FILE)[1])
                self.serving = Serving(
                    load(document, model=self._model) if self._pin is None else self._usable(document)
                )
            except Exception as error:  # noqa: BLE001  whatever is on the disk
                self._warnings.warn("bootstrap", f"{bootstrap} is not used: {described(error)}")

    def _usable(self, document: Any) -> Champion:
        """Return the champion of a document, null for none; refuse another version than one that is pinned."""
        champion = IDENTITY if document is None else load(document, model=self._model)
        if self._pin is not None and champion.number != self._pin:
            raise BadDocument("number", champion.number, f"it must be {self._pin}, which is pinned")
        return champion

    @property
    def _has_pinned(self) -> bool:
        return self._pin is not None and self.current.number == self._pin

    def _pinned(self) -> Serving:
        path = f"{self._of_model}/calibrators/{self._pin}"
        answer = self._transport.get(path, etag=None)
        if answer.status != HTTPStatus.OK:
            raise Unavailable(f"status {answer.status} for {path}, which is pinned")
        return Serving(self._usable(msgspec.json.decode(answer.body)))

    def _told(self) -> Serving:
        """Return the server's answer, by the call of servers before 0.3 where it does not know the present one."""
        for path, read in (("/serving", self._read_serving), ("/calibrators/champion", self._read_champion)):
            answer = self._asked(self._of_model + path)
            if answer.status == HTTPStatus.NOT_MODIFIED:
                return self.serving
            if answer.status == HTTPStatus.OK:
                serving = read(answer.body)
                self._tag = None if answer.etag is None else (self._of_model + path, answer.etag)
                return serving
            if (
                answer.status != HTTPStatus.NOT_FOUND
                or msgspec.json.decode(answer.body, type=_Problem).status != HTTPStatus.NOT_FOUND
            ):
                raise Unavailable(f"status {answer.status} for {self._of_model}{path}")
        self._tag = None
        return NOTHING

    def _asked(self, path: str) -> Answer:
        tag = self._tag[1] if self._tag is not None and self._tag[0] == path else None
        answer = self._transport.get(path, etag=tag)
        if answer.status == HTTPStatus.NOT_MODIFIED and tag is None:
            raise Unavailable(f"status {answer.status} for {path}, which was asked for whole")
        return answer

    def _read_serving(self, body: bytes) -> Serving:
        told = msgspec.json.decode(body, type=_Served)
        return Serving(self._usable(told.champion), None if told.canary is None else self._canary(told.canary))

    def _read_champion(self, body: bytes) -> Serving:
        return Serving(self._usable(msgspec.json.decode(body)))

    def _canary(self, offered: _Offered) -> Canary | None:
        """Return a canary; leave out one that cannot be used, so that the champion still serves."""
        try:
            champion = load(offered.document, model=self._model)
        except Exception as error:  # noqa: BLE001  whatever the server sent
            self._warnings.warn("canary", f"the canary does not serve: {described(error)}")
            return None
        return Canary(champion, offered.share, Lot(self._model, int(offered.document["number"])))

    def _end_canary(self, now: float) -> None:
        """Let the champion serve everything after a long silence of the server, which watches the canary."""
        if self.serving.canary is not None and now - self._heard > CANARY_ALONE * self._refresh_seconds:
            self.serving, self._tag = Serving(self.current), None

    def _refreshed(self) -> float:
        self._failures = 0
        return self._refresh_seconds * self._uniform(0.8, 1.2)

    def _paused(self) -> float:
        pause = backoff(
            self._failures, first=FIRST_PAUSE, longest=self._refresh_seconds, least=0.5, uniform=self._uniform
        )
        self._failures += 1
        return pause
