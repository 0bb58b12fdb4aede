"""Records that all stages share: rows and series keys."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import msgspec

from .times import DAY, HOUR

MINUTE_LEVEL: Final = 0

HOUR_LEVEL: Final = 1

DAY_LEVEL: Final = 2

REFERENCE_SEGMENT: Final = "reference"
"""The segment of the validation set; unlike declared segments it has no colon. Summed by hours and days only."""

OTHER: Final = "__other__"
"""The version, or the value of a segment, under which events count whose own has no sums: past a model's limit of either."""

VERSION: Final = ""
"""What stands for the version where names are counted by declared segment."""

LEVEL_STEP: Final = {MINUTE_LEVEL: HOUR // 60, HOUR_LEVEL: HOUR, DAY_LEVEL: DAY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a model in its own time."""

    watermark: int | None = None  # newest time of a prediction or label
    newest_prediction: int | None = None
    received_at: int | None = None  # newest receipt of a prediction
    minutes_from: int | None = None  # first time with complete minute rollups
    predictions: int = 0
    labels: int = 0
    taken_until: int | None = None  # the sequential tests have taken all cohorts that were due by then
    takings: int = 0  # transactions of the sequential tests so far
    starts: int = 0  # sequential tests of whole versions that have bet
    segment_starts: int = 0  # those of segments


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """The key of a series, which has sums of its own."""

    model_id: int
    version: str
    calibrator: int  # 0: none
    segment: str  # empty: the model as a whole


EventRef = tuple[int, str]
"""The identity of an event: its model's id and its own. Each version of the model may have predicted it once."""


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
    reference: bool = False  # part of the validation set, not of the traffic
    unnamed: str | None = None  # JSON list of what it counts under `OTHER`: VERSION, and declared segments

    @property
    def ref(self) -> EventRef:
        """The identity of the event."""
        return self.model_id, self.event_id

    def series(self, segment: str = "") -> SeriesKey:
        """Return the key of the series in a segment, by default of the model as a whole."""
        version = OTHER if self.is_of_other_version else self.version
        return SeriesKey(self.model_id, version, self.calibrator or 0, segment)

    @property
    def is_of_other_version(self) -> bool:
        """Whether its version has no sums of its own."""
        return self.unnamed is not None and VERSION in counted_as_other(self.unnamed)


@lru_cache(maxsize=4096)
def counted_as_other(unnamed: str | None) -> frozenset[str]:
    """Return what a row counts under `OTHER`: VERSION, and declared segments."""
    return frozenset() if unnamed is None else frozenset(msgspec.json.decode(unnamed, type=list[str]))


@dataclass(slots=True, kw_only=True)
class LabelRow:
    """A stored label."""

    key: int
    model_id: int
    event_id: str
    label: str  # JSON scalar
    at: int | None
    received_at: int
    rolled_at: int
    source: str | None
    supersedes: bool
    version: str | None = None  # whose answer it is about

    @property
    def ref(self) -> EventRef:
        """The identity of the event."""
        return self.model_id, self.event_id

    def same_content(self, other: "LabelRow") -> bool:
        """Return whether both rows are equal apart from their receipt and version."""
        return (self.label, self.at, self.source, self.supersedes) == (
            other.label,
            other.at,
            other.source,
            other.supersedes,
        )


ConflictKind = Literal["prediction", "label", "unusable_label", "ambiguous_label", "right_or_answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictRow:
    """A conflicting event, which does not count."""

    key: int
    model_id: int
    event_id: str
    kind: ConflictKind
    received_at: int
    content: str  # JSON
