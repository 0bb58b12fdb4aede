"""Findings about single classes with thresholds of their own, by windows or by their sequential tests."""

from collections.abc import Iterator

from msgspec import UNSET, UnsetType, field

from ..domain.alerts import MISCALIBRATION, Alarm
from ..domain.evaluations import TOO_FEW_LABELS, ClassCalibration, Evaluation, Verdict
from ..domain.settings import CLASS, ModelSettings
from ..store import sequential
from .kind import Watch
from .sequential import sequential_finding
from .settling import judged_by, settling
from .transitions import Finding
from .windows import SEQUENTIAL, WINDOW, Bounded, bounded, settled, shortest_window


class ClassEvidence(Bounded, frozen=True, kw_only=True):
    """Figures of a window for one class."""

    name: str = field(name="class")
    positives: int
    mean_probability: float | None
    observed: float | None
    ece: float | None
    ece_lower_bound: float | None
    ece_even_odds_bound: float | UnsetType | None = UNSET
    verdict: Verdict | None

    @property
    def at_least(self) -> float | None:
        """The lower bound of the error."""
        return self.ece_lower_bound


def class_finding(
    seen: Evaluation,
    calibration: ClassCalibration,
    window: str,
    settings: ModelSettings,
    even: ClassCalibration | None = None,
) -> Finding:
    """Return the finding of an evaluation about the alarm on one class.

    Parameters
    ----------
    calibration : of the class, from that evaluation
    even : the same at even odds, given while the alarm fires: its bound ends the alarm, and its labels are enough

    """
    evidence = ClassEvidence(
        policy=WINDOW,
        threshold=settings.class_thresholds[calibration.name],
        false_alarm_rate=settings.false_alarm_rate,
        name=calibration.name,
        labelled=calibration.labelled,
        positives=calibration.positives,
        mean_probability=calibration.mean_probability,
        observed=calibration.observed,
        ece=calibration.ece,
        ece_lower_bound=calibration.ece_lower_bound,
        ece_even_odds_bound=UNSET if even is None else even.ece_lower_bound,
        verdict=calibration.verdict,
        predictions=seen.predictions,
        start=seen.start,
        end=seen.end,
    )
    return bounded(
        Alarm(MISCALIBRATION, window, seen.version or "", f"{CLASS}{calibration.name}"),
        seen,
        calibration.ece_lower_bound if even is None else even.ece_lower_bound,
        enough=even is not None or _has_enough_labels(calibration, settings),
        name="Class-wise ECE",
        evidence=evidence,
    )


def _has_enough_labels(calibration: ClassCalibration, settings: ModelSettings) -> bool:
    return calibration.verdict != TOO_FEW_LABELS and calibration.labelled >= settings.minimum_labels


def of_windows(watch: Watch, window: str, newest: Evaluation) -> Iterator[Finding]:
    """Yield the findings of a window about each class."""
    for name in watch.settings.class_thresholds:
        yield from _of_window(watch, window, newest, name)


def _of_window(watch: Watch, window: str, newest: Evaluation, name: str) -> Iterator[Finding]:
    seen, even = judged_by(watch, Alarm(MISCALIBRATION, window, newest.version or "", CLASS + name), newest)
    calibration, at_even_odds = _class_of(seen, name), _class_of(even, name)
    if seen is not None and calibration is not None:
        yield class_finding(seen, calibration, window, watch.settings, at_even_odds)


def _class_of(seen: Evaluation | None, name: str) -> ClassCalibration | None:
    classes = () if seen is None or seen.curves is None else seen.curves.classes
    return next((calibration for calibration in classes if calibration.name == name), None)


def of_tests(watch: Watch) -> Iterator[Finding]:
    """Yield the findings of the tests of classes whose alarm does not fire, and of a window where it does."""
    for _, test in sequential.newest_of_segments(watch.connection, watch.model.id):
        name, alarm = test.segment.removeprefix(CLASS), Alarm(MISCALIBRATION, SEQUENTIAL, test.version, test.segment)
        if not test.segment.startswith(CLASS) or name not in watch.settings.class_thresholds:
            continue
        if watch.fires(alarm):
            yield from _settling_class(watch, alarm, name)
        else:
            yield sequential_finding(test, f"The ECE of class {name}")


def _settling_class(watch: Watch, alarm: Alarm, name: str) -> Iterator[Finding]:
    """Yield the finding of a window about the alarm of a class that fires."""
    window, over = shortest_window(watch)
    if over is None:
        return
    seen, even = settling(watch, alarm.version, over, watch.states[alarm].since)
    calibration, at_even_odds = _class_of(seen, name), _class_of(even, name)
    if seen is not None and calibration is not None and at_even_odds is not None:
        yield settled(class_finding(seen, calibration, window, watch.settings, at_even_odds))
