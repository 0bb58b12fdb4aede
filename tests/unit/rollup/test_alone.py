"""Events that stand alone are joined without looking at what is stored, and end up as any other would."""

import copy
from dataclasses import replace
from unittest.mock import patch

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.domain.records import EventRef, LabelRow, PredictionRow
from monitor.domain.settings import Model, ModelSettings, Reading
from monitor.rollup import join as joining
from monitor.rollup.alone import alone
from monitor.rollup.join import Arrival, join

BINARY = Model(id=1, name="b", task="binary", classes=None, settings=ModelSettings(), revision=2, created_at=0)
EXTENDED = replace(
    BINARY,
    id=2,
    task="multiclass",
    classes=("cat", "dog", "owl"),
    former=(Reading(until=1, rules=0, classes=("cat", "dog"), ordered=True),),
)
ANSWERS = replace(BINARY, id=3, task="confidence")
UNDECIDED = replace(BINARY, id=4, task=None)
AMOUNTS = replace(BINARY, id=5, task="regression")
MODELS = {model.id: model for model in (BINARY, EXTENDED, ANSWERS, UNDECIDED, AMOUNTS)}

PAYLOAD = msgspec.msgpack.encode({"answer": "cat"})


def prediction(model: int, event: str, version: str, revision: int, digest: int) -> PredictionRow:
    return PredictionRow(
        key=ord(event), model_id=model, event_id=event, at=5, received_at=5, rolled_at=5, version=version,
        calibrator=None, segments=None, cluster=None, p=0.5, raw=None, payload=PAYLOAD, digest=digest,
        revision=revision,
    )  # fmt: skip


def label(model: int, event: str, value: object, version: str | None, *, supersedes: bool) -> LabelRow:
    return LabelRow(
        key=ord(event), model_id=model, event_id=event, label=msgspec.json.encode(value).decode(), at=None,
        received_at=5, rolled_at=5, source=None, supersedes=supersedes, version=version,
    )  # fmt: skip


def arrivals_of(number: int) -> st.SearchStrategy[Arrival]:
    """Return a strategy of predictions and labels of two events of a model."""
    event = st.sampled_from("ab")
    version, revision, digest = st.sampled_from(["", "1", "2"]), st.sampled_from([1, 2]), st.sampled_from([0, 1])
    value = st.sampled_from([0, 1, True, "cat", "owl", "emu", 2.5])
    named, supersedes = st.sampled_from([None, None, "1", "2"]), st.sampled_from([False, False, True])
    predictions = st.builds(prediction, st.just(number), event, version, revision, digest)
    return predictions | st.builds(label, st.just(number), event, value, named, supersedes=supersedes)


def batches_of(number: int) -> st.SearchStrategy[tuple[list[Arrival], list[Arrival]]]:
    """Return a strategy of a batch, and of what came before it."""
    return st.tuples(st.lists(arrivals_of(number), max_size=6), st.lists(arrivals_of(number), max_size=2))


def stored_of(*rows: Arrival) -> tuple[dict[EventRef, list[PredictionRow]], dict[EventRef, list[LabelRow]]]:
    """Return what is stored after rows that came one by one."""
    predicted: dict[EventRef, list[PredictionRow]] = {}
    labelled: dict[EventRef, list[LabelRow]] = {}
    for row in rows:
        join([row], predicted, labelled, MODELS)
    return predicted, labelled


def outcome_of(batch: list[Arrival], before: list[Arrival]) -> tuple[object, ...]:
    predicted, labelled = copy.deepcopy(stored_of(*before))
    joined = join(batch, predicted, labelled, MODELS)
    changes = sorted((change.row.ref, change.row.version, msgspec.to_builtins(change)) for change in joined.changes)
    return joined.predictions, joined.labels, joined.conflicts, joined.duplicates, str(changes), predicted, labelled


@settings(max_examples=600, deadline=None)
@given(st.sampled_from([*MODELS, ANSWERS.id, ANSWERS.id]).flatmap(batches_of))
@example(([prediction(ANSWERS.id, "a", "1", 2, 0), label(ANSWERS.id, "a", True, "2", supersedes=False)], []))
def test_every_event_is_joined_as_if_none_stood_alone(came: tuple[list[Arrival], list[Arrival]]) -> None:
    batch, before = came
    found = outcome_of(batch, before)
    with patch.object(joining, "alone", lambda *_: set()):
        expected = outcome_of(batch, before)
    assert found == expected


def test_a_prediction_and_its_label_stand_alone_until_there_is_more() -> None:
    rows: list[Arrival] = [prediction(1, "a", "", 2, 0), label(1, "a", 1, None, supersedes=False)]
    again = label(1, "a", 0, None, supersedes=False)
    assert alone(rows, ({}, {}), MODELS) == {(1, "a")}
    assert alone([*rows, again], ({}, {}), MODELS) == set()
    assert alone(rows, ({(1, "a"): rows[:1]}, {}), MODELS) == set()


def test_events_of_models_of_answers_and_without_a_task_never_stand_alone() -> None:
    rows = [prediction(number, "a", "", 2, 0) for number in MODELS]
    assert alone(rows, ({}, {}), MODELS) == {(1, "a"), (2, "a"), (5, "a")}
