"""The class, outcome or amount that a label states under its model's task and classes."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal, Protocol

from .events import (
    MAX_AMOUNT,
    TASK_OF_FORM,
    Event,
    Fault,
    LabelValue,
    PredictionEvent,
    Vector,
    decimal,
    form_of,
    quoted,
)


class Declared(Protocol):
    """The settings of a model that its events must agree with; None is not checked."""

    @property
    def task(self) -> str | None:
        """Return `binary`, `multiclass`, `confidence`, `regression`, or None."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Return the names of the classes in the order of vectors, or None."""


def check_against(event: Event, declared: Declared) -> Fault | None:
    """Return the fault of an event under its model's settings, or None."""
    if isinstance(event, PredictionEvent):
        return _check_prediction(event, declared)
    return _check_label(event.label, declared.task, declared.classes)


def _check_prediction(event: PredictionEvent, declared: Declared) -> Fault | None:
    form = form_of(event)
    task = declared.task
    if task is not None and task != TASK_OF_FORM[form]:
        takes = " or ".join(name for name, its_task in TASK_OF_FORM.items() if its_task == task)
        return Fault("wrong_form", f"{form} is not what this {task} model takes: send {takes or 'no such event'}")
    if declared.classes is None or (event.probabilities is None and event.logits is None):
        return None
    vectors = {form: event.probabilities or event.logits, "raw_probabilities": event.raw_probabilities}
    for field, vector in vectors.items():
        if vector is not None and (fault := _check_vector(field, vector, declared.classes)):
            return fault
    return None


def _check_vector(field: str, vector: Vector, classes: tuple[str, ...]) -> Fault | None:
    if isinstance(vector, list):
        if len(vector) == len(classes):
            return None
        return Fault("wrong_length", f"{field} has {len(vector)} values: must have {len(classes)}, one per class")
    places = _places(classes)
    if vector.keys() == places.keys():
        return None
    for name in vector:
        if name not in places:
            return Fault("unknown_class", f"{field} has {quoted(name)}: must be a class, {listed(classes)}")
    missing = [name for name in classes if name not in vector]
    return Fault("wrong_length", f"{field} lacks {listed(missing)}: must have every class of the model")


def _check_label(label: LabelValue, task: str | None, classes: tuple[str, ...] | None) -> Fault | None:
    if task == "binary" and binary_outcome(label, classes) is None:
        named = f", or a class, {listed(classes)}" if classes else "; to use names, declare `classes`"
        return Fault("unknown_class", f"label is {quoted(label)}: must be 0, 1, true or false{named}")
    if task == "regression":
        return _check_amount(label)
    if task == "multiclass" and isinstance(label, bool) and (classes is None or class_index(label, classes) is None):
        return Fault("wrong_type", f"label is {quoted(label)}: must be a class or its index, not a boolean")
    if task == "multiclass" and classes is not None and class_index(label, classes) is None:
        return Fault("unknown_class", f"label is {quoted(label)}: must be a class, {listed(classes)}, or its index")
    return None


def _check_amount(label: LabelValue) -> Fault | None:
    if isinstance(label, bool) or (isinstance(label, str) and decimal(label) is None):
        return Fault("wrong_type", f"label is {quoted(label)}: must be a number for a regression")
    if amount_of(label) is None:
        return Fault("out_of_range", f"label is {quoted(label)}: must be between {-MAX_AMOUNT:g} and {MAX_AMOUNT:g}")
    return None


def amount_of(label: LabelValue) -> float | None:
    """Return the number that a label of a regression states, also as decimal text, or None if it is no number within range.

    >>> amount_of(3), amount_of("12.50"), amount_of(True), amount_of("three"), amount_of(1e61)
    (3.0, 12.5, None, None, None)
    """
    number = decimal(label) if isinstance(label, str) else label
    if number is None or isinstance(number, bool) or not abs(number) <= MAX_AMOUNT:
        return None
    return float(number)


