"""Plain requests, checked by columns: predictions of one form and labels with nothing odd about any of them.

Whatever is odd in any event, the whole request is read event by event instead, and answered as that says. So nothing here refuses anything,
and what passes here means the same to `decode.decode_events`: a property that tests compare.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from ..domain.events import (
    MAX_ANSWER,
    MAX_EVENTS,
    MAX_NAME,
    MAX_SEGMENTS,
    TASK_OF_FORM,
    CalibratorNumber,
    LabelEvent,
    Name,
    Ratio,
    When,
    Whole,
)
from ..domain.labels import Declared, check_against
from ..domain.names import UNADDRESSABLE, has_control
from .checks import CLOCK_SKEW, EPOCH
from .precision import FINELY, sum_fault

_Text = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_Answer = Annotated[str, Meta(min_length=1, max_length=MAX_ANSWER)]
_Segments = Annotated[dict[Name, _Text], Meta(min_length=1, max_length=MAX_SEGMENTS)]

MOST_BYTES: Final = 4 * 2**20
"""Longer bodies are read event by event."""


class _Label(Struct, tag_field="type", tag="label", forbid_unknown_fields=True, kw_only=True, gc=False):
    event_id: Name
    model: Name
    label: _Answer | bool | Whole | float
    timestamp: When | None = None
    source: _Text | None = None
    supersedes: bool | None = None
    model_version: _Text | None = None


class _Prediction(Struct, tag_field="type", tag="prediction", forbid_unknown_fields=True, kw_only=True, gc=False):
    event_id: Name
    model: Name
    timestamp: When
    model_version: _Text | None = None
    segments: _Segments | None = None
    cluster: _Text | None = None
    calibrator_version: CalibratorNumber | None = None


class _Binary(_Prediction, tag="prediction", kw_only=True, gc=False):
    probability: Ratio
    raw_probability: Ratio | None = None


class _Answered(_Prediction, tag="prediction", kw_only=True, gc=False):
    confidence: Ratio
    prediction: _Answer
    raw_confidence: Ratio | None = None


class _Vector(_Prediction, tag="prediction", kw_only=True, gc=False):
    probabilities: Annotated[list[Ratio], Meta(min_length=2)]
    raw_probabilities: Annotated[list[Ratio], Meta(min_length=2)] | None = None


class _Form:
    """A form of predictions: how requests with it are decoded, and what else of it is checked."""

    def __init__(self, name: str, prediction: type[_Prediction], raw: str) -> None:
        self.name = name
        self.word = f'"{name}"'.encode()
        self.raw = raw
        self.prediction = prediction
        event: Any = prediction | _Label
        envelope = msgspec.defstruct("Envelope", [("events", list[event])], forbid_unknown_fields=True, gc=False)
        self.whole: msgspec.json.Decoder[Any] = msgspec.json.Decoder(envelope)
        self.together: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[envelope])  # type: ignore[valid-type]
        self.lines: msgspec.json.Decoder[Any] = msgspec.json.Decoder(event)
        self.fields = (
            len(prediction.__struct_fields__) + 1 - len(_OPTIONAL) - 1
        )  # with its type, without what may be absent


_OPTIONAL: Final = ("model_version", "segments", "cluster", "calibrator_version")

_FORMS: Final = (
    _Form("probabilities", _Vector, "raw_probabilities"),
    _Form("confidence", _Answered, "raw_confidence"),
    _Form("probability", _Binary, "raw_probability"),
)
"""In the order in which they are looked for."""

_SPACES: Final = (b" ", b"\t", b"\n", b"\r")

_FIRST: Final = 8192
"""The form of a request's predictions is looked for in so many of its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A plain request. Whether its events agree with their models is not known yet."""

    body: bytes
    events: int
    models: frozenset[str]
    form: str | None  # of its predictions; None without any
    columns: "_Columns"

    def agrees(self, declared: Callable[[str], Declared | None]) -> bool:
        """Return whether all events agree with their models, which have a task and classes."""
        return all(self._agrees(name, declared(name)) for name in self.models)

    def _agrees(self, name: str, declared: Declared | None) -> bool:
        if declared is None or declared.task is None:
            return False
        predictions = _of_model(self.columns.predictions, name, alone=len(self.models) == 1)
        labels = _of_model(self.columns.labels, name, alone=len(self.models) == 1)
        return (
            (not predictions or TASK_OF_FORM[self.form or ""] == declared.task)
            and (self.form != "probabilities" or _are_vectors_of(predictions, declared))
            and _are_labels_of(labels, declared)
        )


@dataclass(frozen=True, slots=True)
class _Columns:
    predictions: Sequence[Any]
    labels: Sequence[_Label]


def _of_model(events: Sequence[Any], name: str, *, alone: bool) -> Sequence[Any]:
    return events if alone else [event for event in events if event.model == name]


def _are_vectors_of(predictions: Sequence[Any], declared: Declared) -> bool:
    if declared.classes is None or not declared.ordered:
        return False
    vectors = [event.probabilities for event in predictions]
    vectors += [event.raw_probabilities for event in predictions if event.raw_probabilities is not None]
    return {*map(len, vectors)} <= {len(declared.classes)} and not any(
        sum_fault("probabilities", vector, FINELY) for vector in vectors
    )


