"""Results of the sequential tests of a model version, as stored and answered."""

import math
from typing import Annotated

from msgspec import Meta, Struct

from .evaluations import DIRECTIONS, Direction
from .quantities import Count, Moment, Ratio


class Basis(Struct, frozen=True, kw_only=True):
    """Settings that the tests of a version depend on; a change restarts them."""

    ece: float  # the threshold
    false_alarm_rate: float
    task: str | None
    promoted: int | None  # start of the calibrator in service, in event time


class VersionEvidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Results of the sequential tests of a model version as a whole, valid under continuous monitoring."""

    version: str
    log_e: Annotated[
        float | None,
        Meta(description="log of the e-value against an ECE of at most `threshold`, as it is now"),
    ]
    log_e_peak: Annotated[
        float | None,
        Meta(
            description="the highest `log_e` since the test began; -log `level` fires an alert, also if the fault is over"
        ),
    ] = None
    peaked_at: Annotated[
        Moment | None, Meta(description="end of the bucket of time that reached it; null while nothing was won")
    ] = None
    ece_at_least: Annotated[
        float | None,
        Meta(
            description="the ECE has been at least this at some moment since the test began, wrongly so with probability at most "
            "`level`; null where nothing can be said"
        ),
    ] = None
    log_sr: Annotated[float | None, Meta(description="the same test in its Shiryaev-Roberts form")]
    log_ratio: Annotated[
        float | None,
        Meta(
            description="log of the e-value against confidences that are all within .02, or the threshold, of the truth"
        ),
    ]
    labels: Annotated[Count, Meta(description="labels that came in time, and have been tested")]
    bets: Annotated[
        Count,
        Meta(
            description="labels that were bet on one by one, and clusters, each of which is one bet, whatever its size"
        ),
    ] = 0
    late_labels: Annotated[
        Count,
        Meta(
            description="labels that came too late, or after their cluster's span: they change the scores, and are never bet on"
        ),
    ] = 0
    steps: Annotated[Count, Meta(description="buckets of time with labels that have been tested")]
    held: Annotated[
        bool,
        Meta(
            description="whether an alert is held back, since labels that were chosen by their outcome would explain the evidence; "
            "the rate holds for labels whose arrival within the delay does not depend on the outcome given p"
        ),
    ] = False
    held_because: Annotated[str | None, Meta(description="why it is held, in words")] = None
    coverage: Annotated[
        Ratio | None,
        Meta(
            description="share of matured predictions that had a label in time, while evidence is being won; a cluster is one"
        ),
    ] = None
    timely_gap: Annotated[
        float | None, Meta(description="mean of outcome - confidence of these labels; null for regressions")
    ] = None
    late_gap: Annotated[float | None, Meta(description="the same of labels that came too late")] = None
    direction: Annotated[Direction, Meta(description=DIRECTIONS)]
    threshold: float
    false_alarm_rate: Annotated[
        Ratio,
        Meta(description="of the model as a whole: how likely any of its tests, ever, raises a false alarm at most"),
    ]
    start: Annotated[
        Count | None,
        Meta(
            description="number of this test, from 1, among those of all versions and restarts; null before its first bet"
        ),
    ] = None
    level: Annotated[
        float | None,
        Meta(
            description="this test's own share of `false_alarm_rate`, `false_alarm_rate`/(2·`start`·(`start` + 1)): at most this "
            "probable is a false alarm, however long it runs; null before its first bet"
        ),
    ] = None
    since: Annotated[Moment, Meta(description="predictions since then count, in event time")]
    until: Annotated[
        Moment,
        Meta(
            description="predictions made and received up to then have been tested, with the labels that had come by the time their label "
            "delay was over; what shares a cluster is tested `cluster_span` later"
        ),
    ]

    @property
    def limit(self) -> float:
        """The log of the e-value that fires an alert; infinite before the first bet."""
        return math.inf if self.level is None else -math.log(self.level)
