"""Control of the false discovery rate over many hypotheses."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cells import Floats

Flags = NDArray[np.bool_]


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
