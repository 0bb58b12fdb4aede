"""The part of a client that applies the calibrator in service."""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, overload
from urllib.parse import quote

import msgspec

from ..domain.errors import BadInput
from . import items
from .champion import Calibrated, is_single
from .champions import Champions
from .distributions import CalibratedDistribution, Forecast
from .ids import EventId, TimeOrderedIds
from .limited import LimitedWarnings, described
from .memory import Memory
from .outbox import Stats
from .sender import Sender
from .spool import Spool
from .transport import Transport, answered


class Calibration(Sender):
    """Serves one model's calibrated values, and has its champion followed from the first of them on.

    Parameters
    ----------
    champions : the calibrators that the server promotes
    model : name of the model
    waiting, transport, warnings, batch_size, flush_seconds, patience, block_seconds, strict : as of `Sender`

    """

    def __init__(
        self,
        champions: Champions,
        model: str,
        waiting: Memory | Spool,
        transport: Transport,
        warnings: LimitedWarnings,
        *,
        batch_size: int,
        flush_seconds: float,
        patience: float,
        block_seconds: float,
        strict: bool,
    ) -> None:
        self._champions = champions
        self._model = model
        self._ids = TimeOrderedIds()
        self._calibrates = False
        super().__init__(
            waiting,
            transport,
            warnings,
            batch_size=batch_size,
            flush_seconds=flush_seconds,
            patience=patience,
            block_seconds=block_seconds,
            strict=strict,
            also=(self._refresh,),
        )

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
