"""The verdicts on windows, with the alerts and sequential tests of their model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import structs
from sqlalchemy import Connection

from ..domain.alerts import MISCALIBRATION, SEGMENT, Firing
from ..domain.evaluations import (
    MISCALIBRATED,
    OFF,
    SUSPECT,
    ClassCalibration,
    Curves,
    Evaluation,
    Remedy,
    Verdict,
)
from ..domain.segments import readable
from ..domain.sequential import RatioEvidence, VersionEvidence
from ..domain.settings import CLASS, RATIO, Model
from ..domain.times import rfc3339
from ..domain.verdicts import is_half_way, verdict_of
from ..stats.outcomes import Count, interval
from ..stats.remedy import CHECK_LABELS, NOT_COMPARED, WAIT
from ..store import alerts, ratios, sequential
from .clock import Clocked

KINDS: Final = (MISCALIBRATION, SEGMENT)
"""Kinds of alerts on calibration: while one fires, what it is about is miscalibrated."""

FLAGGED: Final = "This segment is flagged among all segments."

MARGINAL: Final = (
    "The sequential test has gathered more than half of what fires an alert: it is not known yet whether this lasts."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What alerts and sequential tests of a model say."""

    model: Model
    newest: int | None  # windows that reach this end now
    firings: Sequence[Firing]
    tests: Sequence[VersionEvidence]
    ratios: Sequence[RatioEvidence] = ()  # of observed over expected outcomes
    classes: Sequence[VersionEvidence] = ()  # tests of classes with thresholds, which stand in place of a segment

    @classmethod
    def read(cls, connection: Connection, clock: Clocked) -> "Standing":
        """Read what alerts and sequential tests of a model say now, and when its alerts fired before."""
        number = clock.model.id
        return cls(
            model=clock.model,
            newest=clock.matured_until,
            firings=alerts.firings(connection, number, KINDS),
            tests=[test for _, test in sequential.newest(connection, number)],
            ratios=[test for _, test in ratios.newest(connection, number)]
            if RATIO in clock.model.settings.thresholds
            else (),
            classes=_tests_of_classes(connection, clock.model),
        )

    @classmethod
    def now(cls, connection: Connection, models: Sequence[Model]) -> dict[int, "Standing"]:
        """Read what alerts and sequential tests of some models say of their newest windows."""
        firing = alerts.firing_now(connection, KINDS)
        tests: dict[int, list[VersionEvidence]] = {}
        for number, test in sequential.newest(connection, models[0].id if len(models) == 1 else None):
            tests.setdefault(number, []).append(test)
        of_ratios: dict[int, list[RatioEvidence]] = {}
        wanted = {model.id for model in models if RATIO in model.settings.thresholds}
        for number, of_ratio in ratios.newest(connection) if wanted else ():
            of_ratios.setdefault(number, []).append(of_ratio)
        of_classes = {model.id: _tests_of_classes(connection, model) for model in models}
        return {
            model.id: cls(
                model=model,
                newest=None,
                firings=firing.get(model.id, []),
                tests=tests.get(model.id, []),
                ratios=of_ratios.get(model.id, []) if model.id in wanted else (),
                classes=of_classes[model.id],
            )
            for model in models
        }

    def judged(self, evaluation: Evaluation) -> Evaluation:
        """Return the evaluation of a window that was served with its verdict, and the grounds of that."""
        firing = next(self._firing(evaluation), None)
        held, doubts = [*self._held(evaluation)], [*self._doubts(evaluation)]
        over = _is_over(evaluation, self.model) or _is_beyond(evaluation, self.model)
        verdict = verdict_of(
            fires=firing is not None, suspicious=bool(held or doubts), over=over, labels_needed=evaluation.labels_needed
        )
        grounds = [*_words_of(firing), *held, *([_over_words(evaluation, self.model)] if over else []), *doubts]
        grounds += [words for words in self._off_segments(evaluation) if not evaluation.segment]
        remedy = _remedy(evaluation, verdict, compares=verdict == MISCALIBRATED or over)
        if held and firing is None:
            remedy = CHECK_LABELS, held[0]
        if evaluation.has_undeclared:
            remedy = CHECK_LABELS, _undeclared_words(evaluation)
        return structs.replace(
            evaluation,
            verdict=verdict,
            verdict_reason=grounds[0] if grounds else None,
            remedy=remedy[0],
            remedy_reason=remedy[1],
            curves=self._of_classes(evaluation),
        )

    def remembered(self, evaluation: Evaluation) -> Evaluation:
        """Return a stored evaluation with the verdict of its time: alerts fire after the evaluation that they are about."""
        firing = next(self._firing(evaluation), None)
        if firing is None or evaluation.verdict == MISCALIBRATED:
            return evaluation
        return structs.replace(evaluation, verdict=MISCALIBRATED, verdict_reason=next(_words_of(firing)))

    def is_live(self, evaluation: Evaluation) -> bool:
        """Return whether a window reaches the newest matured prediction, so that what is known now is about it."""
        return self.newest is None or evaluation.over[1] >= self.newest

    def _firing(self, evaluation: Evaluation) -> Iterator[Firing]:
        """Yield the alarms on what a window holds that fired at its end; those on single classes are on the whole as well, after it."""
        for firing in sorted(self.firings, key=lambda firing: bool(firing.alarm.segment)):
            alarm = firing.alarm
            concerns = alarm.version in _versions(evaluation, alarm.version)
            about = _is_about(firing, evaluation.segment)
            if concerns and about and self._covers(firing, evaluation):
                yield firing

    def _off_segments(self, evaluation: Evaluation) -> Iterator[str]:
        """Yield the alerts on segments that fire beside a window of the whole."""
        for firing in self.firings:
            alarm = firing.alarm
            concerns = alarm.kind == SEGMENT and alarm.version in _versions(evaluation, alarm.version)
            if concerns and self._covers(firing, evaluation):
                names = ", ".join(map(readable, firing.segments))
                yield f"An alert on segments has been firing since {rfc3339(firing.since)}: {names}."

    def _covers(self, firing: Firing, evaluation: Evaluation) -> bool:
        end = evaluation.over[1]
        if firing.until is None:
            return self.is_live(evaluation) or firing.since <= end
        return firing.since <= end < firing.until and not self.is_live(evaluation)

    def _doubts(self, evaluation: Evaluation) -> Iterator[str]:
        """Yield why a window is suspicious although its bound may not be."""
        if evaluation.flag is not None and evaluation.flag.flagged:
            yield FLAGGED
        tests = [(test.deciding, test.limit) for test in self._tests_of(evaluation)]
        tests += [(test.log_e, test.limit) for test in self._ratios_of(evaluation)]
        if any(is_half_way(evidence, limit) for evidence, limit in tests):
            yield MARGINAL
        for test in self._classes_of(evaluation):
            if is_half_way(test.deciding, test.limit):
                yield f"{_named(test)}: {MARGINAL}"

    def _held(self, evaluation: Evaluation) -> Iterator[str]:
        """Yield why the alerts of the tests of a window's versions are held."""
        yield from (test.held_because for test in self._tests_of(evaluation) if test.held_because is not None)
        yield from (test.held_because for test in self._ratios_of(evaluation) if test.held_because is not None)
        for test in self._classes_of(evaluation):
            if test.held_because is not None:
                yield f"{_named(test)}: {test.held_because}"

    def _tests_of(self, evaluation: Evaluation) -> Iterator[VersionEvidence]:
        """Yield the tests of a window's versions; none of a segment, or of a window of the past."""
        if not evaluation.segment and self.is_live(evaluation):
            yield from (test for test in self.tests if test.version in _versions(evaluation, test.version))

    def _ratios_of(self, evaluation: Evaluation) -> Iterator[RatioEvidence]:
        """Yield the same of observed over expected outcomes."""
        if not evaluation.segment and self.is_live(evaluation):
            yield from (test for test in self.ratios if test.version in _versions(evaluation, test.version))

    def _classes_of(self, evaluation: Evaluation) -> Iterator[VersionEvidence]:
        """Yield the same of classes with thresholds."""
        if not evaluation.segment and self.is_live(evaluation):
            yield from (test for test in self.classes if test.version in _versions(evaluation, test.version))

    def _of_classes(self, evaluation: Evaluation) -> Curves | None:
        """Return the curves of a window, classes on which an alert fires being miscalibrated."""
        curves = evaluation.curves
        if curves is None or not any(one.threshold is not None for one in curves.classes):
            return curves
        named = {
            firing.alarm.segment.removeprefix(CLASS)
            for firing in self._firing(evaluation)
            if firing.alarm.segment.startswith(CLASS)
        }
        doubtful = {
            test.segment.removeprefix(CLASS)
            for test in self._classes_of(evaluation)
            if test.held_because is not None or is_half_way(test.deciding, test.limit)
        }
        return structs.replace(curves, classes=tuple(_of_class(one, named, doubtful) for one in curves.classes))


