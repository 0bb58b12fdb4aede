"""Impact on declared decisions: what thresholds select under two calibrators, of the raw scores of a range."""

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
    """Return the range of a model's longest window, up to the newest matured prediction."""
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
    """Return what each declared decision selects before and after a calibrator replaces another.

    Over the model's longest window, up to what has matured; empty for regressions.

    Parameters
    ----------
    candidate : to be put in service; None for no calibrator
    incumbent : in service; None for no calibrator
    now : end of the window for a model without predictions
    confidence : with which a new threshold gives the declared precision

    """
    if not clock.model.settings.decisions or clock.model.task in {None, "regression"}:
        return []
    known = known_of(connection, clock, *last_window(clock, now))
    return impacts(clock.model, Under(known, incumbent), Under(known, candidate), confidence=confidence)


def impacts(model: Model, before: Under, after: Under, *, confidence: float) -> list[DecisionImpact]:
    """Return what each declared decision selects before and after, from the raw scores of a range; empty for regressions."""
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


def _selected(under: Under, selection: Selected) -> SelectedBy:
    return SelectedBy(
        calibrator_version=under.number,
        selected=round(selection.events),
        selected_low=round(selection.low),
        selected_high=round(selection.high),
        share=selection.share,
        expected_precision=selection.expected_precision,
        labelled=round(selection.labelled),
        precision=selection.precision,
        precision_low=selection.precision_low,
        precision_high=selection.precision_high,
    )
