"""Single probabilities: the forms of a family's map, and the arithmetic that families share.

Plain Python maps one number in about a microsecond. NumPy maps arrays, in pieces that stay in the processor's cache: moving them to memory
and back costs more than a logarithm. Both do the same operations; NumPy's logarithms and exponentials may differ in the last digit.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Never, Protocol, TypeVar

from ..domain import rounding
from .numeric import Floats, np
from .parameters import HIGHEST, LOWEST

PIECE: Final = 8_192

ToProbability = Callable[[float], float]
Into = Callable[[Floats, Floats], None]
"""Calibrates a piece of shape (m,), in [0, 1], into an array of the same shape."""

Failed = Callable[[Exception], None]
"""Takes the error of numbers that stay as they are."""


class OfArray(Protocol):
    """Calibrates an array, of shape (n,) or (n, K)."""

    def __call__(self, p: Floats, failed: Failed | None = None) -> Floats:
        """Return the array calibrated.

        Raises
        ------
        ValueError
            for rows that are no probabilities; given `failed`, these stay as they are, and it takes the error.

        """


P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Singles(Generic[P]):
    """What a family makes of its parameters: functions of single probabilities."""

    scalar: Callable[[P], ToProbability]  # p → calibrated p; raises ValueError outside [0, 1], NaN included
    array: Callable[[P], Into]


def _refuse(_parameters: object) -> Never:
    raise ValueError("this family does not calibrate single probabilities")


NO_SINGLES: Final[Singles[Any]] = Singles(scalar=_refuse, array=_refuse)


def as_probability(p: float) -> float:
    """Return the probability that a number within rounding of [0, 1] means.

    Raises
    ------
    ValueError
        for any other number, NaN included.

    Examples
    --------
    >>> as_probability(1.0000001)
    1.0

    """
    if not rounding.LOWEST <= p <= rounding.HIGHEST:
        raise ValueError(f"probability is {p!r}; it must be in [0, 1]")
    return rounding.clamped(p)


def line(slope: float, intercept: float) -> ToProbability:
    """Return p → sigmoid(slope · logit(p) + intercept), with p clipped to [1e-6, 1 - 1e-6]."""
    log, exp, low, high = math.log, math.exp, LOWEST, HIGHEST

    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            p = as_probability(p)
        clipped = low if p < low else high if p > high else p  # noqa: FURB136  min() is four times slower
        z = slope * log(clipped / (1.0 - clipped)) + intercept
        if z >= 0.0:
            return 1.0 / (1.0 + exp(-z))
        grown = exp(z)
        return grown / (1.0 + grown)

    return apply


def line_into(slope: float, intercept: float) -> Into:
    """Return the array form of `line`."""

    def into(p: Floats, out: Floats) -> None:
        logit_into(p, LOWEST, HIGHEST, out)
        out *= slope
        out += intercept
        sigmoid_in_place(out)

    return into


def logit_into(p: Floats, low: float, high: float, out: Floats) -> None:
    """Write the logits of probabilities clipped to [low, high] into another array of the same shape."""
    np.clip(p, low, high, out=out)
    out /= np.subtract(1.0, out)
    np.log(out, out=out)


def sigmoid_in_place(z: Floats) -> None:
    """Replace logits by their probabilities."""
    np.negative(z, out=z)
    np.exp(z, out=z)
    z += 1.0
    np.reciprocal(z, out=z)


def in_pieces(calibrate: Into) -> OfArray:
    """Return the function of arrays of shape (n,) that calibrates piece by piece.

    It raises ValueError outside [0, 1]; given `failed`, it reports the error there, and such numbers stay as they are.
    """

    def apply(p: Floats, failed: Failed | None = None) -> Floats:
        served = np.empty(len(p))
        with np.errstate(over="ignore"):  # 1 / (1 + inf) is the 0 that it should be
            for start in range(0, len(p), PIECE):
                piece, out = p[start : start + PIECE], served[start : start + PIECE]
                if in_range(piece):
                    calibrate(piece, out)
                else:
                    _calibrate_some(calibrate, piece, out, failed)
        return served

    return apply


def _calibrate_some(calibrate: Into, piece: Floats, out: Floats, failed: Failed | None) -> None:
    within, is_none = clipped(piece)
    if is_none.any():
        refuse(ValueError(f"probability is {float(piece[is_none][0])!r}; it must be in [0, 1]"), failed)
        within[is_none] = 0.5
    calibrate(within, out)
    out[is_none] = piece[is_none]


def in_range(p: Floats) -> bool:
    """Return whether all numbers of an array are in [0, 1]."""
    return not p.size or bool(p.min() >= 0.0 and p.max() <= 1.0)  # false for NaN too


def clipped(p: Floats) -> tuple[Floats, Any]:
    """Return the probabilities that numbers mean, and which of them are beyond rounding of [0, 1], NaN included."""
    within = np.clip(p, 0.0, 1.0)
    return within, ~(np.abs(within - p) <= rounding.SINGLE)


def refuse(error: ValueError, failed: Failed | None) -> None:
    """Report an error to `failed`, or raise it where nobody takes it."""
    if failed is None:
        raise error
    failed(error)