def _is_about(firing: Firing, segment: str) -> bool:
    """Return whether an alarm is about a segment, or about the whole (empty), whose classes are part of it, and whose segments are not."""
    if firing.alarm.kind == SEGMENT:
        return segment in firing.segments
    return not segment or firing.alarm.segment == segment


def _versions(evaluation: Evaluation, version: str) -> set[str]:
    """Return the versions that an evaluation is about: its own, or any."""
    return {version if evaluation.version is None else evaluation.version}


def _of_class(calibration: ClassCalibration, firing: set[str], doubtful: set[str]) -> ClassCalibration:
    if calibration.threshold is None or calibration.name not in firing | doubtful:
        return calibration
    return structs.replace(calibration, verdict=MISCALIBRATED if calibration.name in firing else SUSPECT)


def _tests_of_classes(connection: Connection, model: Model) -> list[VersionEvidence]:
    """Return the sequential tests of classes that have thresholds now, of a model whose alerts they raise."""
    settings = model.settings
    if not settings.class_thresholds or settings.alert_policy != "sequential":
        return []
    tests = [test for _, test in sequential.newest_of_segments(connection, model.id)]
    return [
        test
        for test in tests
        if test.segment.startswith(CLASS) and test.segment.removeprefix(CLASS) in settings.class_thresholds
    ]


