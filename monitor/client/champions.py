"""The calibrators in force: applied in process, fetched in the background, identity until there is one.

What serves is an immutable snapshot which is swapped whole, so a value and the version that made it always belong together.
"""

import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from math import inf
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from ..calibrators.compiled import (
    compile_array,
    compile_distribution,
    compile_distributions,
    compile_scalar,
    compile_vector,
)
from ..calibrators.distributions import Distribution, ToDistribution
from ..calibrators.document import verify
from ..calibrators.errors import BadDocument
from ..calibrators.families import FAMILIES
from ..calibrators.singles import ToProbability
from ..calibrators.vectors import ToProbabilities
from ..domain.errors import Unavailable
from ..domain.names import version_name
from ..domain.times import Uniform, backoff
from .cache import LARGEST_FILE, Cache, read_bounded
from .canary import Lot
from .distributions import Given, Served, applied, applied_to_arrays
from .limited import LimitedWarnings, described
from .transport import Answer, Transport

FIRST_PAUSE: Final = 1.0
CANARY_ALONE: Final = 10
"""A canary serves for so many refreshes without a word of the server."""
Failed = Callable[[Exception], None]
T = TypeVar("T")


class Calibrated(NamedTuple, Generic[T]):
    """A calibrated value together with where it came from; `Client.log` takes it in place of a plain value."""

    value: T  # what to serve
    raw: T  # what the model said
    version: int | None  # number of the calibrator that was applied; None: none was
    event_id: str | None = None  # what the event is logged under; None: `log` makes an id


class Champion:
    """A calibrator ready to be applied; never changes."""

    def __init__(
        self,
        *,
        number: int | None,
        etag: str | None = None,
        scalar: ToProbability | None = None,
        vector: ToProbabilities | None = None,
        distribution: ToDistribution | None = None,
        document: Any = None,
        per_class: bool = False,
    ) -> None:
        self.number = number  # None for identity
        self.etag = etag
        self.scalar = scalar or _takes_all_classes
        self._vector = vector  # of a multiclass model
        self._distribution = distribution or _takes_probabilities  # of a regression
        self._many: Callable[[Any, Any], Any] | None = None
        self.document = document  # None for identity
        self.takes_vectors = vector is not None
        self._per_class = per_class  # parameters for each class, in the order of the names in its document
        self._classes: list[str] = (document["parameters"].get("classes") or []) if per_class else []
        self._array_form: Callable[[Any], Any] | None = None

    def apply(self, value: Any, failed: Failed) -> Any:
        """Return a number, vector, array or collection of them calibrated; report and leave as it is what can't be."""
        if _is_array(value):
            return self._array(value, failed)
        if isinstance(value, Mapping):
            return self._by_class(value, failed)
        if isinstance(value, tuple):
            return tuple(self._entries(value, failed))
        if isinstance(value, list):
            return self._entries(value, failed)
        return _one(self.scalar, value, failed)

    def distribution(self, given: Given) -> Served:
        """Return a distribution calibrated, or where arrays are given, many; raise where that can't be."""
        if not given.is_many:
            return applied(self._distribution, given)
        if self._many is None:
            self._many = compile_distributions(self.document or NO_CALIBRATOR)
        return applied_to_arrays(self._many, given)

    def _by_class(self, value: Mapping[Any, Any], failed: Failed) -> dict[Any, Any]:
        """Calibrate an object by class. Its order means nothing: parameters for each class go by the names in the document."""
        names = list(value)
        if self._per_class and not _is_nested(value.values()):
            names = self._classes
            if set(names) != set(value):
                failed(
                    ValueError(
                        f"the calibrator's classes are {', '.join(names) or 'not named'}: send these, or an array"
                    )
                )
                return dict(value)
        served = dict(zip(names, self._entries([value[name] for name in names], failed), strict=True))
        return {name: served[name] for name in value}

    def _entries(self, values: Any, failed: Failed) -> Any:
        """Calibrate a list: the classes of one event where the model is multiclass, else one entry after the other."""
        if self._vector is None or _is_nested(values):
            return [self.apply(value, failed) for value in values]
        return _one_vector(self._vector, values, failed)

    def _array(self, array: Any, failed: Failed) -> Any:
        numpy = sys.modules["numpy"]
        given = numpy.asarray(array, dtype=float)
        try:
            rows = given.ravel() if self._vector is None else given.reshape(-1, given.shape[-1])
            return self._whole_array(rows).reshape(given.shape)
        except Exception:  # noqa: BLE001  an entry which is no probability, most likely: one after the other
            return numpy.asarray(self.apply(given.tolist(), failed), dtype=float).reshape(given.shape)

    def _whole_array(self, rows: Any) -> Any:
        if self.document is None:
            return rows.copy()
        if self._array_form is None:
            self._array_form = compile_array(self.document)
        return self._array_form(rows)


