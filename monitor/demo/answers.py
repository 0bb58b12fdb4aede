"""The parts of the API's answers that the demo reads."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct


class Evaluated(Struct, frozen=True, kw_only=True):
    """The newest evaluation of a model."""

    end: datetime


class State(Struct, frozen=True, kw_only=True):
    """The state of a model."""

    state: str
    predictions: int
    labelled: int
    evaluation: Evaluated | None = None


class Figures(Struct, frozen=True, kw_only=True):
    """The figures of one window."""

    labelled: int = 0
    verdict: str = "too_few_labels"
    accuracy: float | None = None
    mean_confidence: float | None = None
    ece: float | None = None
    ece_lower_bound: float | None = None
    ece_null_mean: float | None = None
    brier: float | None = None
    log_loss: float | None = None


class Evidence(Struct, frozen=True, kw_only=True):
    """The evidence of an alert; all but the summary only of an alert on calibration."""

    summary: str = ""
    labelled: int = 0
    direction: str | None = None
    accuracy: float | None = None
    mean_confidence: float | None = None
    ece: float | None = None
    remedy: str | None = None
    remedy_reason: str | None = None


class Alert(Struct, frozen=True, kw_only=True):
    """One change of an alert's state."""

    at: datetime
    kind: str
    state: str
    evidence: Evidence = Evidence()


class Alerts(Struct, frozen=True, kw_only=True):
    """The alerts of a model, newest first."""

    alerts: list[Alert]


class Source(Struct, frozen=True, kw_only=True):
    """The labels that a calibrator was fitted and judged on."""

    labels: int = 0
    holdout_labels: int = 0


class Gate(Struct, frozen=True, kw_only=True):
    """The verdict of the gate."""

    reason: str | None = None


class Calibrator(Struct, frozen=True, kw_only=True):
    """One version of the calibrator."""

    number: int
    method: str = ""
    parameters: Mapping[str, object] = {}
    fitted_from: Source = Source()
    gate: Gate = Gate()


class Calibrators(Struct, frozen=True, kw_only=True):
    """The versions of a model's calibrator, newest first, and which of them serves."""

    calibrators: list[Calibrator]
    champion: int | None


class Detail(Struct, frozen=True, kw_only=True):
    """The reason of an action in the audit log."""

    reason: str | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """One action in the audit log."""

    action: str
    actor: str
    detail: Detail = Detail()


class Audit(Struct, frozen=True, kw_only=True):
    """The audit log of a model, oldest first."""

    audit: list[Entry]
