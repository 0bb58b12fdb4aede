"""What the alert of a sequential test compares, and where it fires, from the settings that the test began with."""

from ..domain.sequential import POINTWISE, Basis
from ..domain.setting_types import Guarantee, PerLabels
from ..stats.sequential import spending
from ..stats.sequential.guarantee import Deciding, deciding, fires_for_ever, fires_per_labels


def decides(basis: Basis) -> Deciding:
    """Return the figure that the alert compares."""
    return deciding(pointwise=basis.alert_on == POINTWISE, per_labels=isinstance(basis.guarantee, PerLabels))


def fires_at(guarantee: Guarantee, *, level: float | None, place: int) -> float | None:
    """Return the log of the figure at which the alert fires; None before a test has a level of its own.

    Parameters
    ----------
    level : the test's own share of the false-alarm rate; a guarantee for ever is shared by starts
    place : the place of the version among those of the model, by first appearance, from 1; a guarantee per labels is shared by place

    """
    if isinstance(guarantee, PerLabels):
        return fires_per_labels(spending.level(place, guarantee.false_alarms), guarantee.labels)
    return None if level is None else fires_for_ever(level)
