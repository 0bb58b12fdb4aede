"""Rows, series keys and alerts as frozen records, shared by every stage."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from .times import DAY, HOUR, rfc3339

SCORES: Final = ("served", "raw")

MINUTE_LEVEL: Final = 0

HOUR_LEVEL: Final = 1

DAY_LEVEL: Final = 2

LATE_LEVEL: Final = 3

"""Labels of predictions that the sequential tests had taken in without them; the bucket is when they were rolled up."""

REFERENCE_SEGMENT: Final = "reference"

"""What the validation set is summed under, and nothing else: declared segments have a colon. By hours and days only."""

LEVEL_STEP: Final = {MINUTE_LEVEL: HOUR // 60, HOUR_LEVEL: HOUR, DAY_LEVEL: DAY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a model's own time has come."""

    watermark: int | None = None  # newest time of a prediction or label
    newest_prediction: int | None = None
    received_at: int | None = None  # newest receipt of a prediction
    minutes_from: int | None = None  # minute rollups are complete from here on
    predictions: int = 0
    labels: int = 0
    consumed_until: int | None = None  # the sequential tests have taken in all predictions before this


@dataclass(slots=True, kw_only=True)
class PredictionRow:
    """A stored prediction."""

    key: int
    model_id: int
    event_id: str
    at: int
    received_at: int
    rolled_at: int
    version: str
    calibrator: int | None
    segments: str | None  # JSON object, as sent
    cluster: str | None
    p: float
    raw: float | None
    payload: bytes | None
    digest: int
    revision: int
    reference: bool = False  # of the validation set: no traffic


@dataclass(slots=True, kw_only=True)
class LabelRow:
    """A stored label; of several rows of one event the last one stands."""

    key: int
    model_id: int
    event_id: str
    label: str  # JSON scalar
    at: int | None
    received_at: int
    rolled_at: int
    source: str | None
    supersedes: bool

    def same_event(self, other: "LabelRow") -> bool:
        """Return whether both rows say the same, apart from when they came."""
        return (self.label, self.at, self.source, self.supersedes) == (
            other.label,
            other.at,
            other.source,
            other.supersedes,
        )


ConflictKind = Literal["prediction", "label", "unusable_label"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictRow:
    """An event that did not count, and why."""

    key: int
    model_id: int
    event_id: str
    kind: ConflictKind
    received_at: int
    content: str  # JSON


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """What is summed apart."""

    model_id: int
    version: str
    calibrator: int  # 0: none was named
    segment: str  # empty: the model as a whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A transition of an alert."""

    at: int  # in event time
    kind: str
    state: str  # firing or resolved
    window: str
    version: str
    segment: str
    evidence: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return it under the contract's names."""
        return {
            "at": rfc3339(self.at),
            "kind": self.kind,
            "state": self.state,
            "window": self.window,
            "version": self.version,
            "segment": self.segment,
            "evidence": self.evidence,
        }
