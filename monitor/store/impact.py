"""Impact of a calibrator on declared decisions, as it is answered and kept in the audit log."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ..domain.quantities import Count, Ratio
from ..stats.thresholds import PrecisionThreshold


class SelectedBy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a threshold selects of the window under one calibrator."""

    calibrator_version: Annotated[int | None, Meta(description="null: the scores as the model gives them")]
    selected: Annotated[Count, Meta(description="events; an estimate where `selected_low` and `selected_high` differ")]
    selected_low: Annotated[Count, Meta(description="without the events of the cell of scores that the threshold cuts")]
    selected_high: Annotated[Count, Meta(description="with them")]
    share: Annotated[Ratio | None, Meta(description="of all events")]
    expected_precision: Annotated[Ratio | None, Meta(description="as the newer calibrator's scores say")]
    labelled: Count
    precision: Annotated[Ratio | None, Meta(description="as labels say")]
    precision_low: Annotated[Ratio | None, Meta(description="95 % interval of `precision`")]
    precision_high: Ratio | None


class DecisionImpact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A declared decision before and after another calibrator serves."""

    name: str
    threshold: float
    selects: Literal["above", "below"]
    precision: float | None
    rule: str
    events: Count
    before: Annotated[SelectedBy, Meta(description="under what serves now")]
    after: Annotated[SelectedBy, Meta(description="under the calibrator that was asked about")]
    threshold_same_volume: Annotated[
        Ratio | None,
        Meta(description="what selects, after, as many events as the threshold does before; null where nothing does"),
    ]
    threshold_for_precision: Annotated[
        PrecisionThreshold | None,
        Meta(description="what gives the declared precision, after, with the confidence that was asked for"),
    ]
    reason: Annotated[str | None, Meta(description="why there is no `threshold_for_precision`")]
