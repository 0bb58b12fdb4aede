"""Estimates: what labels that have not come yet will show, and later did show, as it is stored and answered."""

from typing import Annotated

from msgspec import Meta, Struct

from .quantities import Count, Moment, Ratio


class EstimateMap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The window whose calibration map is taken to hold."""

    start: Moment
    end: Moment
    labelled: Count


class Estimated(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the labels of a window will show, each figure with a 95 % interval for what they will show."""

    version: str
    window: str
    start: Moment
    end: Moment
    predictions: Count
    map: EstimateMap
    accuracy: Ratio
    accuracy_low: Ratio
    accuracy_high: Ratio
    ece: Annotated[Ratio, Meta(description="as an evaluation will show it, with the noise of its labels")]
    ece_low: Ratio
    ece_high: Ratio
    brier: Annotated[Ratio, Meta(description="of the single confidence; of several classes, that of the answer")]
    brier_low: Ratio
    brier_high: Ratio


class Inside(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which figures came out inside their intervals."""

    accuracy: bool
    ece: bool
    brier: bool


class Truth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the labels did show; null where there were fewer than the model's `minimum_labels`."""

    labelled: Count
    accuracy: Ratio | None
    ece: Ratio | None
    brier: Ratio | None
    inside: Inside | None
