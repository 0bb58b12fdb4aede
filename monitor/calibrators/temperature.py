"""Temperature scaling: one parameter that makes every answer more or less confident, and changes none."""

import math
from collections.abc import Callable
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.estimator import Calibrator
from monitor.calibrators.parameters import COLDEST, HOTTEST
from monitor.calibrators.rows import (
    Floats,
    Integers,
    confidences,
    log_scores,
    logit,
    softmax_rows,
)

MOST_STEPS: Final = 200
STEP_TOLERANCE: Final = 1e-13

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
        derivatives = _of_vectors(*rows) if self.task == "multiclass" else _of_singles(*rows, self._rest())
        self.temperature_ = 1.0 / _best_beta(derivatives)
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


def _of_singles(p: Floats, y: Floats, weight: Floats, rest: float) -> Derivatives:
    scores, share = logit(p) + rest, weight / weight.sum()

    def derivatives(beta: float) -> tuple[float, float]:
        mean = expit(beta * scores - rest)
        return float(share @ ((mean - y) * scores)), float(share @ (mean * (1.0 - mean) * scores**2))

    return derivatives


def _of_vectors(scores: Floats, label: Integers, weight: Floats) -> Derivatives:
    share = weight / weight.sum()
    chosen = scores[np.arange(len(label)), label]

    def derivatives(beta: float) -> tuple[float, float]:
        p = softmax_rows(beta * scores)
        mean = (p * scores).sum(axis=1)
        variance = (p * (scores - mean[:, None]) ** 2).sum(axis=1)
        return float(share @ (mean - chosen)), float(share @ variance)

    return derivatives


def _best_beta(derivatives: Derivatives) -> float:
    low, high = math.log(1.0 / HOTTEST), math.log(1.0 / COLDEST)
    if derivatives(math.exp(low))[0] >= 0.0:
        raise NotIdentified(f"the best temperature is above {HOTTEST:g}: the scores say nothing about the labels")
    if derivatives(math.exp(high))[0] <= 0.0:
        raise NotIdentified(
            f"the best temperature is below {COLDEST:g}: the scores separate the labels without an error"
        )
    u = 0.0
    for _ in range(MOST_STEPS):
        beta = math.exp(u)
        slope, curvature = derivatives(beta)
        low, high = (u, high) if slope < 0.0 else (low, u)
        following = _newton(u, beta * slope, beta * beta * curvature + beta * slope)
        if not low <= following <= high:
            following = (low + high) / 2.0
        if abs(following - u) <= STEP_TOLERANCE:
            return math.exp(following)
        u = following
    raise NotIdentified("the temperature did not settle")  # pragma: no cover  bisection alone needs 47 steps


def _newton(u: float, slope: float, curvature: float) -> float:
    # The loss need not be convex in u: where it is not, the bracket is halved instead.
    return u - slope / curvature if curvature > 0.0 else math.inf
