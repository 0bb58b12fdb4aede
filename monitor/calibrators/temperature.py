"""Temperature scaling: one parameter that makes every answer more or less confident, and changes none."""

import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from .errors import NotIdentified
from .estimator import Calibrator
from .parameters import COLDEST, HOTTEST
from .rows import Floats, Integers, confidences, log_scores, logit, softmax_rows

MOST_STEPS: Final = 200
SETTLED: Final = 1e-6  # a last step of Newton's; the next would be about its square
PATIENCE: Final = 20  # steps of Newton's: where the loss falls for ever, they get shorter and shorter
HALVED: Final = 1e-13  # a last step where the bracket is halved
LOW: Final = math.log(1.0 / HOTTEST)
HIGH: Final = math.log(1.0 / COLDEST)

THINNED: Final = 16
FEWEST_THINNED: Final = 250
PIECE: Final = 8_192  # single scores worked on at a time
CHUNK: Final = 1 << 15  # scores worked on at a time: they stay in the processor's cache

# The first and second derivative of the mean log loss by β = 1/T. The loss is convex in β, so the first one increases.
Derivatives = Callable[[float], tuple[float, float]]


class Temperature(Calibrator):
    """Divide the scores by a temperature T: T > 1 cures overconfidence.

    binary       sigmoid(logit(p) / T)
    multiclass   softmax(log(p) / T), or softmax(logits / T)
    confidence   1 / (1 + (K - 1)·exp(-l / T)), l = logit(c) + log(K - 1): the vector's formula when the K - 1 other classes share the rest

    Single probabilities are clipped to [1e-6, 1 - 1e-6], entries of vectors to at least 1e-15. T minimises the mean log loss, found by
    Newton's method on u = log(1/T) inside a bracket; it must lie in [1e-3, 1e3].

    Parameters
    ----------
    task : `binary`, `confidence` or `multiclass`
    classes : the number of classes K, needed by `confidence` (2 gives the binary formula)
    logits : X holds logits instead of probabilities (multiclass only)

    Attributes
    ----------
    temperature_ : T

    References
    ----------
    Guo, Pleiss, Sun, Weinberger 2017, doi:10.48550/arXiv.1706.04599

    Examples
    --------
    >>> p, y, weight = [0.9, 0.9, 0.1, 0.1], [1, 0, 1, 0], [3, 1, 1, 3]
    >>> Temperature().fit(p, y, weight).predict_proba([0.9]).round(6).tolist()
    [0.75]

    """

    method: ClassVar[str] = "temperature"

    def __init__(self, *, task: str = "binary", classes: int | None = None, logits: bool = False) -> None:
        self.task = task
        self.classes = classes
        self.logits = logits

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit the temperature.

        Parameters
        ----------
        X : array of shape (n,), probabilities; multiclass: of shape (n, K), probabilities or logits
        y : array of shape (n,), outcomes 0 or 1; multiclass: labels 0 to K - 1
        sample_weight : array of shape (n,), how often each row counts

        Raises
        ------
        ValueError
            when the rows are not usable, or `classes` is missing.
        NotIdentified
            when all labels are the same, or no temperature in [1e-3, 1e3] is best: the scores separate the labels, or say nothing.

        """
        rows = self._rows(X, y, sample_weight)
        if self.task == "multiclass":
            self.temperature_ = 1.0 / beta_of_vectors(*rows)
        else:
            with np.errstate(over="ignore"):  # 1 / (1 + inf) is the 0 that it should be
                self.temperature_ = 1.0 / _of_rows(partial(_of_singles, rest=self._rest()), *rows)
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return calibrated probabilities, of shape (n,) or (n, K); rows of vectors sum to 1."""
        self.check_fitted()
        if self.task == "multiclass":
            return softmax_rows(log_scores(X, logits=self.logits) / self.temperature_)
        rest = self._rest()
        return np.asarray(expit((logit(confidences(X)) + rest) / self.temperature_ - rest))

    def _parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = {"temperature": float(self.temperature_)}
        return parameters | ({"classes": self.classes} if self.task == "confidence" else {})

    def _restore(self, parameters: dict[str, Any]) -> None:
        self.classes = parameters.get("classes")
        self.temperature_ = parameters["temperature"]

    def _rest(self) -> float:
        """Return log(K - 1), the number of classes that share what the answer leaves."""
        if self.task == "binary":
            return 0.0
        if self.classes is None or self.classes < 2:  # noqa: PLR2004  one class is no choice
            raise ValueError(f"classes is {self.classes}; temperature on top-label confidences needs it, at least 2")
        return math.log(self.classes - 1)


