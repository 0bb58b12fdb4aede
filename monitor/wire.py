"""The JSON shapes of the API, shared by server and client, and what an event's values mean under a model's settings."""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol

from msgspec import Meta, Struct

MAX_EVENTS: Final = 10_000
MAX_CLASSES: Final = 1_000
MAX_NAME: Final = 200
MAX_ANSWER: Final = 2_000
MAX_SEGMENTS: Final = 50
MAX_METADATA_BYTES: Final = 16 * 1024
MAX_METADATA_DEPTH: Final = 20
MAX_CALIBRATOR: Final = 2**31 - 1
MAX_AMOUNT: Final = 1e60
"""No label, mean, standard deviation or quantile of a regression is farther from 0."""
MAX_SCORE: Final = 2.0**30
"""No score that is not a probability is farther from 0."""
MAX_SAMPLES: Final = 50
MAX_LEVELS: Final = 199
MAX_MEMBERS: Final = 100
WHOLE: Final = range(-(2**63), 2**63)
"""The integers that a label, an answer or a segment may be."""

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Answer = Annotated[str, Meta(min_length=1, max_length=MAX_ANSWER)]
Whole = Annotated[int, Meta(ge=WHOLE.start, le=WHOLE.stop - 1)]
Ratio = Annotated[float, Meta(ge=0.0, le=1.0)]
Amount = Annotated[float, Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
Spread = Annotated[float, Meta(gt=0.0, le=MAX_AMOUNT)]
When = Annotated[datetime, Meta(tz=True)]
_Classes = Meta(min_length=2, max_length=MAX_CLASSES)
Ratios = Annotated[list[Ratio], _Classes] | Annotated[dict[Name, Ratio], _Classes]
Logits = Annotated[list[float], _Classes] | Annotated[dict[Name, float], _Classes]
Segments = Annotated[dict[Name, Name | Whole | bool], Meta(max_length=MAX_SEGMENTS)]

Quantiles = Annotated[dict[Name, Amount], Meta(min_length=2, max_length=MAX_LEVELS)]
Members = Annotated[list[Ratio | Annotated[list[Ratio], _Classes]], Meta(min_length=2, max_length=MAX_MEMBERS)]
"""What the members of an ensemble said: of a binary model a probability each, of a multiclass one a vector each."""

Source = Literal["verbalized", "self_consistency", "logprob", "judge", "other"]
"""Where the confidence of an answer comes from."""

LabelValue = str | bool | int | float
Vector = list[float] | dict[str, float]

Code = Literal[
    "bad_name",
    "bad_order",
    "bad_sum",
    "bad_text",
    "bad_time",
    "duplicate_key",
    "missing_field",
    "not_finite",
    "not_json",
    "out_of_range",
    "too_deep",
    "too_large",
    "unknown_class",
    "unknown_field",
    "unknown_type",
    "wrong_form",
    "wrong_length",
    "wrong_type",
]
"""Why an item is refused, in one stable word."""


class PredictionEvent(
    Struct,
    tag_field="type",
    tag="prediction",
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
    gc=False,
    omit_defaults=True,
):
    """What a model said about one case, in exactly one of seven forms.

    The forms are `probability` (binary, of class 1), `probabilities` or `logits` (by class), `confidence` with `prediction`
    (of the answer given), `score` with `prediction` (how sure, but not on a scale of probabilities), and of a regression
    `mean` with `std`, or `quantiles` (by level). A `raw_` field is the model's own value where a calibrator made the served one.
    A confidence of `agreeing` of `samples` answers may be left out; the two then give it. So may what the `members` of an
    ensemble average to, which is the model's own value.
    """

    event_id: Name
    model: Name
    timestamp: When
    model_version: Name | None = None
    segments: Segments | None = None
    cluster: Name | None = None
    calibrator_version: Annotated[int, Meta(ge=1, le=MAX_CALIBRATOR)] | None = None
    probability: Ratio | None = None
    raw_probability: Ratio | None = None
    probabilities: Ratios | None = None
    raw_probabilities: Ratios | None = None
    logits: Logits | None = None
    confidence: Ratio | None = None
    raw_confidence: Ratio | None = None
    prediction: Answer | Whole | float | None = None
    confidence_source: Source | None = None
    agreeing: Annotated[int, Meta(ge=0, le=MAX_SAMPLES)] | None = None
    samples: Annotated[int, Meta(ge=1, le=MAX_SAMPLES)] | None = None
    score: Annotated[float, Meta(ge=-MAX_SCORE, le=MAX_SCORE)] | None = None
    mean: Amount | None = None
    std: Spread | None = None
    quantiles: Quantiles | None = None
    raw_mean: Amount | None = None
    raw_std: Spread | None = None
    raw_quantiles: Quantiles | None = None
    members: Members | None = None
    reference: bool = False
    metadata: dict[str, Any] | None = None


class LabelEvent(
    Struct,
    tag_field="type",
    tag="label",
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
    gc=False,
    omit_defaults=True,
):
    """What turned out to be true for one case."""

    event_id: Name
    model: Name
    label: Name | bool | Whole | float
    timestamp: When | None = None
    source: Name | None = None
    supersedes: bool = False


Event = PredictionEvent | LabelEvent


class Rejection(Struct, frozen=True, kw_only=True, gc=False):
    """One item that was not taken: its place in the request, its id where it has a usable one, and why."""

    index: int
    event_id: str | None
    reason: str
    code: str


class Receipt(Struct, frozen=True, kw_only=True):
    """The answer to a batch of events, given after they are stored."""

    accepted: int
    rejected: list[Rejection]


class Fault(NamedTuple):
    """What is wrong with one item."""

    code: Code
    reason: str

    def at(self, index: int, event_id: str | None) -> Rejection:
        """Return the rejection of the item with this fault."""
        return Rejection(index=index, event_id=event_id, reason=self.reason, code=self.code)


TOO_DEEP: Final = Fault("too_deep", f"item is nested too deeply: metadata may be {MAX_METADATA_DEPTH} levels deep")


class Declared(Protocol):
    """The settings of a model that its events must agree with; what is None is not checked."""

    @property
    def task(self) -> str | None:
        """Return `binary`, `multiclass`, `confidence`, `regression`, or None."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Return the names of the classes in the order of vectors, or None."""


def form_of(event: PredictionEvent) -> str:
    """Return the name of the field that carries the served value."""
    if event.probability is not None:
        return "probability"
    if event.probabilities is not None:
        return "probabilities"
    if event.logits is not None:
        return "logits"
    if event.mean is not None:
        return "mean"
    if event.quantiles is not None:
        return "quantiles"
    return "confidence" if event.score is None else "score"


TASK_OF_FORM: Final = {
    "probability": "binary",
    "probabilities": "multiclass",
    "logits": "multiclass",
    "confidence": "confidence",
    "score": "confidence",
    "mean": "regression",
    "quantiles": "regression",
}
"""The task that each form of prediction belongs to."""


def check_against(event: Event, declared: Declared) -> Fault | None:
    """Return what is wrong with an event under its model's settings, or None."""
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
            return Fault("unknown_class", f"{field} has {quoted(name)}: must be by class, {_listed(classes)}")
    missing = [name for name in classes if name not in vector]
    return Fault("wrong_length", f"{field} lacks {_listed(missing)}: must have every class of the model")


def _check_label(label: LabelValue, task: str | None, classes: tuple[str, ...] | None) -> Fault | None:
    if task == "binary" and binary_outcome(label, classes) is None:
        named = f", or a class, {_listed(classes)}" if classes else " (a model with named classes declares them)"
        return Fault("unknown_class", f"label is {quoted(label)}: must be 0, 1, true or false{named}")
    if task == "regression":
        return _check_amount(label)
    if task == "multiclass" and isinstance(label, bool):
        return Fault("wrong_type", f"label is {quoted(label)}: must be a class or its index, not a boolean")
    if task == "multiclass" and classes is not None and class_index(label, classes) is None:
        return Fault("unknown_class", f"label is {quoted(label)}: must be a class, {_listed(classes)}, or its index")
    return None


def _check_amount(label: LabelValue) -> Fault | None:
    if isinstance(label, str | bool):
        return Fault("wrong_type", f"label is {quoted(label)}: must be a number, as what a regression predicts")
    if amount_of(label) is None:
        return Fault("out_of_range", f"label is {quoted(label)}: must be between {-MAX_AMOUNT:g} and {MAX_AMOUNT:g}")
    return None


def amount_of(label: LabelValue) -> float | None:
    """Return the number that a label of a regression is, or None where it is none within range.

    >>> amount_of(3), amount_of(True), amount_of("3"), amount_of(1e61)
    (3.0, None, None, None)
    """
    if isinstance(label, str | bool) or not abs(label) <= MAX_AMOUNT:
        return None
    return float(label)


@lru_cache(maxsize=1024)
def levels_of(names: tuple[str, ...]) -> tuple[int, ...] | None:
    """Return the levels that texts name, in thousandths; None where one is not a level strictly between 0 and 1.

    >>> levels_of(("0.5", ".05", "0.9750")), levels_of(("0.5", "1")), levels_of(("0.0005",))
    ((500, 50, 975), None, None)
    """
    found = tuple(thousandth(name) for name in names)
    return None if None in found else tuple(level for level in found if level is not None)


def thousandth(name: str) -> int | None:
    """Return the level that a text names, in thousandths, or None where it names none."""
    written = _LEVEL.fullmatch(name)
    return int(written[1].ljust(3, "0")) or None if written else None


_LEVEL: Final = re.compile(r"0?\.([0-9]{1,3})0{0,20}")


def vector_of(values: Vector, classes: Sequence[str]) -> list[float]:
    """Return a vector in the order of the classes, whichever way it was sent.

    >>> vector_of({"dog": 0.7, "cat": 0.3}, ["cat", "dog"])
    [0.3, 0.7]
    """
    return [values[name] for name in classes] if isinstance(values, dict) else values


def class_index(label: LabelValue, classes: tuple[str, ...]) -> int | None:
    """Return the place of a label among the classes, or None where it names none.

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
    """Return whether a label means the positive class, which is the second, or None where it means neither.

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
    """Return whether an answer was right, by a label that says so or that is the true answer.

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


def quoted(value: Any, limit: int = 80) -> str:
    """Return a JSON value as it may stand in a reason: printable, in JSON's own spelling, of bounded length."""
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    if isinstance(value, str):
        text = "".join(_printable(letter) for letter in value[:limit])
        return f'"{text}"' if len(value) <= limit and len(text) <= limit else f'"{text[:limit]}…"'
    return _SPELLED[value] if value is None or isinstance(value, bool) else str(value)[:limit]


_SPELLED: Final = {None: "null", True: "true", False: "false"}


def _printable(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    return letter if letter.isprintable() else f"\\u{ord(letter):04x}"


def _listed(names: Sequence[str], limit: int = 5) -> str:
    return ", ".join(quoted(name, 40) for name in names[:limit]) + (" …" if len(names) > limit else "")
