"""Apply a calibrator to whole arrays, with NumPy and nothing else; imported only when serving code passes an array.

The formulas are those of `monitor.calibrators.scalar`; NumPy's logarithms and exponentials may differ from them in the last digit.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitor.calibrators.document import check
from monitor.calibrators.parameters import HIGHEST, LOWEST, SMALLEST, SUM_TOLERANCE

Floats = NDArray[np.float64]
Apply = Callable[[Floats], Floats]


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
    multiclass = checked.task == "multiclass"
    check_input = _check_vectors if multiclass else _check_probabilities
    calibrate = (_VECTORS if multiclass else _SINGLES)[checked.method](checked.parameters)

    def apply(p: Floats) -> Floats:
        check_input(p)
        return calibrate(p)

    return apply


def _check_probabilities(p: Floats) -> None:
    if p.size and not (p.min() >= 0.0 and p.max() <= 1.0):  # false for NaN too
        raise ValueError("probabilities must be in [0, 1]")


def _check_vectors(p: Floats) -> None:
    _check_probabilities(p)
    if p.shape[1] < 2 or not (np.abs(p.sum(axis=1) - 1.0) <= SUM_TOLERANCE).all():  # noqa: PLR2004  one class is no choice
        raise ValueError(f"probabilities of at least two classes must sum to 1 within {SUM_TOLERANCE}")


def _same(_parameters: dict[str, Any]) -> Apply:
    return np.copy


def _temperature(parameters: dict[str, Any]) -> Apply:
    beta = 1.0 / parameters["temperature"]
    rest = math.log(parameters.get("classes", 2) - 1)
    return _logistic(beta, beta * rest - rest)


def _platt(parameters: dict[str, Any]) -> Apply:
    return _logistic(parameters["slope"], parameters["intercept"])


def _logistic(slope: float, intercept: float) -> Apply:
    def apply(p: Floats) -> Floats:
        clipped = np.clip(p, LOWEST, HIGHEST)
        z = slope * np.log(clipped / (1.0 - clipped)) + intercept
        with np.errstate(over="ignore"):  # 1 / (1 + inf) is the 0 that it should be
            return np.asarray(1.0 / (1.0 + np.exp(-z)))

    return apply


def _isotonic(parameters: dict[str, Any]) -> Apply:
    x, y = np.array(parameters["x"]), np.array(parameters["y"])
    return lambda p: np.minimum(np.interp(p, x, y), y[-1])


def _vector_temperature(parameters: dict[str, Any]) -> Apply:
    beta = 1.0 / parameters["temperature"]

    def apply(p: Floats) -> Floats:
        scores = np.log(np.maximum(p, SMALLEST))
        grown = np.exp((scores - scores.max(axis=1, keepdims=True)) * beta)
        return np.asarray(grown / grown.sum(axis=1, keepdims=True))

    return apply


_SINGLES: Final[dict[str, Callable[[dict[str, Any]], Apply]]] = {
    "identity": _same,
    "temperature": _temperature,
    "platt": _platt,
    "isotonic": _isotonic,
}
_VECTORS: Final[dict[str, Callable[[dict[str, Any]], Apply]]] = {
    "identity": _same,
    "temperature": _vector_temperature,
}
