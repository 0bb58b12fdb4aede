"""Rare events: how soon the threshold `ratio` of observed over expected outcomes fires, and how often falsely.

The limit is 1.5 and the level .01 (in brackets: that of a model's first test, a quarter of it). The model says the stated rate of every
event, and is right until the true rate becomes a multiple of it. A delay is counted in labels from the fault to the alarm, the median
over runs, with 500 labels a step; from the start, and after a calm in which 100 outcomes were expected. False alarms are of models that are
right, and of models at the limit, either way, which are the hardest that are still within it.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from monitor.stats.cells import Floats
from monitor.stats.sequential.ratio import Outcomes, RatioTest
from monitor.stats.sequential.spending import level
from tests.benchmarks.alarms import ALPHA
from tests.benchmarks.streams import table

LIMIT: Final = 1.5
STEP: Final = 500
LONGEST: Final = 2_000_000
CALM: Final = 100  # expected outcomes
LABELS: Final = 1_000_000
DELAYS: Final = ((1e-4, 7.5), (1e-4, 3.0), (1e-3, 3.0), (1e-3, 2.0), (1e-3, 0.4), (0.01, 2.0), (0.1, 2.0))
STATED: Final = (1e-4, 0.01, 0.3)
RATIOS: Final = (1.0, LIMIT, 1 / LIMIT)


def outcomes(labels: int, stated: float, happened: float) -> Outcomes:
    """Return the outcomes of a step without clusters."""
    return Outcomes(labels=labels, bets=labels, observed=happened, expected=labels * stated)


def delays(stated: float, times: float, *, calm: float, runs: int, seed: int = 1) -> Floats:
    """Return the labels from the fault to the alarm at the level and at its quarter; shape (runs, 2)."""
    limits, took = -np.log([ALPHA, level(1, ALPHA)]), np.full((runs, 2), np.inf)
    for run in range(runs):
        dice, test = np.random.default_rng([seed, run]), RatioTest.begin()
        labels = max(STEP, round(calm / stated) // 1000)
        for _ in range(0, round(calm / stated), labels):
            test = test.advanced(outcomes(labels, stated, dice.binomial(labels, stated)), limit=LIMIT)
        for seen in range(STEP, LONGEST + 1, STEP):
            test = test.advanced(outcomes(STEP, stated, dice.binomial(STEP, stated * times)), limit=LIMIT)
            took[run, (test.log_e >= limits) & np.isinf(took[run])] = seen
            if np.isfinite(took[run]).all():
                break
    return took


def peak(stated: float, times: float, *, seed: int, labels: int = LABELS, step: int = 1_000) -> float:
    """Return the highest log e-value within so many labels of a model whose events happen so many times as often as stated."""
    dice, test = np.random.default_rng([seed, 2]), RatioTest.begin()
    for happened in dice.binomial(step, stated * times, labels // step):
        test = test.advanced(outcomes(step, stated, happened), limit=LIMIT)
    return test.peak


def delay_table(runs: int) -> str:
    """Return a table of delays."""
    head = ("stated rate", "true rate", "from the start", f"after {CALM} expected outcomes")
    body = []
    for stated, times in DELAYS:
        medians = [np.median(delays(stated, times, calm=calm, runs=runs), axis=0) for calm in (0, CALM)]
        body.append([f"{stated:g}", f"{times:g} times", *(f"{whole:,.0f} ({first:,.0f})" for whole, first in medians)])
    return table(head, body)


def alarm_table(runs: int) -> str:
    """Return a table of runs with a false alarm."""
    head = ("true rate", *(f"stated {stated:g}" for stated in STATED))
    body = []
    for times in RATIOS:
        counts = [sum(peak(stated, times, seed=run) >= -np.log(ALPHA) for run in range(runs)) for stated in STATED]
        body.append([f"{times:.3g} times", *map(str, counts)])
    return table(head, body)


def run() -> Iterator[str]:
    """Yield the tables."""
    yield "Median delay in labels (100 runs):\n\n" + delay_table(100)
    yield f"Of 400 runs of {LABELS:,} labels, with a false alarm:\n\n" + alarm_table(400)
