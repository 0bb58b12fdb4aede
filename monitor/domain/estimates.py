"""Estimates of a window's figures before its labels arrive, and the true figures later, as stored and answered."""

from typing import Annotated

from msgspec import Meta, Struct

from .quantities import Count, Moment, Ratio


class EstimateMap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Window whose calibration map is assumed to hold."""

    start: Moment
    end: Moment
    labelled: Count


class Estimated(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Estimated figures of a window, each with a 95 % interval for the figure itself."""

    version: str
    window: str
    start: Moment
    end: Moment
    predictions: Count
    map: EstimateMap
    accuracy: Ratio
    accuracy_low: Ratio
    accuracy_high: Ratio
    ece: Annotated[Ratio, Meta(description="as an evaluation will report it, noise of the labels included")]
    ece_low: Ratio
    ece_high: Ratio
    brier: Annotated[Ratio, Meta(description="of the single confidence; for several classes that of the answer")]
    brier_low: Ratio
    brier_high: Ratio


class Inside(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether each true figure is inside its interval."""

    accuracy: bool
    ece: bool
    brier: bool


class Truth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """True figures of a window; null with fewer labels than the model's `minimum_labels`."""

    labelled: Count
    accuracy: Ratio | None
    ece: Ratio | None
    brier: Ratio | None
    inside: Inside | None
