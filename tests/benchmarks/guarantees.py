"""Guarantees: how soon the alert fires, and how often falsely, by what it promises (`guarantee`) and what it limits (`alert_on`).

`ever` is .01 for ever; `[.01, 10⁶]` is .01 within the first million labels of a test, by its Shiryaev-Roberts form. `ece` limits the ECE,
`pointwise` the error of each confidence. The limit is .05. The first version of a model has a quarter of the whole: half goes to its
versions, and half of that to the first.

Confidences are uniform, and the model is calibrated until it becomes too extreme by a temperature, ECE .10. A delay is counted in labels
from the fault to the alarm: the median over runs, 50 labels a step. False alarms are of models whose every confidence is off by exactly
the limit, the hardest that are still within it, judged every 1,000 labels.
"""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.stats.cells import Floats
from monitor.stats.sequential.guarantee import Deciding, fires_for_ever, fires_per_labels
from monitor.stats.sequential.ledger import Ledger
from monitor.stats.sequential.spending import level
from tests.benchmarks.alarms import ALPHA, THRESHOLD
from tests.benchmarks.streams import POPULATIONS, Population, drawn, rows, table
from tests.benchmarks.watch import BUCKET, CALM, FAULTS, LONG_CALM, Tied

LABELS: Final = 1_000_000
FAULT: Final = FAULTS[0]
Fires = Callable[[float], float]
"""Returns where the alert fires, from its share of the model's promise."""

RULES: Final[dict[Deciding, tuple[str, str, Fires]]] = {
    "log_e": ("`ever`", "`ece`", lambda part: fires_for_ever(ALPHA * part)),
    "log_sr": ("`[.01, 10⁶]`", "`ece`", lambda part: fires_per_labels(ALPHA * part, LABELS)),
    "log_ratio": ("`ever`", "`pointwise`", lambda part: fires_for_ever(ALPHA * part)),
    "log_ratio_sr": ("`[.01, 10⁶]`", "`pointwise`", lambda part: fires_per_labels(ALPHA * part, LABELS)),
}
PARTS: Final = (1.0, level(1, 1.0))


def found_after(decides: Deciding, calm: int, *, runs: int, longest: int = 20_000, seed: int = 9) -> tuple[float, ...]:
    """Return the median labels from the fault to the alarm, with the whole promise and with the first version's share of it."""
    dice, ledger = np.random.default_rng([seed, calm]), Ledger.begin(runs)
    p, step = POPULATIONS[0].p, min(calm // 100, 1_000)
    limits = [RULES[decides][2](part) for part in PARTS]
    still = Tied(p, THRESHOLD, decides=decides)
    for _ in range(0, calm, step):
        ledger = still(ledger, drawn(dice, p, p, runs=runs, labels=step))
    early = ledger.peak >= limits[0]
    at = [np.full(runs, np.inf) for _ in limits]
    for seen in range(BUCKET, longest + 1, BUCKET):
        said = dice.random((runs, BUCKET))
        y = (dice.random(said.shape) < FAULT.chance(said)).astype(np.float64)
        ledger = ledger.advanced(rows(said, y), THRESHOLD, decides)
        for limit, first in zip(limits, at, strict=True):
            first[(ledger.figure(decides) >= limit) & np.isinf(first) & ~early] = seen
        if all(np.isfinite(first).mean() > 0.5 for first in at):
            break
    return tuple(float(np.median(first)) for first in at)


def false_alarms(
    decides: Deciding, population: Population, *, runs: int, labels: int = LABELS, step: int = 1_000, seed: int = 10
) -> NDArray[np.bool_]:
    """Return which runs have a false alarm about a model whose every confidence is off by the limit."""
    dice, ledger = np.random.default_rng(seed), Ledger.begin(runs)
    bets = Tied(population.p, THRESHOLD, decides=decides)
    chances: Floats = population.edge(THRESHOLD)
    for _ in range(0, labels, step):
        ledger = bets(ledger, drawn(dice, population.p, chances, runs=runs, labels=step))
    return ledger.peak >= RULES[decides][2](1.0)


def delay_table(runs: int) -> str:
    """Return a table of delays after a short and after a long calm."""
    head = ("`guarantee`", "`alert_on`", *(f"after {calm:,} labels" for calm in (CALM, LONG_CALM)))
    body = []
    for decides, (promise, limited, _) in RULES.items():
        delays = [found_after(decides, calm, runs=runs) for calm in (CALM, LONG_CALM)]
        body.append([promise, limited, *(f"{whole:,.0f} ({first:,.0f})" for whole, first in delays)])
    return table(head, body)


def alarm_table(runs: int, labels: int, *, at_once: int = 100) -> str:
    """Return a table of runs with a false alarm, some runs at a time so that their arrays stay in the processor's cache."""
    head = ("`guarantee`", "`alert_on`", *(population.name for population in POPULATIONS))
    body = []
    for decides, (promise, limited, _) in RULES.items():
        counts = [
            sum(
                int(false_alarms(decides, population, runs=at_once, labels=labels, seed=seed).sum())
                for seed in range(runs // at_once)
            )
            for population in POPULATIONS
        ]
        body.append([promise, limited, *counts])
    return table(head, body)


def run() -> Iterator[str]:
    """Yield the tables."""
    yield "Median delay (in brackets with the first version's share; 400 runs):\n\n" + delay_table(400)
    yield "Of 400 runs of a million labels, with a false alarm:\n\n" + alarm_table(400, LABELS)
