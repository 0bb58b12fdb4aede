"""Results of the sequential tests of a model version, as stored and answered."""

import math
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from .evaluations import DIRECTIONS, Direction
from .quantities import Count, Moment, Ratio
from .setting_types import EVER, Guarantee
from .settings import AlertOn

ECE: Final[AlertOn] = "ece"
POINTWISE: Final[AlertOn] = "pointwise"

Deciding = Literal["log_e", "log_sr", "log_ratio", "log_ratio_sr"]


class Basis(Struct, frozen=True, kw_only=True):
    """Settings that the tests of a version depend on; a change restarts them."""

    ece: float  # the threshold
    false_alarm_rate: float
    task: str | None
    promoted: int | None  # start of the calibrator in service, in event time
    guarantee: Guarantee = EVER
    alert_on: AlertOn = ECE


class RatioBasis(Struct, frozen=True, kw_only=True):
    """Settings that a test of observed over expected outcomes depends on; a change restarts it."""

    ratio: float  # the threshold
    false_alarm_rate: float
    promoted: int | None  # start of the calibrator in service, in event time


class RatioEvidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Results of the test of observed over expected outcomes of a model version, valid under continuous monitoring."""

    version: str
    threshold: Annotated[
        float,
        Meta(
            description="the null hypothesis is that the expected number of outcomes of each bucket of time is at most this many times "
            "the sum of the confidences, and at least one over this many times, whatever single confidences do"
        ),
    ]
    log_e: Annotated[float | None, Meta(description="log of the e-value against that, as it is now")]
    log_e_peak: Annotated[
        float,
        Meta(
            description="the highest since the test began; at `fires_at` it fires an alert, also if the fault is over"
        ),
    ]
    fires_at: Annotated[float | None, Meta(description="-log `level`; null before the first bet")]
    peaked_at: Annotated[
        Moment | None, Meta(description="end of the bucket of time that reached it; null while nothing was won")
    ]
    observed: Annotated[
        float, Meta(description="outcomes that happened since the test began; a cluster is one, its mean")
    ]
    expected: Annotated[float, Meta(description="sum of their confidences")]
    off_by_at_least: Annotated[
        float | None,
        Meta(
            description="outcomes have happened this many times as often as expected, or as seldom, at some moment since the test began, "
            "wrongly so with probability at most `level`; null where nothing can be said"
        ),
    ]
    direction: Annotated[
        Direction,
        Meta(description="`underestimates` where more happens than is expected, `overestimates` where less does"),
    ]
    labels: Annotated[Count, Meta(description="labels that came in time, and have been tested")]
    bets: Annotated[Count, Meta(description="single labels and clusters")]
    steps: Annotated[Count, Meta(description="buckets of time with labels that have been tested")]
    held: Annotated[
        bool,
        Meta(
            description="whether an alert is held back, since labels chosen by their outcome would explain the evidence"
        ),
    ]
    held_because: Annotated[str | None, Meta(description="why it is held, in words")]
    false_alarm_rate: Annotated[Ratio, Meta(description="of the model as a whole")]
    start: Annotated[
        Count | None,
        Meta(description="number of this test among those of all versions and restarts; null before its first bet"),
    ]
    level: Annotated[float | None, Meta(description="this test's own share of `false_alarm_rate`")]
    since: Annotated[Moment, Meta(description="predictions since then count, in event time")]
    until: Annotated[Moment, Meta(description="as of the other tests")]

    @property
    def limit(self) -> float:
        """The log e-value at which the alert fires; infinite before the first bet."""
        return math.inf if self.fires_at is None else self.fires_at


class VersionEvidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Results of the sequential tests of a model version, or of one of its declared segments, valid under continuous monitoring."""

    version: str
    segment: Annotated[str, Meta(description="`key:value`; empty: the version as a whole")] = ""
    log_e: Annotated[
        float | None,
        Meta(description="log of the e-value against an ECE of at most `threshold`, as it is now"),
    ]
    log_e_peak: Annotated[
        float | None,
        Meta(
            description="the highest `log_e` since the test began, where that is what decides; -log `level` fires an alert, "
            "also if the fault is over"
        ),
    ] = None
    guarantee: Annotated[
        Guarantee, Meta(description="what the test promises, as the setting of this name was when it began")
    ] = EVER
    alert_on: Annotated[AlertOn, Meta(description="likewise; always `ece` of a regression")] = ECE
    decided_by: Annotated[
        Deciding,
        Meta(description="the figure that the alert compares, which follows from `alert_on` and `guarantee`"),
    ] = "log_e"
    peak: Annotated[
        float | None,
        Meta(
            description="the highest value of that figure since the test began, 0 at least; at `fires_at` it fires an alert, also if the "
            "fault is over"
        ),
    ] = None
    fires_at: Annotated[
        float | None,
        Meta(
            description="-log `level`, null before the first bet; of a guarantee [a, N], log(N/(250·b)), where b is this version's "
            "share of a: a/(2k(k + 1)) for the k-th version of the model"
        ),
    ] = None
    peaked_at: Annotated[
        Moment | None, Meta(description="end of the bucket of time that reached `peak`; null while nothing was won")
    ] = None
    ece_at_least: Annotated[
        float | None,
        Meta(
            description="the ECE has been at least this at some moment since the test began, wrongly so with probability at most "
            "`level`; null where nothing can be said"
        ),
    ] = None
    log_sr: Annotated[float | None, Meta(description="`log_e` in its Shiryaev-Roberts form")]
    log_ratio: Annotated[
        float | None,
        Meta(
            description="log of the e-value against confidences that are all within δ of the truth: δ is the threshold where `alert_on` "
            "is `pointwise`, else at most .02"
        ),
    ]
    log_ratio_sr: Annotated[float | None, Meta(description="`log_ratio` in its Shiryaev-Roberts form")] = None
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
    threshold: Annotated[
        float,
        Meta(
            description="the null hypothesis is an error of at most this at every moment, not on average: a model that is off in even "
            "hours one way and in odd hours the other breaks it, though its sums look calibrated"
        ),
    ]
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
    def deciding(self) -> float | None:
        """The value of the figure that decides, as it is now."""
        value: float | None = getattr(self, self.decided_by)
        return value

    @property
    def highest(self) -> float:
        """The highest value so far of the figure that decides, 0 at least."""
        of_ever = self.log_e_peak if self.decided_by == "log_e" else None
        known = (self.peak, self.deciding, of_ever, 0.0)
        return max(value for value in known if value is not None)

    @property
    def limit(self) -> float:
        """The value of that figure at which the alert fires; infinite before the first bet."""
        if self.fires_at is not None:
            return self.fires_at
        return math.inf if self.level is None else -math.log(self.level)
