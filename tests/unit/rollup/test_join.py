from dataclasses import replace
from itertools import permutations

import msgspec
import pytest

from monitor.domain.records import EventRef, LabelRow, PredictionRow
from monitor.domain.settings import Model, ModelSettings
from monitor.rollup.join import join
from monitor.store.standing import standing

MODEL = Model(
    id=7, name="m", task="binary", classes=None, settings=ModelSettings(), revision=1, created_at=0
)  # fmt: skip
UNDECIDED = replace(MODEL, task=None)


def prediction(digest: int = 0, event_id: str = "e") -> PredictionRow:
    return PredictionRow(
        key=1, model_id=7, event_id=event_id, at=5, received_at=5, rolled_at=5, version="", calibrator=None,
        segments=None, cluster=None, p=0.5, raw=None, payload=None, digest=digest, revision=1,
    )  # fmt: skip


def label(value: object, *, supersedes: bool = False, received_at: int = 5) -> LabelRow:
    return LabelRow(
        key=1, model_id=7, event_id="e", label=msgspec.json.encode(value).decode(), at=None, received_at=received_at,
        rolled_at=5, source=None, supersedes=supersedes,
    )  # fmt: skip


def take(*arrivals, predictions=(), labels=(), model=MODEL):
    known = {(7, "e"): list(predictions)} if predictions else {}
    return join(list(arrivals), known, {(7, "e"): list(labels)} if labels else {}, {7: model})


def kinds(joined) -> list[str]:
    return [row.kind for row in joined.conflicts]


def test_a_prediction_alone_is_a_change_without_label():
    (change,) = take(prediction()).changes
    assert (change.fresh, change.before, change.after) == (True, None, None)


def test_a_label_alone_waits():
    joined = take(label(1))
    assert (joined.changes, len(joined.labels)) == ([], 1)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_prediction_and_label_of_one_batch_meet_in_either_order(order):
    rows = [prediction(), label(1)]
    (change,) = take(*(rows[i] for i in order)).changes
    assert (change.fresh, change.before, change.after) == (True, None, rows[1])


def test_a_label_meets_a_stored_prediction():
    (change,) = take(label(1), predictions=[prediction()]).changes
    assert (change.fresh, change.before, change.after.label) == (False, None, "1")


def test_a_prediction_meets_a_stored_label():
    (change,) = take(prediction(), labels=[label(1)]).changes
    assert (change.fresh, change.before, change.after.label) == (True, None, "1")


@pytest.mark.parametrize("stored", [True, False])
def test_a_repeated_prediction_counts_once(stored):
    joined = take(prediction(), predictions=[prediction()]) if stored else take(prediction(), prediction())
    assert (joined.duplicates, len(joined.predictions), len(joined.changes)) == (1, not stored, not stored)


def test_a_repeated_label_counts_once_whenever_it_was_received():
    joined = take(label(1, received_at=9), predictions=[prediction()], labels=[label(1)])
    assert (joined.duplicates, joined.labels, joined.changes) == (1, [], [])


def test_another_prediction_under_the_same_id_is_a_conflict_and_changes_nothing():
    joined = take(prediction(digest=1), predictions=[prediction()])
    assert (kinds(joined), joined.predictions, joined.changes) == (["prediction"], [], [])


@pytest.mark.parametrize("predictions", [[prediction()], []])
def test_another_label_is_a_conflict_and_the_first_stands(predictions):
    joined = take(label(0), predictions=predictions, labels=[label(1)])
    assert (kinds(joined), joined.labels, joined.changes) == (["label"], [], [])


def test_a_label_that_supersedes_takes_the_place_of_the_first():
    (change,) = take(label(0, supersedes=True), predictions=[prediction()], labels=[label(1)]).changes
    assert (change.fresh, change.before.label, change.after.label) == (False, "1", "0")


def test_of_several_that_supersede_the_last_stands():
    joined = take(label(0, supersedes=True), label(1, supersedes=True), predictions=[prediction()], labels=[label(1)])
    (change,) = joined.changes
    assert (len(joined.labels), change.before.label, change.after.supersedes) == (2, "1", True)


def test_a_label_that_names_no_class_is_refused_and_stands_in_nobodys_way():
    joined = take(label("cat"), label(1), predictions=[prediction()])
    assert (kinds(joined), [row.label for row in joined.labels]) == (["unusable_label"], ["1"])


def test_a_label_that_names_no_class_supersedes_nothing():
    joined = take(label("cat", supersedes=True), predictions=[prediction()], labels=[label(1)])
    assert (kinds(joined), joined.changes) == (["unusable_label"], [])


ITEMS = {
    "a prediction and an unusable label first": [prediction(), label("cat"), label(1)],
    "an unusable label that supersedes": [prediction(), label(1), label("cat", supersedes=True)],
    "all that can happen to a label": [prediction(), label("cat"), label(1), label(0), label(0, supersedes=True)],
}


@pytest.mark.parametrize("model", [MODEL, UNDECIDED], ids=["a model with a task", "a model without one until then"])
@pytest.mark.parametrize("items", ITEMS.values(), ids=ITEMS.keys())
def test_what_stands_is_the_same_wherever_the_prediction_comes(items, model):
    first, *labels = items
    found = set()
    for place in range(len(items)):
        order = [*labels[:place], first, *labels[place:]]
        predictions: dict[EventRef, list[PredictionRow]] = {}
        stored: dict[EventRef, list[LabelRow]] = {}
        conflicts: list[str] = []
        for row in order:
            # A model's first prediction gives it its task.
            now = MODEL if predictions or row is first else model
            joined = join([row], predictions, stored, {7: now})
            conflicts += kinds(joined)
        (change,) = join([prediction(event_id="e")], {}, stored, {7: MODEL}).changes
        found.add((change.after.label, change.after.supersedes, tuple(sorted(conflicts))))
    assert len(found) == 1


def test_labels_of_a_model_without_a_task_all_wait():
    joined = take(label("cat"), label(1), label(0), model=UNDECIDED)
    assert ([row.label for row in joined.labels], joined.conflicts) == (['"cat"', "1", "0"], [])


def test_what_waited_in_vain_is_reported_when_the_prediction_comes():
    joined = take(prediction(), labels=[label("cat"), label(1), label(0)])
    assert kinds(joined) == ["unusable_label", "label"]
    assert joined.changes[0].after.label == "1"


def test_the_first_usable_label_stands_until_one_supersedes_it():
    rows = [label("cat"), label(1), label(0), label(0, supersedes=True)]
    stands = [standing(MODEL, prediction(), [prediction()], rows[:i]) for i in range(5)]
    assert stands == [None, None, rows[1], rows[1], rows[3]]


def test_events_of_one_key_are_told_apart_by_their_ids():
    others = [prediction(event_id=name) for name in "abc"]
    for order in permutations(others):
        assert [change.row.event_id for change in take(*order).changes] == [row.event_id for row in order]
