"""The window that decides about an alarm on calibration, while it fires and while it does not."""

from collections.abc import Sequence
from dataclasses import replace

from ..domain.alerts import Alarm
from ..domain.evaluations import Evaluation
from ..domain.settings import Model
from ..stats.summary import Summary
from ..windows.evaluation import Question, evaluation
from ..windows.ranges import Range, doubled, first_after, widened
from ..windows.sums import Place, by_place
from .kind import Watch
from .transitions import EVEN_ODDS

Seen = tuple[Evaluation | None, Evaluation | None]
"""The evaluation that an alarm is judged by, None without one; and while the alarm fires, the same evaluation at even odds."""


def judged_by(watch: Watch, alarm: Alarm, newest: Evaluation) -> Seen:
    """Return the evaluation that an alarm is judged by."""
    state = watch.states.get(alarm)
    if state is not None and state.firing:
        return settling(watch, alarm.version, newest.over, state.since)
    return _since_promotion(watch, newest), None


def _since_promotion(watch: Watch, newest: Evaluation) -> Evaluation | None:
    """Return an evaluation with nothing in it from before the last promotion; None if nothing is left."""
    start, end = newest.over
    earliest = start if watch.promoted is None else first_after(watch.promoted, watch.clock.progress.minutes_from)
    if earliest <= start:
        return newest
    if earliest >= end:
        return None
    version, over = newest.version or "", (earliest, end)
    return _evaluated(watch.model, (version, ""), over, _summaries(watch, version, [over], "")[over])


def settling(watch: Watch, version: str, over: Range, since: int, segment: str = "") -> Seen:
    """Return the evaluation that can end an alarm: of a window that began after it fired, or of the time since a promotion.

    A window with too few labels for a verdict, as a short one is at night, is doubled backwards until it has enough: an alarm of the
    busiest hour would go on until the next one. It is evaluated at even odds as well: with few labels the bound that fires alarms
    is low whatever the truth, and an alarm would end and begin again while nothing has changed.
    """
    kept, minimum = watch.clock.progress.minutes_from, watch.settings.minimum_labels
    fired, repaired = first_after(since - 1, kept), 0 if watch.promoted is None else first_after(watch.promoted, kept)
    ranges = doubled(*over, max(fired, repaired)) if max(over[0], repaired) >= fired else []
    before = {(start, end): (2 * start - end, start) for start, end in ranges}
    sums = _summaries(watch, version, [*ranges, *before.values()], segment)
    for longer in ranges:
        if sums[longer].labels >= minimum:
            place = (version, segment)
            seen = _evaluated(watch.model, place, longer, sums[longer])
            return seen, _evaluated(_at_even_odds(watch.model), place, longer, sums[longer], sums[before[longer]])
    return None, None


def _at_even_odds(model: Model) -> Model:
    """Return a model whose bounds the truth is as often above as under."""
    return replace(model, settings=replace(model.settings, false_alarm_rate=EVEN_ODDS, class_thresholds={}))


def _evaluated(
    model: Model, place: Place, over: Range, summary: Summary, previous: Summary | None = None
) -> Evaluation:
    version, segment = place
    question = Question(model=model, version=version, segment=segment, start=over[0], end=over[1])
    return evaluation(question, summary, previous)


def _summaries(watch: Watch, version: str, ranges: Sequence[Range], segment: str) -> dict[Range, Summary]:
    """Return the sums of a version, or of a segment of it, over some ranges."""
    wide = {over: widened(*over, watch.clock.progress.minutes_from) for over in ranges}
    sums = by_place(watch.connection, watch.model, set(wide.values()), segment)
    nothing = Summary.of([])
    return {over: sums[wide[over]].get((version, segment), nothing) for over in ranges}
