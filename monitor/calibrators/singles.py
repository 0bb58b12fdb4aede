"""Single probabilities: the forms of a family's map, and the arithmetic that families share.

Plain Python maps one number in about a microsecond. NumPy maps arrays, in pieces that stay in the processor's cache: moving them to memory
and back costs more than a logarithm. Both do the same operations; NumPy's logarithms and exponentials may differ in the last digit.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Never, TypeVar

from .numeric import Floats, np
from .parameters import HIGHEST, LOWEST

PIECE: Final = 8_192

ToProbability = Callable[[float], float]
Into = Callable[[Floats, Floats], None]
"""Calibrates a piece of shape (m,), in [0, 1], into an array of the same shape."""

P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Singles(Generic[P]):
    """What a family makes of its parameters: functions of single probabilities."""

    scalar: Callable[[P], ToProbability]  # p → calibrated p; raises ValueError outside [0, 1], NaN included
    array: Callable[[P], Into]


def _refuse(_parameters: object) -> Never:
    raise ValueError("this family does not calibrate single probabilities")


NO_SINGLES: Final[Singles[Any]] = Singles(scalar=_refuse, array=_refuse)


def no_probability(p: object) -> ValueError:
    """Return the error for a number outside [0, 1]."""
    return ValueError(f"probability is {p!r}; it must be in [0, 1]")


def line(slope: float, intercept: float) -> ToProbability:
    """Return p → sigmoid(slope · logit(p) + intercept), with p clipped to [1e-6, 1 - 1e-6]."""
    log, exp, low, high = math.log, math.exp, LOWEST, HIGHEST

    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            raise no_probability(p)
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


def in_pieces(calibrate: Into) -> Callable[[Floats], Floats]:
    """Return the function of arrays of shape (n,) that calibrates piece by piece; it raises ValueError outside [0, 1]."""

    def apply(p: Floats) -> Floats:
        served = np.empty(len(p))
        with np.errstate(over="ignore"):  # 1 / (1 + inf) is the 0 that it should be
            for start in range(0, len(p), PIECE):
                piece = p[start : start + PIECE]
                check_probabilities(piece)
                calibrate(piece, served[start : start + PIECE])
        return served

    return apply


def check_probabilities(p: Floats) -> None:
    """Raise ValueError unless all numbers of an array are in [0, 1]."""
    if p.size and not (p.min() >= 0.0 and p.max() <= 1.0):  # false for NaN too
        raise ValueError("probabilities must be in [0, 1]")
