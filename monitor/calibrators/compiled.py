"""Functions that documents describe: for one prediction in plain Python, for arrays with NumPy alone."""

from typing import Any, Final

from ..domain.rounding import COARSE
from .distributions import Distribution, OfMany, ToDistribution
from .document import check
from .families import FAMILIES
from .family import SINGLE, Family
from .hashing import Checked
from .numeric import Floats, np
from .singles import OfArray, ToProbability, in_pieces
from .vectors import ToProbabilities, rows_in_pieces

FUNCTION_OF: Final = {
    "binary": "compile_scalar, which takes one probability",
    "confidence": "compile_scalar, which takes one probability",
    "multiclass": "compile_vector, which takes all probabilities of an event",
    "regression": "compile_distribution, which takes predictive distributions",
}


def compile_scalar(document: object) -> ToProbability:
    """Return the function that a document of a binary or confidence model describes, p → calibrated p.

    The function raises ValueError outside [0, 1], NaN included.

    Raises
    ------
    BadDocument
        for an invalid document, or another hash than its content's.
    ValueError
        for a document of another task.

    Examples
    --------
    >>> apply = compile_scalar({"method": "temperature", "task": "binary", "parameters": {"temperature": 2.0}})
    >>> round(apply(0.9), 6)
    0.75

    """
    family, checked = _of_task(document, *SINGLE)
    return family.singles.scalar(checked.parameters)


def compile_vector(document: object, *, logits: bool = False) -> ToProbabilities:
    """Return the function that a document of a multiclass model describes: probabilities, or logits, of an event → calibrated ones.

    The function raises ValueError for fewer than two entries, entries that are no probabilities, or a sum off 1 by more than 1e-3.

    Raises
    ------
    BadDocument
        for an invalid document, or another hash than its content's.
    ValueError
        for a document of another task.

    Examples
    --------
    >>> apply = compile_vector({"method": "temperature", "task": "multiclass", "parameters": {"temperature": 2.0}})
    >>> [round(p, 6) for p in apply([16 / 29, 9 / 29, 4 / 29])]
    [0.444444, 0.333333, 0.222222]

    """
    family, checked = _of_task(document, "multiclass")
    return (family.vectors.scalar_of_logits if logits else family.vectors.scalar)(checked.parameters)


def compile_array(document: object) -> OfArray:
    """Return the function that a document describes: probabilities of shape (n,), or (n, K) of a multiclass model → calibrated ones.

    The function raises ValueError for numbers that are no probabilities; given `failed`, which takes the error, these stay as they are.

    Raises
    ------
    BadDocument
        for an invalid document, or another hash than its content's.
    ValueError
        for a document of a regression.

    Examples
    --------
    >>> apply = compile_array({"method": "temperature", "task": "binary", "parameters": {"temperature": 2.0}})
    >>> apply(np.array([0.1, 0.9])).round(6).tolist()
    [0.25, 0.75]

    """
    family, checked = _of_task(document, *SINGLE, "multiclass")
    if checked.task != "multiclass":
        return in_pieces(family.singles.array(checked.parameters))
    return rows_in_pieces(family.vectors.array(checked.parameters))


def compile_distribution(document: object) -> ToDistribution:
    """Return the function that a document of a regression describes, distribution → calibrated distribution.

    The function raises ValueError for a result that floats cannot hold.

    Raises
    ------
    BadDocument
        for an invalid document, or another hash than its content's.
    ValueError
        for a document of another task.

    Examples
    --------
    >>> apply = compile_distribution({"method": "variance_scaling", "task": "regression", "parameters": {"scale": 2}})
    >>> apply(Distribution((), (5.0, 1.5))).values, apply(Distribution((100, 500, 900), (1.0, 2.0, 4.0))).values
    ((5.0, 3.0), (0.0, 2.0, 6.0))

    """
    family, checked = _of_task(document, "regression")
    return family.distributions.scalar(checked.parameters)


def compile_distributions(document: object) -> OfMany:
    """Return the function that a document of a regression describes: levels and values of n distributions → calibrated ones.

    The function raises ValueError for values that are no distributions, before or after.

    Raises
    ------
    BadDocument
        for an invalid document, or another hash than its content's.
    ValueError
        for a document of another task.

    Examples
    --------
    >>> apply = compile_distributions({"method": "variance_scaling", "task": "regression", "parameters": {"scale": 2.0}})
    >>> levels, values = apply((), np.array([[5.0, 1.5], [0.0, 1.0]]))
    >>> levels, values.tolist()
    ((), [[5.0, 3.0], [0.0, 2.0]])

    """
    family, checked = _of_task(document, "regression")
    calibrate = family.distributions.array(checked.parameters)

    def apply(levels: tuple[int, ...], values: Floats) -> tuple[tuple[int, ...], Floats]:
        values = _in_order(levels, values)
        _check_distributions(levels, values)
        served = calibrate(levels, values)
        _check_distributions(*served)
        return served

    return apply


def _of_task(document: object, *tasks: str) -> tuple[Family[Any], Checked]:
    """Return the family and working part of a document; raise ValueError where it is of none of the tasks."""
    checked = check(document)
    if checked.task not in tasks:
        raise ValueError(f"task is {checked.task!r}: use {FUNCTION_OF[checked.task]}")
    return FAMILIES[checked.method].family, checked


def _in_order(levels: tuple[int, ...], values: Floats) -> Floats:
    """Return quantiles sorted where they cross by rounding; mean and standard deviation as they are."""
    if not levels or not (np.diff(values, axis=1) < 0.0).any():
        return values
    falls = -np.diff(values, axis=1).min(axis=1)
    by_rounding = falls <= COARSE * np.abs(values).max(axis=1)
    return np.where(by_rounding[:, None], np.sort(values, axis=1), values)


def _check_distributions(levels: tuple[int, ...], values: Floats) -> None:
    Distribution(levels, tuple(range(1, len(levels) + 1)) or (0.0, 1.0))  # the levels alone
    if not np.isfinite(values).all():
        raise ValueError("values of distributions must be finite")
    if levels and (np.diff(values, axis=1) < 0.0).any():
        raise ValueError("quantiles must not fall as levels rise")
    if not levels and not (values[:, 1] > 0.0).all():
        raise ValueError("standard deviations must be above 0")
