"""Miscalibration: a model's confidence does not mean what it says, by windows, single classes or the sequential test."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection

from ..domain.alerts import MISCALIBRATION, RESOLVED, Alarm, Alert
from ..domain.evaluations import Evaluation
from ..domain.settings import CLASS, RATIO, ModelSettings
from ..store import ratios, sequential
from . import classes
from .kind import Kind, Watch, Watched
from .ratios import ratio_findings
from .remedy import with_remedy
from .sequential import sequential_finding
from .settling import judged_by, settling
from .story import told
from .transitions import Finding
from .windows import SEQUENTIAL, settled, shortest_window, window_finding


def watched(settings: ModelSettings) -> Iterator[Watched]:
    """Yield what is watched: the whole and single classes, by windows or by sequential tests."""
    for window in (SEQUENTIAL,) if settings.alert_policy == SEQUENTIAL else settings.windows:
        yield window, ""
        for name in settings.class_thresholds:
            yield window, CLASS + name
    if RATIO in settings.thresholds:
        yield RATIO, ""


def findings(watch: Watch) -> Iterator[Finding]:
    """Yield the findings on calibration of the newest windows and the sequential tests."""
    asked = set(watched(watch.settings))
    for window, seen in watch.evaluations:
        if (window, "") in asked:
            yield from _of_whole(watch, window, seen)
            yield from classes.of_windows(watch, window, seen)
    if (SEQUENTIAL, "") in asked:
        yield from _of_tests(watch)
    yield from ratio_findings(watch)


def _of_whole(watch: Watch, window: str, newest: Evaluation) -> Iterator[Finding]:
    seen, even = judged_by(watch, Alarm(MISCALIBRATION, window, newest.version or "", ""), newest)
    if seen is not None:
        yield window_finding(seen, window, watch.settings, even)


def _of_tests(watch: Watch) -> Iterator[Finding]:
    """Yield the findings of the sequential tests whose alarm does not fire, and of a window where it does."""
    yield from classes.of_tests(watch)
    name = "Quantile ECE" if watch.model.task == "regression" else "ECE"
    firing = {alarm.version: since for alarm, since in watch.firing(MISCALIBRATION) if alarm.window == SEQUENTIAL}
    for _, test in sequential.newest(watch.connection, watch.model.id):
        if test.version not in firing:
            yield sequential_finding(test, name)
    for version, since in firing.items():
        window, over = shortest_window(watch)
        if over is not None:
            seen, even = settling(watch, version, over, since)
            if seen is not None:
                yield settled(window_finding(seen, window, watch.settings, even))


def _explained(watch: Watch, finding: Finding) -> Finding:
    """Return a finding that fires: what it means and what to do before its figures."""
    return told(watch, with_remedy(watch, finding))


def _start_test_again(connection: Connection, model_id: int, alert: Alert) -> None:
    of_class = [alert.alarm.segment] if alert.alarm.segment else []
    if alert.state == RESOLVED and alert.alarm.window == SEQUENTIAL and of_class:
        sequential.restart_segments(connection, model_id, alert.alarm.version, of_class, alert.at)
    elif alert.state == RESOLVED and alert.alarm.window == SEQUENTIAL:
        sequential.restart(connection, model_id, alert.alarm.version, alert.at)
    if alert.state == RESOLVED and alert.alarm.window == RATIO:
        ratios.restart(connection, model_id, alert.alarm.version, alert.at)


KIND: Final = Kind(
    name=MISCALIBRATION,
    sentence="Confidence does not mean what it says: the ECE is significantly above the threshold `ece`, or that of a class above its own.",
    watched=watched,
    findings=findings,
    fired=_explained,
    recorded=_start_test_again,
)
