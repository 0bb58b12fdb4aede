"""Split conformal sets from the labels of a range, and the coverage of such sets."""

import math
from typing import Annotated, Final

import numpy as np
from msgspec import Meta, Struct

from ..domain.quantities import Count, Ratio
from ..domain.settings import Model
from ..domain.times import MINUTE
from ..stats.cells import CELLS, Floats, Integers
from ..stats.conformal import adapted, conformal_threshold
from ..stats.thresholds import CUTS, share_interval
from ..windows.raw_scores import Known, Under
from .thresholds import OF_REGRESSIONS

COVERAGE: Final = 0.9
EARLIER: Final = 0.7
"""The share of labels, the earliest, that give the threshold whose coverage is measured on the rest."""

FEWEST_TO_MEASURE: Final = 100
OF_ANSWERS: Final = "only the confidence of the answer is known, not of other answers: there is no set to make"


class MeasuredCoverage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often sets held the right answer, of labels that had no part in their threshold."""

    threshold: Annotated[float, Meta(description="from the earliest 70 % of the labels")]
    labelled: Annotated[Count, Meta(description="the rest, on which it was measured")]
    coverage: Ratio
    coverage_low: Annotated[Ratio, Meta(description="95 % interval of `coverage`")]
    coverage_high: Ratio
    mean_set_size: float | None


class AdaptiveSets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The present level of adaptive sets, which follows their errors."""

    alpha: Annotated[float, Meta(description="the level now: 1 - `coverage` where nothing drifts")]
    threshold: Annotated[float, Meta(description="at this level; 1: all answers are in, -1: none")]
    labelled: Count
    coverage: Annotated[Ratio | None, Meta(description="of the sets along the way")]


class ConformalSets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sets of answers that hold the right one with the wanted probability."""

    coverage: Ratio
    labelled: Count
    threshold: Annotated[
        Ratio | None, Meta(description="an answer is in the set where 1 - its probability is at most this")
    ]
    mean_set_size: float | None
    measured: Annotated[
        MeasuredCoverage | None, Meta(description="null with fewer than 100 labels before and after its cut")
    ]
    adaptive: AdaptiveSets | None
    reason: Annotated[str | None, Meta(description="why there are none")]


def sets_of(model: Model, under: Under, *, coverage: float) -> ConformalSets:
    """Return the threshold of split conformal sets from all labels of a range, and the coverage of such sets.

    Coverage is measured on the latest 30 % of the labels, with a threshold from the rest.
    """
    reason = OF_REGRESSIONS if model.task == "regression" else _no_sets(under.known, coverage)
    if reason is not None:
        return _none(under, coverage, reason)
    at, scores, weights = under.known.scores(under.document)
    threshold = conformal_threshold(scores, weights, coverage)
    drifting = adapted(at - at % MINUTE, _up_to_cuts(scores), weights, coverage=coverage)
    return ConformalSets(
        coverage=coverage,
        labelled=under.known.labelled,
        threshold=threshold,
        mean_set_size=under.known.set_size(under.document, threshold, 0),
        measured=_measured(under, at, scores, weights, coverage),
        adaptive=AdaptiveSets(
            alpha=drifting.alpha,
            threshold=drifting.threshold,
            labelled=drifting.labelled,
            coverage=drifting.coverage,
        ),
        reason=None,
    )


def _none(under: Under, coverage: float, reason: str) -> ConformalSets:
    return ConformalSets(
        coverage=coverage,
        labelled=under.known.labelled,
        threshold=None,
        mean_set_size=None,
        measured=None,
        adaptive=None,
        reason=reason,
    )


def _no_sets(known: Known, coverage: float) -> str | None:
    """Return why there are no sets, or None."""
    if known.task == "confidence":
        return OF_ANSWERS
    needed = math.ceil(round(coverage / (1.0 - coverage), 9))
    if known.labelled < needed:
        return f"there are {known.labelled} labels; at least {needed} are needed for a coverage of {coverage:g}"
    return None


def _measured(under: Under, at: Integers, scores: Floats, weights: Floats, coverage: float) -> MeasuredCoverage | None:
    since = _split(at, weights)
    if since is None:
        return None
    later = at >= since
    threshold = conformal_threshold(scores[~later], weights[~later], coverage)
    n, covered = float(weights[later].sum()), float(weights[later & (scores <= threshold)].sum())
    low, high = share_interval(covered, n)
    return MeasuredCoverage(
        threshold=threshold,
        labelled=round(n),
        coverage=covered / n,
        coverage_low=low,
        coverage_high=high,
        mean_set_size=under.known.set_size(under.document, threshold, since),
    )


def _up_to_cuts(scores: Floats) -> Floats:
    """Return scores moved up to the end of their cell, so that of many events few are distinct."""
    return np.asarray(CUTS[np.minimum(np.searchsorted(CUTS, scores), CELLS - 1)])


def _split(at: Integers, weights: Floats) -> int | None:
    """Return the moment that separates the earliest 70 % of labels; None where a part would have fewer than 100."""
    moments, place = np.unique(at, return_inverse=True)
    if not len(moments):
        return None
    before = np.cumsum(np.bincount(place, weights=weights)) - np.bincount(place, weights=weights)
    total = float(weights.sum())
    cut = int(np.argmin(np.abs(before / total - EARLIER)))
    earlier = float(before[cut])
    return int(moments[cut]) if min(earlier, total - earlier) >= FEWEST_TO_MEASURE else None
