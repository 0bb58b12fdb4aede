"""Control of the false discovery rate over many hypotheses."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cells import Floats

Flags = NDArray[np.bool_]

MOST: Final = 1.0


def e_bh(log_e_values: ArrayLike, rate: float) -> Flags:
    """Return the null hypotheses that e-BH rejects, of which on average at most a share `rate` is true.

    With K hypotheses and e-values in descending order e₁ ≥ e₂ ≥ …, the first k* are rejected, where k* is the largest k with
    k·eₖ/K ≥ 1/rate. This holds under any dependence between e-values. NaN counts as an e-value of 0, no evidence.
    Wang & Ramdas 2022 (doi:10.1111/rssb.12489).

    Parameters
    ----------
    log_e_values : array of shape (K,), natural logarithms of e-values
    rate : the false discovery rate, in (0, 1)

    Returns
    -------
    array of shape (K,), True where the null hypothesis is rejected

    Raises
    ------
    ValueError
        when the rate is not in (0, 1).

    Examples
    --------
    >>> e_bh(np.log([50, 20, 1, 70]), 0.05).tolist()
    [True, False, False, True]

    """
    _check(rate)
    evidence = np.nan_to_num(np.asarray(log_e_values, dtype=np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    return _first(-evidence, lambda share: np.log(share) + np.log(rate))


def benjamini_hochberg(p_values: ArrayLike, rate: float) -> Flags:
    """Return the null hypotheses that Benjamini-Hochberg rejects, from independent p-values.

    With K hypotheses and p-values in ascending order, the first k* are rejected, where k* is the largest k with
    pₖ ≤ rate·k/K. Positive dependence does no harm; arbitrary dependence may. NaN counts as a p-value of 1, no evidence.
    Benjamini & Hochberg 1995 (doi:10.1111/j.2517-6161.1995.tb02031.x).

    Parameters
    ----------
    p_values : array of shape (K,), in [0, 1]
    rate : the false discovery rate, in (0, 1)

    Returns
    -------
    array of shape (K,), True where the null hypothesis is rejected

    Raises
    ------
    ValueError
        when the rate is not in (0, 1), or a p-value not in [0, 1].

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.5], 0.06).tolist()
    [True, True, True, False]

    """
    _check(rate)
    p = np.nan_to_num(np.asarray(p_values, dtype=np.float64), nan=MOST)
    if ((p < 0) | (p > MOST)).any():
        raise ValueError(f"p_values are from {p.min()} to {p.max()}; they must be ratios in [0, 1]")
    return _first(p, lambda share: rate * share)


def _first(surprise: Floats, limit: Callable[[Floats], Floats]) -> Flags:
    """Return the k* smallest values, where k* is the largest k whose k-th smallest is at most the limit for k/K."""
    order = np.argsort(surprise, kind="stable")
    ranks = np.arange(1.0, len(surprise) + 1)
    within = np.flatnonzero(surprise[order] <= limit(ranks / max(1, len(surprise))))
    chosen = np.zeros(len(surprise), dtype=bool)
    if len(within):
        chosen[order[: within[-1] + 1]] = True
    return chosen


def _check(rate: float) -> None:
    if not 0 < rate < 1:
        raise ValueError(f"rate is {rate}; it must be in (0, 1)")
