"""Decisions: what thresholds select under a calibrator, where they should lie, and sets of answers, over a range of time.

All is of raw scores mapped through a calibrator, so that it fits what is served from now on, whatever served in that range.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection

from ..domain.settings import Model
from ..domain.times import MINUTE
from ..stats import thresholds
from ..stats.cells import CELLS, Floats, Integers
from ..stats.conformal import adapted, conformal_threshold
from ..stats.impact import Selected, selected
from ..stats.thresholds import CUTS, Answering, Selection, abstention, precision_threshold
from ..windows.clock import Clocked
from ..windows.ranges import widened
from ..windows.raw_scores import Document, Known, Under, known_of

CONFIDENCE: Final = 0.95
COVERAGE: Final = 0.9
EARLIER: Final = 0.7
"""The share of labels, the earliest, that a threshold is taken from which is then measured on the rest."""

FEWEST_TO_MEASURE: Final = 100
OF_REGRESSIONS: Final = (
    "a regression states predictive distributions, not probabilities: there is no score to cut, and no set of answers"
)
OF_ANSWERS: Final = (
    "only the confidence of the answer is known, not those of the others: there is no set to put together"
)
NO_ORDER: Final = (
    "the calibrator does not keep the order of scores: no threshold on what it serves is one on what the model said"
)
TOO_FLAT: Final = (
    "the calibrator serves a few distinct scores only, whose ends lie within the cells that sums are kept in: ask for those of "
    "`calibrator=none`, and cut what the model says"
)
NOT_ASKED: Final = "none was asked for"


def last_window(clock: Clocked, now: int) -> tuple[int, int]:
    """Return the range of a model's longest window, up to what has matured."""
    end = clock.matured_until or clock.newest_end or now
    return widened(end - clock.model.settings.longest_window, end, clock.progress.minutes_from)


def impact_of(
    connection: Connection,
    clock: Clocked,
    candidate: Document | None,
    incumbent: Document | None,
    *,
    now: int = 0,
    confidence: float = CONFIDENCE,
) -> list[dict[str, Any]]:
    """Return what each declared decision of a model selects before and after a calibrator takes the place of another.

    Over the last of the model's longest windows; empty where no decision is declared, and of regressions.

    Parameters
    ----------
    candidate : the document of what would serve; None for identity
    incumbent : the document of what serves now; None for identity
    now : the time, of a model without any prediction
    confidence : with which a threshold that is found anew gives the declared precision

    """
    if not clock.model.settings.decisions or clock.model.task in {None, "regression"}:
        return []
    known = known_of(connection, clock, *last_window(clock, now))
    return impacts(clock.model, Under(known, incumbent), Under(known, candidate), confidence=confidence)


def impacts(model: Model, before: Under, after: Under, *, confidence: float) -> list[dict[str, Any]]:
    """Return what each declared decision selects before and after, from the raw scores of a range."""
    return [_impact(name, each, before, after, confidence) for name, each in sorted(model.settings.decisions.items())]


def _impact(name: str, decision: Mapping[str, Any], before: Under, after: Under, confidence: float) -> dict[str, Any]:
    threshold, below, wanted = decision["threshold"], decision["selects"] == "below", decision["precision"]
    known, chosen = after.known, None
    if wanted is not None and after.steps is not None:
        chosen = precision_threshold(after.steps, precision=wanted, confidence=confidence, below=below)
    return {
        "name": name,
        **decision,
        "rule": f"score {'<=' if below else '>'} {threshold!r}",
        "events": known.count,
        "before": _selected(before, selected(before.view, threshold, below=below, chances=after.view.mean)),
        "after": _selected(after, selected(after.view, threshold, below=below, chances=after.view.mean)),
        "threshold_same_volume": known.moved(threshold, before, after) if known.count else None,
        "threshold_for_precision": None if chosen is None else asdict(chosen),
        "reason": None if chosen is not None else _why_not(after, wanted, "precision", confidence),
    }


def _selected(under: Under, found: Selected) -> dict[str, Any]:
    counts = {"selected": found.events, "selected_low": found.low, "selected_high": found.high}
    return {
        "calibrator_version": under.number,
        **{name: round(each) for name, each in counts.items()},
        "share": found.share,
        "expected_precision": found.expected_precision,
        "labelled": round(found.labelled),
        "precision": found.precision,
        "precision_low": found.precision_low,
        "precision_high": found.precision_high,
    }


def _why_not(under: Under, wanted: float | None, what: str, confidence: float) -> str:
    """Return why there is no threshold."""
    if wanted is None:
        return NOT_ASKED
    if under.steps is None:
        return TOO_FLAT if under.view.keeps_order else NO_ORDER
    labelled, needed = (
        under.known.labelled,
        thresholds.fewest(1.0 - wanted if what == "precision" else wanted, 1.0 - confidence),
    )
    if labelled < needed:
        return f"there are {labelled} labels; at least {needed} are needed, all of them right"
    return f"no threshold shows a {what} of {wanted:g} with confidence {confidence:g} on {labelled} labels"


