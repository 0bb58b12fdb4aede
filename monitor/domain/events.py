"""Events in JSON: structs that the server decodes and the client encodes, and their limits."""

import math
import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from .rounding import HIGHEST, LOWEST

MAX_EVENTS: Final = 10_000

MAX_CLASSES: Final = 1_000
CLASSES_KEPT: Final = 100
"""Classes of a model up to which sums are kept of each."""

MAX_NAME: Final = 200

MAX_ANSWER: Final = 2_000
"""Characters of answers and labels as they are kept."""

MAX_SEGMENTS: Final = 50

MAX_METADATA_BYTES: Final = 16 * 1024

MAX_METADATA_DEPTH: Final = 20

MAX_CALIBRATOR: Final = 2**31 - 1

MAX_AMOUNT: Final = 1e60
"""Largest absolute value of labels, means, standard deviations and quantiles of a regression."""

MAX_SCORE: Final = 2.0**30
"""Largest absolute value of scores that are not probabilities."""

MAX_SAMPLES: Final = 50

MAX_LEVELS: Final = 199

MAX_MEMBERS: Final = 100

WHOLE: Final = range(-(2**63), 2**63)
"""The range of integers in labels, answers and segments."""

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]

Answer = Annotated[str, Meta(min_length=1)]
"""An answer or a label; a hash stands for the end of one of more than `MAX_ANSWER` characters."""

Whole = Annotated[int, Meta(ge=WHOLE.start, le=WHOLE.stop - 1)]

Ratio = Annotated[float, Meta(ge=LOWEST, le=HIGHEST)]
"""From 0 to 1; what rounding put beyond either is clamped where it is read."""

Amount = Annotated[float, Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]

Spread = Annotated[float, Meta(gt=0.0, le=MAX_AMOUNT)]

CalibratorNumber = Annotated[int, Meta(ge=1, le=MAX_CALIBRATOR)]

Agreeing = Annotated[int, Meta(ge=0, le=MAX_SAMPLES)]

Samples = Annotated[int, Meta(ge=1, le=MAX_SAMPLES)]

Score = Annotated[float, Meta(ge=-MAX_SCORE, le=MAX_SCORE)]

When = Annotated[datetime, Meta(tz=True)]

_Classes = Meta(min_length=2, max_length=MAX_CLASSES)

Ratios = Annotated[list[Ratio], _Classes] | Annotated[dict[Name, Ratio], _Classes]

Logits = Annotated[list[float], _Classes] | Annotated[dict[Name, float], _Classes]

Text = Annotated[str, Meta(description="A hash stands for the end of a long one; empty is absent.")]

Segments = Annotated[dict[Name, Text | Whole | float | bool | None], Meta(max_length=MAX_SEGMENTS)]
"""Values by key; those that are null, NaN or empty are absent."""

Version = Annotated[str, Meta(max_length=MAX_NAME)]

Quantiles = Annotated[dict[Name, Amount], Meta(min_length=2, max_length=MAX_LEVELS)]

Members = Annotated[list[Ratio | Annotated[list[Ratio], _Classes]], Meta(min_length=2, max_length=MAX_MEMBERS)]
"""The outputs of an ensemble's members: probabilities of a binary model, vectors of a multiclass one."""

Source = Literal["verbalized", "self_consistency", "logprob", "judge", "other"]
"""Where the confidence of an answer comes from."""

LabelValue = str | bool | int | float

Vector = list[float] | dict[str, float]

