"""The class, outcome or amount that a label states under its model's task and classes."""

import re
from collections.abc import Sequence
from decimal import Decimal
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

    @property
    def ordered(self) -> bool:
        """Return whether that order was declared or came with an array; else numbers and arrays mean nothing."""

    @property
    def shorter(self) -> tuple[int, ...]:
        """Return how many classes there were before each time that they were extended: vectors of these may still come."""

    @property
    def normalize(self) -> bool:
        """Return whether rounding to 16 bits is taken."""


def check_against(event: Event, declared: Declared) -> Fault | None:
    """Return the fault of an event under its model's settings, or None."""
    if isinstance(event, PredictionEvent):
        return _check_prediction(event, declared)
    return _check_label(event.label, declared)


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
        if vector is not None and (fault := _check_vector(field, vector, declared, declared.classes)):
            return fault
    return None


def _check_vector(field: str, vector: Vector, declared: Declared, classes: tuple[str, ...]) -> Fault | None:
    if isinstance(vector, list):
        if not declared.ordered:
            return Fault(
                "no_order", f"{field} is an array: {_UNORDERED}: send an object by class, or declare `classes` in order"
            )
        if len(vector) == len(classes) or len(vector) in declared.shorter:
            return None
        return Fault("wrong_length", f"{field} has {len(vector)} values: must have {len(classes)}, one per class")
    places = _places(classes)
    if vector.keys() == places.keys() or any(vector.keys() == set(classes[:count]) for count in declared.shorter):
        return None
    for name in vector:
        if name not in places:
            return Fault("unknown_class", f"{field} has {quoted(name)}: must be a class, {listed(classes)}")
    missing = [name for name in classes if name not in vector]
    return Fault("wrong_length", f"{field} lacks {listed(missing)}: must have every class of the model")


def _check_label(label: LabelValue, declared: Declared) -> Fault | None:
    task, classes = declared.task, declared.classes
    if task == "regression":
        return _check_amount(label)
    if task == "binary":
        return _check_binary(label, classes)
    return _check_class(label, classes, ordered=declared.ordered) if task == "multiclass" else None


def _check_binary(label: LabelValue, classes: tuple[str, ...] | None) -> Fault | None:
    if binary_outcome(label, classes) is not None:
        return None
    if classes is not None and (fault := _ambiguity(label, _outcomes(label, classes), classes)):
        return fault
    named = f", or a class, {listed(classes)}" if classes else "; to use names, declare `classes`"
    return Fault("unknown_class", f"label is {quoted(label)}: must be 0, 1, true or false{named}")


def _check_class(label: LabelValue, classes: tuple[str, ...] | None, *, ordered: bool) -> Fault | None:
    if isinstance(label, bool) and not (classes and _named_by_booleans(classes)):
        return Fault("wrong_type", f"label is {quoted(label)}: must be a class or its index, not a boolean")
    if classes is None or class_index(label, classes, ordered=ordered) is not None:
        return None
    if fault := _ambiguity(label, _meanings(label, classes, ordered=ordered), classes):
        return fault
    if not ordered and _meanings(label, classes):
        return Fault(
            "no_order", f"label is {quoted(label)}: {_UNORDERED}: send its name, or declare `classes` in order"
        )
    if is_undeclared(label, classes, ordered=ordered):
        return None
    index = "" if _named_by_numbers(classes) or not ordered else ", or its index"
    return Fault("unknown_class", f"label is {quoted(label)}: must be a class, {listed(classes)}{index}")


_UNORDERED: Final = "the model's classes came by name and have no order"


def _ambiguity(label: LabelValue, places: Sequence[int], classes: Sequence[str]) -> Fault | None:
    """Return the fault of a label that may mean several classes."""
    if len(places) < 2:  # noqa: PLR2004 - one meaning, or none
        return None
    may_mean = " or ".join(quoted(classes[place]) for place in places)
    return Fault("ambiguous_label", f"label is {quoted(label)}: may mean {may_mean}: send the class's name as text")


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


