"""Apply a calibrator to one prediction, in plain Python and in about a microsecond: what serving code does.

The arithmetic is that of the array form in the families, operation for operation.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final

from .document import Checked, check
from .parameters import HIGHEST, LOWEST, SMALLEST, SUM_TOLERANCE, rising_side, slopes

ToProbability = Callable[[float], float]
ToProbabilities = Callable[[Sequence[float]], list[float]]


def compile_scalar(document: Any) -> ToProbability:
    """Return the function that a document of a binary or confidence model describes, p → calibrated p.

    The function raises ValueError for anything outside [0, 1], NaN included.

    Raises
    ------
    BadDocument
        when the document is not valid, does not fit its hash, or calibrates vectors.

    Examples
    --------
    >>> apply = compile_scalar({"method": "temperature", "task": "binary", "parameters": {"temperature": 2.0}})
    >>> round(apply(0.9), 6)
    0.75

    """
    checked = check(document)
    if checked.task == "multiclass":
        raise ValueError("task is 'multiclass': use compile_vector, which takes all probabilities of an event")
    if checked.task == "regression":
        raise ValueError("task is 'regression': use compile_distribution of monitor.calibrators.distributions")
    return _SCALAR[checked.method](checked)


def compile_vector(document: Any, *, logits: bool = False) -> ToProbabilities:
    """Return the function that a document of a multiclass model describes: probabilities, or logits, of an event → calibrated ones.

    The function raises ValueError for fewer than two entries, entries that are no probabilities, or a sum off 1 by more than 1e-3.

    Raises
    ------
    BadDocument
        when the document is not valid, does not fit its hash, or calibrates single probabilities.

    Examples
    --------
    >>> apply = compile_vector({"method": "temperature", "task": "multiclass", "parameters": {"temperature": 2.0}})
    >>> [round(p, 6) for p in apply([16 / 29, 9 / 29, 4 / 29])]
    [0.444444, 0.333333, 0.222222]

    """
    checked = check(document)
    if checked.task != "multiclass":
        raise ValueError(f"task is {checked.task!r}: use compile_scalar, which takes one probability")
    if logits:
        return _LOGITS[checked.method](checked)
    return _VECTOR[checked.method](checked)


def _identity(_checked: Checked) -> ToProbability:
    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            raise _no_probability(p)
        return p

    return apply


def _temperature(checked: Checked) -> ToProbability:
    beta = 1.0 / checked.parameters["temperature"]
    rest = math.log(checked.parameters.get("classes", 2) - 1)
    return _logistic(beta, beta * rest - rest)


def _platt(checked: Checked) -> ToProbability:
    return _logistic(checked.parameters["slope"], checked.parameters["intercept"])


def _logistic(slope: float, intercept: float) -> ToProbability:
    log, exp, low, high = math.log, math.exp, LOWEST, HIGHEST

    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            raise _no_probability(p)
        clipped = low if p < low else high if p > high else p  # noqa: FURB136  min() is four times slower
        z = slope * log(clipped / (1.0 - clipped)) + intercept
        if z >= 0.0:
            return 1.0 / (1.0 + exp(-z))
        grown = exp(z)
        return grown / (1.0 + grown)

    return apply


def _beta(checked: Checked) -> ToProbability:
    a, b, c = (checked.parameters[name] for name in "abc")
    log, exp, low, high = math.log, math.exp, LOWEST, HIGHEST

    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            raise _no_probability(p)
        clipped = low if p < low else high if p > high else p  # noqa: FURB136  as above
        z = a * log(clipped) - b * log(1.0 - clipped) + c
        if z >= 0.0:
            return 1.0 / (1.0 + exp(-z))
        grown = exp(z)
        return grown / (1.0 + grown)

    return apply


def _quadratic_logit(checked: Checked) -> ToProbability:
    square, slope, intercept = (checked.parameters[name] for name in ("square", "slope", "intercept"))
    log, exp, (low, high) = math.log, math.exp, rising_side(square, slope)

    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            raise _no_probability(p)
        clipped = low if p < low else high if p > high else p  # noqa: FURB136  as above
        score = log(clipped / (1.0 - clipped))
        z = (square * score + slope) * score + intercept
        if z >= 0.0:
            return 1.0 / (1.0 + exp(-z))
        grown = exp(z)
        return grown / (1.0 + grown)

    return apply


def _scaling_binning(checked: Checked) -> ToProbability:
    edges: list[float] = checked.parameters["edges"]
    values: list[float] = checked.parameters["values"]

    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            raise _no_probability(p)
        return values[bisect_right(edges, p)]

    return apply


def _isotonic(checked: Checked) -> ToProbability:
    x: list[float] = checked.parameters["x"]
    y: list[float] = checked.parameters["y"]
    rising, first, last, count = slopes(x, y), y[0], y[-1], len(x)

    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            raise _no_probability(p)
        above = bisect_right(x, p)
        if above == 0:
            return first
        if above == count:
            return last
        value = rising[above - 1] * (p - x[above - 1]) + y[above - 1]
        return value if value < last else last  # noqa: FURB136  as above; rounding must not carry it beyond 1

    return apply


def _vector_identity(_checked: Checked) -> ToProbabilities:
    def apply(probabilities: Sequence[float]) -> list[float]:
        _check_vector(probabilities)
        return list(probabilities)

    return apply


def _vector_temperature(checked: Checked) -> ToProbabilities:
    beta, log, smallest = 1.0 / checked.parameters["temperature"], math.log, SMALLEST

    def apply(probabilities: Sequence[float]) -> list[float]:
        _check_vector(probabilities)
        return _softmax([log(p if p > smallest else smallest) for p in probabilities], beta)  # noqa: FURB136  as above

    return apply


def _vector_lines(checked: Checked) -> ToProbabilities:
    slopes, intercepts = checked.parameters["slopes"], checked.parameters["intercepts"]
    classes, log, smallest = len(slopes), math.log, SMALLEST

    def apply(probabilities: Sequence[float]) -> list[float]:
        _check_vector(probabilities)
        if len(probabilities) != classes:
            raise _other_classes(len(probabilities), classes)
        total = sum(probabilities)
        floor = max(smallest, smallest / total)
        logs = [log(p if p > floor else floor) for p in [p / total for p in probabilities]]  # noqa: FURB136  as above
        return _softmax([a * each + b for a, each, b in zip(slopes, logs, intercepts, strict=True)], 1.0)

    return apply


def _softmax_of_logits(checked: Checked) -> ToProbabilities:
    beta = 1.0 / checked.parameters.get("temperature", 1.0)

    def apply(logits: Sequence[float]) -> list[float]:
        _check_logits(logits)
        return _softmax(logits, beta)

    return apply


def _lines_of_logits(checked: Checked) -> ToProbabilities:
    calibrate, classes = _vector_lines(checked), len(checked.parameters["slopes"])

    def apply(logits: Sequence[float]) -> list[float]:
        _check_logits(logits)
        if len(logits) != classes:
            raise _other_classes(len(logits), classes)
        return calibrate(_softmax(logits, 1.0))

    return apply


def _softmax(scores: Sequence[float], beta: float) -> list[float]:
    highest = max(scores)
    grown = [math.exp((score - highest) * beta) for score in scores]
    total = sum(grown)
    return [one / total for one in grown]


def _check_vector(probabilities: Sequence[float]) -> None:
    if len(probabilities) < 2 or not all(0.0 <= p <= 1.0 for p in probabilities):  # noqa: PLR2004  one class is no choice
        raise ValueError("probabilities must be at least two numbers in [0, 1]")
    if not abs(sum(probabilities) - 1.0) <= SUM_TOLERANCE:
        raise ValueError(f"probabilities sum to {sum(probabilities)}; they must sum to 1 within {SUM_TOLERANCE}")


def _check_logits(logits: Sequence[float]) -> None:
    if len(logits) < 2 or not all(map(math.isfinite, logits)):  # noqa: PLR2004  one class is no choice
        raise ValueError("logits must be at least two finite numbers")


def _other_classes(given: int, classes: int) -> ValueError:
    return ValueError(f"there are {given} classes; this calibrator was fitted on {classes}")


def _no_probability(p: Any) -> ValueError:
    return ValueError(f"probability is {p!r}; it must be in [0, 1]")


_SCALAR: Final[dict[str, Callable[[Checked], ToProbability]]] = {
    "identity": _identity,
    "temperature": _temperature,
    "platt": _platt,
    "beta": _beta,
    "quadratic_logit": _quadratic_logit,
    "scaling_binning": _scaling_binning,
    "isotonic": _isotonic,
}
_VECTOR: Final[dict[str, Callable[[Checked], ToProbabilities]]] = {
    "identity": _vector_identity,
    "temperature": _vector_temperature,
    "structured_vector": _vector_lines,
    "vector": _vector_lines,
}
_LOGITS: Final[dict[str, Callable[[Checked], ToProbabilities]]] = {
    "identity": _softmax_of_logits,
    "temperature": _softmax_of_logits,
    "structured_vector": _lines_of_logits,
    "vector": _lines_of_logits,
}
