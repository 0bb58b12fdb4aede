"""Confidences that are not probabilities as they stand, summed unchanged and converted to probabilities afterwards.

A verbalised confidence is a probability with few distinct values: it counts in the cells, and each distinct thousandth has a bin of
its own. `agreeing` of `samples` answers estimates a probability from few draws, and a score (a sequence's log-probability, an
entropy) has a scale of its own: both are converted by a fitted map.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import betaln, digamma, expit

from .cells import Floats, Integers, place
from .entries import Entries, binary_losses, joined
from .reliability import Bins
from .summary import (
    CELL_FIELDS,
    SLOTS,
    VALUE_FIELDS,
    VALUES,
    Kind,
    Scores,
    Summary,
    cell_slot,
    fixed,
    loss_slot,
    value_slot,
)

Value = tuple[str, int]
"""A family of values, and a place in the family."""

AGREEMENT: Final = "agreement"
SCORE: Final = "score"
VERBALIZED: Final = "verbalized"

MOST_SAMPLES: Final = 50
MOST_VALUES: Final = 101
"""Largest number of distinct verbalised values with bins of their own."""

SLICES: Final = 16
LOWEST_POWER: Final = -31
DOUBLINGS: Final = 64
_SIDE: Final = SLICES * DOUBLINGS
"""Score places on either side of 0: 16 slices per doubling, from 2⁻³² to 2³²."""

PRIOR_SPREAD: Final = 3.0
"""Standard deviation of log((a + b)/2) under the weak prior."""

LARGEST_LOG: Final = 9.0
"""Limit of abs(log a) and abs(log b), so that a and b are from about 1e-4 to 8,000."""


def thousandth(p: float) -> int:
    """Return the place of a verbalised confidence, the nearest thousandth.

    >>> thousandth(0.85), thousandth(1 / 3), thousandth(1.0)
    (850, 333, 1000)
    """
    return round(p * 1000.0)


def agreement_place(agreeing: int, samples: int) -> int:
    """Return the place of `agreeing` of `samples` answers, in the order of samples, then agreeing.

    >>> [agreement_place(k, m) for m in (1, 2) for k in range(m + 1)], agreement_place(50, 50)
    ([0, 1, 2, 3, 4], 1324)
    """
    if not 1 <= samples <= MOST_SAMPLES or not 0 <= agreeing <= samples:
        raise ValueError(f"{agreeing} of {samples} answers agree; it must be 0 to all of 1 to {MOST_SAMPLES}")
    return (samples - 1) * (samples + 2) // 2 + agreeing


def score_place(score: float) -> int:
    """Return the place of a score: the outermost beyond ±2³², that of 0 within ±2⁻³².

    A doubling has 16 slices of equal width, computed without a logarithm, whose last bit may differ between machines.

    >>> score_place(0.0), score_place(-1.0) - score_place(0.0), score_place(1.0) - score_place(0.99), score_place(-1e12)
    (1024, -513, 1, 0)
    """
    fraction, power = math.frexp(abs(score))
    if score == 0.0 or power < LOWEST_POWER:
        return _SIDE
    away = min((power - LOWEST_POWER) * SLICES + int((fraction - 0.5) * 2 * SLICES), _SIDE - 1) + 1
    return _SIDE + away if score > 0 else _SIDE - away


def _score_values() -> Floats:
    power, slice_ = np.divmod(np.arange(_SIDE), SLICES)
    middle = np.ldexp(0.5 + (slice_ + 0.5) / (2 * SLICES), power + LOWEST_POWER)
    scores: Floats = np.concatenate([-middle[::-1], [0.0], middle])
    scores.setflags(write=False)
    return scores


SCORE_VALUES: Final[Floats] = _score_values()
"""The middle score of each place; shape (2049,)."""

_SAMPLES: Final[Integers] = np.repeat(np.arange(1, MOST_SAMPLES + 1), np.arange(2, MOST_SAMPLES + 2))
_AGREEING: Final[Integers] = np.arange(VALUES[AGREEMENT]) - (_SAMPLES - 1) * (_SAMPLES + 2) // 2
SHARES: Final[Floats] = _AGREEING / _SAMPLES
"""The share of agreeing answers at each place; shape (1325,)."""


def of_values(events: Sequence[int], values: Sequence[Value]) -> Entries:
    """Return the entries of arriving values."""
    return _ones(events, values, "en")


def of_labelled_values(
    events: Sequence[int], values: Sequence[Value], y: Sequence[int], half: Sequence[bool]
) -> Entries:
    """Return the entries of values whose outcomes are known."""
    outcomes, halves = np.array(y, dtype=np.int64), np.array(half, dtype=np.int64)
    parts = {"n": np.ones_like(outcomes), "sy": outcomes, "hn": halves, "hsy": outcomes * halves}
    return joined([_times(_ones(events, values, name), counts) for name, counts in parts.items()])


def _ones(events: Sequence[int], values: Sequence[Value], field: str) -> Entries:
    rows = np.array(events, dtype=np.int64)
    slots = np.array([value_slot(family, at, field) for family, at in values], dtype=np.int64)
    return rows, slots, np.ones_like(rows)


def _times(entries: Entries, counts: Integers) -> Entries:
    rows, slots, ones = entries
    return rows, slots, ones * counts


def has_values(summary: Summary) -> bool:
    """Return whether a summary may hold values; those of most models do not."""
    return len(summary.high) == SLOTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The maps from values of a model version to probabilities; a family without a map is not converted."""

    agreement: tuple[float, float] | None = None  # a and b: k of m is (k + a)/(m + a + b)
    score: tuple[float, float, float, float] | None = (
        None  # slope, intercept, and the lowest and highest score that it is read at
    )
    score_from: int = 0  # in event time: scores from before it made the map, and are not judged by it

    def at(self, moment: int) -> "Reading":
        """Return the maps for predictions since a moment."""
        return self if moment >= self.score_from else replace(self, score=None)


