"""Estimates of a window's figures before its labels arrive, from the calibration map of an earlier window."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy.special import betaincinv, expit, logit, ndtr, softmax

from .cells import Cells, Floats, bin_of_cell
from .reliability import LEVEL, SEED
from .scores import CELLS_TO_HALF

BINS: Final = 15
FARTHEST: Final = 9.0
"""Logits are clipped to ±9, that is p to [.000123, .999877]."""

STEP: Final = 0.5
KNOTS: Final[Floats] = np.arange(-FARTHEST, FARTHEST + STEP / 2, STEP)
ROUGHNESS: Final = (0.15, 0.6)
"""Standard deviations of the map's bend at a knot, in logits, from nearly a line to nearly free."""

LEVEL_SCALE: Final = 1.0
SLOPE_SCALE: Final = 0.5
"""Prior standard deviations of the line's height and slope around the identity."""

DRAWS: Final = 1000
LONGEST_STEP: Final = 3.0
ITERATIONS: Final = 40
TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Estimated figures, each with an interval for the figure itself, not for its mean."""

    accuracy: float
    accuracy_low: float
    accuracy_high: float
    ece: float
    ece_low: float
    ece_high: float
    brier: float
    brier_low: float
    brier_high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A calibration map of one roughness, as shifts of the logit at the knots."""

    shift: Floats  # (knots,)
    covariance: Floats  # (knots, knots), given the labels
    sampling: Floats  # (knots, knots), the part due to label noise in the line
    evidence: float  # log marginal likelihood, up to a constant


@dataclass(frozen=True, slots=True)
class Target:
    """The occupied cells of a window whose labels are to come."""

    p: Floats  # (cells,) mean confidence
    n: Floats  # (cells,) future labels
    unseen: float  # share of predictions that stay unlabelled
    low: Floats  # (cells,) 1 where a binary model's answer is 0
    spread: Floats  # (bins, cells) membership of cells in bins


def expected(
    known: Cells, coming: Cells, *, binary: bool, coverage: float = 1.0, seed: int = SEED
) -> Expectation | None:
    """Return the accuracy, ECE and Brier score expected of a window if the calibration map has not changed.

    The map is logit r(p) = x + f(x), x = logit p, with f a linear spline whose second differences are Gaussian with a standard
    deviation that is averaged over `ROUGHNESS` by marginal likelihood, around a line that is 0 (the identity) give or take
    `LEVEL_SCALE` and `SLOPE_SCALE`. It follows the labels where there are many; elsewhere it continues as a line, with growing
    variance. (Isotonic regression is constant there, without more variance.)

    - accuracy = Σ r / N; of a binary model's answers with 1 - r in place of r where p ≤ .5
    - brier = Σ (p² + r(1 - 2p)) / N, of the single confidence; for a model of several classes that is the top-label one
    - ece = Σ_b E abs(G_b) / N over 15 bins, with G_b ~ N(Σ(p - r), W_b) the future gap, noise W_b included, as in
      every ECE. The noise S of the line from the known labels would inflate it: with μ̂ ~ N(μ, S), E abs(N(μ̂, W - S)) is
      unbiased. For bends, whose scale the prior has learned, μ ~ N(μ̂, P) given the labels: W + P - S.

    Intervals include the noise of the map and that of the future labels. For accuracy and Brier score they are of the beta distribution
    of the same mean and variance, for the ECE the estimate plus quantiles of its error, from `DRAWS` seeded draws.
    Measured on uniform, top-label and rare-event scores, calibrated or off, with 500 to 20,000 labels, also where the scores of the two
    windows differ: the later truth lies inside in 89 to 99 of 100 windows. A map that oscillates by half a logit is smoothed unless
    labels are many: its expected ECE is too low, and the truth lies inside in 75 to 90 of 100.

    Eilers & Marx 1996 (doi:10.1214/ss/1038425655), Marra & Wood 2012 (doi:10.1111/j.1467-9469.2011.00760.x).

    Parameters
    ----------
    known : sums of a window with matured labels; only its labelled events count
    coming : sums of the window to be estimated; all its events count, its labels do not
    binary : the confidence is that of class 1, not of the answer
    coverage : share of the coming window's predictions that will be labelled, in (0, 1]
    seed : of the Philox generator

    Returns
    -------
    ratios in [0, 1]; None without labels or events

    Examples
    --------
    >>> known = Cells.from_rows([0.9] * 1000, [0, 1, 1, 1] * 250)
    >>> found = expected(known, Cells.from_rows([0.9] * 400, [0] * 400), binary=False)
    >>> round(found.accuracy, 2), found.accuracy_low < 0.75 < found.accuracy_high, round(found.ece, 2)
    (0.75, True, 0.15)

    """
    curves = calibration_map(known)
    return None if curves is None else expected_under(curves, coming, binary=binary, coverage=coverage, seed=seed)


