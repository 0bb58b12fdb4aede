"""Two calibrators side by side on live labels, as they are stored and answered."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, delete, select

from ..domain.quantities import Count, Moment
from ..stats.sequential.comparison import Verdict
from .bulk import upsert
from .schema import trial

Role = Literal["watch", "proposal", "shadow", "canary"]


class Findings(Struct, frozen=True, kw_only=True):
    """The findings of a trial."""

    labels: int
    score: Literal["brier", "crps"]
    own: float | None  # mean score of the calibrator on trial; None before any label
    other: float | None
    e_value_log: float  # the highest so far
    e_value_log_better: float
    verdict: Verdict
    said: tuple[str, ...] = ()  # verdicts in the audit log that moved nothing; each is logged once


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialState:
    """The state of a comparison of two calibrators."""

    role: Role
    number: int  # on trial
    against: int | None  # what it is compared with; None: no calibrator
    since: int  # predictions from here on count, in event time
    until: int  # those before this have been taken in
    findings: Findings | None  # None before the first step
    state: bytes


class TrialRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The findings of a trial, as they are answered and kept in the audit log."""

    role: Annotated[
        Role, Meta(description="watch: the champion and what it replaced; else a challenger and the champion")
    ]
    since: Annotated[Moment, Meta(description="later predictions count, in event time")]
    until: Annotated[Moment, Meta(description="those before have been taken in, with the labels that they had then")]
    labels: Count
    brier: Annotated[float | None, Meta(description="mean Brier score; of vectors the sum over classes")]
    brier_other: float | None
    crps: Annotated[
        float | None, Meta(description="mean score of a regression's distributions, which has no Brier score")
    ]
    crps_other: float | None
    e_value_log: Annotated[float, Meta(description="the highest so far against 'it is no worse'")]
    e_value_log_better: Annotated[float, Meta(description="the highest so far against 'it is no better'")]
    verdict: Annotated[
        Verdict,
        Meta(
            description="significant at the model's `false_alarm_rate`, however often one looks; once reached, a verdict stays"
        ),
    ]


EMPTY: Final = "{}"
"""Stored findings before the first step."""


def of_model(connection: Connection, model_id: int) -> dict[str, TrialState]:
    """Return the trials of a model by role."""
    rows = connection.execute(select(trial).where(trial.c.model_id == model_id).order_by(trial.c.role))
    return {
        row.role: TrialState(
            role=row.role,
            number=row.number,
            against=row.against,
            since=row.since,
            until=row.until,
            findings=None if row.fields == EMPTY else msgspec.json.decode(row.fields, type=Findings),
            state=bytes(row.state),
        )
        for row in rows
    }


def save(connection: Connection, model_id: int, advanced: TrialState) -> None:
    """Store a trial under its role, in place of the one before."""
    findings = advanced.findings
    row = {
        "model_id": model_id,
        "role": advanced.role,
        "number": advanced.number,
        "against": advanced.against,
        "since": advanced.since,
        "until": advanced.until,
        "fields": EMPTY if findings is None else msgspec.json.encode(findings).decode(),
        "state": advanced.state,
    }
    upsert(connection, trial, [row])


def forget(connection: Connection, model_id: int, role: str) -> None:
    """Delete a trial."""
    connection.execute(delete(trial).where(trial.c.model_id == model_id, trial.c.role == role))
