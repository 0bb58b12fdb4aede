"""The Prometheus exporter: a collector that builds fresh families from the database at each scrape."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from ..domain.alerts import MISCALIBRATION
from ..domain.drift import Drift
from ..domain.evaluations import CALIBRATED, MISCALIBRATED, SUSPECT, TOO_FEW_LABELS, Evaluation, Verdict
from ..domain.sequential import VersionEvidence
from ..domain.settings import Model
from ..domain.times import SECOND, micros, parse_time
from ..evaluation.rule import fires_at
from ..stats.sequential.spending import level
from ..store import alerts, counters, estimates, evaluations, jobs, journal, models, sequential, versions
from ..store.engine import Database
from ..windows import regression, scores
from ..windows.figures import Figure
from ..windows.verdicts import Standing

SCORE_LABELS: Final = ("model", "model_version", "segment", "window")
FIGURES: Final[tuple[Figure[Any], ...]] = (*scores.FIGURES, *regression.FIGURES)
VERDICTS: Final[Mapping[Verdict, int]] = {CALIBRATED: 0, SUSPECT: 1, MISCALIBRATED: 2, TOO_FEW_LABELS: -1}
VERDICT_TEXT: Final = "Verdict on the window: 0 calibrated, 1 suspect, 2 miscalibrated, -1 too few labels."
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


class CalibrationCollector(Collector):
    """Collect all metrics from the database at each scrape, so that every replica exports the same values."""

    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database = database
        self._now = now

    def describe(self) -> Iterable[Metric]:
        """Return nothing: names are not needed before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        with self._database.read() as connection:
            known = {model.id: model for model in models.everyone(connection)}
            running = [
                (known[number], test)
                for number, test in sequential.newest(connection)
                if number in known and test.labels
            ]
            yield from _scores(connection, known)
            yield from _evidence(running)
            yield from _expected(connection, known)
            yield from _alarms(connection, known)
            yield _thresholds(known.values(), running)
            yield from _calibrators(connection, known)
            yield from _pipeline(connection, self._now())
            yield from _jobs(connection)
            yield from _counted(connection)
            yield from _counted_by_model(connection, known)