def expected_under(
    curves: Sequence[Curve], coming: Cells, *, binary: bool, coverage: float = 1.0, seed: int = SEED
) -> Expectation | None:
    """Return the result of `expected` for one of several windows with the same calibration map; None without events.

    Examples
    --------
    >>> curves = calibration_map(Cells.from_rows([0.9] * 1000, [0, 1, 1, 1] * 250))
    >>> expected_under(curves, Cells.from_rows([], []), binary=False) is None
    True

    """
    if not coming.en.sum() > 0:
        return None
    target = _target(coming, coverage)
    outlook = _Outlook.of(curves, target, binary=binary)
    ece, ece_low, ece_high = _ece(outlook, seed)
    accuracy, brier = (_with_interval(*moments) for moments in (outlook.accuracy, outlook.brier))
    return Expectation(
        accuracy=accuracy[0],
        accuracy_low=accuracy[1],
        accuracy_high=accuracy[2],
        ece=ece,
        ece_low=ece_low,
        ece_high=ece_high,
        brier=brier[0],
        brier_low=brier[1],
        brier_high=brier[2],
    )


def calibration_map(known: Cells) -> tuple[Curve, ...] | None:
    """Return the calibration map of labelled events at each roughness; None without any.

    Examples
    --------
    >>> halved = calibration_map(Cells.from_rows([0.8] * 1000, [0, 1] * 500))
    >>> [round(float(np.interp(np.log(4), KNOTS, curve.shift)), 1) for curve in halved]  # logit .5 - logit .8
    [-1.4, -1.4]

    """
    full = known.n > 0
    if not full.any():
        return None
    n = known.n[full]
    x = _logit(np.clip(known.sp[full] / n, 0.0, 1.0))
    seen = _Seen(x, _hats(x), n, known.sy[full])
    return tuple(_curve(seen, _SMOOTH / roughness**2 + _STRAIGHT) for roughness in ROUGHNESS)


def _target(coming: Cells, coverage: float) -> Target:
    full = coming.en > 0
    place = np.flatnonzero(full)
    spread = np.zeros((BINS, len(place)))
    spread[bin_of_cell(BINS)[place], np.arange(len(place))] = 1.0
    return Target(
        p=np.clip(coming.esp[full] / coming.en[full], 0.0, 1.0),
        n=coming.en[full] * coverage,
        unseen=1.0 - coverage,
        low=(place < CELLS_TO_HALF).astype(np.float64),
        spread=spread,
    )


def _logit(p: Floats) -> Floats:
    with np.errstate(divide="ignore"):  # 0 and 1 are held within ±9 like all others
        return np.asarray(np.clip(logit(p), -FARTHEST, FARTHEST))


def _hats(x: Floats) -> Floats:
    """Return the weight of each knot at each logit; shape (cells, knots)."""
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(x[:, None] - KNOTS) / STEP))


def _bends() -> Floats:
    bends = np.zeros((len(KNOTS) - 2, len(KNOTS)))
    for i in range(len(KNOTS) - 2):
        bends[i, i : i + 3] = (1.0, -2.0, 1.0)
    return bends


