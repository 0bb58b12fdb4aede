"""Apply a calibrator to whole arrays, with NumPy and nothing else; imported only when serving code passes an array.

The formulas are those of `monitor.calibrators.scalar`; NumPy's logarithms and exponentials may differ from them in the last digit.
Single probabilities are worked on in pieces that stay in the processor's cache: moving them to memory and back costs more than a logarithm.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..calibrators.distributions import SERVED_LEVELS, Distribution, inverted, median_place, places
from ..calibrators.document import check
from ..calibrators.parameters import HIGHEST, LOWEST, SMALLEST, SUM_TOLERANCE, rising_side

PIECE: Final = 8_192

Floats = NDArray[np.float64]
Apply = Callable[[Floats], Floats]
Into = Callable[[Floats, Floats], None]
"""Calibrates a piece of shape (m,), in [0, 1], into an array of the same shape."""


def compile_array(document: Any) -> Apply:
    """Return the function that a document describes: probabilities of shape (n,), or (n, K) of a multiclass model, → calibrated ones.

    The function raises ValueError unless all of them are probabilities.

    Raises
    ------
    BadDocument
        when the document is not valid or does not fit its hash.

    Examples
    --------
    >>> apply = compile_array({"method": "temperature", "task": "binary", "parameters": {"temperature": 2.0}})
    >>> apply(np.array([0.1, 0.9])).round(6).tolist()
    [0.25, 0.75]

    """
    checked = check(document)
    if checked.task == "multiclass":
        return _of_vectors(_VECTORS[checked.method](checked.parameters))
    return _in_pieces(_SINGLES[checked.method](checked.parameters))


def _of_vectors(calibrate: Apply) -> Apply:
    def apply(p: Floats) -> Floats:
        _check_vectors(p)
        return calibrate(p)

    return apply


def _in_pieces(calibrate: Into) -> Apply:
    def apply(p: Floats) -> Floats:
        served = np.empty(len(p))
        with np.errstate(over="ignore"):  # 1 / (1 + inf) is the 0 that it should be
            for start in range(0, len(p), PIECE):
                piece = p[start : start + PIECE]
                _check_probabilities(piece)
                calibrate(piece, served[start : start + PIECE])
        return served

    return apply


Many = Callable[[tuple[int, ...], Floats], tuple[tuple[int, ...], Floats]]
"""Calibrates distributions: levels in thousandths, none where they are normal, and values (n, levels), or (n, 2), means and
standard deviations."""


def compile_distributions(document: Any) -> Many:
    """Return the function that a document of a regression describes: levels and values of n distributions → calibrated ones.

    The function raises ValueError unless all of them are distributions, before and after.

    Raises
    ------
    BadDocument
        when the document is not valid or does not fit its hash.

    Examples
    --------
    >>> apply = compile_distributions({"method": "variance_scaling", "task": "regression", "parameters": {"scale": 2.0}})
    >>> levels, values = apply((), np.array([[5.0, 1.5], [0.0, 1.0]]))
    >>> levels, values.tolist()
    ((), [[5.0, 3.0], [0.0, 2.0]])

    """
    checked = check(document)
    calibrate = _DISTRIBUTIONS[checked.method](checked.parameters)

    def apply(levels: tuple[int, ...], values: Floats) -> tuple[tuple[int, ...], Floats]:
        _check_distributions(levels, values)
        found = calibrate(levels, values)
        _check_distributions(*found)
        return found

    return apply


def _check_distributions(levels: tuple[int, ...], values: Floats) -> None:
    Distribution(levels, tuple(range(1, len(levels) + 1)) or (0.0, 1.0))  # the levels alone
    if not np.isfinite(values).all():
        raise ValueError("values of distributions must be finite")
    if levels and (np.diff(values, axis=1) < 0.0).any():
        raise ValueError("quantiles must not fall as levels rise")
    if not levels and not (values[:, 1] > 0.0).all():
        raise ValueError("standard deviations must be above 0")


def _same_distributions(_parameters: dict[str, Any]) -> Many:
    return lambda levels, values: (levels, values.copy())


def _variance_scaling(parameters: dict[str, Any]) -> Many:
    scale = parameters["scale"]

    def apply(levels: tuple[int, ...], values: Floats) -> tuple[tuple[int, ...], Floats]:
        if not levels:
            return levels, np.stack([values[:, 0], scale * values[:, 1]], axis=1)
        base, start, end, share = median_place(levels)
        middle = values[:, [base]] + share * (values[:, [end]] - values[:, [start]])
        return levels, middle + scale * (values - middle)

    return apply


def _pit_isotonic(parameters: dict[str, Any]) -> Many:
    x, y = parameters["x"], parameters["y"]
    normal = np.array(inverted(x, y, SERVED_LEVELS))

    def apply(levels: tuple[int, ...], values: Floats) -> tuple[tuple[int, ...], Floats]:
        if not levels:
            return SERVED_LEVELS, values[:, :1] + normal * values[:, 1:]
        base, start, end, share = zip(*places(levels, inverted(x, y, levels)), strict=True)
        found = values[:, base] + np.array(share) * (values[:, end] - values[:, start])
        return levels, np.maximum.accumulate(found, axis=1)

    return apply


_DISTRIBUTIONS: Final[dict[str, Callable[[dict[str, Any]], Many]]] = {
    "identity": _same_distributions,
    "variance_scaling": _variance_scaling,
    "pit_isotonic": _pit_isotonic,
}


def _check_probabilities(p: Floats) -> None:
    if p.size and not (p.min() >= 0.0 and p.max() <= 1.0):  # false for NaN too
        raise ValueError("probabilities must be in [0, 1]")


def _check_vectors(p: Floats) -> None:
    _check_probabilities(p)
    if p.shape[1] < 2 or not (np.abs(p.sum(axis=1) - 1.0) <= SUM_TOLERANCE).all():  # noqa: PLR2004  one class is no choice
        raise ValueError(f"probabilities of at least two classes must sum to 1 within {SUM_TOLERANCE}")


def _identity(_parameters: dict[str, Any]) -> Into:
    def into(p: Floats, out: Floats) -> None:
        out[:] = p

    return into


def _temperature(parameters: dict[str, Any]) -> Into:
    beta = 1.0 / parameters["temperature"]
    rest = math.log(parameters.get("classes", 2) - 1)
    return _line(beta, beta * rest - rest)


def _platt(parameters: dict[str, Any]) -> Into:
    return _line(parameters["slope"], parameters["intercept"])


def _line(slope: float, intercept: float) -> Into:
    def into(p: Floats, out: Floats) -> None:
        _logit(p, LOWEST, HIGHEST, out)
        out *= slope
        out += intercept
        _sigmoid(out)

    return into


def _beta(parameters: dict[str, Any]) -> Into:
    a, b, c = (parameters[name] for name in "abc")

    def into(p: Floats, out: Floats) -> None:
        np.clip(p, LOWEST, HIGHEST, out=out)
        rest = np.subtract(1.0, out)
        np.log(rest, out=rest)
        np.log(out, out=out)
        out *= a
        rest *= b
        out -= rest
        out += c
        _sigmoid(out)

    return into


def _quadratic_logit(parameters: dict[str, Any]) -> Into:
    square, slope, intercept = (parameters[name] for name in ("square", "slope", "intercept"))
    low, high = rising_side(square, slope)

    def into(p: Floats, out: Floats) -> None:
        _logit(p, low, high, out)
        score = out.copy()
        out *= square
        out += slope
        out *= score
        out += intercept
        _sigmoid(out)

    return into


def _scaling_binning(parameters: dict[str, Any]) -> Into:
    edges, values = np.array(parameters["edges"]), np.array(parameters["values"])

    def into(p: Floats, out: Floats) -> None:
        np.take(
            values, np.searchsorted(edges, p, side="right"), out=out, mode="clip"
        )  # nothing lies outside: clip is quicker

    return into


def _isotonic(parameters: dict[str, Any]) -> Into:
    x, y = np.array(parameters["x"]), np.array(parameters["y"])

    def into(p: Floats, out: Floats) -> None:
        np.minimum(np.interp(p, x, y), y[-1], out=out)

    return into


def _logit(p: Floats, low: float, high: float, out: Floats) -> None:
    np.clip(p, low, high, out=out)
    out /= np.subtract(1.0, out)
    np.log(out, out=out)


def _sigmoid(z: Floats) -> None:
    """Replace logits by their probabilities."""
    np.negative(z, out=z)
    np.exp(z, out=z)
    z += 1.0
    np.reciprocal(z, out=z)


def _vector_temperature(parameters: dict[str, Any]) -> Apply:
    beta = 1.0 / parameters["temperature"]

    def apply(p: Floats) -> Floats:
        scores = np.log(np.maximum(p, SMALLEST))
        grown = np.exp((scores - scores.max(axis=1, keepdims=True)) * beta)
        return np.asarray(grown / grown.sum(axis=1, keepdims=True))

    return apply


def _vector_lines(parameters: dict[str, Any]) -> Apply:
    slopes, intercepts = np.array(parameters["slopes"]), np.array(parameters["intercepts"])

    def apply(p: Floats) -> Floats:
        if p.shape[1] != len(slopes):
            raise ValueError(f"there are {p.shape[1]} classes; this calibrator was fitted on {len(slopes)}")
        total = p.sum(axis=1, keepdims=True)
        scores = p / total
        np.maximum(scores, np.maximum(SMALLEST, SMALLEST / total), out=scores)
        np.log(scores, out=scores)
        scores *= slopes
        scores += intercepts
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))

    return apply


_SINGLES: Final[dict[str, Callable[[dict[str, Any]], Into]]] = {
    "identity": _identity,
    "temperature": _temperature,
    "platt": _platt,
    "beta": _beta,
    "quadratic_logit": _quadratic_logit,
    "scaling_binning": _scaling_binning,
    "isotonic": _isotonic,
}
_VECTORS: Final[dict[str, Callable[[dict[str, Any]], Apply]]] = {
    "identity": lambda _parameters: np.copy,
    "temperature": _vector_temperature,
    "structured_vector": _vector_lines,
    "vector": _vector_lines,
}