def _of_singles(p: Floats, y: Floats, weight: Floats, *, rest: float) -> Derivatives:
    side = 2.0 * y - 1.0
    margin, offset = (logit(p) + rest) * side, rest * side  # of the outcome that came true
    pull = margin * (weight / weight.sum())
    space = np.empty((2, min(PIECE, len(margin))))

    def derivatives(beta: float) -> tuple[float, float]:
        slope, curvature = 0.0, 0.0
        for first in range(0, len(margin), PIECE):
            part = margin[first : first + PIECE]
            miss, spread = space[:, : len(part)]
            np.multiply(part, beta, out=miss)
            if rest:
                miss -= offset[first : first + PIECE]
            np.exp(miss, out=miss)
            miss += 1.0
            np.reciprocal(miss, out=miss)  # the probability of the outcome that did not come true
            np.subtract(1.0, miss, out=spread)
            spread *= miss
            spread *= part
            slope -= float(pull[first : first + PIECE] @ miss)
            curvature += float(pull[first : first + PIECE] @ spread)
        return slope, curvature

    return derivatives


def beta_of_vectors(scores: Floats, label: Integers, weight: Floats) -> float:
    """Return 1/T of the best temperature for vectors.

    Parameters
    ----------
    scores : array of shape (n, K), log p or logits, of which the highest in each row is 0
    label : array of shape (n,), 0 to K - 1
    weight : array of shape (n,), positive

    Raises
    ------
    NotIdentified
        when no temperature in [1e-3, 1e3] is best.

    """
    return _of_rows(_of_vectors, scores, label, weight)


def _of_rows(derivatives_of: Callable[..., Derivatives], *rows: Any) -> float:
    """Return the best β; where there are many rows Newton's first steps are done on every 16th and only the last ones on all."""
    start = 1.0
    if len(rows[0]) >= THINNED * FEWEST_THINNED:
        with suppress(NotIdentified):
            start = _best_beta(derivatives_of(*(column[::THINNED] for column in rows)))
    return _best_beta(derivatives_of(*rows), start)


def _of_vectors(scores: Floats, label: Integers, weight: Floats) -> Derivatives:
    share, ones = weight / weight.sum(), np.ones(scores.shape[1])
    chosen = float(share @ scores[np.arange(len(label)), label])
    size = max(16, CHUNK // scores.shape[1])
    space = np.empty((size, scores.shape[1]))

    def derivatives(beta: float) -> tuple[float, float]:
        # No score is above 0, so that nothing overflows. Sums along rows are products with ones: NumPy's own take three times as long.
        mean, variance = 0.0, 0.0
        for first in range(0, len(scores), size):
            part = scores[first : first + size]
            powers = space[: len(part)]
            np.multiply(part, beta, out=powers)
            np.exp(powers, out=powers)
            total = powers @ ones
            powers *= part
            means = powers @ ones / total
            powers *= part
            squares = powers @ ones / total
            mean += float(share[first : first + size] @ means)
            variance += float(share[first : first + size] @ (squares - means**2))
        return mean - chosen, variance

    return derivatives


def _best_beta(derivatives: Derivatives, start: float = 1.0) -> float:
    low, high = LOW, HIGH
    u = math.log(start)
    for step in range(MOST_STEPS):
        beta = math.exp(u)
        slope, curvature = derivatives(beta)
        low, high = (u if slope < 0.0 else low), (u if slope > 0.0 else high)  # 0 may be a slope too small for a float
        following = _newton(u, beta * slope, beta * beta * curvature + beta * slope)
        settled = SETTLED
        if step == PATIENCE or not low <= following <= high:
            _check_ends(derivatives, low, high)
        if step >= PATIENCE or not low <= following <= high:
            following, settled = (low + high) / 2.0, HALVED
        if abs(following - u) <= settled:
            return math.exp(following)
        u = following
    raise NotIdentified("the temperature did not settle")  # pragma: no cover  bisection alone needs 47 steps


def _check_ends(derivatives: Derivatives, low: float, high: float) -> None:
    """Raise NotIdentified where the best temperature lies beyond an end that was not passed yet."""
    if low == LOW and derivatives(math.exp(low))[0] >= 0.0:
        raise NotIdentified(f"the best temperature is above {HOTTEST:g}: the scores say nothing about the labels")
    if high == HIGH and derivatives(math.exp(high))[0] <= 0.0:
        raise NotIdentified(
            f"the best temperature is below {COLDEST:g}: the scores separate the labels without an error"
        )


def _newton(u: float, slope: float, curvature: float) -> float:
    # The loss need not be convex in u: where it is not, the bracket is halved instead.
    return u - slope / curvature if curvature > 0.0 else math.inf