def _one(scalar: ToProbability, value: Any, failed: Failed) -> Any:
    try:
        return scalar(float(value))
    except Exception as error:  # noqa: BLE001  nothing raises into serving code
        failed(error)
        return value


def _one_vector(vector: ToProbabilities, values: Any, failed: Failed) -> list[Any]:
    try:
        return vector([float(value) for value in values])
    except Exception as error:  # noqa: BLE001  nothing raises into serving code
        failed(error)
        return list(values)


def _takes_all_classes(_p: float) -> float:
    raise TypeError("the calibrator takes the probabilities of all classes, not one")


def _takes_distributions(_p: float) -> float:
    raise TypeError("the calibrator takes distributions: call calibrated_distribution")


def _takes_probabilities(_raw: Distribution) -> Distribution:
    raise TypeError("the calibrator takes probabilities: call calibrate or calibrated")


def _same(p: float) -> float:
    return p


NO_CALIBRATOR: Final = {"method": "identity", "task": "regression", "parameters": {}}
IDENTITY: Final = Champion(number=None, scalar=_same, distribution=compile_distribution(NO_CALIBRATOR))


def load(document: Any, *, model: str, etag: str | None = None) -> Champion:
    """Return the champion that a document of this model describes.

    Raises
    ------
    BadDocument
        when it does not verify, or belongs to another model.

    """
    checked = verify(document)
    if document["model"] != model:
        raise BadDocument("model", document["model"], f"it must be {model!r}")
    if checked.task == "regression":
        apply = compile_distribution(document)
        return Champion(
            number=document["number"], etag=etag, scalar=_takes_distributions, distribution=apply, document=document
        )
    multiclass = checked.task == "multiclass"
    return Champion(
        number=document["number"],
        etag=etag,
        scalar=None if multiclass else compile_scalar(document),
        vector=compile_vector(document) if multiclass else None,
        document=document,
        per_class=FAMILIES[checked.method].family.per_class,
    )


class _Problem(msgspec.Struct):
    """The server's own 404, as against that of a proxy which does not know it."""

    status: int


class _Offered(msgspec.Struct):
    """A calibrator that serves a share of traffic, as the server tells it."""

    share: float
    document: Any


class _Served(msgspec.Struct):
    """What the server says is to be served; an answer without `champion` says nothing, and least of all that there is none."""

    champion: Any
    canary: _Offered | None = None


class Canary(NamedTuple):
    """A calibrator on trial, and the events that it serves."""

    champion: Champion
    share: float
    lot: Lot

    def serves(self, event_id: str) -> bool:
        """Return whether an event is among those of the canary."""
        return self.lot.of(event_id) < self.share


class Serving(NamedTuple):
    """What is served now; swapped whole."""

    champion: Champion
    canary: Canary | None = None

    def of_event(self, event_id: str) -> Champion:
        """Return what serves an event."""
        canary = self.canary
        return canary.champion if canary is not None and canary.serves(event_id) else self.champion

    @property
    def takes_vectors(self) -> bool:
        """Whether a list holds the classes of one event, not one event after the other."""
        return self.champion.takes_vectors or (self.canary is not None and self.canary.champion.takes_vectors)


NOTHING: Final = Serving(IDENTITY)


