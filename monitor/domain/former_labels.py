"""How labels were read by releases up to 0.3.0; rows that were summed then keep this reading until they are summed again."""

import re
from functools import lru_cache
from typing import Final, Literal

from .events import LabelValue


def class_index(label: LabelValue, classes: tuple[str, ...]) -> int | None:
    """Return the index of a label among the classes, or None if it names no class.

    An integer names a class if any class is named by an integer; otherwise it is an index. So `1` never means the second
    class of a model whose first class is called "1".

    >>> class_index("dog", ("cat", "dog")), class_index(1, ("cat", "dog")), class_index(1, ("1", "2"))
    (1, 1, 0)
    """
    if isinstance(label, bool):
        return None
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
    if isinstance(label, bool):
        return label
    if isinstance(prediction, str) and isinstance(label, str):
        return prediction == label
    answer, truth = _number(prediction), _number(label)
    if answer is None and truth in (0, 1) and not isinstance(label, str):
        return truth == 1
    return answer is not None and answer == truth


def _number(value: str | float) -> float | None:
    if not isinstance(value, str):
        return value
    if _INTEGER.fullmatch(value):
        return int(value)
    return float(value) if _DECIMAL.fullmatch(value) else None


_INTEGER: Final = re.compile(r"-?[0-9]+")

_DECIMAL: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")
