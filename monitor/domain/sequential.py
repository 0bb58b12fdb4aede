"""Sequential tests: what those of a model version say, as it is stored and answered."""

from typing import Annotated

from msgspec import Meta, Struct

from .evaluations import Direction
from .quantities import Count, Moment, Ratio


class Basis(Struct, frozen=True, kw_only=True):
    """What the tests of a version depend on; where that changes they start again."""

    ece: float  # the threshold
    false_alarm_rate: float
    task: str | None
    promoted: int | None  # when what serves now began to, in event time


class VersionEvidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the sequential tests of a model version as a whole say; they hold however often one looks."""

    version: str
    log_e: Annotated[
        float | None,
        Meta(
            description="log of the e-value against an ECE of at most `threshold`; -log `false_alarm_rate` is an alarm"
        ),
    ]
    log_sr: Annotated[float | None, Meta(description="the same test in its Shiryaev-Roberts form")]
    log_ratio: Annotated[
        float | None,
        Meta(
            description="log of the e-value against confidences that are all within .02, or the threshold, of the truth"
        ),
    ]
    labels: Count
    steps: Annotated[
        Count, Meta(description="buckets of time with labels, and moments of late labels, that have been tested")
    ]
    direction: Direction
    threshold: float
    false_alarm_rate: Ratio
    since: Annotated[Moment, Meta(description="predictions from here on count, in event time")]
    until: Annotated[
        Moment, Meta(description="predictions before this have been tested; later labels are added as they arrive")
    ]
