"""Decisions: what the declared thresholds of a model select before and after another calibrator serves.

All of raw scores mapped through a calibrator, whatever served in the range.
"""

from msgspec.structs import asdict
from sqlalchemy import Connection

from ..domain.setting_types import Decision
from ..domain.settings import Model
from ..stats.impact import Selected, selected
from ..store.calibrators import Fitted
from ..store.impact import DecisionImpact, SelectedBy
from ..windows.clock import Clocked
from ..windows.ranges import widened
from ..windows.raw_scores import Under, known_of
from .thresholds import CONFIDENCE, for_precision, no_precision


def last_window(clock: Clocked, now: int) -> tuple[int, int]:
    """Return the range of a model's longest window, up to what has matured."""
    end = clock.matured_until or clock.newest_end or now
    return widened(end - clock.model.settings.longest_window, end, clock.progress.minutes_from)


def impact_of(
    connection: Connection,
    clock: Clocked,
    candidate: Fitted | None,
    incumbent: Fitted | None,
    *,
    now: int = 0,
    confidence: float = CONFIDENCE,
) -> list[DecisionImpact]:
    """Return what each declared decision of a model selects before and after a calibrator takes the place of another.

    Over the last of the model's longest windows; empty where no decision is declared, and of regressions.

    Parameters
    ----------
    candidate : the document of what would serve; None for no calibrator
    incumbent : the document of what serves now; None for no calibrator
    now : the time, of a model without any prediction
    confidence : with which a threshold that is found anew gives the declared precision

    """
    if not clock.model.settings.decisions or clock.model.task in {None, "regression"}:
        return []
    known = known_of(connection, clock, *last_window(clock, now))
    return impacts(clock.model, Under(known, incumbent), Under(known, candidate), confidence=confidence)


def impacts(model: Model, before: Under, after: Under, *, confidence: float) -> list[DecisionImpact]:
    """Return what each declared decision selects before and after, from the raw scores of a range; empty of regressions."""
    if model.task == "regression":
        return []
    return [
        _impact(name, decision, before, after, confidence)
        for name, decision in sorted(model.settings.decisions.items())
    ]


def _impact(name: str, decision: Decision, before: Under, after: Under, confidence: float) -> DecisionImpact:
    threshold, below, wanted = decision.threshold, decision.selects == "below", decision.precision
    known = after.known
    chosen = for_precision(after, wanted, confidence=confidence, below=below)
    return DecisionImpact(
        name=name,
        **asdict(decision),
        rule=f"score {'<=' if below else '>'} {threshold!r}",
        events=known.count,
        before=_selected(before, selected(before.view, threshold, below=below, chances=after.view.mean)),
        after=_selected(after, selected(after.view, threshold, below=below, chances=after.view.mean)),
        threshold_same_volume=known.moved(threshold, before, after) if known.count else None,
        threshold_for_precision=chosen,
        reason=None if chosen is not None else no_precision(after, wanted, confidence),
    )


def _selected(under: Under, found: Selected) -> SelectedBy:
    return SelectedBy(
        calibrator_version=under.number,
        selected=round(found.events),
        selected_low=round(found.low),
        selected_high=round(found.high),
        share=found.share,
        expected_precision=found.expected_precision,
        labelled=round(found.labelled),
        precision=found.precision,
        precision_low=found.precision_low,
        precision_high=found.precision_high,
    )
