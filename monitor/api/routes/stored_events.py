"""Route about a single event: what became of it."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from ...domain.errors import NotFound
from ...domain.events import Vector
from ...domain.names import name_fault
from ...domain.quantities import Moment
from ...domain.records import ConflictKind, ConflictRow, LabelRow, PredictionRow
from ...domain.rounding import Correction
from ...domain.times import moment
from ...store import events
from ...store.payload import payload_of
from ...store.standing import standing
from ..answers import answer, gives
from ..dependencies import Context, EventId, ModelName, model_named
from ..freshness import CURRENT
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=StrictRoute)

SENT_AS: Final = {"vector": "probabilities", "raw": "raw_probabilities", "answer": "prediction"}
"""The stored fields of a prediction, by the names in the event."""

Scalar = str | bool | int | float


class PredictionAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stored prediction; what was not sent is absent or null."""

    timestamp: Moment
    received_at: Moment
    rolled_up_at: Moment
    model_version: str | None
    calibrator_version: int | None
    segments: dict[str, str | int | bool] | None
    cluster: str | None
    served: Annotated[
        float | None,
        Meta(description="what is judged: the confidence, or of a regression the mean or the median; null for a score"),
    ]
    raw: Annotated[float | None, Meta(description="the model's own, where a calibrator made the served one")]
    settings_revision: int
    reference: Annotated[bool | UnsetType, Meta(description="it is of the validation set")] = UNSET
    probabilities: Annotated[Vector | UnsetType, Meta(description="as sent, as are those below")] = UNSET
    raw_probabilities: Vector | UnsetType = UNSET
    logits: Annotated[
        list[float | None] | dict[str, float | None] | UnsetType,
        Meta(description="null for a masked class, whose logit is -inf"),
    ] = UNSET
    prediction: Annotated[Scalar | UnsetType, Meta(description="the answer that the confidence is of")] = UNSET
    confidence_source: str | UnsetType = UNSET
    agreeing: int | UnsetType = UNSET
    samples: int | UnsetType = UNSET
    score: float | UnsetType = UNSET
    mean: float | UnsetType = UNSET
    std: float | UnsetType = UNSET
    quantiles: dict[str, float] | UnsetType = UNSET
    raw_mean: float | UnsetType = UNSET
    raw_std: float | UnsetType = UNSET
    raw_quantiles: dict[str, float] | UnsetType = UNSET
    members: Annotated[
        list[float] | list[list[float]] | UnsetType, Meta(description="of an ensemble, what each member said")
    ] = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    corrected: Annotated[
        list[Correction] | UnsetType, Meta(description="how what was read differs from what was sent, for rounding")
    ] = UNSET
    served_as_sent: Annotated[float | UnsetType, Meta(description="where `served` was clamped to 0 to 1, or `raw`")] = (
        UNSET
    )
    raw_as_sent: float | UnsetType = UNSET


class LabelAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stored label."""

    label: Scalar
    timestamp: Moment | None
    received_at: Moment
    rolled_up_at: Moment
    source: str | None
    supersedes: bool
    model_version: Annotated[str | UnsetType, Meta(description="whose answer it is about, if it names a version")] = (
        UNSET
    )


class VersionAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one version of the model predicted for an event, and the label that counts for it."""

    model_version: str | None
    prediction: PredictionAnswer
    label: LabelAnswer | None


class ConflictAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event that did not count."""

    kind: ConflictKind
    received_at: Moment
    content: msgspec.Raw


class EventAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one event."""

    model: str
    event_id: str
    prediction: Annotated[
        PredictionAnswer | None, Meta(description="of the version whose prediction was rolled up first")
    ]
    label: Annotated[LabelAnswer | None, Meta(description="the label that counts for it")]
    earlier_labels: Annotated[list[LabelAnswer], Meta(description="the other labels of the event, oldest first")]
    versions: Annotated[list[VersionAnswer], Meta(description="by each version that predicted it")]
    conflicts: list[ConflictAnswer]


@router.get("/{model}/events/{event_id}", responses=gives(EventAnswer), dependencies=[CURRENT])
def show_event(context: Context, model: ModelName, event_id: EventId) -> Response:
    """Return what became of one event: prediction, labels and conflicts."""
    with context.database.read() as connection:
        declared = model_named(connection, model)
        ref = (declared.id, event_id)
        if name_fault(event_id) is not None:
            raise NotFound(f"model {model!r} has no event {event_id!r}")
        key = events.event_key(events.hash_key(connection), *ref)
        predictions = events.predictions_of(connection, [key]).get(ref, [])
        labels = events.labels_of(connection, [key]).get(ref, [])
        conflicts = events.conflicts_of(connection, key, ref)
    if not predictions and not labels and not conflicts:
        raise NotFound(
            f"model {model!r} has no event {event_id!r}; events are rolled up a moment after they are accepted"
        )
    counts = [standing(declared, row, predictions, labels) for row in predictions] or labels[-1:] or [None]
    versions = [_version(row, label) for row, label in zip(predictions, counts, strict=False)]
    return answer(
        EventAnswer(
            model=model,
            event_id=event_id,
            prediction=versions[0].prediction if versions else None,
            label=None if counts[0] is None else _label(counts[0]),
            earlier_labels=[_label(row) for row in labels if row is not counts[0]],
            versions=versions,
            conflicts=[_conflict(row) for row in conflicts],
        )
    )


def _version(row: PredictionRow, label: LabelRow | None) -> VersionAnswer:
    return VersionAnswer(
        model_version=row.version or None,
        prediction=_prediction(row),
        label=None if label is None else _label(label),
    )


def _prediction(row: PredictionRow) -> PredictionAnswer:
    sent = payload_of(row)
    return PredictionAnswer(
        timestamp=moment(row.at),
        received_at=moment(row.received_at),
        rolled_up_at=moment(row.rolled_at),
        model_version=row.version or None,
        calibrator_version=row.calibrator,
        segments=None if row.segments is None else msgspec.json.decode(row.segments),
        cluster=row.cluster,
        served=None if sent.score is not None else row.p,
        raw=row.raw,
        settings_revision=row.revision,
        reference=row.reference or UNSET,
        **{SENT_AS.get(name, name): value for name, value in msgspec.to_builtins(sent).items()},
    )


def _label(row: LabelRow) -> LabelAnswer:
    return LabelAnswer(
        label=msgspec.json.decode(row.label),
        timestamp=None if row.at is None else moment(row.at),
        received_at=moment(row.received_at),
        rolled_up_at=moment(row.rolled_at),
        source=row.source,
        supersedes=row.supersedes,
        model_version=UNSET if row.version is None else row.version,
    )


def _conflict(row: ConflictRow) -> ConflictAnswer:
    return ConflictAnswer(kind=row.kind, received_at=moment(row.received_at), content=msgspec.Raw(row.content.encode()))
