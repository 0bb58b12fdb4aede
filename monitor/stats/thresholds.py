"""Thresholds that keep the risk of selecting or answering below a limit, with a stated confidence.

A scale is cut at fixed places into steps. Steps are added one after another, surest first, and each prefix is tested for the null
hypothesis that its share of wrong events exceeds the risk. The choice of the first tested prefix may depend on numbers of events,
but not on labels.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, binom

from .cells import EDGES, Floats, Integers

Ratio = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]

APART: Final = 4
"""Ratio of the numbers of events at successive beginnings."""

POINTS: Final = 20
INTERVAL: Final = 0.95
ALL: Final = -1.0
"""The threshold below all scores, 0 included."""

NEARLY_NONE: Final = 1e-12
"""Smallest supported risk; smaller ones would need too many events."""

CUTS: Final[Floats] = np.concatenate([EDGES[:-1], [np.nextafter(1.0, 0.0), 1.0]])
"""The upper end of each cell: `p > CUTS[i]` selects exactly the cells after i; shape (CELLS,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Labelled and other events along a scale of scores, in ascending steps; arrays of shape (steps,)."""

    upper: Floats  # `score > upper[i]` selects exactly the steps after i
    n: Floats  # labelled events
    sy: Floats  # those of them that came true
    events: Floats  # all events
    expected: Floats  # Σ of the scores of all events, were they calibrated


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutoff:
    """The longest prefix of steps that passes."""

    steps: int  # how many are in, in the order in which they are added
    labelled: int
    wrong: int


def fewest(risk: float, delta: float) -> int:
    """Return the number of events without error that prove a risk of at most `risk` at level `delta`, ln δ / ln(1 - ε).

    >>> fewest(0.05, 0.05), fewest(0.1, 0.01)
    (59, 44)
    """
    return math.ceil(math.log(delta) / math.log1p(-min(max(risk, NEARLY_NONE), 1.0 - NEARLY_NONE)))


def cutoff(n: ArrayLike, wrong: ArrayLike, *, risk: float, confidence: float) -> Cutoff | None:
    """Return the longest prefix of steps whose risk is at most `risk`, with probability `confidence` at least.

    The prefix of j steps, with k of N labelled events wrong, has p_j = P(Binomial(N, ε) ≤ k), ε the risk. Prefixes are tested in a
    fixed order, each at the level of the previous one if that passed (Bauer 1991), with a new beginning whenever a prefix has 4 times
    the events of the last beginning; the beginnings share δ = 1 - confidence (the fallback procedure, Bretz et al. 2011, valid under
    any dependence between the tests). The first beginning is at N ≥ ln δ / ln(1 - ε), below which no outcome passes. All passing
    prefixes are right at once with probability 1 - δ, so the longest may be chosen (Angelopoulos et al. 2021).

    Parameters
    ----------
    n : array of shape (steps,), labelled events of each step, in the order of adding
    wrong : array of shape (steps,), wrong events among these
    risk : ε, in (0, 1)
    confidence : 1 - δ, in (0, 1)

    Returns
    -------
    None if no prefix passes. Steps without labels at the end are left out.

    Examples
    --------
    >>> cutoff([59, 30, 60], [0, 0, 30], risk=0.05, confidence=0.95)
    Cutoff(steps=2, labelled=89, wrong=0)
    >>> cutoff([58, 30], [0, 30], risk=0.05, confidence=0.95) is None
    True

    References
    ----------
    Bauer 1991, doi:10.1002/sim.4780100609; Bretz, Posch, Glimm, Klinglmueller, Maurer & Rohmeyer 2011,
    doi:10.1002/bimj.201000239; Angelopoulos, Bates, Candès, Jordan & Lei 2021, doi:10.48550/arXiv.2110.01052

    """
    total, errors = np.cumsum(np.asarray(n, dtype=np.float64)), np.cumsum(np.asarray(wrong, dtype=np.float64))
    if not len(total):
        return None
    own = _levels(total, risk, 1.0 - confidence)
    p = binom.cdf(np.rint(errors), np.rint(total), risk)
    passed = np.flatnonzero(_passed(p.tolist(), own.tolist()))
    if not len(passed):
        return None
    last = int(np.searchsorted(total, total[passed[-1]]))
    return Cutoff(steps=last + 1, labelled=round(total[last]), wrong=round(errors[last]))


def _levels(total: Floats, risk: float, delta: float) -> Floats:
    """Return the own share of δ of each prefix, from its number of events."""
    most = float(total[-1])
    count = 1
    while fewest(risk, delta / (count + 1)) * APART**count <= most:
        count += 1
    wanted = fewest(risk, delta / count) * APART ** np.arange(count)
    first = np.searchsorted(total, wanted)
    own = np.zeros(len(total))
    np.add.at(own, first[first < len(total)], delta / count)
    return own


def _passed(p: list[float], own: list[float]) -> list[bool]:
    passed = []
    level = 0.0
    for p_value, added in zip(p, own, strict=True):
        level += added
        if not p_value <= level:
            level = 0.0
        passed.append(level > 0.0)
    return passed


class PrecisionThreshold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A threshold with a required precision at a stated confidence."""

    threshold: Annotated[float, Meta(description="of scores as served; -1 where it selects all")]
    rule: Annotated[str, Meta(description="such as `score > 0.9`")]
    labelled: Annotated[Count, Meta(description="labelled events that it selects")]
    right: Count
    precision: Annotated[Ratio, Meta(description="as they show it")]
    precision_low: Annotated[Ratio, Meta(description="95 % interval of `precision`, of this one threshold")]
    precision_high: Ratio
    selected: Annotated[Count, Meta(description="events that it selects, labelled or not")]
    share: Ratio | None


def precision_threshold(
    steps: Steps, *, precision: float, confidence: float, below: bool = False
) -> PrecisionThreshold | None:
    """Return the threshold that selects the most events with a required precision, at a stated confidence.

    An event above the threshold is right if its outcome is 1, an event below it if its outcome is 0.

    Parameters
    ----------
    steps : of the scale
    precision : 1 - ε, required share of right events among the selected
    confidence : 1 - δ
    below : select scores of at most the threshold instead of those above it

    Returns
    -------
    None if no threshold provably has that precision

    Examples
    --------
    >>> steps = Steps(upper=np.array([0.5, 0.9, 1.0]), n=np.array([100.0, 100.0, 100.0]), sy=np.array([30.0, 70.0, 99.0]),
    ...     events=np.array([200.0, 200.0, 200.0]), expected=np.array([60.0, 140.0, 196.0]))
    >>> found = precision_threshold(steps, precision=0.9, confidence=0.95)
    >>> found.rule, found.labelled, found.right, found.selected
    ('score > 0.9', 100, 99, 200)

    """
    order = slice(None) if below else slice(None, None, -1)
    wrong = steps.sy if below else steps.n - steps.sy
    cut = cutoff(steps.n[order], wrong[order], risk=1.0 - precision, confidence=confidence)
    if cut is None:
        return None
    chosen = float(steps.events[order][: cut.steps].sum())
    low, high = share_interval(cut.labelled - cut.wrong, cut.labelled)
    threshold, rule = _below(steps, cut.steps) if below else _above(steps, cut.steps)
    return PrecisionThreshold(
        threshold=threshold,
        rule=rule,
        labelled=cut.labelled,
        right=cut.labelled - cut.wrong,
        precision=1.0 - cut.wrong / cut.labelled,
        precision_low=low,
        precision_high=high,
        selected=round(chosen),
        share=_share(chosen, float(steps.events.sum())),
    )


def _above(steps: Steps, count: int) -> tuple[float, str]:
    if count == len(steps.upper):
        return ALL, "all"
    threshold = float(steps.upper[-1 - count])
    return threshold, f"score > {threshold!r}"


def _below(steps: Steps, count: int) -> tuple[float, str]:
    threshold = float(steps.upper[count - 1])
    return threshold, f"score <= {threshold!r}"


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def share_interval(successes: float, trials: float, level: float = INTERVAL) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share; [0, 1] without trials.

    Clopper & Pearson 1934 (doi:10.1093/biomet/26.4.404).

    >>> [round(end, 6) for end in share_interval(0, 59, level=0.9)]
    [0.0, 0.049508]
    """
    tail = (1.0 - level) / 2.0
    low = float(beta.ppf(tail, successes, trials - successes + 1.0)) if successes > 0 else 0.0
    high = float(beta.ppf(1.0 - tail, successes + 1.0, trials - successes)) if successes < trials else 1.0
    return low, high


class Answering(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scores at which a model answers; in between it abstains."""

    above: Annotated[
        float | None,
        Meta(description="answer 1, or the model's own answer, where the score is above this; -1: always; null: never"),
    ]
    below: Annotated[
        Ratio | None,
        Meta(description="answer 0 where the score is at most this; null: never, and of other than binary models"),
    ]
    labelled: Count
    wrong: Count
    risk: Annotated[Ratio, Meta(description="share of wrong answers")]
    coverage: Annotated[Ratio, Meta(description="share of events that are answered; in `points`, of the labelled ones")]


@dataclass(frozen=True, slots=True)
class Abstention:
    """Steps in the order in which a selective model answers them, surest first."""

    order: Integers  # places of steps
    low: NDArray[np.bool_]  # whether the answer is 0
    steps: Steps

    @classmethod
    def of(cls, steps: Steps, *, binary: bool) -> "Abstention":
        """Return the order by the least sure score of each step; from both ends for a binary model."""
        lower = np.concatenate([[0.0], steps.upper[:-1]])
        low = (lower + steps.upper) / 2 <= 0.5 if binary else np.zeros(len(lower), dtype=bool)  # noqa: PLR2004 - where the answer changes
        sure = np.where(low, 1.0 - steps.upper, lower)
        # Stable: scores next to 0 are all as sure as 1 can be, and the lowest comes first.
        order = np.argsort(-sure, kind="stable")
        return cls(order, low[order], steps)

    @property
    def wrong(self) -> Floats:
        """Return the number of wrong labelled answers of each step."""
        n, sy = self.steps.n[self.order], self.steps.sy[self.order]
        return np.where(self.low, sy, n - sy)

    def answering(self, count: int, coverage: float) -> Answering:
        """Return the rule that answers the first steps."""
        n, wrong = float(self.steps.n[self.order[:count]].sum()), float(self.wrong[:count].sum())
        chosen, low = self.order[:count], self.low[:count]
        tops, bottoms = chosen[~low], chosen[low]
        above = None if not len(tops) else ALL if tops.min() == 0 else float(self.steps.upper[tops.min() - 1])
        return Answering(
            above=above,
            below=float(self.steps.upper[bottoms.max()]) if len(bottoms) else None,
            labelled=round(n),
            wrong=round(wrong),
            risk=wrong / n,
            coverage=coverage,
        )


def abstention(steps: Steps, *, binary: bool, risk: float, confidence: float) -> Answering | None:
    """Return the rule that answers the most events with at most the share `risk` of wrong answers.

    The test is that of thresholds. A binary model answers 1 above one score and 0 up to another, and both move towards each other;
    any other model answers above one confidence. Geifman & El-Yaniv 2017 (doi:10.48550/arXiv.1705.08500).

    Parameters
    ----------
    steps : of the probability of class 1, or of the confidence of the answer
    binary : whether they are of the probability of class 1
    risk : the largest share of wrong answers, in (0, 1)
    confidence : 1 - δ

    Returns
    -------
    None if no rule provably has that risk

    Examples
    --------
    >>> steps = Steps(upper=np.array([0.1, 0.9, 1.0]), n=np.full(3, 100.0), sy=np.array([1.0, 50.0, 98.0]),
    ...     events=np.full(3, 100.0), expected=np.array([5.0, 50.0, 95.0]))
    >>> found = abstention(steps, binary=True, risk=0.1, confidence=0.95)
    >>> found.below, found.above, found.wrong, round(found.coverage, 3)
    (0.1, 0.9, 3, 0.667)

    """
    ordered = Abstention.of(steps, binary=binary)
    cut = cutoff(steps.n[ordered.order], ordered.wrong, risk=risk, confidence=confidence)
    if cut is None:
        return None
    chosen = float(steps.events[ordered.order[: cut.steps]].sum())
    return ordered.answering(cut.steps, chosen / float(steps.events.sum()))


def risk_coverage_rules(steps: Steps, *, binary: bool, points: int = POINTS) -> list[Answering]:
    """Return rules of about evenly spaced coverages of the labelled events, up to all, with their observed risks.

    Examples
    --------
    >>> steps = Steps(upper=np.array([0.5, 1.0]), n=np.full(2, 10.0), sy=np.array([4.0, 9.0]), events=np.full(2, 10.0),
    ...     expected=np.array([4.0, 9.0]))
    >>> [(each.coverage, each.risk) for each in risk_coverage_rules(steps, binary=False)]
    [(0.5, 0.1), (1.0, 0.35)]

    """
    ordered = Abstention.of(steps, binary=binary)
    reached = np.cumsum(steps.n[ordered.order])
    if not len(reached) or reached[-1] <= 0:
        return []
    wanted = reached[-1] * np.arange(1, points + 1) / points
    ends = np.unique(np.searchsorted(reached, wanted))
    return [ordered.answering(int(end) + 1, float(reached[end] / reached[-1])) for end in ends]
