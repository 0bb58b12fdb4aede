"""Raw scores have moved from their reference."""

from collections.abc import Iterator
from typing import Final

from ..domain.alerts import Alarm, Evidence
from ..domain.drift import FITTED_ON, FIXED, TRAILING, VALIDATED, Drift, ReferenceKind
from ..domain.quantities import Moment
from ..domain.records import HOUR_LEVEL
from ..domain.settings import VALIDATION, ModelSettings
from ..domain.times import DAY, micros, parse_duration
from ..store import rollups
from .kind import Kind, Watch, Watched
from .transitions import RESOLVED_SHARE, Finding

SCORE_DRIFT: Final = "score_drift"


class DriftEvidence(Evidence, frozen=True, kw_only=True):
    """Distances of scores from their reference."""

    psi: float | None
    psi_null_95: float | None
    psi_null_999: float | None
    ks: float | None
    ks_null_95: float | None
    js: float | None
    js_null_95: float | None
    predictions: int
    reference_predictions: int
    start: Moment
    end: Moment
    reference_start: Moment
    reference_kind: ReferenceKind
    threshold: float
    relative_move: float | None = None
    least_move: float | None = None


def drift_finding(drift: Drift, window: str) -> Finding:
    """Return the finding of a comparison with the reference about the alarm on drift."""
    psi, threshold = drift.psi, drift.threshold
    start, end = drift.over
    said = f"PSI over {window} is {psi or 0.0:.3f}"
    return Finding(
        alarm=Alarm(SCORE_DRIFT, window, drift.version or "", drift.segment),
        start=start,
        end=end,
        enough=drift.enough and psi is not None,
        beyond=drift.drifted,
        back=psi is not None and (psi < RESOLVED_SHARE * threshold or drift.is_rounding),
        claim=f"{said} (threshold {threshold:g}). By chance alone it exceeds {drift.psi_null_999 or 0.0:.3f} once in 1,000 windows.",
        relief=f"{said}, of rounding alone."
        if drift.is_rounding
        else f"{said}, back under the threshold {threshold:g}.",
        evidence=DriftEvidence(
            psi=psi,
            psi_null_95=drift.psi_null_95,
            psi_null_999=drift.psi_null_999,
            ks=drift.ks,
            ks_null_95=drift.ks_null_95,
            js=drift.js,
            js_null_95=drift.js_null_95,
            predictions=drift.predictions,
            reference_predictions=drift.reference_predictions,
            start=drift.start,
            end=drift.end,
            reference_start=drift.reference_start,
            reference_kind=drift.reference_kind,
            threshold=threshold,
            relative_move=drift.relative_move,
            least_move=drift.least_move,
        ),
    )


def watched(settings: ModelSettings) -> Iterator[Watched]:
    """Yield the windows whose drift is watched.

    Scores that are compared with the window before differ from them by hour of day: without a declared range or validation set only
    windows of at least a day, or the longest one, can raise an alarm.
    """
    chosen = isinstance(settings.reference, tuple) or settings.reference == VALIDATION
    least = 0 if chosen else min(DAY, settings.longest_window)
    for window in settings.windows:
        if parse_duration("window", window) >= least:
            yield window, ""


def findings(watch: Watch) -> Iterator[Finding]:
    """Yield the findings on drift of the newest windows."""
    asked = set(watched(watch.settings))
    for window, drift in watch.drifts:
        if (window, "") not in asked:
            continue
        finding = drift_finding(drift, window)
        if watch.fires(finding.alarm) or not finding.beyond or _may_fire(watch, drift):
            yield finding


def _may_fire(watch: Watch, drift: Drift) -> bool:
    """Return whether a window may raise an alarm by its reference.

    A window that is compared with the one before may if it is the longest whose reference is whole: scores also differ by day of
    week, which a longer window evens out as soon as the model is old enough for it.
    """
    if not _has_whole_reference(watch, drift):
        return False
    if drift.reference_kind != TRAILING:
        return True
    asked, (start, end) = set(watched(watch.settings)), drift.over
    longer = (
        other
        for window, other in watch.drifts
        if (window, "") in asked and other.version == drift.version and other.over[1] - other.over[0] > end - start
    )
    return not any(_has_whole_reference(watch, other) for other in longer)


def _has_whole_reference(watch: Watch, drift: Drift) -> bool:
    """Return whether the model served already when the reference began; a night is no reference for a week.

    A reference that a person declared or sent, or that the champion was fitted on, is whole as it is.
    """
    if drift.reference_kind in {FIXED, FITTED_ON, VALIDATED}:
        return True
    numbers = list(rollups.series_ids(watch.connection, watch.model.id).values())
    extent = rollups.extent(watch.connection, numbers, HOUR_LEVEL)
    return extent is not None and extent[0] <= micros(drift.reference_start)


KIND: Final = Kind(
    name=SCORE_DRIFT,
    sentence="Raw scores have moved from their reference: their PSI is above the threshold `psi`, and above what chance alone shows "
    "once in 1,000 times, and they moved by more than rounding.",
    watched=watched,
    findings=findings,
)
