"""The client: log predictions and labels, and apply the calibrator in service."""

import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol, SupportsFloat, Unpack, overload
from urllib.parse import quote
from uuid import UUID

import msgspec

from ..domain.errors import BadInput
from . import items
from .batches import Columns, LabelColumns, batch_of, longest
from .cache import Cache, place, stem
from .champion import Calibrated, is_single
from .champions import Champions
from .distributions import CalibratedDistribution, Forecast
from .ids import TimeOrderedIds
from .lifecycle import exit_on_sigterm
from .limited import LimitedWarnings, described
from .memory import Memory
from .outbox import Stats
from .sender import Sender
from .spool import SMALLEST, Spool
from .transport import Transport, answered

LARGEST_REQUEST: Final = 10_000
"""Largest number of items in a request."""
LONGEST_NAME: Final = 200

EventId = str | UUID | int


class ArrayLike(Protocol):
    """An array of NumPy, pandas, PyTorch and others."""

    def tolist(self) -> Any:
        """Return the values as numbers in nested lists."""


Score = SupportsFloat | Calibrated[Any]
Scores = Sequence[float] | Mapping[str, float] | ArrayLike


class Client(Sender):
    """Logs predictions and labels of one model, and applies its calibrator in service.

    `log` and `label` put an event into a bounded queue and return; a background thread sends it. They neither block nor raise, whatever
    their arguments: an event that cannot be queued is counted as dropped (`stats`) and reported through the logger `calwatch.client`.
    The thread starts with the first call, and again in a forked child, whose queue starts empty: the parent sends what it had queued
    before. When the process ends, the queue is flushed for a bounded time: at exit, by an exception, by Ctrl-C, and in the children of
    `multiprocessing`, joblib and Celery. A death that runs no code, such as SIGKILL or an unhandled SIGTERM, loses what was logged since
    the last flush. Close the client where a server ends itself so, with `with`, `async with` or `lifespan`.

    Parameters
    ----------
    url : address of the server
    model : name of the model
    key : API key, if the server requires one
    model_version : version stored with every prediction
    queue_size, queue_bytes : limits of the queue; events beyond them are counted as dropped
    batch_size, flush_seconds : largest number of events per request, and longest wait for a full batch
    timeout : seconds for each request
    refresh_seconds : seconds between requests for the calibrator in service, varied by up to a fifth
    cache : directory, or file ending in .json, for the last calibrator in service, used at the next start; None: no cache
    bootstrap : file with a calibrator's document, in service until the cache or the server provides one
    pin : number of the calibrator to apply, whatever is promoted
    spool : directory for queued events, which then survive any death of the process, and are sent by the next one; None: memory
    spool_bytes : limit of one process's queue on disk, instead of that in memory; the oldest events beyond it are counted as dropped
    handle_sigterm : SIGTERM ends the process as `sys.exit` does, unless the application handles it
    block_seconds : longest wait for room in a full queue, for batch jobs; 0: an event beyond the queue is dropped at once
    strict : True: raise BadInput for what would be dropped, served uncalibrated or refused by the server, for tests

    A pickled client is made anew with the same parameters, its key among them: it has a queue and a connection of its own.

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
        spool: str | os.PathLike[str] | None = None,
        spool_bytes: int = 64 << 20,
        handle_sigterm: bool = False,
        block_seconds: float = 0.0,
        strict: bool = False,
    ) -> None:
        self._parameters = {
            name: value for name, value in locals().items() if name not in {"self", "__class__"}
        }  # there are no others yet
        self._model = _name("model", model)
        self._model_version = None if model_version is None else _name("model_version", model_version)
        _between("batch_size", batch_size, 1, LARGEST_REQUEST)
        _between("queue_size", queue_size, 1)
        _between("queue_bytes", queue_bytes, 1)
        _between("spool_bytes", spool_bytes, SMALLEST, 1 << 40)
        for name, seconds in (
            ("flush_seconds", flush_seconds),
            ("timeout", timeout),
            ("refresh_seconds", refresh_seconds),
        ):
            _between(name, seconds, 0.001, 86_400)
        for name, path in (("cache", cache), ("bootstrap", bootstrap), ("spool", spool)):
            if not isinstance(path, str | os.PathLike | None) or path == "":
                raise BadInput(name, path, "it must be a path")
        if pin is not None and (isinstance(pin, bool) or not isinstance(pin, int) or pin < 1):
            raise BadInput("pin", pin, "it must be a version's number, from 1")
        _between("block_seconds", block_seconds, 0, 86_400)
        self._ids = TimeOrderedIds()
        warnings = LimitedWarnings()
        transport = Transport(url, key=key, timeout=timeout)
        self._champions = Champions(
            transport,
            warnings,
            model=model,
            refresh_seconds=refresh_seconds,
            cache=None if cache is None else Cache(place(cache, url=url, model=model, pin=pin), warnings, model=model),
            bootstrap=None if bootstrap is None else Path(bootstrap),
            pin=pin,
        )
        memory = Memory(size=queue_size, largest=queue_bytes)
        waiting: Memory | Spool = memory
        if spool is not None:
            waiting = Spool(Path(spool), name=stem(url, model), largest=spool_bytes, instead=memory, warnings=warnings)
        self._calibrates = False
        super().__init__(
            waiting,
            transport,
            warnings,
            batch_size=batch_size,
            flush_seconds=flush_seconds,
            patience=timeout,
            block_seconds=block_seconds,
            strict=strict,
            also=(self._refresh,),
        )
        if handle_sigterm:
            exit_on_sigterm()

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
        """Queue a prediction and return its id, which `label` takes.

        Without `event_id`, the id is that of the result of `calibrated`, or a new one. An event counts once: one result of `calibrated`
        is one event, however often it is logged.

        An unusable `event_id` gives an empty id: it must be text of 1 to 200 characters, a UUID or an integer.

        Parameters
        ----------
        probability : served P(class 1) of a binary model, or the result of `calibrated`
        probabilities, logits : one number per class, in the order of the model's classes, or by class: a mapping or a labelled series
        confidence, prediction : an answer and the model's confidence in it
        confidence_source : `verbalized`, `self_consistency`, `logprob`, `judge` or `other`
        agreeing, samples : with `self_consistency`, the numbers of agreeing and of all sampled answers, which give the confidence
        score : instead of a confidence, a score on a scale of its own, such as a log-probability or an entropy
        mean, std : mean and standard deviation of a regression's prediction
        quantiles : quantiles of a regression's prediction by level, `{0.05: 1.2, 0.5: 3.4, 0.95: 7.8}`
        timestamp : time of the prediction, with a zone; now by default
        segments : values by which parts of the traffic are compared, `{"country": "CH"}`
        cluster : a user, session or game whose events are not independent
        raw_probability, raw_probabilities, raw_confidence : the model's own value, if a calibrated one was served
        raw_mean, raw_std, raw_quantiles : the model's own distribution, if a calibrated one was served
        distribution : the result of `calibrated_distribution`, instead of all other fields of a regression
        members : probability or vector of each member of an ensemble, whose average is the model's own value
        calibrator_version : number of the calibrator; by default, with a raw value, the one now in service
        reference : the event belongs to the validation set, not to the traffic

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
                raw_values = (raw_probability, raw_probabilities, raw_confidence, raw_mean, raw_quantiles)
                has_raw = any(value is not None for value in raw_values)
                calibrator_version = self._version_in_force(raw=has_raw, logits=logits is not None)
            # Most events of binary models: to name all fields costs more than all else together.
            if (
                probabilities is None
                and logits is None
                and confidence is None
                and prediction is None
                and confidence_source is None
                and agreeing is None
                and samples is None
                and score is None
                and mean is None
                and std is None
                and quantiles is None
                and members is None
                and raw_probabilities is None
                and raw_confidence is None
                and raw_mean is None
                and raw_std is None
                and raw_quantiles is None
                and segments is None
                and cluster is None
                and metadata is None
                and not reference
            ):
                item = items.prediction(
                    event_id=text,
                    model=self._model,
                    model_version=self._model_version,
                    timestamp=datetime.now(UTC) if timestamp is None else timestamp,
                    probability=probability,
                    raw_probability=raw_probability,
                    calibrator_version=calibrator_version,
                )
            else:
                item = items.prediction(
                    event_id=text,
                    model=self._model,
                    model_version=self._model_version,
                    timestamp=datetime.now(UTC) if timestamp is None else timestamp,
                    probability=probability,
                    probabilities=probabilities if probabilities is None else items.by_class(probabilities),
                    logits=logits if logits is None else items.by_class(logits),
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
                    raw_probabilities=raw_probabilities
                    if raw_probabilities is None
                    else items.by_class(raw_probabilities),
                    raw_confidence=raw_confidence,
                    raw_mean=raw_mean,
                    raw_std=raw_std,
                    raw_quantiles=None if raw_quantiles is None else items.by_level(raw_quantiles),
                    members=members,
                    calibrator_version=calibrator_version,
                    segments=items.beside(segments),
                    cluster=cluster,
                    metadata=items.beside(metadata),
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
        model_version: str | None = None,
    ) -> None:
        """Queue the label of a prediction: its class, 0 or 1, or for a `confidence` event the true answer or whether it was right.

        Parameters
        ----------
        timestamp : time when the label became known, with a zone; by default the time of receipt counts
        source : origin of the label
        supersedes : the label corrects an earlier one
        model_version : whose answer was right or not, where several versions answered; by default the label is about all that agree

        """
        try:
            item = items.label(
                event_id=items.text_id(event_id),
                model=self._model,
                label=label,
                timestamp=timestamp,
                source=source,
                supersedes=supersedes,
                model_version=model_version,
            )
            self._put(items.encode(item))
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            self._drop(error)

    def log_many(self, event_ids: Any = None, **fields: Unpack[Columns]) -> list[str]:
        """Queue the predictions of a batch and return their ids, in their order; empty where one was unusable.

        Each field is a column with one entry per event, as a list, an array or a series, or one value for all. `probabilities`, `logits`,
        `segments` and `quantiles` may be data frames, or mappings to columns by class, segment or level. Results of `calibrated` and
        `calibrated_distribution` for arrays are taken too.

        Columns of several lengths are counted as dropped, whole. A batch larger than the queue needs `block_seconds`.

        Parameters
        ----------
        event_ids : column of ids, as `log` takes them; by default new ones
        fields : columns by the names of `log`

        Examples
        --------
        >>> with Client("http://127.0.0.1:9", "animals", timeout=0.1) as client:  # nobody listens there
        ...     client.log_many(["a", "b"], probabilities={"cat": [0.9, 0.2], "dog": [0.1, 0.8]}, segments={"country": "CH"})
        ...     client.label_many(["a", "b"], ["cat", "cat"])
        ['a', 'b']

        """
        columns = {"event_id": event_ids, **fields}
        try:
            batch = batch_of(columns)
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            self._drop(error, longest(columns))
            return [""] * longest(columns)
        return [self.log(**row) for row in batch.rows()]

    def label_many(self, event_ids: Any, labels: Any, **fields: Unpack[LabelColumns]) -> None:
        """Queue the labels of a batch; columns are as in `log_many`.

        Parameters
        ----------
        event_ids : column of ids
        labels : column of labels; a row whose truth is not known yet is to be left out
        fields : columns by the names of `label`

        """
        columns = {"event_id": event_ids, "label": labels, **fields}
        try:
            batch = batch_of(columns)
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            self._drop(error, longest(columns))
            return
        for row in batch.rows():
            self.label(**row)

    @overload
    def calibrate(self, p: float) -> float: ...
    @overload
    def calibrate(self, p: list[float]) -> list[float]: ...
    @overload
    def calibrate(self, p: Any) -> Any: ...
    def calibrate(self, p: Any) -> Any:
        """Return a raw probability calibrated by the champion, or unchanged while there is none.

        A number gives a float; a list, tuple, object by class or NumPy array gives the same type and shape. For a multiclass model
        a list or the last axis of an array holds the classes of one event; a series labelled by class gives an object by class. A value
        that is no probability is returned unchanged.
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
        """Return the result of `calibrate` with the raw value and the calibrator's version; `log` takes it in place of a plain value.

        Raw and served value and version belong together even if the champion changes between this call and `log`. If a canary serves a
        share of events, the id decides which; without an id a new one is made, which `log` takes over. The champion calibrates all
        events of an array or a list.
        """
        if not self._calibrates:
            self._follow_champion()
        serving = self._champions.serving
        champion = serving.champion
        failures: deque[Exception] = deque(maxlen=1)  # a large array may have a million
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
        """Return a distribution calibrated by the champion, or unchanged while there is none; `log` takes it as `distribution`.

        Raw and served distribution, version and event belong together, as in the result of `calibrated`. An invalid distribution is
        returned unchanged.

        Parameters
        ----------
        event_id : id under which the event will be logged, by default a new one; it decides whether a canary serves the event
        mean, std : predicted mean and standard deviation; numbers, or arrays of many events
        quantiles : or predicted quantiles by level, `{0.05: 1.2, 0.5: 3.4, 0.95: 7.8}`

        """
        if not self._calibrates:
            self._follow_champion()
        serving, forecast, event = self._champions.serving, Forecast(mean, std, quantiles), None
        try:
            event = self._event(event_id, single=not forecast.is_many)
            champion = serving.of_event(event) if event and not forecast.is_many else serving.champion
            return forecast.calibrated(champion.distribution(forecast), champion.number, event)
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            self._not_calibrated(error)
            return forecast.calibrated(forecast.as_it_came, None, event)

    @property
    def calibrator_version(self) -> int | None:
        """The number of the champion in service; None without one."""
        return self._champions.serving.champion.number

    def refresh(self) -> bool:
        """Fetch the champion now and return whether the server answered within the timeout; for the start of a service."""
        return self._champions.fetch()

    def register(
        self, document: Mapping[str, Any], *, promote: bool | None = None, timeout: float = 60.0
    ) -> dict[str, Any]:
        """Submit a calibrator fitted elsewhere to the server's gate, and return the server's answer.

        The answer's `number` is that of the new version, or None with a `reason` if the gate refused it. Unlike all other methods this one
        raises, since a person calls it.

        Parameters
        ----------
        document : `{"method", "task", "parameters"}`, for example from `document_from`
        promote : True: promote it if the gate passes; False: never; by default as the model's setting `recalibration` says
        timeout : seconds; the gate reads all recent labels

        Raises
        ------
        BadInput
            when the document is invalid.
        NotFound, Conflict
            when there is no such model, or another calibrator was promoted meanwhile.
        Unavailable
            when no answer came.
        MonitorError
            for any other refusal of the server.

        """
        working = {name: document[name] for name in ("method", "task", "parameters") if name in document}
        body = msgspec.json.encode({"document": working, "promote": promote})
        path = f"/v1/models/{quote(self._model, safe='')}/calibrators"
        return answered(self._transport.post(path, body, timeout=timeout))

    def stats(self) -> Stats:
        """Return counts of logged events and the state of the calibrator; a forked child counts from zero."""
        champions = self._champions
        return replace(
            super().stats(),
            calibrator_version=champions.serving.champion.number,
            calibrator_age_seconds=champions.age,
            fetch_failed=champions.failed,
            cache_corrupt=champions.corrupt,
            cache_unwritten=champions.unwritten,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), self._parameters)

    def after_fork(self) -> None:
        """Begin anew in a forked child, with an empty queue; called by the hook of the process."""
        super().after_fork()
        self._champions.reset()
        self._ids.reset()
        self._calibrates = False

    def _event(self, event_id: EventId | None, *, single: bool) -> str | None:
        """Return the id of a calibrated value: as given, a new one for a single event, empty if `log` would refuse it."""
        if event_id is None:
            return self._ids.new() if single else None
        try:
            return items.text_id(event_id)
        except Exception:  # noqa: BLE001  the calibrated value is right all the same
            return ""

    def _version_in_force(self, *, raw: bool, logits: bool) -> int | None:
        """Return the calibrator's version of an event that came without one."""
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
        self._run()
        self._worker.wake()
        self._calibrates = self._worker.running

    def _not_calibrated(self, error: Exception) -> None:
        if self._strict:
            raise BadInput("value", "unusable", f"it would be served uncalibrated: {described(error)}") from error
        self._warnings.fault("uncalibrated", "served uncalibrated", error)

    def _refresh(self, now: float) -> float:
        return self._champions.step(now) if self._calibrates else float("inf")


def _made(client: type[Client], parameters: Mapping[str, Any]) -> Client:
    return client(**parameters)


def _apart(calibrated: Calibrated[Any]) -> tuple[Any, Any, int | None]:
    """Return the served value, the raw value and the version; without a calibrator the raw value is None."""
    return calibrated.value, None if calibrated.version is None else calibrated.raw, calibrated.version


def _event_of(*values: Any) -> str | None:
    """Return the id under which a value was calibrated, or None."""
    for value in values:
        if isinstance(value, Calibrated | CalibratedDistribution):
            return value.event_id
    return None


def _name(field: str, value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_NAME or not value.isprintable():
        raise BadInput(field, value, f"it must be text of 1 to {LONGEST_NAME} printable characters")
    return value


def _between(field: str, value: Any, low: float, high: float = float("inf")) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadInput(field, value, f"it must be a number from {low:g} to {high:g}")
