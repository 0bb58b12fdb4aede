"""The direction of a model's error in one word, from sums.

Answers (top-label, confidence) lean one way: they are right less, or more, often than they say. A binary model's forecasts can be off in
two ways: they say more, or less, than happens, or they are too extreme, or too timid, at both ends. The word is that of the larger part.
"""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from .alike import stacked
from .cells import Cells, Floats
from .cox import CLIP, Cox, parts

Direction = Literal["overestimates", "underestimates", "overconfident", "underconfident", "none"]
"""Says more than happens, says less, too extreme, too timid (of distributions: too narrow, too wide), or nothing significant."""

SIGNIFICANT: Final = 1.96

ONE_SIDED: Final = 0.025
"""An error counts as one of both ends if more than this share of it lies at the smaller one."""


def direction(cells: Cells, line: Cox | None, *, binary: bool) -> Direction:
    """Return in which direction a model is off, if significantly.

    Of a binary model, two faults are fitted to the outcomes, each alone: a shift, logit P(y = 1) = a + logit p, and a slope about the
    base rate, logit P(y = 1) = m + s·(logit p - m). The one with the larger likelihood names the direction: `overestimates` or
    `underestimates` by the sign of Σ(p - y), `overconfident` or `underconfident` by s below or above 1; the shift also if the slope's
    errors all but lie on one side of m. m is the log odds of the base rate: of the stated and the observed one the rarer, since a wrong
    slope moves the mean forecast towards one half. Neither is named unless Σ(y - p) or Σ(logit p - m)(y - p) is significant
    (abs(z) ≥ 1.96). The line of both: Cox 1958 (doi:10.1093/biomet/45.3-4.562); shift and slope told apart: Miller, Hui and Tierney
    1991 (doi:10.1002/sim.4780100805).

    Of answers, the sign of Σ(p - y) decides if it is significant, otherwise Cox's slope if 1 lies outside its 95 % interval.

    Parameters
    ----------
    cells : sums over the fixed cells
    line : of answers, the result of `cox` for them
    binary : whether p is the probability of class 1, not of the answer

    Examples
    --------
    >>> low = Cells.from_rows([0.2] * 100 + [0.4] * 100, [0, 1, 0] * 33 + [0] + [1, 0] * 50)
    >>> direction(low, None, binary=True)
    'underestimates'
    >>> extreme = Cells.from_rows([0.9] * 100 + [0.1] * 100, [0, 1, 1, 1] * 25 + [1, 0, 0, 0] * 25)
    >>> direction(extreme, None, binary=True)
    'overconfident'

    """
    return directions(stacked([cells]), [line], binary=binary)[0]


def directions(cells: Cells, lines: Sequence[Cox | None], *, binary: bool) -> list[Direction]:
    """Return the `direction` of each window."""
    return _of_forecasts(cells) if binary else _of_answers(cells, lines)


def _of_answers(answers: Cells, lines: Sequence[Cox | None]) -> list[Direction]:
    gaps, variances = (answers.sp - answers.sy).sum(axis=-1), (answers.sp - answers.spp).sum(axis=-1)
    rows = zip(gaps.tolist(), _significant(gaps, variances).tolist(), lines, strict=True)
    return [_of_answer(gap, line, significant=significant) for gap, significant, line in rows]


def _of_answer(gap: float, line: Cox | None, *, significant: bool) -> Direction:
    if significant:
        return "overconfident" if gap > 0 else "underconfident"
    if line is None or abs(line.slope - 1) <= SIGNIFICANT * line.slope_error:
        return "none"
    return "overconfident" if line.slope < 1 else "underconfident"


def _significant(total: Floats, variance: Floats) -> NDArray[np.bool_]:
    significant: NDArray[np.bool_] = (total != 0) & (total**2 >= SIGNIFICANT**2 * np.maximum(variance, 0.0))
    return significant


def _of_forecasts(cells: Cells) -> list[Direction]:
    n, sp, gaps = cells.n, cells.sp, cells.sy - cells.sp
    middle = _base_rates(n.sum(axis=-1), cells.sy.sum(axis=-1), sp.sum(axis=-1))[:, np.newaxis]
    away = _log_odds(sp, n) - middle
    variances = sp - cells.spp
    shifted = _significant(gaps.sum(axis=-1), variances.sum(axis=-1))
    sloped = _significant((away * gaps).sum(axis=-1), (away**2 * variances).sum(axis=-1))
    words: list[Direction] = ["none"] * len(n)
    off = np.flatnonzero(shifted | sloped).astype(np.int64)
    if not len(off):
        return words
    explained = parts(cells, off, middle[off, 0])
    errors = sp[off] - n[off] * expit(middle[off] + explained.slope[:, np.newaxis] * away[off])
    by_slope = (explained.by_slope > explained.by_shift) & _at_both_ends(errors)
    for i, says_more, is_slope, slope in zip(off, gaps[off].sum(axis=-1) < 0, by_slope, explained.slope, strict=True):
        if is_slope:
            words[i] = "overconfident" if slope < 1 else "underconfident"
        else:
            words[i] = "overestimates" if says_more else "underestimates"
    return words


def _base_rates(n: Floats, sy: Floats, sp: Floats) -> Floats:
    """Return the log odds of the rarer of the stated and the observed base rate; those of a half without events."""
    stated, observed = _log_odds(sp, n), logit((sy + 0.5) / (n + 1))
    return np.where(np.abs(stated) > np.abs(observed), stated, observed)


def _log_odds(total: Floats, n: Floats) -> Floats:
    """Return the log odds of mean probabilities, 0 without events."""
    means = np.divide(total, n, out=np.full(np.shape(n), 0.5), where=n > 0)
    return np.asarray(logit(np.clip(means, CLIP, 1 - CLIP)))


def _at_both_ends(errors: Floats) -> NDArray[np.bool_]:
    over, under = np.maximum(errors, 0.0).sum(axis=-1), np.maximum(-errors, 0.0).sum(axis=-1)
    both: NDArray[np.bool_] = np.minimum(over, under) > ONE_SIDED * (over + under)
    return both
