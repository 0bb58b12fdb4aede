"""The verdict on a window: one rule over its alerts, its sequential test and its own labels."""

from typing import Final

from .evaluations import CALIBRATED, MISCALIBRATED, SUSPECT, TOO_FEW_LABELS, Verdict

HALF: Final = 0.5
"""A sequential test is suspicious from this share of the logarithm on at which it fires."""


def verdict_of(*, fires: bool, suspicious: bool, over: bool, labels_needed: int) -> Verdict:
    """Return the verdict on a window.

    Parameters
    ----------
    fires : an alert on its calibration
    suspicious : its sequential test, which is half way to an alert or held back, or its flag among segments
    over : the lower bound of its error is above the threshold
    labels_needed : for a verdict by its own labels

    Examples
    --------
    >>> verdict_of(fires=True, suspicious=False, over=False, labels_needed=400)
    'miscalibrated'
    >>> verdict_of(fires=False, suspicious=True, over=False, labels_needed=400)
    'suspect'
    >>> verdict_of(fires=False, suspicious=False, over=False, labels_needed=400)
    'too_few_labels'

    """
    if fires:
        return MISCALIBRATED
    if suspicious or over:
        return SUSPECT
    return TOO_FEW_LABELS if labels_needed else CALIBRATED


def is_half_way(evidence: float | None, limit: float) -> bool:
    """Return whether a sequential test has gathered half of what fires it, in logarithms.

    Parameters
    ----------
    evidence : log of the figure that its alert compares, as it is now
    limit : log of the figure at which that fires; infinite before the first bet

    Examples
    --------
    >>> is_half_way(2.31, 4.605), is_half_way(2.29, 4.605), is_half_way(None, 4.605)
    (True, False, False)

    """
    return evidence is not None and evidence >= HALF * limit