def _named(test: VersionEvidence) -> str:
    return f"Class {test.segment.removeprefix(CLASS)}"


def _undeclared_words(evaluation: Evaluation) -> str:
    share = f"{100 * evaluation.undeclared_labels / evaluation.labelled:.2g} %"
    return (
        f"{evaluation.undeclared_labels} of {evaluation.labelled} labels ({share}) are of classes that were never declared, so that every"
        " answer is wrong by them: correct these labels, or extend `classes`. `undeclared` in `GET /v1/models/{model}` names them."
    )


def _is_over(evaluation: Evaluation, model: Model) -> bool:
    bound = evaluation.error_lower_bound
    return bound is not None and bound > model.settings.thresholds["ece"]


def _words_of(firing: Firing | None) -> Iterator[str]:
    if firing is not None:
        segment = f" ({firing.alarm.segment})" if firing.alarm.segment else ""
        yield f"An alert{segment} has been firing since {rfc3339(firing.since)}."


def _is_beyond(evaluation: Evaluation, model: Model) -> bool:
    """Return whether the bound of observed over expected outcomes of a whole is beyond its threshold."""
    limit, counted = model.settings.thresholds.get(RATIO), _outcomes(evaluation)
    if limit is None or counted is None or evaluation.segment:
        return False
    low, high = interval(counted, model.settings.false_alarm_rate)
    return low > limit or high < 1 / limit


def _outcomes(evaluation: Evaluation) -> Count | None:
    mean, times = evaluation.figures.get("mean_confidence"), evaluation.figures.get("observed_over_expected")
    if mean is None or times is None:
        return None
    expected = mean * evaluation.labelled
    return Count(labels=evaluation.labelled, observed=times * expected, expected=expected)


def _over_words(evaluation: Evaluation, model: Model) -> str:
    if not _is_over(evaluation, model):
        times, limit = evaluation.figures["observed_over_expected"], model.settings.thresholds[RATIO]
        return f"Outcomes happen {times:.3g} times as often as expected (threshold {limit:g}), but no alert fires yet."
    name = "quantile ECE" if evaluation.error == "quantile_ece" else "ECE"
    threshold = model.settings.thresholds["ece"]
    return (
        f"The {name} is at least {evaluation.error_lower_bound:.3f} (threshold {threshold:g}), but no alert fires yet."
    )


def _remedy(evaluation: Evaluation, verdict: Verdict, *, compares: bool) -> tuple[Remedy | None, str | None]:
    """Return the remedy of a window and its reason: for a suspicion alone, which is not compared with a reference, that is to wait."""
    if verdict not in OFF:
        return None, None
    if evaluation.remedy is not None:
        return evaluation.remedy, evaluation.remedy_reason
    return WAIT, NOT_COMPARED if compares else MARGINAL
