"""Thresholds on served scores for a wanted precision or risk."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from ..stats.thresholds import (
    Answering,
    PrecisionThreshold,
    abstention,
    fewest,
    precision_threshold,
    risk_coverage_rules,
)
from ..windows.raw_scores import Under

CONFIDENCE: Final = 0.95
OF_REGRESSIONS: Final = (
    "a regression has predictive distributions, not probabilities: no score to cut, no prediction sets"
)
NO_ORDER: Final = "the calibrator changes the order of scores: no threshold on served scores is one on raw scores"
TOO_FLAT: Final = (
    "the calibrator serves few distinct scores, closer than the cells of the stored sums: ask with `calibrator=identity` and cut the "
    "model's own scores"
)
NOT_ASKED: Final = "none was asked for"


class PrecisionThresholds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds that give the wanted precision: of those above, the share that is 1; of those below, that is 0."""

    wanted: float | None
    above: PrecisionThreshold | None
    below: PrecisionThreshold | None
    reason: Annotated[str | None, Meta(description="why there is neither")]


class Abstention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a model should answer so that at most a wanted share of its answers is wrong."""

    wanted: float | None
    answering: Answering | None
    points: Annotated[
        list[Answering], Meta(description="what risk it showed where it would have answered less or more")
    ]
    reason: Annotated[str | None, Meta(description="why there is no `answering`")]


def precision_of(under: Under, *, wanted: float | None, confidence: float) -> PrecisionThresholds:
    """Return the thresholds that give a wanted precision, above and below, with the wanted confidence."""
    above, below = (for_precision(under, wanted, confidence=confidence, below=below) for below in (False, True))
    reason = no_precision(under, wanted, confidence) if above is below is None else None
    return PrecisionThresholds(wanted=wanted, above=above, below=below, reason=reason)


def for_precision(under: Under, wanted: float | None, *, confidence: float, below: bool) -> PrecisionThreshold | None:
    """Return the threshold that gives a wanted precision, None where there is none."""
    if wanted is None or under.known.task == "regression" or under.steps is None:
        return None
    return precision_threshold(under.steps, precision=wanted, confidence=confidence, below=below)


def no_precision(under: Under, wanted: float | None, confidence: float) -> str:
    """Return why no threshold gives a wanted precision."""
    return _why_not(under, "precision", wanted, 0.0 if wanted is None else 1.0 - wanted, confidence)


def abstention_of(under: Under, *, risk: float | None, confidence: float) -> Abstention:
    """Return where to answer for a wanted risk, and the observed risk of answering more or less."""
    steps, binary = None if under.known.task == "regression" else under.steps, under.known.task == "binary"
    answering = None
    if risk is not None and steps is not None:
        answering = abstention(steps, binary=binary, risk=risk, confidence=confidence)
    return Abstention(
        wanted=risk,
        answering=answering,
        points=[] if steps is None else risk_coverage_rules(steps, binary=binary),
        reason=None if answering is not None else _why_not(under, "risk", risk, risk or 0.0, confidence),
    )


def _why_not(under: Under, what: str, wanted: float | None, risk: float, confidence: float) -> str:
    """Return why no threshold gives a wanted precision or risk."""
    if under.known.task == "regression":
        return OF_REGRESSIONS
    if wanted is None:
        return NOT_ASKED
    if under.steps is None:
        return TOO_FLAT if under.view.keeps_order else NO_ORDER
    labelled, needed = under.known.labelled, fewest(risk, 1.0 - confidence)
    if labelled < needed:
        return f"there are {labelled} labels; at least {needed} are needed, all of them right"
    return f"no threshold shows a {what} of {wanted:g} with confidence {confidence:g} on {labelled} labels"
