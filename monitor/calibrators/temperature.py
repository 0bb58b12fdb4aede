"""Temperature scaling: one parameter that makes every answer more or less confident, and changes no answer."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NotRequired, Self, TypedDict

from .errors import NotIdentified
from .estimator import Estimator
from .family import Family
from .numeric import ArrayLike, Floats, Integers, np
from .parameters import SMALLEST, Unchecked, count, exactly, number
from .rows import logit
from .singles import Into, Singles, ToProbability, line, line_into
from .vectors import OfMatrix, ToProbabilities, Vectors, as_vector, softmax, softmax_of_logits

COLDEST: Final = 1e-3
HOTTEST: Final = 1e3
MOST_CLASSES: Final = 1_000_000

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


class _Parameters(TypedDict):
    temperature: float
    classes: NotRequired[int]  # of top-label confidences


def _check(parameters: Unchecked, task: str) -> _Parameters:
    exactly(parameters, {"temperature", "classes"} if task == "confidence" else {"temperature"})
    checked: _Parameters = {"temperature": number(parameters, "temperature", COLDEST, HOTTEST)}
    if task == "confidence":
        checked["classes"] = count(parameters, "classes", 2, MOST_CLASSES)
    return checked


def _line(parameters: _Parameters) -> tuple[float, float]:
    """Return the temperature of single probabilities as a slope and an intercept on the logit."""
    beta, rest = _beta(parameters), math.log(parameters.get("classes", 2) - 1)
    return beta, beta * rest - rest


def _beta(parameters: _Parameters) -> float:
    return 1.0 / parameters["temperature"]


def _scalar(parameters: _Parameters) -> ToProbability:
    return line(*_line(parameters))


def _array(parameters: _Parameters) -> Into:
    return line_into(*_line(parameters))


def _of_vector(parameters: _Parameters) -> ToProbabilities:
    beta, log, smallest = _beta(parameters), math.log, SMALLEST

    def apply(probabilities: Sequence[float]) -> list[float]:
        vector = as_vector(probabilities)
        return softmax([log(p if p > smallest else smallest) for p in vector], beta)  # noqa: FURB136  as in singles

    return apply


def _of_logits(parameters: _Parameters) -> ToProbabilities:
    return softmax_of_logits(_beta(parameters))


def _of_matrix(parameters: _Parameters) -> OfMatrix:
    of_scores = _of_scores(parameters)
    return lambda p: of_scores(np.log(np.maximum(p, SMALLEST)))


def _of_scores(parameters: _Parameters) -> OfMatrix:
    beta = _beta(parameters)

    def apply(scores: Floats) -> Floats:
        grown = np.exp((scores - scores.max(axis=1, keepdims=True)) * beta)
        return np.asarray(grown / grown.sum(axis=1, keepdims=True))

    return apply


class Temperature(Estimator):
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

    family = Family(
        method="temperature",
        sentence="logit / T, softmax of log p / T",
        parameters="{temperature}",
        check=_check,
        singles=Singles(scalar=_scalar, array=_array),
        vectors=Vectors(scalar=_of_vector, scalar_of_logits=_of_logits, array=_of_matrix, array_of_logits=_of_scores),
        tried_from=200,
        two_classes=True,
    )

    def __init__(self, *, task: str = "binary", classes: int | None = None, logits: bool = False) -> None:
        self.task = task
        self.classes = classes
        self.logits = logits

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the temperature.

        Parameters
        ----------
        X : array of shape (n,), probabilities; multiclass: of shape (n, K), probabilities or logits
        y : array of shape (n,), outcomes 0 or 1; multiclass: labels 0 to K - 1
        sample_weight : array of shape (n,), weights of the rows; by default 1

        Raises
        ------
        ValueError
            for unusable rows, or without `classes` where they are needed.
        NotIdentified
            for labels that are all the same, or no best temperature in [1e-3, 1e3]: the scores separate the labels, or say nothing.

        """
        rows = self._rows(X, y, sample_weight)
        if self.task == "multiclass":
            self.temperature_ = 1.0 / beta_of_vectors(*rows)
        else:
            with np.errstate(over="ignore"):  # 1 / (1 + inf) is the 0 that it should be
                self.temperature_ = 1.0 / _of_rows(partial(_of_singles, rest=self._rest()), *rows)
        return self

    def _parameters(self) -> _Parameters:
        parameters: _Parameters = {"temperature": float(self.temperature_)}
        if self.task == "confidence" and self.classes is not None:
            parameters["classes"] = self.classes
        return parameters

    def _restore(self, parameters: _Parameters) -> None:
        self.classes = parameters.get("classes")
        self.temperature_ = parameters["temperature"]

    def _rest(self) -> float:
        """Return log(K - 1), K - 1 being the number of classes that share the rest."""
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
        for no best temperature in [1e-3, 1e3].

    """
    return _of_rows(_of_vectors, scores, label, weight)


def _of_rows(derivatives_of: Callable[..., Derivatives], *rows: Any) -> float:
    """Return the best β; with many rows, Newton's first steps use every 16th and only the last ones all."""
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
    """Raise NotIdentified for a best temperature beyond an end of the bracket."""
    if low == LOW and derivatives(math.exp(low))[0] >= 0.0:
        raise NotIdentified(f"the best temperature is above {HOTTEST:g}: the scores say nothing about the labels")
    if high == HIGH and derivatives(math.exp(high))[0] <= 0.0:
        raise NotIdentified(
            f"the best temperature is below {COLDEST:g}: the scores separate the labels without an error"
        )


def _newton(u: float, slope: float, curvature: float) -> float:
    # The loss need not be convex in u: where it is not, the bracket is halved instead.
    return u - slope / curvature if curvature > 0.0 else math.inf
