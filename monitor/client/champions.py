"""The calibrator in force: applied in process, fetched in the background, identity until there is one.

A champion is an immutable snapshot which is swapped whole, so a value and the version that made it always belong together.
"""

import random
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from monitor.calibrators.document import verify
from monitor.calibrators.errors import BadDocument
from monitor.calibrators.scalar import ToProbabilities, ToProbability, compile_scalar, compile_vector
from monitor.client.limited import LimitedWarnings, described
from monitor.client.transport import Answer, Transport
from monitor.errors import Unavailable

FIRST_PAUSE: Final = 0.5
Failed = Callable[[Exception], None]
T = TypeVar("T")


class Calibrated(NamedTuple, Generic[T]):
    """A calibrated value together with where it came from; `Client.log` takes it in place of a plain value."""

    value: T  # what to serve
    raw: T  # what the model said
    version: int | None  # number of the calibrator that was applied; None: none was


class Champion:
    """A calibrator ready to be applied; never changes."""

    def __init__(
        self,
        *,
        number: int | None,
        etag: str | None = None,
        scalar: ToProbability | None = None,
        vector: ToProbabilities | None = None,
        document: Any = None,
    ) -> None:
        self.number = number  # None for identity
        self.etag = etag
        self.scalar = scalar or _takes_all_classes
        self._vector = vector  # of a multiclass model
        self._document = document
        self._array_form: Callable[[Any], Any] | None = None

    def apply(self, value: Any, failed: Failed) -> Any:
        """Return a number, vector, array or collection of them calibrated; report and leave as it is what can't be."""
        if _is_array(value):
            return self._array(value, failed)
        if isinstance(value, Mapping):
            return dict(zip(value, self._entries(list(value.values()), failed), strict=True))
        if isinstance(value, tuple):
            return tuple(self._entries(value, failed))
        if isinstance(value, list):
            return self._entries(value, failed)
        return _one(self.scalar, value, failed)

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
        if self._document is None:
            return rows.copy()
        if self._array_form is None:
            from monitor.client.arrays import compile_array  # noqa: PLC0415  needs NumPy, which who passes an array has

            self._array_form = compile_array(self._document)
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


def _same(p: float) -> float:
    return p


IDENTITY: Final = Champion(number=None, scalar=_same)


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
    multiclass = checked.task == "multiclass"
    return Champion(
        number=document["number"],
        etag=etag,
        scalar=None if multiclass else compile_scalar(document),
        vector=compile_vector(document) if multiclass else None,
        document=document,
    )


class _Problem(msgspec.Struct):
    """The server's own 404, as against that of a proxy which does not know it."""

    status: int


class Champions:
    """Keeps the champion of one model up to date; what does not verify never replaces what works."""

    def __init__(
        self,
        transport: Transport,
        warnings: LimitedWarnings,
        *,
        model: str,
        refresh_seconds: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._transport = transport
        self._warnings = warnings
        self._model = model
        self._path = f"/v1/models/{quote(model, safe='')}/calibrators/champion"
        self._refresh_seconds = refresh_seconds
        self._uniform = uniform
        self.current = IDENTITY
        self.reset()

    def reset(self) -> None:
        """Be due at once, with a lock of its own, as a forked child must; the champion stays."""
        self._lock = threading.Lock()
        self._due = 0.0
        self._failures = 0

    def step(self, now: float) -> float:
        """Fetch the champion if it is time; return when the next step is due."""
        if now >= self._due:
            self._due = now + (self._refreshed() if self.fetch() else self._paused())
        return self._due

    def fetch(self) -> bool:
        """Ask for the champion now; return whether the answer was one. The champion stays as it is if not."""
        with self._lock:
            try:
                self.current = self._updated(self._transport.get(self._path, etag=self.current.etag))
            except Exception as error:  # noqa: BLE001  whatever the server sent, what worked stays
                in_force = "identity" if self.current.number is None else f"calibrator {self.current.number}"
                self._warnings.warn("champion", f"{in_force} stays in force: {described(error)}")
                return False
        return True

    def _updated(self, answer: Answer) -> Champion:
        if answer.status == 304:  # noqa: PLR2004
            return self.current
        if answer.status == 200:  # noqa: PLR2004
            document = msgspec.json.decode(answer.body)
            return IDENTITY if document is None else load(document, model=self._model, etag=answer.etag)
        if answer.status == 404 and msgspec.json.decode(answer.body, type=_Problem).status == 404:  # noqa: PLR2004
            return IDENTITY
        raise Unavailable(f"status {answer.status} for {self._path}")

    def _refreshed(self) -> float:
        self._failures = 0
        return self._refresh_seconds * self._uniform(0.8, 1.2)

    def _paused(self) -> float:
        self._failures += 1
        return self._uniform(0.5, 1.0) * min(self._refresh_seconds, FIRST_PAUSE * 2.0 ** min(self._failures, 20))


def _is_array(value: Any) -> bool:
    return "numpy" in sys.modules and hasattr(value, "__array__") and getattr(value, "shape", ()) != ()


def _is_nested(values: Any) -> bool:
    return any(isinstance(value, list | tuple | Mapping) or _is_array(value) for value in values)
