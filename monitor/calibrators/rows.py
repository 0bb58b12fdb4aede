"""Rows of probabilities, labels and weights, checked in one place before calibrators are fitted on them or applied to them."""

from typing import Any, Final

from ..domain.rounding import COARSE, SUM_TOLERANCE, SUMMED
from .errors import NotIdentified
from .numeric import ArrayLike, Floats, Integers, np
from .parameters import HIGHEST, LOWEST, SMALLEST
from .singles import clipped, in_range
from .vectors import as_vectors

# Beyond this gap a class has no probability left at any allowed temperature; the limit keeps products finite.
WIDEST_GAP: Final = 1e6


def confidences(values: ArrayLike, name: str = "X") -> Floats:
    """Return single probabilities, of shape (n,) or (n, 1), as an array of shape (n,); raise ValueError beyond rounding of [0, 1]."""
    p = _floats(values, name)
    if p.ndim == 2 and p.shape[1] == 1:  # noqa: PLR2004  a column, which is how scikit-learn passes one feature
        p = p[:, 0]
    if p.ndim != 1:
        raise ValueError(f"{name} has shape {p.shape}; single probabilities have shape (n,)")
    return _all_within(p, name)


def vectors(values: ArrayLike, name: str = "X") -> Floats:
    """Return probability vectors as an array of shape (n, K); raise ValueError unless each row is a distribution but for rounding."""
    p = _all_within(_matrix(values, name), name)
    off = np.abs(p.sum(axis=1) - 1.0)
    if off.size and off.max() > COARSE + SUMMED:
        row = int(off.argmax())
        raise ValueError(f"{name}[{row}] sums to {p[row].sum():g}; it must sum to 1 within {SUM_TOLERANCE}")
    return as_vectors(p)[0] if off.size and off.max() > SUM_TOLERANCE + SUMMED else p


def log_scores(values: ArrayLike, *, logits: bool) -> Floats:
    """Return log p of vectors, or logits, up to a constant per row: the highest score of a row is 0; shape (n, K)."""
    if logits:
        scores = _matrix(values, "X")
        if not (scores < np.inf).all() or not np.isfinite(scores.max(axis=1)).all():
            raise ValueError("X holds logits that are not finite, nor -inf of a class that is masked")
        with np.errstate(over="ignore"):  # a gap wider than any float is cut off below
            return np.asarray(np.maximum(scores - scores.max(axis=1, keepdims=True), -WIDEST_GAP))
    scores = np.maximum(vectors(values), SMALLEST)
    np.log(scores, out=scores)
    scores -= scores.max(axis=1, keepdims=True)
    return np.asarray(scores)


def logit(p: Floats) -> Floats:
    """Return log(p / (1 - p)) of probabilities clipped to [1e-6, 1 - 1e-6]."""
    odds = np.clip(p, LOWEST, HIGHEST)
    odds /= 1.0 - odds
    return np.asarray(np.log(odds, out=odds))


def outcomes(values: ArrayLike, rows: int) -> Floats:
    """Return outcomes as an array of shape (n,) of 0.0 and 1.0; raise ValueError for any other value."""
    y = _column(values, "y", rows)
    if not ((y == 0.0) | (y == 1.0)).all():
        raise ValueError("y holds values other than 0 and 1")
    return y


def classes(values: ArrayLike, rows: int, count: int) -> Integers:
    """Return labels as an array of shape (n,) of integers in [0, count); raise ValueError for any other value."""
    y = _column(values, "y", rows)
    if not (np.isin(y, np.arange(count))).all():
        raise ValueError(f"y holds values other than whole numbers from 0 to {count - 1}")
    return y.astype(np.int64)


def weights(values: ArrayLike | None, rows: int) -> Floats:
    """Return weights of the rows, shape (n,), 1 by default; raise ValueError for negative or infinite ones."""
    if values is None:
        return np.ones(rows)
    weight = _column(values, "sample_weight", rows)
    if not (np.isfinite(weight).all() and (weight >= 0.0).all()):
        raise ValueError("sample_weight holds values that are negative or not finite")
    return weight