UNREAD: Final = Reading()


def read(summary: Summary, reading: Reading, judged: Summary | None = None) -> Summary:
    """Return a summary with values converted to probabilities, in its cells and losses.

    The share of agreeing answers becomes the raw score, its probability the served one. A score has no raw one.
    All is in integers, so that conversion and addition commute.

    Parameters
    ----------
    summary : sums of one model version
    reading : its maps
    judged : sums of the same range without the events that the map of scores was fitted on; by default the summary itself

    """
    if not has_values(summary):
        return summary
    parts = [*_agreement(summary.values(AGREEMENT), reading.agreement)]
    if reading.score is not None:
        scores = (summary if judged is None else judged).values(SCORE)
        parts += _counted(scores, score_probabilities(*reading.score), "served")
    if not parts:
        return summary
    _, slots, values = joined(parts)
    return summary + Summary.of_entries(slots, values)


def _agreement(table: Floats, parameters: tuple[float, float] | None) -> list[Entries]:
    if not table.any():
        return []
    parts = [*_counted(-table, SHARES, "both"), *_counted(table, SHARES, "raw")]
    return parts if parameters is None else [*parts, *_counted(table, agreement_probabilities(*parameters), "served")]


def _counted(table: Floats, p: Floats, kind: Kind) -> list[Entries]:
    """Return the sums that events at these places with confidence p add to the cells and losses of a kind of score."""
    used = np.flatnonzero(table.any(axis=1))
    p = p[used]
    n, sy, en, hn, hsy = (column.astype(np.int64) for column in table[used].T)
    once = fixed(p)
    sums = {
        "n": n, "sy": sy, "sp": n * once, "spp": n * fixed(p * p), "spy": sy * once,
        "en": en, "esp": en * once, "hn": hn, "hsy": hsy, "hsp": hn * once,
    }  # fmt: skip
    first = cell_slot(kind, 0, "n") + place(p) * len(CELL_FIELDS)
    cells = [(used, first + CELL_FIELDS.index(name), values) for name, values in sums.items()]
    return [*cells, *_losses(used, p, n, sy, kind)]


def _losses(used: Integers, p: Floats, n: Integers, sy: Integers, kind: Kind) -> list[Entries]:
    parts = []
    spread = 1.0 - 2.0 * p
    for y, count in ((0, n - sy), (1, sy)):
        losses = np.array([binary_losses(confidence, y) for confidence in p.tolist()], dtype=np.float64).reshape(-1, 3)
        sums = {
            "log_loss": fixed(losses[:, 0]),
            "clipped": losses[:, 1].astype(np.int64),
            "brier": fixed(losses[:, 2]),
            "spiegelhalter_numerator": fixed((y - p) * spread),
            "spiegelhalter_denominator": fixed(spread * spread * p * (1.0 - p)),
        }
        parts += [(used, np.full_like(used, loss_slot(kind, name)), count * loss) for name, loss in sums.items()]
    return parts


def agreement_probabilities(a: float, b: float) -> Floats:
    """Return the probability of each share of agreeing answers, (k + a)/(m + a + b); shape (1325,).

    >>> round(float(agreement_probabilities(2.0, 1.0)[agreement_place(3, 3)]), 6)
    0.833333
    """
    probabilities: Floats = (_AGREEING + a) / (_SAMPLES + a + b)
    return probabilities