Code = Literal[
    "ambiguous_label",
    "bad_name",
    "bad_order",
    "bad_sum",
    "bad_text",
    "bad_time",
    "duplicate_key",
    "missing_field",
    "no_order",
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

"""The reason of a refusal, in one stable word."""


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

    event_id: Annotated[Name, Meta(description="By which labels find it.")]
    model: Annotated[Name, Meta(description="Name of the model; a new name makes a model.")]
    timestamp: Annotated[When, Meta(description="When it was made.")]
    model_version: Annotated[Version | None, Meta(description="Figures and alerts are by version.")] = None
    segments: Annotated[
        Segments | None, Meta(description="Parts of the traffic that it belongs to; declared ones are summed apart.")
    ] = None
    cluster: Annotated[Text | None, Meta(description="What events that share their fate have in common.")] = None
    calibrator_version: Annotated[
        CalibratorNumber | None, Meta(description="Number of the calibrator that made the served value.")
    ] = None
    probability: Annotated[Ratio | None, Meta(description="Probability of class 1, of a binary model.")] = None
    raw_probability: Annotated[Ratio | None, Meta(description="Before the calibrator.")] = None
    probabilities: Annotated[Ratios | None, Meta(description="By class, or in the order of the classes.")] = None
    raw_probabilities: Annotated[Ratios | None, Meta(description="Before the calibrator.")] = None
    logits: Annotated[
        Logits | None, Meta(description='In place of probabilities; "-inf", as text, for a class that is masked.')
    ] = None
    confidence: Annotated[Ratio | None, Meta(description="Probability that the answer is right.")] = None
    raw_confidence: Annotated[Ratio | None, Meta(description="Before the calibrator.")] = None
    prediction: Annotated[Answer | Whole | float | None, Meta(description="The answer.")] = None
    confidence_source: Annotated[Source | None, Meta(description="How the confidence was found.")] = None
    agreeing: Annotated[Agreeing | None, Meta(description="Sampled answers that agree with the prediction.")] = None
    samples: Annotated[Samples | None, Meta(description="Answers that were sampled.")] = None
    score: Annotated[Score | None, Meta(description="How sure the model was, on a scale of its own.")] = None
    mean: Annotated[Amount | None, Meta(description="Of a predictive distribution.")] = None
    std: Annotated[Spread | None, Meta(description="Of a predictive distribution.")] = None
    quantiles: Annotated[Quantiles | None, Meta(description="By level, in place of mean and std.")] = None
    raw_mean: Annotated[Amount | None, Meta(description="Before the calibrator.")] = None
    raw_std: Annotated[Spread | None, Meta(description="Before the calibrator.")] = None
    raw_quantiles: Annotated[Quantiles | None, Meta(description="Before the calibrator.")] = None
    members: Annotated[Members | None, Meta(description="What each member of an ensemble said.")] = None
    reference: Annotated[bool, Meta(description="Whether it is of the validation set, which is no traffic.")] = False
    metadata: Annotated[dict[str, Any] | None, Meta(description="Anything else to keep with it.")] = None


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

    event_id: Annotated[Name, Meta(description="That of the prediction.")]
    model: Annotated[Name, Meta(description="That of the prediction.")]
    label: Annotated[
        Answer | bool | Whole | float,
        Meta(description="The class, the number, the right answer, or whether the answer was right."),
    ]
    timestamp: Annotated[When | None, Meta(description="When the truth became known.")] = None
    source: Annotated[Text | None, Meta(description="Who says so.")] = None
    supersedes: Annotated[bool, Meta(description="Whether it corrects an earlier label.")] = False
    model_version: Annotated[
        Version | None, Meta(description="Whose answer was right or not, where several versions answered.")
    ] = None


Event = PredictionEvent | LabelEvent


class Rejection(Struct, frozen=True, kw_only=True, gc=False):
    """One item that was not taken: its place in the request, its id and model where it has usable ones, and why."""

    index: int
    event_id: str | None
    reason: str
    code: str
    model: str | None = None


class Receipt(Struct, frozen=True, kw_only=True):
    """The answer to a batch of events, given after they are stored."""

    accepted: int
    rejected: list[Rejection]


class Fault(NamedTuple):
    """The fault of one item."""

    code: Code
    reason: str

    def at(self, index: int, event_id: str | None, model: str | None) -> Rejection:
        """Return the rejection of the item with this fault."""
        return Rejection(index=index, event_id=event_id, reason=self.reason, code=self.code, model=model)


TOO_DEEP: Final = Fault("too_deep", f"item is nested too deeply: metadata may be {MAX_METADATA_DEPTH} levels deep")


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


@lru_cache(maxsize=1024)
def levels_of(names: tuple[str, ...]) -> tuple[int, ...] | None:
    """Return levels in thousandths; None if a text is not a level strictly between 0 and 1.

    >>> levels_of(("0.5", ".05", "0.9750")), levels_of(("0.5", "1")), levels_of(("0.0005",))
    ((500, 50, 975), None, None)
    """
    levels = tuple(thousandth(name) for name in names)
    return None if None in levels else tuple(level for level in levels if level is not None)


def thousandth(name: str) -> int | None:
    """Return a level in thousandths, or None if the text is not one."""
    written = _LEVEL.fullmatch(name)
    return int(written[1].ljust(3, "0")) or None if written else None


def level_name(level: int) -> str:
    """Return the text of a level in thousandths.

    >>> level_name(975), level_name(50)
    ('0.975', '0.05')
    """
    return f"{level / 1000:g}"


_LEVEL: Final = re.compile(r"0?\.([0-9]{1,3})0{0,20}")


def decimal(text: str) -> float | None:
    """Return the number that a text states in decimal digits, or None.

    >>> decimal("12.50"), decimal("-1e-3"), decimal(".5"), decimal("twelve"), decimal("1e999")
    (12.5, -0.001, 0.5, None, None)
    """
    number = float(text) if _DECIMAL.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


_DECIMAL: Final = re.compile(r"[-+]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][-+]?[0-9]{1,4})?")


def quoted(value: Any, limit: int = 80) -> str:
    """Return a JSON value for a message: printable, spelled as in JSON, of bounded length."""
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