def single_rows(X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Return confidences, outcomes and weights to fit on, without rows of weight 0.

    Raises
    ------
    NotIdentified
        for rows without weight, or outcomes that are all the same.

    """
    p = confidences(X)
    outcome, weight = outcomes(y, len(p)), weights(sample_weight, len(p))
    return _both_present(p, outcome, weight)


def vector_rows(
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    *,
    logits: bool,
) -> tuple[Floats, Integers, Floats]:
    """Return scores, labels and weights to fit on, without rows of weight 0.

    Raises
    ------
    NotIdentified
        for rows without weight, or labels that are all the same.

    """
    scores = log_scores(X, logits=logits)
    label, weight = classes(y, *scores.shape), weights(sample_weight, len(scores))
    return _both_present(scores, label, weight)


def rows_of_cells(n: ArrayLike, sy: ArrayLike, sp: ArrayLike, spy: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return weighted rows to fit on, two for each cell: its events with y = 1 at their mean p, and those with y = 0 at theirs.

    Parameters
    ----------
    n, sy, sp, spy : arrays of shape (cells,); labelled events, Σy, Σp and Σpy

    Returns
    -------
    p, y, sample_weight : arrays of shape (m,), m ≤ 2·cells; only occupied ones

    Examples
    --------
    >>> p, y, weight = rows_of_cells([3.0, 0.0], [1.0, 0.0], [1.25, 0.0], [0.45, 0.0])
    >>> p.tolist(), y.tolist(), weight.tolist()
    ([0.45, 0.4], [1.0, 0.0], [1.0, 2.0])

    """
    count, positive, total, product = (np.asarray(sums, dtype=np.float64) for sums in (n, sy, sp, spy))
    weight = np.concatenate([positive, count - positive])
    sums = np.concatenate([product, total - product])
    y = np.repeat([1.0, 0.0], len(count))
    used = weight > 0.0
    # Sums of fixed-point numbers can put a mean an ulp outside [0, 1].
    return np.clip(sums[used] / weight[used], 0.0, 1.0), y[used], weight[used]


def _both_present(scores: Floats, y: Any, weight: Floats) -> tuple[Floats, Any, Floats]:
    used = weight > 0.0
    if not used.all():
        scores, y, weight = scores[used], y[used], weight[used]
    if not len(y):
        raise NotIdentified("there are no rows to fit on, or all have weight zero")
    if (y == y[0]).all():
        raise NotIdentified(f"all labels are {y[0]:g}; a calibrator needs both right and wrong answers, not one class")
    return scores, y, weight


def _matrix(values: ArrayLike, name: str) -> Floats:
    scores = _floats(values, name)
    if scores.ndim != 2 or scores.shape[1] < 2:  # noqa: PLR2004  rows and at least two classes
        raise ValueError(f"{name} has shape {scores.shape}; vectors have shape (n, K) with K ≥ 2")
    return scores


def _column(values: ArrayLike, name: str, rows: int) -> Floats:
    column = _floats(values, name)
    if column.shape != (rows,):
        raise ValueError(f"{name} has shape {column.shape}; with {rows} rows it must be ({rows},)")
    return column


def _floats(values: ArrayLike, name: str) -> Floats:
    if hasattr(values, "toarray"):
        raise ValueError(f"{name} is a sparse array, which is not supported: pass a dense one")
    # NumPy would only warn, and drop half of each complex number.
    if getattr(getattr(values, "dtype", None), "kind", None) == "c":
        raise ValueError(f"{name} holds complex numbers. Complex data not supported")
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} is not an array of numbers: {error}") from error


def _all_within(p: Floats, name: str) -> Floats:
    """Return numbers within rounding of [0, 1] clamped to it."""
    if in_range(p):
        return p
    within, is_none = clipped(p)
    if is_none.any():
        where = tuple(int(i) for i in np.argwhere(is_none)[0])
        raise ValueError(f"{name}{list(where)} is {p[where]}; it must be in [0, 1] and not NaN")
    return within
