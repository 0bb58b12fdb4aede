"""What serving code holds: two calls to say what was predicted and what turned out true, one to apply the current calibrator."""

import atexit
import functools
import os
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self, SupportsFloat, overload
from urllib.parse import quote
from uuid import UUID

import msgspec

from ..domain.errors import BadInput
from . import items
from .cache import Cache, place
from .champion import Calibrated, is_single
from .champions import Champions
from .delivery import Delivery
from .distributions import CalibratedDistribution, Given
from .ids import TimeOrderedIds
from .limited import LimitedWarnings, described
from .outbox import Outbox, Stats
from .transport import Transport, answered
from .worker import Worker

LARGEST_REQUEST: Final = 10_000
"""Items in one request that the server takes."""
LONGEST_NAME: Final = 200

EventId = str | UUID | int


class ArrayLike(Protocol):
    """An array of NumPy, pandas, PyTorch and others."""

    def tolist(self) -> Any:
        """Return it as plain numbers in lists."""


Score = SupportsFloat | Calibrated[Any]
Scores = Sequence[float] | Mapping[str, float] | ArrayLike


class Client:
    """Emits predictions and labels of one model, and applies its current calibrator.

    `log` and `label` put the event into a bounded queue and return; a background thread sends it. They neither block nor raise, whatever
    values they are given: what can't be queued is counted as dropped (`stats`) and reported through the logger `monitor.client`.
    The thread starts with the first call, and again in a forked child, whose queue starts empty: what was queued before the fork is
    the parent's to send. At exit the queue is flushed for a bounded time; `multiprocessing` children skip that, so close the client there.

    Parameters
    ----------
    url : the server's address
    model : its name there
    key : an API key, where the server wants one
    model_version : stamped on every prediction
    queue_size, queue_bytes : how much may wait to be sent; what is beyond is counted as dropped
    batch_size, flush_seconds : how much is sent at once, and how long it waits for company
    timeout : seconds for each request
    refresh_seconds : between looks at what serves, more or less by a fifth
    cache : a directory, or a file ending in .json, that holds the calibrator last in force for the next start; None: none is kept
    bootstrap : a file with a version's document, in force until the cache or the server has said anything
    pin : the number of a version to stay with, whatever is promoted

    Examples
    --------
    >>> with Client("http://127.0.0.1:9", "churn", timeout=0.1) as client:  # nobody listens there
    ...     served = client.calibrate(0.9)
    ...     event_id = client.log(probability=served, raw_probability=0.9)
    ...     client.label(event_id, 1)
    ...     client.stats().queued
    2

    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        model_version: str | None = None,
        queue_size: int = 100_000,
        queue_bytes: int = 64 << 20,
        batch_size: int = 1000,
        flush_seconds: float = 1.0,
        timeout: float = 5.0,
        refresh_seconds: float = 30.0,
        cache: str | os.PathLike[str] | None = None,
        bootstrap: str | os.PathLike[str] | None = None,
        pin: int | None = None,
    ) -> None:
        self._model = _name("model", model)
        self._model_version = None if model_version is None else _name("model_version", model_version)
        _between("batch_size", batch_size, 1, LARGEST_REQUEST)
        _between("queue_size", queue_size, 1)
        _between("queue_bytes", queue_bytes, 1)
        for name, seconds in (
            ("flush_seconds", flush_seconds),
            ("timeout", timeout),
            ("refresh_seconds", refresh_seconds),
        ):
            _between(name, seconds, 0.001, 86_400)
        for name, path in (("cache", cache), ("bootstrap", bootstrap)):
            if not isinstance(path, str | os.PathLike | None) or path == "":
                raise BadInput(name, path, "it must be a path")
        if pin is not None and (isinstance(pin, bool) or not isinstance(pin, int) or pin < 1):
            raise BadInput("pin", pin, "it must be a version's number, from 1")
        self._timeout = timeout
        self._ids = TimeOrderedIds()
        self._warnings = LimitedWarnings()
        self._transport = Transport(url, key=key, timeout=timeout)
        self._champions = Champions(
            self._transport,
            self._warnings,
            model=model,
            refresh_seconds=refresh_seconds,
            cache=None
            if cache is None
            else Cache(place(cache, url=url, model=model, pin=pin), self._warnings, model=model),
            bootstrap=None if bootstrap is None else Path(bootstrap),
            pin=pin,
        )
        self._worker = Worker((self._deliver, self._refresh), self._warnings)
        self._outbox = Outbox(size=queue_size, largest=queue_bytes, batch_size=batch_size, wake=self._worker.wake)
        self._delivery = Delivery(
            self._outbox, self._transport, self._warnings, batch_size=batch_size, flush_seconds=flush_seconds
        )
        self._calibrates = False
        self._closed = False
        _living().add(self)
        atexit.register(self.close)

    def log(
        self,
        event_id: EventId | None = None,
        *,
        probability: Score | None = None,
        probabilities: Scores | Calibrated[Any] | None = None,
        logits: Scores | None = None,
        confidence: Score | None = None,
        prediction: Any = None,
        confidence_source: str | None = None,
        agreeing: int | None = None,
        samples: int | None = None,
        score: SupportsFloat | None = None,
        mean: SupportsFloat | None = None,
        std: SupportsFloat | None = None,
        quantiles: Mapping[str, SupportsFloat] | Mapping[float, SupportsFloat] | None = None,
        timestamp: datetime | str | None = None,
        segments: Mapping[str, str | int | bool] | None = None,
        cluster: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        raw_probability: SupportsFloat | None = None,
        raw_probabilities: Scores | None = None,
        raw_confidence: SupportsFloat | None = None,
        raw_mean: SupportsFloat | None = None,
        raw_std: SupportsFloat | None = None,
        raw_quantiles: Mapping[str, SupportsFloat] | Mapping[float, SupportsFloat] | None = None,
        distribution: CalibratedDistribution | None = None,
        members: Sequence[SupportsFloat] | Sequence[Scores] | ArrayLike | None = None,
        calibrator_version: int | None = None,
        reference: bool = False,
    ) -> str:
        """Queue a prediction and return its id, which `label` wants when the truth turns up.

        Unless given it is that of what `calibrated` returned, or made here. An event counts once: what one call of `calibrated` returned
        is one event, however often it is logged.

        The id is empty if the given one is unusable: not text of 1 to 200 characters, a UUID or a whole number.

        Parameters
        ----------
        probability : P(class 1) that was served, of a binary model; or what `calibrated` returned
        probabilities, logits : one number per class, in the order of the model's classes or by class
        confidence, prediction : an answer and how sure the model was of it
        confidence_source : where that comes from: `verbalized`, `self_consistency`, `logprob`, `judge` or `other`
        agreeing, samples : with `self_consistency`, how many of how many sampled answers agreed; they give the confidence
        score : instead of a confidence, how sure the model was on a scale of its own: a log-probability, an entropy
        mean, std : of a regression, what was predicted and its standard deviation
        quantiles : of a regression, what was predicted by level, `{0.05: 1.2, 0.5: 3.4, 0.95: 7.8}`
        timestamp : when it was predicted, with a zone; now by default
        segments : by what to look at parts of the traffic, `{"country": "CH"}`
        cluster : what events that share their fate have in common: a user, a session, a game
        raw_probability, raw_probabilities, raw_confidence : the model's own value, where a calibrated one was served
        raw_mean, raw_std, raw_quantiles : the model's own distribution, where a calibrated one was served
        distribution : what `calibrated_distribution` returned, in place of all of a regression's fields
        members : of an ensemble, the probability or vector of each member; what they average to is the model's own value
        calibrator_version : what calibrated it; by default, with a raw value, the calibrator now in force
        reference : it is of the validation set, and no traffic

        """
        text = ""
        try:
            if event_id is None:
                event_id = _event_of(probability, probabilities, confidence, distribution)
            text = self._ids.new() if event_id is None else items.text_id(event_id)
            if isinstance(probability, Calibrated):
                probability, raw_probability, calibrator_version = _apart(probability)
            elif isinstance(probabilities, Calibrated):
                probabilities, raw_probabilities, calibrator_version = _apart(probabilities)
            elif isinstance(confidence, Calibrated):
                confidence, raw_confidence, calibrator_version = _apart(confidence)
            elif distribution is not None:
                calibrator_version, own = distribution.version, distribution.apart()
                mean, std, quantiles = own["mean"], own["std"], own["quantiles"]
                raw_mean, raw_std, raw_quantiles = own.get("raw_mean"), own.get("raw_std"), own.get("raw_quantiles")
            elif calibrator_version is None and self._champions.serving.champion.number is not None:
                given = (raw_probability, raw_probabilities, raw_confidence, raw_mean, raw_quantiles)
                raw = any(each is not None for each in given)
                calibrator_version = self._version_in_force(raw=raw, logits=logits is not None)
            item = items.prediction(
                event_id=text,
                model=self._model,
                model_version=self._model_version,
                timestamp=datetime.now(UTC) if timestamp is None else timestamp,
                probability=probability,
                probabilities=probabilities,
                logits=logits,
                confidence=confidence,
                prediction=prediction,
                confidence_source=confidence_source,
                agreeing=agreeing,
                samples=samples,
                score=score,
                mean=mean,
                std=std,
                quantiles=None if quantiles is None else items.by_level(quantiles),
                raw_probability=raw_probability,
                raw_probabilities=raw_probabilities,
                raw_confidence=raw_confidence,
                raw_mean=raw_mean,
                raw_std=raw_std,
                raw_quantiles=None if raw_quantiles is None else items.by_level(raw_quantiles),
                members=members,
                calibrator_version=calibrator_version,
                segments=segments,
                cluster=cluster,
                metadata=metadata,
                reference=reference,
            )
            self._put(items.encode(item))
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            self._drop(error)
        return text

    def label(
        self,
        event_id: EventId,
        label: Any,
        *,
        timestamp: datetime | str | None = None,
        source: str | None = None,
        supersedes: bool = False,
    ) -> None:
        """Queue the truth about a prediction: its class, 0 or 1, or for a `confidence` event the right answer or whether it was right.

        Parameters
        ----------
        timestamp : when the truth became known, with a zone; unknown by default, and then when the server received it is what counts
        source : who says so
        supersedes : this label corrects an earlier one

        """
        try:
            item = items.label(
                event_id=items.text_id(event_id),
                model=self._model,
                label=label,
                timestamp=timestamp,
                source=source,
                supersedes=supersedes,
            )
            self._put(items.encode(item))
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            self._drop(error)

    @overload
    def calibrate(self, p: float) -> float: ...
    @overload
    def calibrate(self, p: list[float]) -> list[float]: ...
    @overload
    def calibrate(self, p: Any) -> Any: ...
    def calibrate(self, p: Any) -> Any:
        """Return what to serve for a raw probability: as it came until a calibrator is promoted, then calibrated by the champion.

        A number gives a float; a list, tuple, object by class or NumPy array gives the same kind in the same shape. Of a multiclass model
        a list or the last axis of an array holds the classes of one event. What is no probability comes back as it came.
        """
        if not self._calibrates:
            self._follow_champion()
        try:
            champion = self._champions.serving.champion
            return champion.scalar(p) if type(p) is float else champion.apply(p, self._not_calibrated)
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            self._not_calibrated(error)
            return p

    @overload
    def calibrated(self, p: float, event_id: EventId | None = None) -> Calibrated[float]: ...
    @overload
    def calibrated(self, p: list[float], event_id: EventId | None = None) -> Calibrated[list[float]]: ...
    @overload
    def calibrated(self, p: Any, event_id: EventId | None = None) -> Calibrated[Any]: ...
    def calibrated(self, p: Any, event_id: EventId | None = None) -> Calibrated[Any]:
        """Return what `calibrate` returns together with the raw value and the version that made it, for `log` to take as it is.

        Raw, served and version belong together even when the champion changes between this call and `log`. Where a canary serves a share
        of events, the id decides which; without one an id is made, and `log` takes it over. Of an array or a list of many events the
        champion calibrates all.
        """
        if not self._calibrates:
            self._follow_champion()
        serving = self._champions.serving
        champion = serving.champion
        failures: deque[Exception] = deque(maxlen=1)  # of a large array there may be a million
        event, single = None, False
        try:
            single = type(p) is float or is_single(p, vectors=serving.takes_vectors)
            event = self._event(event_id, single=single)
            if single and event:
                champion = serving.of_event(event)
            value = champion.scalar(p) if type(p) is float else champion.apply(p, failures.append)
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            value = p
            failures.append(error)
        if failures:
            self._not_calibrated(failures[0])
            return Calibrated(value, p, None if single or value is p else champion.number, event)
        return Calibrated(value, p, champion.number, event)

    def calibrated_distribution(
        self,
        event_id: EventId | None = None,
        *,
        mean: Any = None,
        std: Any = None,
        quantiles: Mapping[str, Any] | Mapping[float, Any] | None = None,
    ) -> CalibratedDistribution:
        """Return the distribution to serve for a regression's own, for `log` to take as `distribution`; as it came until one is promoted.

        Raw, served and version belong together, and to one event, as in what `calibrated` returns. What is no distribution comes back as
        it came.

        Parameters
        ----------
        event_id : what the event will be logged under, made here unless given: where a canary serves a share of events, it decides which
        mean, std : what the model predicted and its standard deviation; numbers, or arrays of many events
        quantiles : or what it predicted by level, `{0.05: 1.2, 0.5: 3.4, 0.95: 7.8}`

        """
        if not self._calibrates:
            self._follow_champion()
        serving, given, event = self._champions.serving, Given(mean, std, quantiles), None
        try:
            event = self._event(event_id, single=not given.is_many)
            champion = serving.of_event(event) if event and not given.is_many else serving.champion
            return given.calibrated(champion.distribution(given), champion.number, event)
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            self._not_calibrated(error)
            return given.calibrated(given.as_it_came, None, event)

    @property
    def calibrator_version(self) -> int | None:
        """The number of the champion in force; None when there is none."""
        return self._champions.serving.champion.number

    def refresh(self) -> bool:
        """Fetch the champion now, within the timeout, and return whether the server said what it is: for the start of a service."""
        return self._champions.fetch()

    def register(
        self, document: Mapping[str, Any], *, promote: bool | None = None, timeout: float = 60.0
    ) -> dict[str, Any]:
        """Hand a calibrator that was fitted elsewhere to the server, whose gate judges it; return the server's answer.

        Its `number` is that of the new version, or null with a `reason` where it was refused. A person calls this, so unlike everything
        else here it raises.

        Parameters
        ----------
        document : `{"method", "task", "parameters"}`, such as `document_from` makes of a fitted scikit-learn calibrator
        promote : true: if the gate passes; false: never; by default as the model's `recalibration` says
        timeout : seconds; the gate reads all recent labels

        Raises
        ------
        BadInput
            when the document is not valid.
        NotFound, Conflict
            when there is no such model, or another calibrator came into service meanwhile.
        Unavailable
            when no answer came.
        MonitorError
            for everything else that the server does not want.

        """
        working = {name: document[name] for name in ("method", "task", "parameters") if name in document}
        body = msgspec.json.encode({"document": working, "promote": promote})
        path = f"/v1/models/{quote(self._model, safe='')}/calibrators"
        return answered(self._transport.post(path, body, timeout=timeout))

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until the server has answered for everything queued so far; return whether it has within the timeout, in seconds."""
        if not self._worker.running:
            self._worker.start()
        return self._outbox.flush(timeout)

    def stats(self) -> Stats:
        """Return what became of everything logged so far, and how the calibrator fares; a forked child counts from zero."""
        champions = self._champions
        return replace(
            self._outbox.stats,
            calibrator_version=champions.serving.champion.number,
            calibrator_age_seconds=champions.age,
            fetch_failed=champions.failed,
            cache_corrupt=champions.corrupt,
            cache_unwritten=champions.unwritten,
        )

    def close(self, timeout: float | None = None) -> bool:
        """Flush for a bounded time, the client's `timeout` by default, and stop; return whether nothing remained.

        What remains is counted as dropped. The calibrator last in force can still be applied.
        """
        atexit.unregister(self.close)
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        if self._outbox.stats.queued:
            self.flush(deadline - time.monotonic())
        self._closed = True
        left = self._outbox.close()
        if left:
            self._warnings.warn("closed", f"closed with {left} events unsent, counted as dropped")
        self._worker.stop(min(1.0, deadline - time.monotonic()))
        return left == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _event(self, event_id: EventId | None, *, single: bool) -> str | None:
        """Return the id of what is calibrated: as given, made here for a single event; empty for one that `log` will not take."""
        if event_id is None:
            return self._ids.new() if single else None
        try:
            return items.text_id(event_id)
        except Exception:  # noqa: BLE001  what is calibrated is right all the same
            return ""

    def _put(self, item: bytes) -> None:
        if not self._outbox.add(item):
            self._warnings.warn("full", "event dropped: the queue is full, or the client closed")
        if not self._worker.running:
            self._worker.start()

    def _drop(self, error: Exception) -> None:
        self._outbox.drop()
        self._warnings.warn("dropped", f"event dropped: {described(error)}")

    def _version_in_force(self, *, raw: bool, logits: bool) -> int | None:
        """Return the version to stamp on an event that came without one."""
        if raw:
            return self._champions.serving.champion.number
        if self._calibrates and not logits:
            self._warnings.warn(
                "raw",
                "a calibrator is applied but events lack the raw value: log what calibrated() returns, or raw_probability=",
            )
        return None

    def _follow_champion(self) -> None:
        self._calibrates = True
        self._worker.start()
        self._worker.wake()
        self._calibrates = self._worker.running

    def _not_calibrated(self, error: Exception) -> None:
        self._warnings.warn("uncalibrated", f"served as it came: {described(error)}")

    def _deliver(self, now: float) -> float:
        return self._delivery.step(now)

    def _refresh(self, now: float) -> float:
        return self._champions.step(now) if self._calibrates else float("inf")

    def _after_fork(self) -> None:
        for part in (self._worker, self._outbox, self._transport, self._delivery, self._champions, self._ids):
            part.reset()
        self._calibrates = False
        if self._closed:
            self._outbox.close()


def _apart(calibrated: Calibrated[Any]) -> tuple[Any, Any, int | None]:
    """Return the fields of an event: served, raw and version; without a calibrator there is no raw value to tell apart."""
    return calibrated.value, None if calibrated.version is None else calibrated.raw, calibrated.version


def _event_of(*values: Any) -> str | None:
    """Return the id that a value was calibrated under."""
    for value in values:
        if isinstance(value, Calibrated | CalibratedDistribution):
            return value.event_id
    return None


@functools.cache
def _living() -> "weakref.WeakSet[Client]":
    """Return the clients to be renewed in a forked child; the hook is installed once, since it can't be taken back."""
    clients: weakref.WeakSet[Client] = weakref.WeakSet()

    def renew() -> None:
        for client in clients:
            client._after_fork()  # noqa: SLF001

    os.register_at_fork(after_in_child=renew)
    return clients


def _name(field: str, value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_NAME or not value.isprintable():
        raise BadInput(field, value, f"it must be text of 1 to {LONGEST_NAME} printable characters")
    return value


def _between(field: str, value: Any, low: float, high: float = float("inf")) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadInput(field, value, f"it must be a number from {low:g} to {high:g}")
