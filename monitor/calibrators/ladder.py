"""The families that a refit tries by itself, given the number of labels; the simplest first. Plain Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from .families import FAMILIES

FEWEST_LABELS: Final = 200
FEWEST_OF_EACH: Final = 10

LINES_SHARE: Final = 0.8

PER_CLASS: Final = frozenset(method for method, estimator in FAMILIES.items() if estimator.family.per_class)
"""Families with parameters for each class, which labels of all classes must pin down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The candidates of a refit, or why there are none."""

    methods: tuple[str, ...]  # the simplest first
    refusal: str | None  # the reason why there are none, in words
    skipped: Mapping[str, str] = field(
        default_factory=dict
    )  # reasons, by family, for leaving out what the labels allow


def ladder(
    task: str,
    *,
    right: int,
    wrong: int,
    classes: int | None = None,
    of_class: Mapping[str, int] = MappingProxyType({}),
) -> Ladder:
    """Return the families that a refit with `auto` tries, or the reason why there are none.

    Temperature and Platt's line need few labels; from 1,000 on also beta and a quadratic on the logit, which bend the line. Isotonic
    regression follows every bump of the sample and does harm with fewer than 10,000.

    Vectors get a temperature, and from 1,000 labels also structured vector scaling: a slope and an intercept for each class, held to one
    temperature the more, the fewer labels there are. `vector`, held to nothing, is not tried: with enough labels for it, both come to the
    same within 0.0001 nats. A top-label confidence gets a temperature only with two classes: with more, the formula for single
    probabilities is wrong and Platt's line is the safe choice.

    Scaling-binning is tried only by name: it gives all scores of a bin one value, so that its error can be measured, and for that gives up
    what distinguishes them. A gate that asks for a better log loss would not choose it.

    Parameters
    ----------
    task : `binary`, `confidence` or `multiclass`
    right : number of labelled events with y = 1; of vectors, with the right answer
    wrong : number of labelled events with y = 0; of vectors, with a wrong answer
    classes : number of classes, where known
    of_class : of vectors, number of labels by class

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
    allowed = tried(task, labels, classes)
    objection = objection_of_classes(of_class)
    skipped = {} if objection is None else {method: objection for method in allowed if method in PER_CLASS}
    methods = tuple(method for method in allowed if method not in skipped)
    return Ladder(methods=methods, refusal=None, skipped=skipped)


def tried(task: str, labels: int, classes: int | None = None) -> tuple[str, ...]:
    """Return the families that this many labels allow, the simplest first.

    >>> tried("regression", 999), tried("regression", 1_000)
    (('variance_scaling',), ('variance_scaling', 'pit_isotonic'))
    """
    return tuple(method for method, estimator in FAMILIES.items() if estimator.family.is_tried(task, labels, classes))


def shares(methods: Sequence[str]) -> dict[str, float]:
    """Return each candidate's share of the gate's error rate; shares sum to 1 (weighted Bonferroni).

    Lines, which repair most faults, have four fifths where curves are tried too. With equal shares, a temperature of 1.5 with a small
    shift would be repaired in 62 instead of 69 of 100 cases with 2,000 labels.

    >>> {name: round(share, 3) for name, share in shares(["temperature", "platt", "beta", "quadratic_logit"]).items()}
    {'temperature': 0.4, 'platt': 0.4, 'beta': 0.1, 'quadratic_logit': 0.1}
    >>> shares(["temperature", "structured_vector"])
    {'temperature': 0.5, 'structured_vector': 0.5}
    """
    lines = [method for method in methods if not FAMILIES[method].family.curve]
    curves = [method for method in methods if FAMILIES[method].family.curve]
    if not lines or not curves:
        return dict.fromkeys(methods, 1.0 / max(1, len(methods)))
    return dict.fromkeys(lines, LINES_SHARE / len(lines)) | dict.fromkeys(curves, (1.0 - LINES_SHARE) / len(curves))


def objection_of_classes(of_class: Mapping[str, int]) -> str | None:
    """Return the reason why labels cannot pin down parameters for each class, naming the rarest class; None where they can."""
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