def _are_labels_of(labels: Sequence[_Label], declared: Declared) -> bool:
    kinds: dict[type, set[Any]] = {}
    for kind in {type(one.label) for one in labels}:
        kinds[kind] = {one.label for one in labels if type(one.label) is kind}
    return not any(
        check_against(LabelEvent(event_id="", model="", label=value), declared)
        for values in kinds.values()
        for value in values
    )


def plain(body: bytes, *, lines: bool, now: datetime) -> Plain | None:
    """Return a request if it is plain, else None.

    Parameters
    ----------
    body : UTF-8, not compressed
    lines : whether it is newline-delimited JSON
    now : the time of its receipt

    """
    if len(body) > MOST_BYTES or not _shows_keys(body):
        return None
    form = _form_in(body)
    try:
        events = form.lines.decode_lines(body) if lines else form.whole.decode(body).events
    except _REFUSALS:
        return None
    return _checked(events, form, body, keys=0 if lines else 1, now=now)


def plain_together(bodies: Sequence[bytes], now: datetime) -> tuple[Plain, list[int]] | None:
    """Return small requests of JSON as one, an array of them, and the number of events of each; None unless all are plain.

    Each begins and ends as a request does, so that none of them can reach into the next: a text that one leaves open ends at the first
    quote of the next, and what follows is no JSON; an object or array that one leaves open is continued by no event.
    """
    if not all(body.startswith(_OPENINGS) and body.endswith(b"]}") for body in bodies):
        return None
    joined = b"[" + b",".join(bodies) + b"]"
    if not _shows_keys(joined):
        return None
    form = _form_in(joined)
    try:
        requests = form.together.decode(joined)
    except _REFUSALS:
        return None
    counts = [len(one.events) for one in requests]
    if len(counts) != len(bodies) or 0 in counts:
        return None
    events = [event for one in requests for event in one.events]
    found = _checked(events, form, joined, keys=len(bodies), now=now)
    return None if found is None else (found, counts)


_OPENINGS: Final = (b'{"events":[', b'{"events": [')

_REFUSALS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def _form_in(body: bytes) -> _Form:
    return next((one for one in _FORMS if body.find(one.word, 0, _FIRST) >= 0), _FORMS[-1])


def _checked(events: list[Any], form: _Form, body: bytes, *, keys: int, now: datetime) -> Plain | None:
    """Return decoded events if nothing is odd about them.

    Parameters
    ----------
    keys : how many the body has beside those of events

    """
    if not 0 < len(events) <= MAX_EVENTS:
        return None
    predictions = [event for event in events if type(event) is form.prediction]
    columns = _Columns(predictions, [event for event in events if type(event) is _Label])
    models = frozenset([event.model for event in events])
    if not _is_clean(columns, models, now) or body.count(b'":') != keys + _keys(columns, form):
        return None
    return Plain(body=body, events=len(events), models=models, form=form.name if predictions else None, columns=columns)


def _shows_keys(body: bytes) -> bool:
    """Return whether `":` stands behind each key of a body, and nowhere else but at strings that begin with a colon."""
    return b"\\" not in body and not any(space in body and space + b":" in body for space in _SPACES)


def _is_clean(columns: _Columns, models: frozenset[str], now: datetime) -> bool:
    """Return whether all names are usable and all times within range."""
    predictions, labels = columns.predictions, columns.labels
    times = [event.timestamp for event in predictions]
    times += [event.timestamp for event in labels if event.timestamp is not None]
    if times and not (min(times) >= EPOCH and max(times) <= now + CLOCK_SKEW):
        return False
    names: set[Any] = {
        *models,
        *[event.model_version for event in predictions],
        *[event.model_version for event in labels],
    }
    names.update([event.cluster for event in predictions], [event.source for event in labels])
    names.update([event.label for event in labels if type(event.label) is str])
    if predictions and type(predictions[0]) is _Answered:
        names.update([event.prediction for event in predictions])
    segments = [event.segments for event in predictions if event.segments is not None]
    keys: set[str] = set().union(*segments)
    names.update(keys, *[one.values() for one in segments])
    names.discard(None)
    ids = "".join([event.event_id for event in predictions]) + "".join([event.event_id for event in labels])
    return (
        models.isdisjoint(UNADDRESSABLE)
        and not any(":" in key for key in keys)
        and not has_control("".join([ids, *names]))
    )


def _keys(columns: _Columns, form: _Form) -> int:
    """Return how many keys there are if none is repeated, and none is null."""
    predictions, labels = columns.predictions, columns.labels
    count = form.fields * len(predictions) + 4 * len(labels)
    count += _given([event.model_version for event in predictions])
    count += _given([event.cluster for event in predictions])
    count += _given([event.calibrator_version for event in predictions])
    count += _given([getattr(event, form.raw) for event in predictions])
    count += sum([1 + len(event.segments) for event in predictions if event.segments is not None])
    count += _given([event.timestamp for event in labels]) + _given([event.source for event in labels])
    return count + _given([event.supersedes for event in labels]) + _given([event.model_version for event in labels])


def _given(values: list[Any]) -> int:
    return len(values) - values.count(None)
