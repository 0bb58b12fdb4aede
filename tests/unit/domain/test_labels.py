"""What predictions and labels mean under a model's settings."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.domain import former_labels
from monitor.domain.events import LabelEvent, PredictionEvent, Receipt, Rejection, form_of, levels_of, quoted
from monitor.domain.labels import (
    binary_outcome,
    check_against,
    class_index,
    is_ambiguous,
    may_be_ambiguous,
    vector_of,
    was_right,
)

ANIMALS = ("cat", "dog", "owl")
DIGITS = tuple("0123456789")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    task: str | None = None
    classes: tuple[str, ...] | None = None
    ordered: bool = True
    shorter: tuple[int, ...] = ()


def prediction(**fields: Any) -> PredictionEvent:
    return PredictionEvent(event_id="a", model="m", timestamp=datetime(2026, 1, 5, tzinfo=UTC), **fields)


def label(value: Any) -> LabelEvent:
    return LabelEvent(event_id="a", model="m", label=value)


@pytest.mark.parametrize(
    ("value", "classes", "place"),
    [
        ("dog", ANIMALS, 1),
        ("cow", ANIMALS, None),
        ("Dog", ANIMALS, None),
        (2, ANIMALS, 2),
        (2.0, ANIMALS, 2),
        (2.5, ANIMALS, None),
        (3, ANIMALS, None),
        (-1, ANIMALS, None),
        (True, ANIMALS, None),
        (7, DIGITS, 7),
        ("7", DIGITS, 7),
        (1, ("1", "2"), 0),
        (0, ("1", "2"), None),
        (-1, ("-1", "1"), 0),
        (1, ("-1", "1"), 1),
        (0, ("7", "other"), None),
        ("0", ANIMALS, None),
        (1.0, ("1.0", "2.0", "3.0"), 0),
        (1, ("1.0", "2.0", "3.0"), 0),
        ("1", ("1.0", "2.0", "3.0"), 0),
        ("3.00", ("1.0", "2.0", "3.0"), 2),
        (0, ("1.0", "2.0", "3.0"), None),
        (0.5, ("0.5", "1.5"), 0),
        (1, ("0.5", "1.5"), None),
        (10, ("1e1", "2e1"), 0),
        (".5", ("0.5", "1"), 0),
        ("1.0", ("1", "1.0"), 1),
        (1, ("1", "1.0"), None),
        ("1.00", ("1", "1.0"), None),
        (2, ("1", "1.0", "2"), 2),
        (2**53 + 1, (str(2**53), str(2**53 + 1)), 1),
        (True, ("False", "True"), 1),
        (False, ("true", "false"), 1),
        (1, ("False", "True"), 1),
        (1, ("True", "False"), None),
        (2, ("False", "True", "neither"), 2),
        (True, ("0", "1"), None),
        (float("inf"), ANIMALS, None),
        (float("nan"), ANIMALS, None),
    ],
)
def test_class_index_reads_names_before_places(value: Any, classes: tuple[str, ...], place: int | None) -> None:
    assert class_index(value, classes) == place


@pytest.mark.parametrize(
    ("value", "classes", "outcome"),
    [
        (True, None, 1),
        (False, None, 0),
        (1, None, 1),
        (0.0, None, 0),
        (1.0, None, 1),
        (2, None, None),
        (0.5, None, None),
        ("1", None, None),
        ("1", ("0", "1"), 1),
        ("spam", ("ham", "spam"), 1),
        ("ham", ("ham", "spam"), 0),
        (True, ("ham", "spam"), 1),
        (1, ("ham", "spam"), 1),
        ("eggs", ("ham", "spam"), None),
        (1, ("1", "2"), 0),
        (1.0, ("1.0", "2.0"), 0),
        (2, ("1.0", "2.0"), 1),
        (True, ("0", "1"), 1),
        (True, ("0.0", "1.0"), 1),
        (True, ("1", "2"), None),
        (False, ("1", "2"), None),
        (False, ("1", "0"), None),
        (True, ("True", "False"), 0),
        (False, ("True", "False"), 1),
        (0, ("True", "False"), None),
        (0, ("False", "True"), 0),
        (float("nan"), None, None),
        ("positive", None, None),
    ],
)
def test_binary_outcome_takes_numbers_booleans_and_class_names(
    value: Any, classes: tuple[str, ...] | None, outcome: int | None
) -> None:
    assert binary_outcome(value, classes) == outcome


SPELLINGS = (str, lambda n: f"{n}.0", lambda n: f"{n}.00", lambda n: f"{n}e0", lambda n: f"{n * 10}e-1")


@given(
    numbers=st.lists(st.integers(-1000, 1000), min_size=2, max_size=8, unique=True),
    named=st.sampled_from(SPELLINGS),
    labelled=st.sampled_from([*SPELLINGS, int, float]),
)
def test_a_number_is_the_class_of_that_number_however_both_are_written(
    numbers: list[int], named: Any, labelled: Any
) -> None:
    classes = tuple(map(named, numbers))
    assert [class_index(labelled(number), classes) for number in numbers] == list(range(len(numbers)))


@given(st.lists(st.sampled_from(["a", "b", "1", "1.0", "2", "True", "false", "0"]), min_size=2, unique=True), st.data())
def test_a_label_that_is_a_name_is_never_read_as_another_class(names: list[str], data: Any) -> None:
    name = data.draw(st.sampled_from(names))
    assert class_index(name, tuple(names)) == names.index(name)


@pytest.mark.parametrize("value", [0, 1, 1.0, 2])
def test_a_number_is_no_index_where_classes_have_no_order(value: Any) -> None:
    assert class_index(value, ANIMALS, ordered=False) is None
    assert class_index("dog", ANIMALS, ordered=False) == 1
    assert class_index(2.0, ("1", "2"), ordered=False) == 1


@pytest.mark.parametrize(
    ("value", "classes", "old", "new"),
    [
        (1.0, ("1.0", "2.0", "3.0"), 1, 0),
        (2, ("0.5", "1.5", "2.5"), 2, None),
        ("2.0", ("1", "2"), None, 1),
        (7, DIGITS, 7, 7),
        ("dog", ANIMALS, 1, 1),
        (2, ANIMALS, 2, 2),
    ],
)
def test_former_rules_read_labels_as_before(
    value: Any, classes: tuple[str, ...], old: int | None, new: int | None
) -> None:
    assert (former_labels.class_index(value, classes), class_index(value, classes)) == (old, new)


@pytest.mark.parametrize(
    ("answer", "value", "right"),
    [
        ("Paris", True, True),
        ("Paris", False, False),
        ("Paris", 1, True),
        ("Paris", 0, False),
        ("Paris", 1.0, True),
        ("Paris", 7, False),
        ("Paris", "Paris", True),
        ("Paris", "paris", False),
        ("42", 42, True),
        ("42", 1, False),
        ("1", 1, True),
        ("0", 1, False),
        ("42", 42.0, True),
        ("4.2e1", 42, True),
        ("42", "42.0", False),
        (42, "42.0", True),
        (42, 42.0, True),
        (42, 1, False),
        (1, 1, True),
        (0, 0, True),
        ("True", "true", True),
        ("TRUE", "false", False),
        ("False", "False", True),
        ("true", "yes", False),
        ("yes", True, True),
        ("no", False, False),
        (2, True, True),
        (42, "forty-two", False),
        (0, "no", False),
        ("nan", 1, True),
        ("Paris", "1", False),
        (2**53 + 1, str(2**53), False),
    ],
)
def test_was_right_follows_the_kind_of_label(answer: Any, value: Any, right: bool) -> None:  # noqa: FBT001 - a table
    assert was_right(answer, value) is right


TRUTHS = ["True", "true", "TRUE", "False", "false", " False"]
BITS = [0, 1, 0.0, 1.0, "0", "1", "1.0"]


@pytest.mark.parametrize(
    ("answers", "labels"),
    [(TRUTHS, [True, False, 0, 1, 0.0, 1.0, "0", "1"]), (BITS, [True, False, "True", "false", "FALSE"])],
)
def test_what_may_say_right_or_which_answer_says_neither(answers: list[Any], labels: list[Any]) -> None:
    for answer in answers:
        for value in labels:
            assert is_ambiguous(answer, value)
            assert may_be_ambiguous(value)
            assert was_right(answer, value) is None


@given(
    st.one_of(st.text(min_size=1), st.integers(), st.floats(), st.sampled_from([*TRUTHS, *BITS])),
    st.one_of(st.booleans(), st.text(min_size=1), st.integers(), st.floats(), st.sampled_from([*TRUTHS, *BITS])),
)
def test_a_label_is_ambiguous_for_the_right_and_the_wrong_answer_alike(answer: Any, value: Any) -> None:
    assert is_ambiguous(answer, value) <= may_be_ambiguous(value)
    if isinstance(value, bool):
        assert is_ambiguous(answer, value) == is_ambiguous(answer, not value)
    if isinstance(answer, str):
        assert was_right(answer, answer) is True  # the text of the answer never is


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("0.5", 500),
        (".5", 500),
        ("0.05", 50),
        ("0.001", 1),
        ("0.999", 999),
        ("0.95000", 950),
        ("0", None),
        ("0.0", None),
        ("1", None),
        ("1.0", None),
        ("0.0005", None),
        ("0.5\n", None),
        (" 0.5", None),
        ("5e-1", None),
        ("0,5", None),
        ("-0.5", None),
        ("00.5", None),
        ("\u0660.\u0665", None),
        ("0.", None),
        ("", None),
    ],
)
def test_levels_are_decimals_in_thousandths(name: str, level: int | None) -> None:
    assert levels_of((name,)) == (None if level is None else (level,))


def test_vector_of_puts_an_object_in_the_order_of_classes() -> None:
    assert vector_of({"owl": 0.2, "cat": 0.7, "dog": 0.1}, ANIMALS) == [0.7, 0.1, 0.2]


def test_vector_of_leaves_an_array_as_it_is() -> None:
    assert vector_of([0.7, 0.1, 0.2], ANIMALS) == [0.7, 0.1, 0.2]


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({"probability": 0.0}, "probability"),
        ({"probabilities": [0.5, 0.5]}, "probabilities"),
        ({"logits": [0.0, 0.0]}, "logits"),
        ({"confidence": 0.0, "prediction": "a"}, "confidence"),
        ({"confidence_source": "self_consistency", "agreeing": 0, "samples": 3, "prediction": "a"}, "confidence"),
        ({"score": 0.0, "prediction": "a"}, "score"),
        ({"mean": 0.0, "std": 1.0}, "mean"),
        ({"quantiles": {"0.1": 0.0, "0.9": 0.0}}, "quantiles"),
    ],
)
def test_form_of_is_the_field_that_is_given(fields: dict[str, Any], form: str) -> None:
    assert form_of(prediction(**fields)) == form


@pytest.mark.parametrize(
    ("event", "settings"),
    [
        (prediction(probability=0.5), Settings(task="binary")),
        (prediction(probability=0.5), Settings()),
        (prediction(probabilities=[0.2, 0.3, 0.5]), Settings(task="multiclass", classes=ANIMALS)),
        (prediction(probabilities={"owl": 0.2, "cat": 0.3, "dog": 0.5}), Settings(task="multiclass", classes=ANIMALS)),
        (prediction(logits=[1.0, 2.0]), Settings(task="multiclass")),
        (prediction(confidence=0.5, prediction="x"), Settings(task="confidence")),
        (label(1), Settings(task="binary")),
        (label("spam"), Settings(task="binary", classes=("ham", "spam"))),
        (label("owl"), Settings(task="multiclass", classes=ANIMALS)),
        (label("cow"), Settings(task="multiclass", classes=ANIMALS)),
        (label(3), Settings(task="multiclass", classes=("1", "2"))),
        (label(2), Settings(task="multiclass", classes=ANIMALS)),
        (label("anything"), Settings(task="multiclass")),
        (label("anything"), Settings()),
        (label("anything"), Settings(task="confidence", classes=ANIMALS)),
        (label(2.5), Settings(task="confidence")),
        (prediction(score=-3.5, prediction="x"), Settings(task="confidence")),
        (prediction(mean=1.5, std=0.5), Settings(task="regression")),
        (prediction(quantiles={"0.1": 1.0, "0.9": 2.0}), Settings(task="regression")),
        (prediction(mean=1.5, std=0.5), Settings()),
        (label(7), Settings(task="regression")),
        (label(-1e60), Settings(task="regression")),
    ],
)
def test_check_against_takes_what_agrees(event: Any, settings: Settings) -> None:
    assert check_against(event, settings) is None


@pytest.mark.parametrize(
    ("event", "settings", "code", "reason"),
    [
        (
            prediction(probability=0.5),
            Settings(task="multiclass"),
            "wrong_form",
            "probability is not what this multiclass model takes: send probabilities or logits",
        ),
        (
            prediction(logits=[1.0, 2.0]),
            Settings(task="binary"),
            "wrong_form",
            "logits is not what this binary model takes: send probability",
        ),
        (
            prediction(probability=0.5),
            Settings(task="regression"),
            "wrong_form",
            "probability is not what this regression model takes: send mean or quantiles",
        ),
        (
            prediction(probabilities=[0.5, 0.5]),
            Settings(task="multiclass", classes=ANIMALS),
            "wrong_length",
            "probabilities has 2 values: must have 3, one per class",
        ),
        (
            prediction(logits=[1.0, 2.0]),
            Settings(classes=ANIMALS),
            "wrong_length",
            "logits has 2 values: must have 3, one per class",
        ),
        (
            prediction(probabilities={"cat": 0.5, "cow": 0.5, "dog": 0.0}),
            Settings(task="multiclass", classes=ANIMALS),
            "unknown_class",
            'probabilities has "cow": must be a class, "cat", "dog", "owl"',
        ),
        (
            prediction(probabilities={"cat": 0.5, "dog": 0.5}),
            Settings(task="multiclass", classes=ANIMALS),
            "wrong_length",
            'probabilities lacks "owl": must have every class of the model',
        ),
        (
            prediction(probabilities=[0.2, 0.3, 0.5], raw_probabilities=[0.5, 0.5]),
            Settings(task="multiclass", classes=ANIMALS),
            "wrong_length",
            "raw_probabilities has 2 values: must have 3, one per class",
        ),
        (
            label(2),
            Settings(task="binary"),
            "unknown_class",
            "label is 2: must be 0, 1, true or false; to use names, declare `classes`",
        ),
        (
            label("eggs"),
            Settings(task="binary", classes=("ham", "spam")),
            "unknown_class",
            'label is "eggs": must be 0, 1, true or false, or a class, "ham", "spam"',
        ),
        (
            label(7),
            Settings(task="multiclass", classes=ANIMALS),
            "unknown_class",
            'label is 7: must be a class, "cat", "dog", "owl", or its index',
        ),
        (
            label(1),
            Settings(task="multiclass", classes=("1", "1.0")),
            "ambiguous_label",
            'label is 1: may mean "1" or "1.0": send the class\'s name as text',
        ),
        (
            label(1),
            Settings(task="multiclass", classes=ANIMALS, ordered=False),
            "no_order",
            "label is 1: the model's classes came by name and have no order: send its name, or declare `classes` in order",
        ),
        (
            label(value=True),
            Settings(task="multiclass"),
            "wrong_type",
            "label is true: must be a class or its index, not a boolean",
        ),
        (
            prediction(mean=1.5, std=0.5),
            Settings(task="confidence"),
            "wrong_form",
            "mean is not what this confidence model takes: send confidence or score",
        ),
        (
            label(value=False),
            Settings(task="regression"),
            "wrong_type",
            "label is false: must be a number for a regression",
        ),
        (
            label("1.5 m"),
            Settings(task="regression"),
            "wrong_type",
            'label is "1.5 m": must be a number for a regression',
        ),
        (
            label(-1.5e60),
            Settings(task="regression"),
            "out_of_range",
            "label is -1.5e+60: must be between -1e+60 and 1e+60",
        ),
    ],
)
def test_check_against_says_what_disagrees(event: Any, settings: Settings, code: str, reason: str) -> None:
    assert check_against(event, settings) == (code, reason)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'),
        ('say "a"\\', '"say \\"a\\"\\\\"'),
        ("\x00é\ud800", '"\\u0000é\\ud800"'),
        ("x" * 81, '"' + "x" * 80 + '…"'),
        ("\x00" * 80, '"' + "\\u0000" * 13 + '\\u…"'),
        (True, "true"),
        (None, "null"),
        (1.5, "1.5"),
        ([1, 2], "an array of 2"),
        ({"a": 1}, "an object of 1"),
    ],
)
def test_quoted_is_printable_and_short(value: Any, text: str) -> None:
    assert quoted(value) == text


def test_events_keep_out_of_json_what_was_not_given() -> None:
    sent = msgspec.json.encode(prediction(probability=0.25))
    assert (
        sent
        == b'{"type":"prediction","event_id":"a","model":"m","timestamp":"2026-01-05T00:00:00Z","probability":0.25}'
    )


def test_receipt_reads_back_as_written() -> None:
    receipt = Receipt(accepted=1, rejected=[Rejection(index=1, event_id=None, reason="r", code="not_json")])
    assert msgspec.json.decode(msgspec.json.encode(receipt), type=Receipt) == receipt