def score_probabilities(slope: float, intercept: float, low: float, high: float) -> Floats:
    """Return the probability of each place's score, sigmoid(slope · score + intercept), scores bounded by low and high; shape (2049,)."""
    return np.asarray(expit(slope * np.clip(SCORE_VALUES, low, high) + intercept), dtype=np.float64)


def beta_binomial(counts: ArrayLike) -> tuple[float, float]:
    """Return a and b of the most likely beta distribution of the rates behind counts k of m.

    Maximises Σ count · [log B(k + a, m - k + b) - log B(a, b)] over log a and log b. A weak prior, log-normal around a + b = 2 with
    a spread of 3, makes the maximum unique: with one answer each, or all agreeing, the likelihood has none. The mean
    (k + a)/(m + a + b) removes the noise of few answers from each share: at m = 3, with rates from Beta(4, 2), the shares of
    an honest model have an ECE of .16, the means one of .00.

    Parameters
    ----------
    counts : array of shape (1325,), events per place of `agreement_place`

    Raises
    ------
    ValueError
        when there are no events.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> k = rng.binomial(5, rng.beta(4.0, 2.0, size=20_000))
    >>> counts = np.bincount([agreement_place(each, 5) for each in k.tolist()], minlength=1325)
    >>> a, b = beta_binomial(counts)
    >>> abs(a - 4.0) < 0.4, abs(b - 2.0) < 0.2
    (True, True)

    References
    ----------
    Skellam 1948, doi:10.1111/j.2517-6161.1948.tb00014.x

    """
    weight = np.asarray(counts, dtype=np.float64)
    used = np.flatnonzero(weight)
    if not len(used):
        raise ValueError("counts has no events: there is nothing to fit")
    k, m, weight = _AGREEING[used].astype(np.float64), _SAMPLES[used].astype(np.float64), weight[used]

    def loss(logs: Floats) -> tuple[float, Floats]:
        a, b = np.exp(logs)
        open_ = math.log((a + b) / 2.0) / PRIOR_SPREAD**2
        value = -weight @ (betaln(k + a, m - k + b) - betaln(a, b)) + open_ * math.log((a + b) / 2.0) / 2.0
        all_, both = digamma(m + a + b), digamma(a + b)
        by_a = -weight @ (digamma(k + a) - all_ - digamma(a) + both) + open_ / (a + b)
        by_b = -weight @ (digamma(m - k + b) - all_ - digamma(b) + both) + open_ / (a + b)
        return float(value), np.array([by_a * a, by_b * b])

    bounds = [(-LARGEST_LOG, LARGEST_LOG)] * 2
    share = min(max(float(weight @ k / (weight @ m)), 0.01), 0.99)
    begin = np.log([2.0 * share, 2.0 * (1.0 - share)])
    optimum = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-13, "gtol": 1e-8})
    a, b = np.exp(optimum.x).tolist()
    return a, b


def value_bins(summary: Summary, scores: Scores, like: Bins | None = None) -> Bins | None:
    """Return one bin per distinct verbalised value, or None unless every scored event of a window has such a value.

    Values are rounded to thousandths, which changes no figure by more than .0005. A bin's lower and upper end are its value.

    Parameters
    ----------
    summary : sums of the window
    scores : served or raw
    like : bins of another window, to be filled with the sums of this one

    Examples
    --------
    >>> value_bins(Summary.of([]), "served") is None
    True

    """
    if not has_values(summary):
        return None
    table = summary.values(VERBALIZED)
    used = (
        np.flatnonzero(table[:, VALUE_FIELDS.index("en")]) if like is None else np.rint(like.upper * 1000).astype(int)
    )
    if like is None and not _all_verbalised(summary, scores, table, used):
        return None
    value = used / 1000.0
    n, sy, _, hn, hsy = table[used].T
    sp, hsp = n * value, hn * value
    return Bins(lower=value, upper=value, n=n, sy=sy, sp=sp, spp=sp * value, spy=sy * value, hn=hn, hsy=hsy, hsp=hsp)


def _all_verbalised(summary: Summary, scores: Scores, table: Floats, used: Integers) -> bool:
    if not 0 < len(used) <= MOST_VALUES:
        return False
    scored = summary.cells(scores).en.sum()
    return bool(table[:, VALUE_FIELDS.index("en")].sum() == scored)


def has_scores(summary: Summary) -> bool:
    """Return whether a summary counts scores that are not probabilities."""
    return has_values(summary) and bool(score_counts(summary).any())


def score_counts(summary: Summary) -> Floats:
    """Return the number of predictions per place of scores, ascending; shape (2049,)."""
    return summary.values(SCORE)[:, VALUE_FIELDS.index("en")]
