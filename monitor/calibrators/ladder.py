"""Ladder: which families are worth a try with this many labels, the simplest first. Plain Python."""

from dataclasses import dataclass
from typing import Final

FEWEST_LABELS: Final = 200
FEWEST_OF_EACH: Final = 10
LABELS_FOR_ISOTONIC: Final = 10_000
BINARY: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The candidates of a refit, or why there are none."""

    methods: tuple[str, ...]  # the simplest first: the first that passes the gate wins
    refusal: str | None  # why there is nothing to try, in words; None when there is


def ladder(task: str, *, right: int, wrong: int, classes: int | None = None) -> Ladder:
    """Return the families that `auto` tries.

    Temperature and Platt's line need few labels. Isotonic regression follows every bump of the sample and does harm before there are
    10,000. Vectors get a temperature. A top-label confidence gets one only with two classes: with more, the formula for single
    probabilities is wrong and Platt's line is the safe choice.

    Parameters
    ----------
    task : `binary`, `confidence` or `multiclass`
    right : labelled events with y = 1; of vectors, with the right answer
    wrong : labelled events with y = 0; of vectors, with a wrong answer
    classes : the number of classes, where known

    Examples
    --------
    >>> ladder("binary", right=150, wrong=250).methods
    ('temperature', 'platt')
    >>> ladder("confidence", right=390, wrong=10).methods
    ('platt',)
    >>> ladder("binary", right=150, wrong=0).refusal
    'all 150 labels say the same; both outcomes are needed'

    """
    refusal = _refusal(right, wrong)
    return Ladder(methods=() if refusal else _methods(task, right + wrong, classes), refusal=refusal)


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
        return ("temperature",)
    few = ("platt",) if task == "confidence" and classes != BINARY else ("temperature", "platt")
    return (*few, "isotonic") if labels >= LABELS_FOR_ISOTONIC else few
