"""The Prometheus exporter: a collector that builds fresh families from the database at each scrape."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from ..domain.alerts import MISCALIBRATION
from ..domain.sequential import VersionEvidence
from ..domain.settings import Model
from ..domain.times import SECOND, micros, parse_time
from ..evaluation.rule import fires_at
from ..stats.sequential.spending import level
from ..store import alerts, counters, estimates, jobs, journal, models, sequential, versions
from ..store.engine import Database
from .exposition import Family
from .score_metrics import SCORE_LABELS, gauge, scored

EXPECTED: Final = {
    "expected_accuracy_ratio": "Accuracy that labels will show if the calibration map has not changed.",
    "expected_ece_ratio": "ECE that labels will show if the calibration map has not changed.",
}
COUNTERS: Final = {
    "events_ingested": ("calibration_events_ingested", "event_type", "Events rolled up, repeats included."),
    "events_duplicate": ("calibration_events_duplicate", "", "Events that repeat one already stored."),
    "events_quarantined": (
        "calibration_events_quarantined",
        "",
        "Events that could not be applied and were set aside.",
    ),
    "events_dropped": ("calibration_events_dropped", "reason", "Events dropped after they were accepted."),
}

COUNTERS_BY_MODEL: Final = {
    "events_rejected": ("calibration_events_rejected", "reason", "Events refused, by reason."),
    "label_conflicts": ("calibration_label_conflicts", "", "Labels that contradict one already stored."),
    "prediction_conflicts": ("calibration_prediction_conflicts", "", "Different predictions under a stored event id."),
    "events_corrected": (
        "calibration_events_corrected",
        "correction",
        "Predictions that rounding had put out of place: clamped, normalized or sorted.",
    ),
    "events_unnamed": (
        "calibration_events_unnamed",
        "of",
        "Predictions whose version, or value of a declared segment, is past the limit of the model: they count together.",
    ),
}
"""Counters whose label `model` is empty where no model of that name is known, for models past the first thousand, and for counts of before
0.4.0."""

MOST_COUNTED: Final = 1000

Running = Sequence[tuple[Model, VersionEvidence]]
"""The sequential tests that have labels, each with its model."""


class CalibrationCollector:
    """Collect all metrics from the database at each scrape, so that every replica exports the same values."""

    def __init__(self, database: Database, now: Callable[[], int], *, most_series: int) -> None:
        """Collect from a database.

        Parameters
        ----------
        now : the time in microseconds since 1970
        most_series : of scores, exported at most

        """
        self._database = database
        self._now = now
        self._most_series = most_series

    def collect(self) -> Iterator[Family]:
        """Yield all families."""
        with self._database.read() as connection:
            known = {model.id: model for model in models.everyone(connection)}
            running = [
                (known[number], test)
                for number, test in sequential.newest(connection)
                if number in known and test.labels
            ]
            yield from scored(connection, known, self._most_series)
            yield from _evidence(running)
            yield from _expected(connection, known)
            yield from _alarms(connection, known)
            yield _thresholds(known.values(), running)
            yield from _calibrators(connection, known)
            yield from _pipeline(connection, self._now())
            yield from _jobs(connection)
            yield from _counted(connection)
            yield from _counted_by_model(connection, known)


def _evidence(running: Running) -> Iterator[Family]:
    text = "Log of the highest evidence so far against an error within the threshold, as guarantee and alert_on say."
    highest = gauge("e_value_log", text, SCORE_LABELS)
    limit = gauge("e_value_log_threshold", "Value of calibration_e_value_log at which the alert fires.", SCORE_LABELS)
    for model, test in running:
        place = (model.name, test.version, "", "")
        highest.add(place, test.highest)
        limit.add(place, test.limit)
    yield from (highest, limit)


def _expected(connection: Connection, known: dict[int, Model]) -> Iterator[Family]:
    accuracy, ece = (gauge(name, text, SCORE_LABELS) for name, text in EXPECTED.items())
    broke = _broke(connection)
    for estimate in estimates.current(connection):
        # A map of before a fault promises the calibration that was lost.
        is_void = micros(estimate.expected.map.start) < broke.get((estimate.model_id, estimate.version), 0)
        if estimate.model_id in known and not is_void:
            place = (known[estimate.model_id].name, estimate.version, "", estimate.window)
            accuracy.add(place, estimate.expected.accuracy)
            ece.add(place, estimate.expected.ece)
    yield from (accuracy, ece)


def _broke(connection: Connection) -> dict[tuple[int, str], int]:
    """Return when the fault began on which an alert fires, as the alert says it, by model and version."""
    began = {}
    for number, firings in alerts.firing_now(connection, (MISCALIBRATION,)).items():
        for firing in firings:
            alert = None if firing.alarm.segment else alerts.newest_of(connection, number, firing.alarm)
            since = None if alert is None else alert.evidence.get("since")
            if since is not None:
                began[number, firing.alarm.version] = parse_time("since", since)
    return began


def _alarms(connection: Connection, known: dict[int, Model]) -> Iterator[Family]:
    active = gauge("alert_active", "1 while an alert fires, 0 after it resolved.", (*SCORE_LABELS, "kind"))
    for model_id, (kind, window, version, segment), fires in alerts.known(connection):
        if model_id in known:
            active.add((known[model_id].name, version, segment, window, kind), float(fires))
    yield active


def _thresholds(known: Iterable[Model], running: Running) -> Family:
    """Return the thresholds of alerts; that of the e-value is the lowest of a model's tests, or its first test's where none runs."""
    family = gauge("threshold", "Threshold of an alert.", ("model", "metric"))
    limits: dict[int, list[float]] = {}
    for model, test in running:
        limits.setdefault(model.id, []).append(test.limit)
    for model in known:
        settings = model.settings
        for metric, value in settings.thresholds.items():
            family.add((model.name, metric), value)
        first = fires_at(settings.guarantee, level=level(1, settings.false_alarm_rate), place=1)
        family.add((model.name, "e_value_log"), min(limits.get(model.id, ()), default=first))
    return family


def _calibrators(connection: Connection, known: dict[int, Model]) -> Iterator[Family]:
    info = gauge(
        "calibrator_info", "The calibrator in service; always 1.", ("model", "calibrator_version", "method", "sha256")
    )
    version = gauge("calibrator_version", "Number of the calibrator in service; 0 without one.", ("model",))
    champions = versions.champions(connection)
    for model_id, model in known.items():
        number = champions.get(model_id)
        version.add((model.name,), float(number or 0))
        document = None if number is None else versions.document(connection, model_id, number)
        if document is not None:
            info.add((model.name, str(number), document.method, document.sha256), 1.0)
    yield from (info, version, _waiting(connection, known))


def _waiting(connection: Connection, known: dict[int, Model]) -> Family:
    family = gauge("proposal_waiting", "1 while a calibrator waits for a person's decision, else 0.", ("model",))
    waiting = versions.waiting(connection, known.values())
    for model_id, model in known.items():
        family.add((model.name,), float(model_id in waiting))
    return family


def _pipeline(connection: Connection, now: int) -> Iterator[Family]:
    waiting, oldest = journal.backlog(connection)
    lag = 0.0 if oldest is None else max(0.0, (now - oldest) / SECOND)
    yield _single("journal_backlog_events", "Events committed but not rolled up yet.", waiting)
    yield _single("rollup_lag_seconds", "Age of the oldest event that is not rolled up yet.", lag)
    yield _single("quarantined_events", "Events in quarantine.", journal.set_aside_count(connection))


def _single(name: str, text: str, value: float) -> Family:
    """Return a family without labels."""
    family = gauge(name, text, ())
    family.add((), value)
    return family


def _jobs(connection: Connection) -> Iterator[Family]:
    success = gauge("job_last_success_timestamp_seconds", "When a job last ran to its end.", ("job",))
    failures = Family("calibration_job_failures_total", "Runs of a job that failed.", ("job",), "counter")
    for name, (last, failed) in sorted(jobs.read(connection).items()):
        if last is not None:
            success.add((name,), last / SECOND)
        failures.add((name,), failed)
    yield from (success, failures)


def _counted(connection: Connection) -> Iterator[Family]:
    values = counters.read(connection)
    for name, (exported, label, text) in COUNTERS.items():
        family = Family(f"{exported}_total", text, (label,) if label else (), "counter")
        counts = {key[1]: value for key, value in values.items() if key[0] == name}
        for value, count in sorted(counts.items()) if label else [("", counts.get("", 0))]:
            family.add((value,) if label else (), count)
        yield family


def _counted_by_model(connection: Connection, known: Mapping[int, Model]) -> Iterator[Family]:
    names = {number: known[number].name for number in sorted(known)[:MOST_COUNTED]}
    counts = Counter({(name, "", label): value for (name, label), value in counters.read(connection).items()})
    for (number, name, label), value in counters.by_model(connection).items():
        counts[name, names.get(number, ""), label] += value
    for name, (exported, label, text) in COUNTERS_BY_MODEL.items():
        family = Family(f"{exported}_total", text, ("model", label) if label else ("model",), "counter")
        counts.setdefault((name, "", ""), 0)
        for (_, model, reason), count in sorted(item for item in counts.items() if item[0][0] == name):
            if reason or not label:
                family.add((model, reason) if label else (model,), count)
        yield family
