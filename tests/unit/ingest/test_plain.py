"""What passes as plain is what reading event by event accepts, event for event, and means the same to the roll-up."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.ingest.decode import check_all, decode_events
from monitor.ingest.plain import plain, plain_together
from monitor.store.batch import Body, decode, encode, encode_bodies

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
MODELS = {"m": 1, "org/m": 2}
JSON, LINES = "application/json", "application/x-ndjson"


def declared(task: str) -> Any:
    classes = ("ant", "bee", "cat") if task == "multiclass" else None
    return SimpleNamespace(task=task, classes=classes, ordered=True, shorter=(), normalize=False)


def prediction(**fields: Any) -> dict[str, Any]:
    event = {"type": "prediction", "event_id": "a", "model": "m", "timestamp": "2026-01-05T11:00:00Z", **fields}
    return (
        event
        if {"probability", "confidence", "probabilities", "score", "mean"} & fields.keys()
        else event | {"probability": 0.5}
    )


def label(value: Any = 1, **fields: Any) -> dict[str, Any]:
    return {"type": "label", "event_id": "a", "model": "m", "label": value, **fields}


def body(*events: Any) -> bytes:
    return msgspec.json.encode({"events": events})


PLAIN = {
    "a prediction": ("binary", [prediction()]),
    "a label": ("binary", [label()]),
    "both": ("binary", [prediction(), label(True)]),
    "all side fields": (
        "binary",
        [
            prediction(
                model_version="2", segments={"country": "DE"}, cluster="c", calibrator_version=3, raw_probability=1.0
            ),
            label(0, timestamp="2026-01-04T00:00:00+02:00", source="audit", supersedes=True, model_version="2"),
        ],
    ),
    "answers": (
        "confidence",
        [prediction(confidence=0.5, prediction="yes", raw_confidence=0.25), label("no"), label(True)],
    ),
    "vectors": ("multiclass", [prediction(probabilities=[0.5, 0.25, 0.25]), label("cat"), label(2)]),
    "raw vectors": (
        "multiclass",
        [prediction(probabilities=[0.5, 0.25, 0.25], raw_probabilities=[1.0, 0.0, 0.0]), label("zebra")],
    ),
    "several models": ("binary", [prediction(), label(), prediction(model="org/m")]),
    "a colon in a value": ("binary", [prediction(segments={"url": "a:b"})]),
}

ODD = {
    "metadata": ("binary", [prediction(metadata={})]),
    "reference": ("binary", [prediction(reference=True)]),
    "a null": ("binary", [prediction(cluster=None)]),
    "an empty segment": ("binary", [prediction(segments={"country": ""})]),
    "a number as a segment": ("binary", [prediction(segments={"country": 1})]),
    "a segment with a colon": ("binary", [prediction(segments={"a:b": "c"})]),
    "a number as text": ("binary", [prediction(probability="0.5")]),
    "too large": ("binary", [prediction(probability=1.5)]),
    "of the future": ("binary", [prediction(timestamp="2026-01-05T12:06:00Z")]),
    "of the past": ("binary", [label(timestamp="1969-12-31T23:59:59Z")]),
    "without a zone": ("binary", [prediction(timestamp="2026-01-05T11:00:00")]),
    "a control character": ("binary", [prediction(event_id="a\x07")]),
    "a long name": ("binary", [prediction(cluster="c" * 201)]),
    "a place in an address": ("binary", [prediction(model="..")]),
    "another task": ("binary", [prediction(confidence=0.5, prediction="yes")]),
    "two forms": ("binary", [prediction(), prediction(confidence=0.5, prediction="yes")]),
    "an unusable label": ("binary", [label("maybe")]),
    "agreeing answers": (
        "confidence",
        [prediction(confidence=0.5, prediction="a", confidence_source="self_consistency", agreeing=1, samples=2)],
    ),
    "a sum that is off": ("multiclass", [prediction(probabilities=[0.5, 0.25, 0.125])]),
    "a short vector": ("multiclass", [prediction(probabilities=[0.5, 0.5])]),
    "an object": ("multiclass", [prediction(probabilities={"ant": 0.5, "bee": 0.25, "cat": 0.25})]),
    "an unknown model": ("binary", [prediction(model="new")]),
    "nothing": ("binary", []),
}


def passes(task: str, content: bytes, *, lines: bool = False) -> bool:
    found = plain(content, lines=lines, now=NOW)
    return found is not None and found.agrees({name: declared(task) for name in MODELS}.get)


@pytest.mark.parametrize("name", PLAIN)
def test_the_common_request_is_plain(name: str) -> None:
    task, events = PLAIN[name]
    assert passes(task, body(*events))
    assert passes(task, json.dumps({"events": events}).encode())
    assert passes(task, b"\n".join(map(msgspec.json.encode, events)), lines=True)


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_read_event_by_event(name: str) -> None:
    task, events = ODD[name]
    assert not passes(task, body(*events))
    assert not passes(task, body(*PLAIN["several models"][1], *events) if events else b'{"events":[]} ')


REPEATED = [
    b'{"events":[{"type":"label","event_id":"a","model":"m","label":0,"label":1}]}',
    b'{"events":[{"type":"label","event_id":"a","model":"m","label":1,"label" :1}]}',
    b'{"events":[{"type":"label","event_id":"a","model":"m","label":1,"source":"x","source":"y"}]}',
    b'{"events":[{"type":"label","event_id":"a","model":"m","label":1,"l\\u0061bel":1}]}',
    b'{"events":[],"events":[{"type":"label","event_id":"a","model":"m","label":1}]}',
]


@pytest.mark.parametrize("content", REPEATED)
def test_no_repeated_key_passes(content: bytes) -> None:
    assert not passes("binary", content)


names = st.text(st.characters(codec="utf-8"), min_size=0, max_size=4) | st.sampled_from(
    ["m", "org/m", ".", "a:b", ":a", ""]
)
scores = st.floats(-0.1, 1.1) | st.sampled_from([0, 1, 0.5, "0.5", None, True, 1e400])
times = st.sampled_from(
    ["2026-01-05T11:00:00Z", "2026-01-05T12:04:59+00:00", "2026-01-05T12:05:01Z", "1969-01-01T00:00:00Z", "now", None]
)
segments = st.dictionaries(names, names | st.none() | st.integers(), max_size=2) | st.none()
forms = st.one_of(
    st.fixed_dictionaries({"probability": scores}, optional={"raw_probability": scores}),
    st.fixed_dictionaries(
        {"confidence": scores, "prediction": names | st.integers()}, optional={"raw_confidence": scores}
    ),
    st.fixed_dictionaries({"probabilities": st.lists(st.sampled_from([0.5, 0.25, 0.0, 1.0, 1e-9]), max_size=4)}),
)
side = st.fixed_dictionaries(
    {"event_id": names, "model": st.sampled_from(["m", "m", "org/m", "new", ".."]), "timestamp": times},
    optional={
        "model_version": names | st.none(), "segments": segments, "cluster": names | st.none(),
        "calibrator_version": st.integers(-1, 2) | st.none(), "metadata": st.just({}), "reference": st.booleans(),
    },
)  # fmt: skip
predictions = st.builds(lambda form, others: {"type": "prediction", **others, **form}, forms, side)
labels = st.fixed_dictionaries(
    {
        "type": st.just("label"), "event_id": names, "model": st.sampled_from(["m", "org/m"]),
        "label": names | st.booleans() | st.integers(0, 3),
    },
    optional={"timestamp": times, "source": names | st.none(), "supersedes": st.booleans(), "model_version": names},
)  # fmt: skip
common = st.sampled_from([event for _, events in PLAIN.values() for event in events])
requests = st.lists(st.one_of(common, common, predictions, labels), max_size=3)
tasks = st.sampled_from(["binary", "confidence", "multiclass"])


def written(events: list[Any], spaced: bool) -> bytes:  # noqa: FBT001 - drawn
    return json.dumps({"events": events}, ensure_ascii=False, separators=None if spaced else (",", ":")).encode()


@settings(max_examples=600)
@given(events=requests, task=tasks, spaced=st.booleans())
def test_what_passes_is_accepted_as_it_is(events: list[Any], task: str, spaced: bool) -> None:  # noqa: FBT001 - drawn
    content = written(events, spaced)
    if not passes(task, content):
        return
    known = {name: declared(task) for name in MODELS}
    decoded = check_all(decode_events(content, JSON, now=NOW), known.get)
    assert (decoded.rejected, len(decoded.accepted)) == ([], len(events))
    ids = [MODELS[event.model] for event in decoded.accepted]
    kept = encode_bodies([Body(form="request", models=MODELS, content=content)])
    assert decode(kept) == decode(encode(decoded.accepted, ids))


@settings(max_examples=300)
@given(bodies=st.lists(st.builds(written, requests, st.booleans()), min_size=1, max_size=4), task=tasks)
def test_requests_pass_together_only_where_each_passes_alone(bodies: list[bytes], task: str) -> None:
    known = {name: declared(task) for name in MODELS}
    together = plain_together(bodies, NOW)
    if together is None or not together[0].agrees(known.get):
        return
    assert all(passes(task, content) for content in bodies)
    assert together[1] == [len(json.loads(content)["events"]) for content in bodies]
    apart = [decode(encode_bodies([Body(form="request", models=MODELS, content=content)])) for content in bodies]
    kept = decode(encode_bodies([Body(form="requests", models=MODELS, content=together[0].body)]))
    assert kept == ([event for events, _ in apart for event in events], [one for _, ids in apart for one in ids])


GOOD = body(label())
REACHING = [
    [GOOD + b"," + GOOD, GOOD],
    [b'{"events":[{"type":"label","event_id":"a","model":"m","label":1', b"}]}"],
    [b'{"events":[{"type":"label","event_id":"a","model":"m","label":"]}', GOOD],
    [b'{"events":[{"type":"label","event_id":"a","model":"m","label":1}', b'{"type":"label","event_id":"b","model":"m","label":1}]}'],
    [body(prediction(segments={"a": []}))[:-3], GOOD],
    [GOOD, b'{"events":[]}'],
    [GOOD, b""],
    [GOOD, b"{}"],
]  # fmt: skip


@pytest.mark.parametrize("bodies", REACHING)
def test_no_request_reaches_into_the_next(bodies: list[bytes]) -> None:
    assert plain_together(bodies, NOW) is None


def test_good_requests_pass_together() -> None:
    together = plain_together([GOOD, body(prediction(), label()), json.dumps({"events": [label()]}).encode()], NOW)
    assert together is not None
    assert together[1] == [1, 2, 1]


def test_lines_are_kept_as_they_came() -> None:
    content = b"\n".join(msgspec.json.encode(event) for event in PLAIN["several models"][1])
    found = decode_events(content, LINES, now=NOW).accepted
    ids = [MODELS[event.model] for event in found]
    assert decode(encode_bodies([Body(form="lines", models=MODELS, content=content)])) == decode(encode(found, ids))
