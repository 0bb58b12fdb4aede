"""Several versions of a model that predict the same event."""

from dataclasses import replace
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.domain.records import EventRef, LabelRow, PredictionRow
from monitor.domain.settings import Model, ModelSettings
from monitor.rollup.join import Joined, join
from monitor.store.payload import Payload
from monitor.store.standing import standing

BINARY = Model(id=7, name="m", task="binary", classes=None, settings=ModelSettings(), revision=1, created_at=0)
ANSWERS = replace(BINARY, task="confidence")

REF: EventRef = (7, "e")

Row = PredictionRow | LabelRow


def prediction(version: str, p: float = 0.5, answer: str | int | None = None, **changed: object) -> PredictionRow:
    sent = None if answer is None else msgspec.msgpack.encode(Payload(answer=answer))
    row = PredictionRow(
        key=1, model_id=7, event_id="e", at=5, received_at=5, rolled_at=5, version=version, calibrator=None,
        segments=None, cluster=None, p=p, raw=None, payload=sent, digest=0, revision=1,
    )  # fmt: skip
    row = replace(row, **changed)
    return replace(row, digest=hash((row.version, row.p, row.payload, row.segments)))


def label(value: object, version: str | None = None, *, supersedes: bool = False) -> LabelRow:
    return LabelRow(
        key=1, model_id=7, event_id="e", label=msgspec.json.encode(value).decode(), at=None, received_at=5, rolled_at=5,
        source=None, supersedes=supersedes, version=version,
    )  # fmt: skip


