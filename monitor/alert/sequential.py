"""Findings of the sequential tests about alarms on calibration."""

from typing import Literal

from ..domain.alerts import MISCALIBRATION, Alarm
from ..domain.quantities import Moment
from ..domain.sequential import ECE, POINTWISE, Deciding, VersionEvidence
from ..domain.setting_types import EVER, Guarantee, PerLabels
from ..domain.settings import AlertOn
from ..domain.times import micros
from .promise import claim, shown
from .story import FaultEvidence
from .transitions import Finding
from .windows import SEQUENTIAL


class SequentialEvidence(FaultEvidence, frozen=True, kw_only=True):
    """Results of the sequential test of a model version."""

    policy: Literal["sequential"]
    e_value: float | None  # None under a guarantee per labels, whose statistic is no e-value
    guarantee: Guarantee = EVER
    alert_on: AlertOn = ECE
    decided_by: Deciding = "log_e"
    peak: float | None = None
    fires_at: float | None = None
    log_e: float | None
    log_e_peak: float | None = None
    peaked_at: Moment | None = None
    ece_at_least: float | None = None
    log_sr: float | None
    log_ratio: float | None
    log_ratio_sr: float | None = None
    labels: int
    steps: int
    false_alarm_rate: float
    level: float | None = None  # this test's own share of it
    tested_since: Moment
    until: Moment

    @property
    def at_least(self) -> float | None:
        """What the error has been at the least."""
        return self.ece_at_least

    @property
    def of_each(self) -> bool:
        """Whether the limit is of the error of each confidence, not of the ECE."""
        return self.alert_on == POINTWISE


def sequential_finding(test: VersionEvidence, name: str = "ECE") -> Finding:
    """Return the finding of the sequential test of a model version about the alarm on its calibration.

    Parameters
    ----------
    test : as it stands
    name : what its threshold is of

    """
    reached = test.until if test.peaked_at is None else test.peaked_at
    return Finding(
        alarm=Alarm(MISCALIBRATION, SEQUENTIAL, test.version, test.segment),
        start=micros(test.since),
        end=micros(reached),
        enough=True,
        beyond=test.highest >= test.limit and not test.held,
        back=False,  # a test says when there is something, never that there is nothing
        claim=claim(test, name),
        relief="",
        evidence=SequentialEvidence(
            policy=SEQUENTIAL,
            e_value=None if isinstance(test.guarantee, PerLabels) else shown(test.highest),
            guarantee=test.guarantee,
            alert_on=test.alert_on,
            decided_by=test.decided_by,
            peak=test.highest,
            fires_at=test.limit,
            log_e=test.log_e,
            log_e_peak=test.log_e_peak,
            peaked_at=test.peaked_at,
            ece_at_least=test.ece_at_least,
            log_sr=test.log_sr,
            log_ratio=test.log_ratio,
            log_ratio_sr=test.log_ratio_sr,
            labels=test.labels,
            steps=test.steps,
            direction=test.direction,
            threshold=test.threshold,
            false_alarm_rate=test.false_alarm_rate,
            level=test.level,
            tested_since=test.since,
            until=test.until,
        ),
    )
