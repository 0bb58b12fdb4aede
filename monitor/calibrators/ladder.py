"""Ladder: which families are worth a try with this many labels, the simplest first. Plain Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

FEWEST_LABELS: Final = 200
FEWEST_OF_EACH: Final = 10
LABELS_FOR_CURVES: Final = 1_000
LABELS_FOR_STEPS: Final = 10_000
BINARY: Final = 2

CURVES: Final = frozenset({"beta", "quadratic_logit", "isotonic", "scaling_binning"})
"""Families that bend a temperature's or Platt's line."""

LINES_SHARE: Final = 0.8

PER_CLASS: Final = frozenset({"vector", "structured_vector"})
"""Families with parameters of each class, which labels of all classes must pin down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The candidates of a refit, or why there are none."""

    methods: tuple[str, ...]  # the simplest first: the first that passes the gate wins
    refusal: str | None  # why there is nothing to try, in words; None when there is
    skipped: Mapping[str, str] = field(
        default_factory=dict
    )  # families that the labels would allow, and why they are left out


def ladder(
    task: str,
    *,
    right: int,
    wrong: int,
    classes: int | None = None,
    of_class: Mapping[str, int] = MappingProxyType({}),
) -> Ladder:
    """Return the families that `auto` tries.

    Temperature and Platt's line need few labels; from 1,000 on also beta and a quadratic on the logit, which bend the line. Isotonic
    regression follows every bump of the sample and does harm before there are 10,000.

    Vectors get a temperature, and from 1,000 labels also structured vector scaling: a slope and an intercept of each class, held to one
    temperature the more, the fewer labels there are. Without that hold (`vector`) it is not tried: where labels are enough for it, the two
    come to the same within 0.0001 nats. A top-label confidence gets a temperature only with two classes: with more, the formula for single
    probabilities is wrong and Platt's line is the safe choice.

    Scaling-binning is never tried: it gives all scores of a bin one value, so that its error can be measured, and for that gives up what
    distinguishes them. A rule that asks for a better log loss would not choose it; a person may, by name.

    Parameters
    ----------
    task : `binary`, `confidence` or `multiclass`
    right : labelled events with y = 1; of vectors, with the right answer
    wrong : labelled events with y = 0; of vectors, with a wrong answer
    classes : the number of classes, where known
    of_class : of vectors, how many labels name each class

    Examples
    --------
    >>> ladder("binary", right=150, wrong=250).methods
    ('temperature', 'platt')
    >>> ladder("confidence", right=1_390, wrong=10).methods
    ('platt', 'beta', 'quadratic_logit')
    >>> ladder("binary", right=150, wrong=0).refusal
    'all 150 labels say the same; both outcomes are needed'
    >>> ladder("multiclass", right=1_390, wrong=110, of_class={"cat": 1_497, "dog": 3}).skipped
    {'structured_vector': 'the class dog has 3 of 1500 labels; at least 10 of each class are needed'}

    """
    labels = right + wrong
    refusal = _refusal(right, wrong)
    if refusal is not None:
        return Ladder(methods=(), refusal=refusal)
    allowed = _methods(task, labels, classes)
    objection = objection_of_classes(of_class)
    skipped = {} if objection is None else {method: objection for method in allowed if method in PER_CLASS}
    return Ladder(methods=tuple(each for each in allowed if each not in skipped), refusal=None, skipped=skipped)


def shares(methods: Sequence[str]) -> dict[str, float]:
    """Return the part of the gate's error rate that each candidate has; they sum to 1 (weighted Bonferroni).

    Families of two numbers, which repair most faults, have four fifths where richer ones are tried too. Evenly shared, a temperature of
    1.5 with a small shift would be repaired in 62 instead of 69 of 100 cases with 2,000 labels.

    >>> {name: round(share, 3) for name, share in shares(["temperature", "platt", "beta", "quadratic_logit"]).items()}
    {'temperature': 0.4, 'platt': 0.4, 'beta': 0.1, 'quadratic_logit': 0.1}
    >>> shares(["temperature", "structured_vector"])
    {'temperature': 0.5, 'structured_vector': 0.5}
    """
    lines, curves = ([each for each in methods if (each in CURVES) == curved] for curved in (False, True))
    if not lines or not curves:
        return dict.fromkeys(methods, 1.0 / max(1, len(methods)))
    return dict.fromkeys(lines, LINES_SHARE / len(lines)) | dict.fromkeys(curves, (1.0 - LINES_SHARE) / len(curves))


def objection_of_classes(of_class: Mapping[str, int]) -> str | None:
    """Return why labels can't pin down a parameter of each class, which says the class with fewest; None where they can."""
    rarest = min(of_class, key=lambda name: of_class[name], default=None)
    if rarest is None or of_class[rarest] >= FEWEST_OF_EACH:
        return None
    count, labels = of_class[rarest], sum(of_class.values())
    said = (
        f"the class {rarest} has {count} of {labels} labels"
        if count
        else f"none of {labels} labels names the class {rarest}"
    )
    return f"{said}; at least {FEWEST_OF_EACH} of each class are needed"


def _refusal(right: int, wrong: int) -> str | None:
    labels = right + wrong
    if labels == 0:
        return f"there are no labels; at least {FEWEST_LABELS} are needed"
    if min(right, wrong) == 0:
        return f"all {labels} labels say the same; both outcomes are needed"
    if labels < FEWEST_LABELS:
        return f"there are {labels} labels; at least {FEWEST_LABELS} are needed"
    if min(right, wrong) < FEWEST_OF_EACH:
        return f"the rarer outcome has {min(right, wrong)} of {labels} labels; at least {FEWEST_OF_EACH} are needed"
    return None


def _methods(task: str, labels: int, classes: int | None) -> tuple[str, ...]:
    if task == "multiclass":
        return ("temperature",) if labels < LABELS_FOR_CURVES else ("temperature", "structured_vector")
    found: list[str] = ["platt"] if task == "confidence" and classes != BINARY else ["temperature", "platt"]
    if labels >= LABELS_FOR_CURVES:
        found += ["beta", "quadratic_logit"]
    if labels >= LABELS_FOR_STEPS:
        found.append("isotonic")
    return tuple(found)