def _line() -> Floats:
    """Return a curve's line: its height at 0 and its slope from end to end, in units of their prior scales."""
    height, slope = np.zeros(len(KNOTS)), np.zeros(len(KNOTS))
    height[len(KNOTS) // 2] = 1 / LEVEL_SCALE
    slope[[0, -1]] = np.array([-1.0, 1.0]) / (2 * FARTHEST * SLOPE_SCALE)
    return np.stack([height, slope])


_SMOOTH: Final[Floats] = _bends().T @ _bends()
_STRAIGHT: Final[Floats] = _line().T @ _line()
_LINES: Final[Floats] = np.stack([np.ones_like(KNOTS), KNOTS], axis=1)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Labelled events per cell."""

    x: Floats  # (cells,) logits
    hats: Floats  # (cells, knots)
    n: Floats  # (cells,)
    sy: Floats  # (cells,)

    def information(self, shift: Floats) -> Floats:
        """Return the Fisher information of the labels about the shifts."""
        rate = expit(self.x + self.hats @ shift)
        return self.weighed(self.n * rate * (1 - rate))

    def weighed(self, weight: Floats) -> Floats:
        return np.asarray((self.hats * weight[:, None]).T @ self.hats)

    def score(self, shift: Floats) -> Floats:
        """Return the gradient of the log likelihood."""
        return np.asarray(self.hats.T @ (self.sy - self.n * expit(self.x + self.hats @ shift)))

    def likelihood(self, shift: Floats) -> float:
        """Return the log likelihood."""
        eta = self.x + self.hats @ shift
        return float(self.sy @ eta - self.n @ np.logaddexp(0.0, eta))

    def start(self, prior: Floats) -> Floats:
        """Return shifts by least squares on the logits of observed shares, each with one outcome added as forecast."""
        logits = np.log((self.sy + expit(self.x)) / (self.n - self.sy + expit(-self.x)))
        rate = expit(logits)
        weight = self.n * rate * (1 - rate)
        return np.asarray(np.linalg.solve(self.weighed(weight) + prior, self.hats.T @ (weight * (logits - self.x))))


def _curve(seen: _Seen, prior: Floats) -> Curve:
    """Return the most likely curve, by damped Newton steps, and its variance by Laplace's approximation."""
    shift = seen.start(prior)
    for _ in range(ITERATIONS):
        step = np.linalg.solve(seen.information(shift) + prior, seen.score(shift) - prior @ shift)
        longest = float(np.abs(step).max())
        shift = shift + step * min(1.0, LONGEST_STEP / max(longest, LONGEST_STEP))
        if longest < TOLERANCE:
            break
    information = seen.information(shift)
    covariance = np.asarray(np.linalg.inv(information + prior), dtype=np.float64)
    fit = seen.likelihood(shift) - 0.5 * float(shift @ prior @ shift)
    volume = float(np.linalg.slogdet(prior)[1] + np.linalg.slogdet(covariance)[1])
    return Curve(shift, covariance, _of_the_line(information), fit + 0.5 * volume)


def _of_the_line(information: Floats) -> Floats:
    """Return the sampling variance of the curve's line, which is hardly shrunk."""
    seen = _LINES.T @ information @ _LINES
    line = np.linalg.inv(seen + _LINES.T @ _STRAIGHT @ _LINES)
    return np.asarray(_LINES @ (line @ seen @ line) @ _LINES.T)


@dataclass(frozen=True, slots=True)
class _Outlook:
    """Means and variances of the future figures, averaged over curves."""

    accuracy: tuple[float, float]
    brier: tuple[float, float]
    gap: Floats  # (bins,) Σ(p - r), as a share of all labels
    noise: Floats  # (bins,) variance from the labels
    sampling: Floats  # (bins, bins)
    unknown: Floats  # (bins, bins) the rest of the map's variance

    @classmethod
    def of(cls, curves: Sequence[Curve], target: Target, *, binary: bool) -> "_Outlook":
        total = float(target.n.sum())
        p, share = target.p, target.n / total
        x = _logit(p)
        hats = _hats(x)
        sign = 1 - 2 * target.low if binary else np.ones_like(p)
        wanted = np.stack([*(-target.spread * share), share * sign, share * (1 - 2 * p)])
        weights = softmax([curve.evidence for curve in curves])
        rates = np.stack([expit(x + hats @ curve.shift) for curve in curves])
        means = rates @ wanted.T
        mean, rate = weights @ means, weights @ rates
        unknown = (weights[:, None] * (means - mean)).T @ (means - mean)
        sampling = np.zeros_like(unknown)
        for curve, predicted, weight in zip(curves, rates, weights, strict=True):
            slope = (wanted * (predicted * (1 - predicted))) @ hats
            sampling += weight * slope @ curve.sampling @ slope.T
            unknown += weight * slope @ (curve.covariance - curve.sampling) @ slope.T
        outcome = rate * (1 - rate)
        noise = target.spread @ (share * (outcome + target.unseen * (p - rate) ** 2)) / total
        right = rate if not binary else np.where(target.low > 0, 1 - rate, rate)
        loss = p**2 + rate * (1 - 2 * p)
        return cls(
            accuracy=(
                float(share @ right),
                float(unknown[-2, -2] + sampling[-2, -2]) + _spread(share, outcome, right, target.unseen, total),
            ),
            brier=(
                float(share @ loss),
                float(unknown[-1, -1] + sampling[-1, -1])
                + _spread(share, outcome * (1 - 2 * p) ** 2, loss, target.unseen, total),
            ),
            gap=target.spread @ (share * p) + mean[:BINS],
            noise=noise,
            sampling=sampling[:BINS, :BINS],
            unknown=unknown[:BINS, :BINS],
        )


def _spread(share: Floats, outcome: Floats, value: Floats, unseen: float, total: float) -> float:
    """Return the variance of a mean over labels, from outcomes and from the choice of labelled predictions."""
    return float(share @ (outcome + unseen * (value - share @ value) ** 2)) / total


def _with_interval(mean: float, variance: float) -> tuple[float, float, float]:
    """Return a mean with the interval of the beta distribution of that mean and variance."""
    size = mean * (1 - mean) / variance - 1 if variance > 0 else math.inf
    if not 0 < mean < 1 or size == math.inf:
        return mean, mean, mean
    tails = np.array([1 - LEVEL, 1 + LEVEL]) / 2
    if size <= 0:
        return mean, 0.0, 1.0
    low, high = betaincinv(mean * size, (1 - mean) * size, tails)
    return mean, min(float(low), mean), max(float(high), mean)


def _mean_abs(mean: Floats, variance: Floats) -> Floats:
    """Return E abs(N(mean, variance)), summed over the last axis."""
    deviation = np.sqrt(np.maximum(variance, 1e-30))
    z = mean / deviation
    return np.asarray(
        (deviation * math.sqrt(2 / math.pi) * np.exp(-0.5 * z**2) + mean * (2 * ndtr(z) - 1)).sum(axis=-1)
    )


def _ece(outlook: _Outlook, seed: int) -> tuple[float, float, float]:
    estimated, unknown = np.diag(outlook.sampling), np.diag(outlook.unknown)
    width = np.maximum(outlook.noise + unknown - estimated, 0.0)
    ece = float(_mean_abs(outlook.gap, width))
    centre = np.sign(outlook.gap) * np.sqrt(np.maximum(outlook.gap**2 - estimated, 0.0))
    one, two, three = _normals(seed)
    again = _mean_abs(centre + one @ _root(outlook.sampling), width)
    truth = np.abs(centre + two @ _root(outlook.unknown) + three * np.sqrt(outlook.noise)).sum(axis=1)
    low, high = np.quantile(truth - again, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    ece = min(ece, 1.0)
    return ece, min(max(ece + float(low), 0.0), ece), max(min(ece + float(high), 1.0), ece)


@lru_cache(maxsize=4)
def _normals(seed: int) -> Floats:
    normals: Floats = np.random.Generator(np.random.Philox(seed)).standard_normal((3, DRAWS, BINS))
    normals.setflags(write=False)
    return normals


def _root(covariance: Floats) -> Floats:
    """Return a matrix A with A·Aᵀ equal to a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))).T)