class Champions:
    """Keeps what one model is served with up to date; what does not verify never replaces what works."""

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
        self._known_at: float | None = None  # when the server said so, in seconds since 1970
        self._heard = 0.0  # the same on the monotonic clock
        self.reset()
        self._begin(bootstrap)

    def reset(self) -> None:
        """Be due at once, with a lock and counts of its own, as a forked child must; what serves stays."""
        self._lock = threading.Lock()
        self._due = 0.0
        self._failures = 0
        self.failed = 0  # times that the server did not say what serves
        if self._cache is not None:
            self._cache.reset()

    @property
    def current(self) -> Champion:
        """The champion in force."""
        return self.serving.champion

    @property
    def corrupt(self) -> int:
        """How many files of the cache could not be used."""
        return 0 if self._cache is None else self._cache.corrupt

    @property
    def unwritten(self) -> int:
        """How often the cache could not be written."""
        return 0 if self._cache is None else self._cache.unwritten

    @property
    def age(self) -> float | None:
        """Seconds since the server last said that this is what serves; None while it never has."""
        return None if self._known_at is None else max(0.0, self._clock() - self._known_at)

    def step(self, now: float) -> float:
        """Fetch what serves if it is time; return when the next step is due."""
        if now >= self._due:
            fetched = self.fetch()
            self._due = now + (self._refreshed() if fetched else self._paused())
            if not fetched:
                self._end_canary(now)
        return inf if self._has_pinned else self._due

    def fetch(self) -> bool:
        """Ask what serves now; return whether the server said it. All stays as it is if not."""
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
        """Serve what the disk holds until the server is heard: what was kept last or before, else the bootstrap file, else identity."""
        found = None if self._cache is None else self._cache.load(self._usable)
        if found is not None:
            self.serving, self._known_at = Serving(found.value), found.fetched_at
        elif bootstrap is not None:
            try:
                document = msgspec.json.decode(read_bounded(bootstrap, LARGEST_FILE)[1])
                self.serving = Serving(
                    load(document, model=self._model) if self._pin is None else self._usable(document)
                )
            except Exception as error:  # noqa: BLE001  whatever is on the disk
                self._warnings.warn("bootstrap", f"{bootstrap} is not used: {described(error)}")

    def _usable(self, document: Any) -> Champion:
        """Return the champion of a document, null for none; where a version is pinned, only that one."""
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
        """Return what the server says, by the call of servers before 0.3 where it does not know the present one."""
        for path, read in (("/serving", self._read_serving), ("/calibrators/champion", self._read_champion)):
            answer = self._asked(self._of_model + path)
            if answer.status == HTTPStatus.NOT_MODIFIED:
                return self.serving
            if answer.status == HTTPStatus.OK:
                found = read(answer.body)
                self._tag = None if answer.etag is None else (self._of_model + path, answer.etag)
                return found
            if answer.status != HTTPStatus.NOT_FOUND or msgspec.json.decode(answer.body, type=_Problem).status != 404:  # noqa: PLR2004
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
        """Return a canary; one that can't be used is left out, which the champion need not suffer from."""
        try:
            champion = load(offered.document, model=self._model)
        except Exception as error:  # noqa: BLE001  whatever the server sent
            self._warnings.warn("canary", f"the canary does not serve: {described(error)}")
            return None
        return Canary(champion, offered.share, Lot(self._model, int(offered.document["number"])))

    def _end_canary(self, now: float) -> None:
        """Let the champion serve everything once the server, which watches the canary, has long not been heard."""
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


def _is_array(value: Any) -> bool:
    return "numpy" in sys.modules and hasattr(value, "__array__") and getattr(value, "shape", ()) != ()


def is_single(value: Any, *, vectors: bool) -> bool:
    """Return whether a value is of one event: a number, or where calibrators take vectors those of all its classes."""
    if _is_array(value):
        return vectors and len(value.shape) == 1
    if isinstance(value, Mapping):
        return vectors and not _is_nested(value.values())
    if isinstance(value, list | tuple):
        return vectors and not _is_nested(value)
    return True


def _is_nested(values: Any) -> bool:
    return any(isinstance(value, list | tuple | Mapping) or _is_array(value) for value in values)