def vector_of(values: Vector, classes: Sequence[str], *, nothing: float = 0.0) -> list[float]:
    """Return a vector, sent as an array or by class, in the order of the classes.

    Parameters
    ----------
    nothing : what stands for classes that it lacks, since they were declared later

    Examples
    --------
    >>> vector_of({"dog": 0.7, "cat": 0.3}, ["cat", "dog"]), vector_of([0.3, 0.7], ["cat", "dog", "owl"])
    ([0.3, 0.7], [0.3, 0.7, 0.0])

    """
    if isinstance(values, dict):
        return [values.get(name, nothing) for name in classes]
    missing = len(classes) - len(values)
    return values + [nothing] * missing if missing > 0 else values


def class_index(label: LabelValue, classes: tuple[str, ...], *, ordered: bool = True) -> int | None:
    """Return the index of the class that a label names, or None if it names none, or may name several.

    A number or text names the class of that number, however it is written: `1`, `1.0` and `"1"` alike. A whole number is an index
    only where no class is named by a number, and where the order of the classes is known.

    >>> class_index("dog", ("cat", "dog")), class_index(1, ("cat", "dog")), class_index(1, ("1.0", "2.0"))
    (1, 1, 0)
    """
    places = _meanings(label, classes, ordered=ordered)
    return places[0] if len(places) == 1 else None


def is_undeclared(label: LabelValue, classes: tuple[str, ...], *, ordered: bool = True) -> bool:
    """Return whether a label names a class that was never declared, rather than none or several.

    >>> is_undeclared("zebra", ("cat", "dog")), is_undeclared(7, ("1", "2")), is_undeclared(7, ("cat", "dog"))
    (True, True, False)
    """
    if isinstance(label, bool) or _meanings(label, classes, ordered=ordered):
        return False
    return isinstance(label, str) or (bool(_named_by_numbers(classes)) and number_of(label) is not None)


def _meanings(label: LabelValue, classes: tuple[str, ...], *, ordered: bool = True) -> tuple[int, ...]:
    """Return the places of the classes that a label may name."""
    if isinstance(label, bool):
        return _named_by_booleans(classes).get(label, ())
    if isinstance(label, str) and label in _places(classes):
        return (_places(classes)[label],)
    number, numbered = number_of(label), _named_by_numbers(classes)
    if number is None:
        return ()
    if numbered or isinstance(label, str):
        return numbered.get(number, ())
    index = int(number) if ordered and 0 <= number < len(classes) and number == number.to_integral_value() else None
    # 0 and 1 may also stand for classes that are named by false and true.
    names = _named_by_booleans(classes).get(bool(number), ()) if number in (0, 1) else ()
    return names if index is None else tuple({index, *names})


@lru_cache(maxsize=256)
def _places(classes: tuple[str, ...]) -> dict[str, int]:
    return {name: place for place, name in enumerate(classes)}


@lru_cache(maxsize=256)
def _named_by_numbers(classes: tuple[str, ...]) -> dict[Decimal, tuple[int, ...]]:
    """Return the places of classes that are named by numbers, by number."""
    numbers = [number_of(name) for name in classes]
    return {
        number: tuple(place for place, other in enumerate(numbers) if other == number)
        for number in numbers
        if number is not None
    }


@lru_cache(maxsize=256)
def _named_by_booleans(classes: tuple[str, ...]) -> dict[bool, tuple[int, ...]]:
    """Return the places of classes that are named by `true` and `false`, in any case."""
    words = [name.casefold() for name in classes]
    return {
        value: tuple(place for place, word in enumerate(words) if word == spelled)
        for value, spelled in BOOLEANS.items()
        if spelled in words
    }


BOOLEANS: Final = {True: "true", False: "false"}


def binary_outcome(label: LabelValue, classes: tuple[str, ...] | None) -> Literal[0, 1] | None:
    """Return 1 if a label means the positive class, which is the second, 0 if it means the other, else None.

    >>> binary_outcome(True, None), binary_outcome(0.0, None), binary_outcome("spam", ("ham", "spam"))
    (1, 0, 1)
    """
    if classes is None:
        return None if isinstance(label, str) or label not in (0, 1) else 1 if label else 0
    places = _outcomes(label, classes)
    return None if len(places) != 1 else 1 if places[0] == 1 else 0