def vector_of(values: Vector, classes: Sequence[str]) -> list[float]:
    """Return a vector, sent as an array or by class, in the order of the classes.

    >>> vector_of({"dog": 0.7, "cat": 0.3}, ["cat", "dog"])
    [0.3, 0.7]
    """
    return [values[name] for name in classes] if isinstance(values, dict) else values


def class_index(label: LabelValue, classes: tuple[str, ...]) -> int | None:
    """Return the index of a label among the classes, or None if it names no class.

    An integer names a class if any class is named by an integer; otherwise it is an index. So `1` never means the second
    class of a model whose first class is called "1". A boolean names the class called `true` or `false`, in any capitals.

    >>> class_index("dog", ("cat", "dog")), class_index(1, ("cat", "dog")), class_index(1, ("1", "2"))
    (1, 1, 0)
    """
    if isinstance(label, bool):
        return _named_by_booleans(classes).get(label)
    if isinstance(label, float):
        if not label.is_integer():
            return None
        label = int(label)
    if isinstance(label, str) or _named_by_integers(classes):
        return _places(classes).get(str(label))
    return label if 0 <= label < len(classes) else None


@lru_cache(maxsize=256)
def _places(classes: tuple[str, ...]) -> dict[str, int]:
    return {name: place for place, name in enumerate(classes)}


@lru_cache(maxsize=256)
def _named_by_booleans(classes: tuple[str, ...]) -> dict[bool, int]:
    """Return the places of the classes called `true` and `false`, where no other capitals make that ambiguous."""
    lowered = [name.lower() for name in classes]
    return {
        truth: lowered.index(name) for truth, name in ((True, "true"), (False, "false")) if lowered.count(name) == 1
    }


@lru_cache(maxsize=256)
def _named_by_integers(classes: tuple[str, ...]) -> bool:
    return any(_INTEGER.fullmatch(name) for name in classes)


def binary_outcome(label: LabelValue, classes: tuple[str, ...] | None) -> Literal[0, 1] | None:
    """Return 1 if a label means the positive class, which is the second, 0 if it means the other, else None.

    >>> binary_outcome(True, None), binary_outcome(0.0, None), binary_outcome("spam", ("ham", "spam"))
    (1, 0, 1)
    """
    if isinstance(label, bool):
        return 1 if label else 0
    if classes is None and isinstance(label, str):
        return None
    place = class_index(label, classes or ("negative", "positive"))
    return None if place is None else 1 if place == 1 else 0


def was_right(prediction: str | float, label: LabelValue) -> bool:
    """Return whether an answer was right, by a label that says so or that states the true answer.

    `true` and `false` say so. The numbers 0 and 1 say so too, unless the answer itself is a number. Otherwise the two are
    compared, as numbers if either was sent as one, else as text, character by character.

    >>> was_right("Paris", True), was_right("Paris", 1), was_right("42", 1), was_right("42", 42.0), was_right("a", "A")
    (True, True, False, True, False)
    """
    if says_right(prediction, label):
        return label == 1
    if isinstance(prediction, str) and isinstance(label, str):
        return prediction == label
    answer = _number(prediction)
    return answer is not None and answer == _number(label)


def says_right(prediction: str | float, label: LabelValue) -> bool:
    """Return whether a label says whether an answer was right, rather than stating the true one.

    >>> says_right("Paris", True), says_right("Paris", 1), says_right("42", 1), says_right("Paris", "Rome")
    (True, True, False, False)
    """
    return isinstance(label, bool) or (may_say_right(label) and _number(prediction) is None)


def may_say_right(label: LabelValue) -> bool:
    """Return whether a label says of some answers whether they were right: `true`, `false`, 1 and 0 do."""
    return not isinstance(label, str) and label in (0, 1)


def _number(value: str | float) -> float | None:
    if not isinstance(value, str):
        return value
    if _INTEGER.fullmatch(value):
        return int(value)
    return float(value) if _DECIMAL.fullmatch(value) else None


_INTEGER: Final = re.compile(r"-?[0-9]+")

_DECIMAL: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Return the first names, quoted, for a message."""
    return ", ".join(quoted(name, 40) for name in names[:limit]) + (" …" if len(names) > limit else "")