def _gauge(name: str, text: str, labels: Iterable[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"calibration_{name}", text, labels=list(labels))


def _place(model: Model, window: str, result: Evaluation | Drift) -> list[str]:
    return [model.name, result.version or "", result.segment, window]


def exported() -> dict[str, str]:
    """Return the names of exported figures, without their prefix `calibration_`, and the description of each.

    A name that figures of probabilities and of distributions share describes both. Texts are plain, as Prometheus shows them.
    """
    sentences: dict[str, list[str]] = {}
    for figure in FIGURES:
        if figure.exported is not None:
            sentences.setdefault(figure.exported, []).append(figure.sentence)
    return {name: " ".join(texts).replace("`", "") for name, texts in sentences.items()}


_EXPORTED: Final = {figure.name: figure.exported for figure in FIGURES if figure.exported is not None}


def _scores(connection: Connection, known: dict[int, Model]) -> Iterator[Metric]:
    standings = Standing.now(connection, [*known.values()])
    newest = [
        (known[number], window, standings[number].judged(evaluation))
        for number, window, evaluation in evaluations.newest(connection)
        if number in known
    ]
    families = {name: _gauge(name, text, SCORE_LABELS) for name, text in exported().items()}
    samples = _gauge("window_samples", "Predictions in the window.", SCORE_LABELS)
    coverage = _gauge("window_labelled_ratio", "Share of the window's predictions that have a label.", SCORE_LABELS)
    end = _gauge("window_end_timestamp_seconds", "End of the window, in event time.", SCORE_LABELS)
    verdict = _gauge("verdict", VERDICT_TEXT, SCORE_LABELS)
    flagged = _gauge("segment_flagged", "1 where a segment is off, false discoveries controlled; else 0.", SCORE_LABELS)
    for model, window, evaluation in newest:
        place = _place(model, window, evaluation)
        samples.add_metric(place, evaluation.predictions)
        _add(coverage, place, evaluation.label_coverage)
        verdict.add_metric(place, VERDICTS[evaluation.verdict])
        end.add_metric(place, micros(evaluation.end) / SECOND)
        _add(flagged, place, None if evaluation.flag is None else evaluation.flag.flagged)
        if evaluation.has_enough_labels:
            for figure, name in _EXPORTED.items():
                _add(families[name], place, evaluation.figures.get(figure))
    yield from (*families.values(), samples, coverage, end, verdict, flagged)
    yield from _bins(newest)
    yield _drift(connection, known)


def _drift(connection: Connection, known: dict[int, Model]) -> Metric:
    family = _gauge("drift_psi", "Population stability index of raw scores against the reference.", SCORE_LABELS)
    for number, window, drift in evaluations.newest_drift(connection):
        if number in known and drift.enough:
            _add(family, _place(known[number], window, drift), drift.psi)
    return family


def _bins(newest: Sequence[tuple[Model, str, Evaluation]]) -> Iterator[Metric]:
    labels = (*SCORE_LABELS, "bin")
    confidence = _gauge("bin_confidence_ratio", "Mean confidence of a bin; the label is its upper edge.", labels)
    observed = _gauge("bin_observed_ratio", "Observed frequency of a bin; the label is its upper edge.", labels)
    samples = _gauge("bin_samples", "Labelled events of a bin; the label is its upper edge.", labels)
    for model, window, evaluation in newest:
        if not evaluation.has_enough_labels or evaluation.segment != "" or evaluation.curves is None:
            continue
        for point in evaluation.curves.reliability:
            place = [*_place(model, window, evaluation), f"{point.upper:.4g}"]
            samples.add_metric(place, point.count)
            _add(confidence, place, point.mean_confidence)
            _add(observed, place, point.observed)
    yield from (confidence, observed, samples)


def _evidence(running: Running) -> Iterator[Metric]:
    text = "Log of the highest evidence so far against an error within the threshold, as guarantee and alert_on say."
    highest = _gauge("e_value_log", text, SCORE_LABELS)
    limit = _gauge("e_value_log_threshold", "Value of calibration_e_value_log at which the alert fires.", SCORE_LABELS)
    for model, test in running:
        place = [model.name, test.version, "", ""]
        _add(highest, place, test.highest)
        _add(limit, place, test.limit)
    yield from (highest, limit)


def _expected(connection: Connection, known: dict[int, Model]) -> Iterator[Metric]:
    accuracy, ece = (_gauge(name, text, SCORE_LABELS) for name, text in EXPECTED.items())
    broke = _broke(connection)
    for estimate in estimates.current(connection):
        # A map of before a fault promises the calibration that was lost.
        is_void = micros(estimate.expected.map.start) < broke.get((estimate.model_id, estimate.version), 0)
        if estimate.model_id in known and not is_void:
            place = [known[estimate.model_id].name, estimate.version, "", estimate.window]
            _add(accuracy, place, estimate.expected.accuracy)
            _add(ece, place, estimate.expected.ece)
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


def _add(family: GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    if value is not None:
        family.add_metric(labels, value)


def _alarms(connection: Connection, known: dict[int, Model]) -> Iterator[Metric]:
    active = _gauge("alert_active", "1 while an alert fires, 0 after it resolved.", (*SCORE_LABELS, "kind"))
    for model_id, (kind, window, version, segment), fires in alerts.known(connection):
        if model_id in known:
            active.add_metric([known[model_id].name, version, segment, window, kind], float(fires))
    yield active


def _thresholds(known: Iterable[Model], running: Running) -> Metric:
    """Return the thresholds of alerts; that of the e-value is the lowest of a model's tests, or its first test's where none runs."""
    family = _gauge("threshold", "Threshold of an alert.", ("model", "metric"))
    limits: dict[int, list[float]] = {}
    for model, test in running:
        limits.setdefault(model.id, []).append(test.limit)
    for model in known:
        settings = model.settings
        for metric, value in settings.thresholds.items():
            family.add_metric([model.name, metric], value)
        first = fires_at(settings.guarantee, level=level(1, settings.false_alarm_rate), place=1)
        _add(family, [model.name, "e_value_log"], min(limits.get(model.id, ()), default=first))
    return family


def _calibrators(connection: Connection, known: dict[int, Model]) -> Iterator[Metric]:
    info = _gauge(
        "calibrator_info", "The calibrator in service; always 1.", ("model", "calibrator_version", "method", "sha256")
    )
    version = _gauge("calibrator_version", "Number of the calibrator in service; 0 without one.", ("model",))
    champions = versions.champions(connection)
    for model_id, model in known.items():
        number = champions.get(model_id)
        version.add_metric([model.name], float(number or 0))
        document = None if number is None else versions.document(connection, model_id, number)
        if document is not None:
            info.add_metric([model.name, str(number), document.method, document.sha256], 1.0)
    yield from (info, version, _waiting(connection, known))


def _waiting(connection: Connection, known: dict[int, Model]) -> Metric:
    family = _gauge("proposal_waiting", "1 while a calibrator waits for a person's decision, else 0.", ("model",))
    waiting = versions.waiting(connection, known.values())
    for model_id, model in known.items():
        family.add_metric([model.name], float(model_id in waiting))
    return family


def _pipeline(connection: Connection, now: int) -> Iterator[Metric]:
    waiting, oldest = journal.backlog(connection)
    yield GaugeMetricFamily(
        "calibration_journal_backlog_events", "Events committed but not rolled up yet.", value=float(waiting)
    )
    yield GaugeMetricFamily(
        "calibration_rollup_lag_seconds",
        "Age of the oldest event that is not rolled up yet.",
        value=0.0 if oldest is None else max(0.0, (now - oldest) / SECOND),
    )
    yield GaugeMetricFamily(
        "calibration_quarantined_events", "Events in quarantine.", value=float(journal.set_aside_count(connection))
    )


def _jobs(connection: Connection) -> Iterator[Metric]:
    success = _gauge("job_last_success_timestamp_seconds", "When a job last ran to its end.", ("job",))
    failures = CounterMetricFamily("calibration_job_failures", "Runs of a job that failed.", labels=["job"])
    for name, (last, failed) in sorted(jobs.read(connection).items()):
        if last is not None:
            success.add_metric([name], last / SECOND)
        failures.add_metric([name], failed)
    yield from (success, failures)


def _counted(connection: Connection) -> Iterator[Metric]:
    values = counters.read(connection)
    for name, (exported, label, text) in COUNTERS.items():
        family = CounterMetricFamily(exported, text, labels=[label] if label else [])
        counts = {key[1]: value for key, value in values.items() if key[0] == name}
        for value, count in sorted(counts.items()) if label else [("", counts.get("", 0))]:
            family.add_metric([value] if label else [], count)
        yield family


def _counted_by_model(connection: Connection, known: Mapping[int, Model]) -> Iterator[Metric]:
    names = {number: known[number].name for number in sorted(known)[:MOST_COUNTED]}
    counts = Counter({(name, "", label): value for (name, label), value in counters.read(connection).items()})
    for (number, name, label), value in counters.by_model(connection).items():
        counts[name, names.get(number, ""), label] += value
    for name, (exported, label, text) in COUNTERS_BY_MODEL.items():
        family = CounterMetricFamily(exported, text, labels=["model", label] if label else ["model"])
        counts.setdefault((name, "", ""), 0)
        for (_, model, reason), count in sorted(item for item in counts.items() if item[0][0] == name):
            if reason or not label:
                family.add_metric([model, reason] if label else [model], count)
        yield family