def precision_of(under: Under, *, wanted: float | None, confidence: float) -> dict[str, Any]:
    """Return the thresholds that give a wanted precision, above and below, with the wanted confidence."""
    found: dict[str, Selection | None] = {"above": None, "below": None}
    if wanted is not None and under.steps is not None:
        for name in found:
            below = name == "below"
            found[name] = precision_threshold(under.steps, precision=wanted, confidence=confidence, below=below)
    return {
        "wanted": wanted,
        **{name: None if each is None else asdict(each) for name, each in found.items()},
        "reason": None if any(found.values()) else _why_not(under, wanted, "precision", confidence),
    }


def abstention_of(under: Under, *, risk: float | None, confidence: float) -> dict[str, Any]:
    """Return where a model should answer for a wanted risk, and what risk it showed where it would have answered more or less."""
    steps, binary = under.steps, under.known.task == "binary"
    found: Answering | None = None
    if risk is not None and steps is not None:
        found = abstention(steps, binary=binary, risk=risk, confidence=confidence)
    points = [] if steps is None else thresholds.risk_coverage_rules(steps, binary=binary)
    return {
        "wanted": risk,
        "answering": None if found is None else asdict(found),
        "points": [asdict(each) for each in points],
        "reason": None if found is not None else _why_not(under, risk, "risk", confidence),
    }


def described(
    model: Model,
    before: Under,
    after: Under,
    *,
    precision: float | None,
    risk: float | None,
    coverage: float,
    confidence: float,
) -> dict[str, Any]:
    """Return all that the API says of a range, under what serves now and what would."""
    if model.task == "regression":
        return {
            "decisions": [],
            "precision": {"wanted": precision, "above": None, "below": None, "reason": OF_REGRESSIONS},
            "abstention": {"wanted": risk, "answering": None, "points": [], "reason": OF_REGRESSIONS},
            "conformal": sets_of(model, after, coverage=coverage),
        }
    return {
        "decisions": impacts(model, before, after, confidence=confidence),
        "precision": precision_of(after, wanted=precision, confidence=confidence),
        "abstention": abstention_of(after, risk=risk, confidence=confidence),
        "conformal": sets_of(model, after, coverage=coverage),
    }


def sets_of(model: Model, under: Under, *, coverage: float) -> dict[str, Any]:
    """Return the threshold of split conformal sets from all labels of a range, and what coverage such sets had.

    What is measured is a threshold from the earliest 70 % of the labels on the rest. Where there can be no sets, there is a reason.
    """
    reason = OF_REGRESSIONS if model.task == "regression" else _no_sets(under.known, coverage)
    found = dict.fromkeys(("threshold", "mean_set_size", "measured", "adaptive")) if reason else _sets(under, coverage)
    return {"coverage": coverage, "labelled": under.known.labelled, **found, "reason": reason}


def _no_sets(known: Known, coverage: float) -> str | None:
    """Return why there are no sets, or None."""
    if known.task == "confidence":
        return OF_ANSWERS
    needed = math.ceil(round(coverage / (1.0 - coverage), 9))
    if known.labelled < needed:
        return f"there are {known.labelled} labels; at least {needed} are needed for a coverage of {coverage:g}"
    return None


def _sets(under: Under, coverage: float) -> dict[str, Any]:
    at, scores, weights = under.known.scores(under.document)
    threshold = conformal_threshold(scores, weights, coverage)
    drifting = adapted(at - at % MINUTE, _up_to_cuts(scores), weights, coverage=coverage)
    return {
        "threshold": threshold,
        "mean_set_size": under.known.set_size(under.document, threshold, 0),
        "measured": _measured(under, at, scores, weights, coverage),
        "adaptive": {name: getattr(drifting, name) for name in ("alpha", "threshold", "labelled", "coverage")},
    }


def _measured(under: Under, at: Integers, scores: Floats, weights: Floats, coverage: float) -> dict[str, Any] | None:
    since = _split(at, weights)
    if since is None:
        return None
    later = at >= since
    threshold = conformal_threshold(scores[~later], weights[~later], coverage)
    n, covered = float(weights[later].sum()), float(weights[later & (scores <= threshold)].sum())
    low, high = thresholds.share_interval(covered, n)
    return {
        "threshold": threshold,
        "labelled": round(n),
        "coverage": covered / n,
        "coverage_low": low,
        "coverage_high": high,
        "mean_set_size": under.known.set_size(under.document, threshold, since),
    }


def _up_to_cuts(scores: Floats) -> Floats:
    """Return scores moved up to the end of their cell, so that of many events few are distinct."""
    return np.asarray(CUTS[np.minimum(np.searchsorted(CUTS, scores), CELLS - 1)])


def _split(at: Integers, weights: Floats) -> int | None:
    """Return the moment that parts the earliest 70 % of labels from the rest; None where either part has fewer than 100."""
    moments, place = np.unique(at, return_inverse=True)
    if not len(moments):
        return None
    before = np.cumsum(np.bincount(place, weights=weights)) - np.bincount(place, weights=weights)
    total = float(weights.sum())
    cut = int(np.argmin(np.abs(before / total - EARLIER)))
    earlier = float(before[cut])
    return int(moments[cut]) if min(earlier, total - earlier) >= FEWEST_TO_MEASURE else None