class Stored:
    """What is stored and summed after rows that came one batch after another."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.predictions: dict[EventRef, list[PredictionRow]] = {}
        self.labels: dict[EventRef, list[LabelRow]] = {}
        self.sums: dict[str, LabelRow | None] = {}
        self.conflicts: list[str] = []
        self.duplicates = 0

    def take(self, *rows: Row) -> Joined:
        joined = join(rows, self.predictions, self.labels, {7: self.model})
        for change in joined.changes:
            version = change.row.version
            assert change.fresh == (version not in self.sums)
            assert change.before is self.sums.get(version)
            self.sums[version] = change.after
        self.conflicts += [row.kind for row in joined.conflicts]
        self.duplicates += joined.duplicates
        return joined

    def counted(self) -> dict[str, tuple[str, bool] | None]:
        return {name: None if row is None else (row.label, row.supersedes) for name, row in sorted(self.sums.items())}


def taken(model: Model, *rows: Row) -> Stored:
    stored = Stored(model)
    for row in rows:
        stored.take(row)
    return stored


def test_a_shadow_that_scores_the_same_request_counts_beside_the_champion():
    stored = taken(BINARY, prediction("champion", 0.9), prediction("shadow", 0.2), label(1))
    assert (stored.counted(), stored.conflicts) == ({"champion": ("1", False), "shadow": ("1", False)}, [])


def test_a_second_prediction_of_the_same_version_is_a_conflict_as_ever():
    stored = taken(BINARY, prediction("a", 0.9), prediction("b", 0.2), prediction("b", 0.3))
    assert (sorted(stored.sums), stored.conflicts) == (["a", "b"], ["prediction"])


def test_each_versions_repeat_is_a_repeat():
    rows = [prediction("a", 0.9), prediction("b", 0.2)]
    assert taken(BINARY, *rows, *rows).duplicates == 2


@pytest.mark.parametrize("order", list(permutations(("", "a", "b"))))
def test_without_a_version_it_is_the_same_event_where_all_else_agrees(order):
    stored = taken(BINARY, *(prediction(version) for version in order))
    known = 1 if order[0] == "" else 2
    assert (len(stored.sums), stored.duplicates) == (known, 3 - known)
    assert stored.conflicts == []


def test_segments_in_another_order_are_the_same():
    one = prediction("a", segments='{"x":"1","y":"2"}')
    assert taken(BINARY, one, prediction("", segments='{"y":"2","x":"1"}')).duplicates == 1


@pytest.mark.parametrize(
    "changed", [{"p": 0.6}, {"at": 6}, {"raw": 0.5}, {"cluster": "c"}, {"calibrator": 1}, {"segments": '{"x":"1"}'}]
)
@pytest.mark.parametrize("order", [("", "a"), ("a", "")])
def test_without_a_version_another_content_may_be_of_any_version_and_is_a_conflict(order, changed):
    first, second = order
    stored = taken(BINARY, prediction(first), replace(prediction(second), **changed))
    assert (list(stored.sums), stored.conflicts) == ([first], ["prediction"])


@pytest.mark.parametrize("value", [1, 0, True, False])
@pytest.mark.parametrize("named", [None, "a", "b", "unknown"])
def test_a_class_counts_for_every_version_whichever_it_names(value, named):
    stored = taken(BINARY, label(value, named), prediction("a", 0.9), prediction("b", 0.2))
    expected = (msgspec.json.encode(value).decode(), False)
    assert stored.counted() == {"a": expected, "b": expected}


def test_the_true_answer_counts_for_every_version():
    rows = prediction("a", answer="Paris"), prediction("b", answer="Rome"), label("Paris", "b")
    assert taken(ANSWERS, *rows).counted() == {"a": ('"Paris"', False), "b": ('"Paris"', False)}


@pytest.mark.parametrize("right", [True, False, 1, 0])
def test_was_right_counts_for_the_version_it_names(right):
    stored = taken(ANSWERS, prediction("a", answer="Paris"), prediction("b", answer="Rome"), label(right, "b"))
    assert (stored.counted()["a"], stored.counted()["b"]) == (None, (msgspec.json.encode(right).decode(), False))
    assert stored.conflicts == []


def test_was_right_by_version_is_no_conflict_with_that_of_another():
    rows = prediction("a", answer="Paris"), prediction("b", answer="Rome"), label(True, "a"), label(False, "b")
    stored = taken(ANSWERS, *rows)
    assert (stored.counted(), stored.conflicts) == ({"a": ("true", False), "b": ("false", False)}, [])


def test_was_right_without_a_version_counts_for_all_that_gave_the_same_answer():
    stored = taken(ANSWERS, prediction("a", answer=42), prediction("b", answer="42.0"), label(True))
    assert stored.counted() == {"a": ("true", False), "b": ("true", False)}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_was_right_without_a_version_is_refused_where_answers_differ(place):
    rows: list[Row] = [prediction("a", answer="Paris"), prediction("b", answer="Rome")]
    stored = taken(ANSWERS, *rows[:place], label(True), *rows[place:])
    assert (stored.counted(), stored.conflicts) == ({"a": None, "b": None}, ["ambiguous_label"])


def test_a_number_that_states_the_answer_counts_for_every_version():
    stored = taken(ANSWERS, prediction("a", answer="1"), prediction("b", answer="2"), label(1))
    assert stored.counted() == {"a": ("1", False), "b": ("1", False)}


@pytest.mark.parametrize("answer", ["Paris", "Rome"])
def test_of_a_label_by_version_and_one_without_the_first_that_is_clear_counts(answer):
    """Without a version it is clear if all gave the same answer."""
    rows = prediction("a", answer="Paris"), prediction("b", answer=answer)
    stored = taken(ANSWERS, label(False), label(True, "a"), *rows)
    counted = ("false", False) if answer == "Paris" else ("true", False)
    assert stored.counted()["a"] == counted
    assert stored.conflicts == ([] if answer == "Paris" else ["ambiguous_label"])


def test_a_label_that_supersedes_takes_the_place_of_one_by_version():
    stored = taken(ANSWERS, prediction("a", answer="x"), label(True, "a"), label(False, supersedes=True))
    assert (stored.counted(), stored.conflicts) == ({"a": ("false", True)}, [])


def test_a_class_sent_again_with_a_version_is_a_repeat():
    assert taken(BINARY, prediction("a"), label(1), label(1, "a"), label(1, "b")).duplicates == 2


def test_a_label_of_another_version_waits():
    stored = taken(ANSWERS, prediction("a", answer="x"), label(True, "b"))
    assert (stored.counted(), stored.conflicts) == ({"a": None}, [])
    stored.take(prediction("b", answer="y"))
    assert stored.counted() == {"a": None, "b": ("true", False)}


predictions = st.lists(
    st.builds(
        prediction,
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from([0.25, 0.5]),
        st.sampled_from(["x", "1", "1.0"]),
    ),
    max_size=4,
)
labels = st.lists(
    st.builds(
        label,
        st.sampled_from([True, False, 0, 1, "x", "1"]),
        st.sampled_from([None, "a", "b"]),
        supersedes=st.booleans(),
    ),
    max_size=4,
)


@given(predictions, labels, st.randoms(use_true_random=False), st.sampled_from([BINARY, ANSWERS]))
def test_what_counts_does_not_depend_on_when_predictions_come_nor_on_batches(
    predicted: list[PredictionRow], labelled: list[LabelRow], random, model: Model
):
    """The order among predictions, and among labels, is kept: only the first of several that conflict counts."""
    one_by_one = taken(model, *predicted, *labelled)
    places = sorted(random.sample(range(len(predicted) + len(labelled)), len(labelled)))
    mixed: list[Row] = list(predicted)
    for place, row in zip(places, labelled, strict=True):
        mixed.insert(place, row)
    assert taken(model, *mixed).counted() == one_by_one.counted()
    at_once = Stored(model)
    at_once.take(*mixed)
    assert at_once.counted() == one_by_one.counted()
    rows = at_once.predictions.get(REF, [])
    stored = at_once.labels.get(REF, [])
    for one in rows:
        assert at_once.sums[one.version] is standing(model, one, rows, stored)
    assert at_once.take(*predicted).changes == []