def _outcomes(label: LabelValue, classes: tuple[str, ...]) -> tuple[int, ...]:
    """Return the places of the classes of a binary model that a label may mean."""
    if not isinstance(label, bool) or _named_by_booleans(classes):
        return _meanings(label, classes)
    # Where a class named by 0 or 1 is not at that place, booleans may mean either; refusing only one of them would bias what is left.
    numbered = _named_by_numbers(classes)
    is_clear = all(place == value for value in (0, 1) for place in numbered.get(Decimal(value), ()))
    return (int(label),) if is_clear else (0, 1)


def number_of(value: str | float) -> Decimal | None:
    """Return the number that a value states, exactly as it is written; None for other texts, and for what is not finite.

    >>> number_of("1.0") == number_of(1), number_of("0.1") == number_of(0.1), number_of("one")
    (True, True, None)
    """
    written = value if isinstance(value, str) else repr(value)
    return Decimal(written) if _NUMBER.fullmatch(written) else None


_NUMBER: Final = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,6})?")


def was_right(prediction: str | float, label: LabelValue) -> bool | None:
    """Return whether an answer was right, by a label that says so or that states the true answer; None where it may do either.

    `true` and `false` say so. The numbers 0 and 1 say so too, unless the answer itself is a number. Otherwise the two are
    compared, as numbers if either was sent as one, else as text, character by character; only `true` and `false` in any case.

    >>> was_right("Paris", True), was_right("Paris", 1), was_right("42", 1), was_right("42", 42.0), was_right("a", "A")
    (True, True, False, True, False)
    >>> was_right("False", True), was_right(0, True), was_right("False", "false")
    (None, None, True)
    """
    if is_ambiguous(prediction, label):
        return None
    return label == 1 if says_right(prediction, label) else same_answer(prediction, label)


def same_answer(one: str | float, other: str | float) -> bool:
    """Return whether two answers are the same: as numbers if either was sent as one, else as text, or both as `true` or `false`.

    >>> same_answer("42", 42.0), same_answer("True", "true"), same_answer("a", "A"), same_answer("Paris", 1)
    (True, True, False, False)
    """
    if isinstance(one, str) and isinstance(other, str):
        truth = _truth_of(one)
        return one == other if truth is None else truth is _truth_of(other)
    number = number_of(one)
    return number is not None and number == number_of(other)


def is_ambiguous(prediction: str | float, label: LabelValue) -> bool:
    """Return whether a label may say that an answer was right, or which answer is: where the answer is itself true or false.

    A boolean is so beside the answers `True`, `False`, 0 and 1, and 0 and 1 are beside `True` and `False`. The text of the answer never is.

    >>> is_ambiguous("True", False), is_ambiguous(0, True), is_ambiguous("false", 1), is_ambiguous("Paris", True)
    (True, True, True, False)
    >>> is_ambiguous("True", "False"), is_ambiguous(0, 1)
    (False, False)
    """
    if isinstance(label, bool):
        return _truth_of(prediction) is not None or number_of(prediction) in (0, 1)
    words = (_truth_of(prediction) is not None) != (_truth_of(label) is not None)
    other = label if _truth_of(label) is None else prediction
    return words and number_of(other) in (0, 1)


def may_be_ambiguous(label: LabelValue) -> bool:
    """Return whether a label is ambiguous beside some answers."""
    return isinstance(label, bool) or _truth_of(label) is not None or number_of(label) in (0, 1)


def _truth_of(value: str | float) -> bool | None:
    """Return what a text that says `true` or `false` says, in any case."""
    return _TRUTHS.get(value.strip().casefold()) if isinstance(value, str) else None


_TRUTHS: Final = {spelled: value for value, spelled in BOOLEANS.items()}


def says_right(prediction: str | float, label: LabelValue) -> bool:
    """Return whether a label says whether an answer was right, rather than stating the true one.

    >>> says_right("Paris", True), says_right("Paris", 1), says_right("42", 1), says_right("Paris", "Rome")
    (True, True, False, False)
    """
    return isinstance(label, bool) or (may_say_right(label) and number_of(prediction) is None)


def may_say_right(label: LabelValue) -> bool:
    """Return whether a label says of some answers whether they were right: `true`, `false`, 1 and 0 do."""
    return not isinstance(label, str) and label in (0, 1)


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Return the first names, quoted, for a message."""
    return ", ".join(quoted(name, 40) for name in names[:limit]) + (" …" if len(names) > limit else "")
