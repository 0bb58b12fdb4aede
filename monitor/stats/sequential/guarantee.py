"""What a sequential alert promises: which figure it compares, and where it fires."""

from typing import Final, Literal

import numpy as np

STAKE_LABELS: Final = 250
"""A new stake joins after so many labels, however many steps they come in."""

Deciding = Literal["log_e", "log_sr", "log_ratio", "log_ratio_sr"]
"""The figure of a test that an alert compares: of the ECE or of each confidence, as an e-process or in its Shiryaev-Roberts form."""


def deciding(*, pointwise: bool, per_labels: bool) -> Deciding:
    """Return the figure that an alert compares.

    Parameters
    ----------
    pointwise : whether the limit holds at each confidence, rather than for the ECE
    per_labels : whether the guarantee is for a number of labels, rather than for ever

    """
    if pointwise:
        return "log_ratio_sr" if per_labels else "log_ratio"
    return "log_sr" if per_labels else "log_e"


def fires_for_ever(level: float) -> float:
    """Return the log of the e-value at which a false alert has at most this probability, however long one watches.

    Ville's inequality: P(an e-process ever reaches 1/level) <= level.

    Parameters
    ----------
    level : in (0, 1)

    Examples
    --------
    >>> round(fires_for_ever(0.01), 3)
    4.605

    """
    return float(-np.log(level))


def fires_per_labels(false_alarms: float, labels: int) -> float:
    """Return the log of the Shiryaev-Roberts statistic at which a false alert within n labels has at most the probability a·n/N, n <= N.

    A stake of 1 joins for every 250 labels. Under the null the statistic exceeds the stakes placed so far, n/250 at most, by no more than
    chance: it is a submartingale with mean n/250 at most. By Doob's inequality P(it reaches A within n labels) <= n/(250·A), here a·n/N;
    and by optional stopping the mean number of labels until it does is at least 250·A, here N/a. Nothing is said of any window of N
    labels but the first.

    Pollak 1987, doi:10.1214/aos/1176350373; e-values: Shin, Ramdas and Rinaldo 2023, doi:10.51387/23-NEJSDS51.

    Parameters
    ----------
    false_alarms : a, in (0, 1)
    labels : N, at least 250

    Examples
    --------
    >>> round(fires_per_labels(0.01, 1_000_000), 3)
    12.899

    """
    return float(np.log(labels / STAKE_LABELS / false_alarms))
