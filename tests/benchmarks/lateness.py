"""Lateness: labels that miss their time by outcome, labels missing at random, and events that share an outcome."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import expit, logit, ndtr

from monitor.stats.cells import Cells, Floats, place
from monitor.stats.sequential.evidence import Clusters, Evidence
from monitor.stats.sequential.selection import Labelling
from tests.benchmarks.alarms import ALPHA, THRESHOLD
from tests.benchmarks.streams import table

RUNS: Final = 60
LIMIT: Final = float(-np.log(ALPHA))
PER_STEP: Final = 1_000
"""Predictions of a step."""

A_DAY: Final = 8
"""Steps after which late labels come."""

GAMES: Final = 10
"""Clusters of a step."""

FORECASTS: Final = 120
"""Events of a cluster that lasts an hour."""

Chance = Callable[[Floats], Floats]
"""Of y = 1, by confidence."""

Selection = Callable[[Floats, Floats], Floats]
"""Of a label in time, by confidence and outcome."""

HALF: Final = 0.5
"""The confidence above which the positive outcome is predicted."""

NOTHING: Final = Cells.from_rows([], [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A model and how its labels come."""

    name: str
    chance: Chance  # of y = 1
    in_time: Selection
    late: bool = True  # whether other labels come a day later, or never
    onset: int = 0  # before this step all labels come in time
    steps: int = 60
    breaks: int = 0  # from this step on it has that chance; before, it is calibrated


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run."""

    fired: int  # labels until the alert; 0 for none
    held: bool  # whether one was held
    peak: float


def calibrated(p: Floats) -> Floats:
    """Return the chances under confidences that mean what they say."""
    return p


def timid(p: Floats) -> Floats:
    """Return the chances under confidences whose log odds are twice too large."""
    return np.asarray(expit(logit(np.clip(p, 1e-6, 1 - 1e-6)) / 2))


def too_high(p: Floats) -> Floats:
    """Return the chances under confidences that say .10 too much."""
    return np.clip(p - 0.1, 0.0, 1.0)


def lived(life: Life, seed: int) -> Outcome:
    """Return what becomes of a run: it ends with an alert."""
    dice, evidence, held = np.random.default_rng(seed), Evidence.begin(), False
    missed: list[Cells] = []
    for step in range(life.steps):
        p = dice.random(PER_STEP)
        chance = life.chance(p) if step >= life.breaks else p
        y = (dice.random(PER_STEP) < chance).astype(np.float64)
        timely = (dice.random(PER_STEP) < life.in_time(p, y)) | (step < life.onset)
        everything, told = Cells.from_rows(p, y), Cells.from_rows(p[timely], y[timely])
        seen = Labelling.of_cells(replace(told, en=everything.n, esp=everything.sp))
        evidence = evidence.advanced(told, threshold=THRESHOLD)
        missed.append(Cells.from_rows(p[~timely], y[~timely]))
        if life.late and step >= A_DAY:
            evidence = evidence.taught(missed[step - A_DAY])
            seen += Labelling.of_cells(missed[step - A_DAY]).late
        evidence = evidence.labelled(seen, threshold=THRESHOLD, limit=LIMIT)
        if evidence.peak >= LIMIT:
            if evidence.doubt(threshold=THRESHOLD) is None:
                return Outcome(evidence.labels, held, evidence.peak)
            held = True
    return Outcome(0, held, evidence.peak)


def missing(share: float) -> Selection:
    """Return the chances of a label in time where a share of the positives misses it."""
    return lambda _, y: 1.0 - share * y


def disputed(share: float) -> Selection:
    """Return the chances of a label in time where a share of the predictions that were wrong misses it."""
    return lambda p, y: 1.0 - share * ((p > HALF) != y)


def agreed(share: float) -> Selection:
    """Return the chances of a label in time where a share of the predictions that were right misses it."""
    return lambda p, y: 1.0 - share * ((p > HALF) == y)


def only(outcome: float) -> Selection:
    """Return the chances of a label in time where only one outcome gets one."""
    return lambda _, y: (y == outcome).astype(np.float64)


def at_random(share: float) -> Selection:
    """Return the chances of a label in time where that does not depend on the outcome."""
    return lambda _, y: np.full_like(y, share)


LIVES: Final = (
    *(
        Life(name=f"calibrated, {share:.0%} of positives a day late", chance=calibrated, in_time=missing(share))
        for share in (0.01, 0.1, 0.5)
    ),
    Life(
        name="calibrated, half of the positives late from step 20 on", chance=calibrated, in_time=missing(0.5), onset=20
    ),
    Life(name="calibrated, labels for positives only", chance=calibrated, in_time=only(1.0), late=False),
    Life(name="calibrated, labels for negatives only", chance=calibrated, in_time=only(0.0), late=False),
    Life(name="calibrated, half of the wrong predictions a day late", chance=calibrated, in_time=disputed(0.5)),
    Life(
        name="calibrated, half of the right predictions without a label",
        chance=calibrated,
        in_time=agreed(0.5),
        late=False,
    ),
    *(
        Life(
            name=f"{share:.0%} of positives a day late, and {name} from step 20 on",
            chance=chance,
            in_time=missing(share),
            breaks=20,
        )
        for share in (0.01, 0.1)
        for name, chance in (("log odds twice too large", timid), ("says .10 too much", too_high))
    ),
    *(
        Life(name=f"{name}, labels for a random {share:.0%}", chance=chance, in_time=at_random(share), late=False)
        for name, chance in (("log odds twice too large", timid), ("says .10 too much", too_high))
        for share in (1.0, 0.3, 0.05)
    ),
    Life(name="says .10 too much, a random half a day late", chance=too_high, in_time=at_random(0.5)),
)


def games(dice: np.random.Generator, *, shorter: bool) -> Clusters:
    """Return clusters of forecasts that approach one outcome, each calibrated at its moment.

    Parameters
    ----------
    shorter : whether a game ends after a quarter of its time where its favourite wins

    """
    noise = dice.standard_normal((GAMES, FORECASTS + 1)) / np.sqrt(FORECASTS + 1)
    lead = dice.standard_normal((GAMES, 1)) + np.cumsum(noise, axis=1)
    left = np.sqrt(1.0 - np.arange(1, FORECASTS + 1) / (FORECASTS + 1))
    p, won = ndtr(lead[:, :-1] / left), lead[:, -1:] > 0
    lasts = np.where(shorter & ((p[:, :1] > 0.5) == won), FORECASTS // 4, FORECASTS)
    game, event = np.nonzero(np.arange(FORECASTS) < lasts)
    ones = np.ones(len(game))
    return Clusters(game, place(p[game, event]), ones, won[game, 0].astype(np.float64), p[game, event])


def played(seed: int, *, shorter: bool, steps: int = 100) -> float:
    """Return the highest evidence of a run of clusters, each of which is one bet."""
    dice, evidence = np.random.default_rng(seed), Evidence.begin()
    for _ in range(steps):
        evidence = evidence.advanced(NOTHING, games(dice, shorter=shorter), threshold=THRESHOLD)
    return evidence.peak


def run(runs: int = RUNS) -> Iterator[str]:
    """Yield tables: alerts where labels miss their time, and where events share an outcome."""
    body: list[list[object]] = []
    for life in LIVES:
        outcomes = [lived(life, seed) for seed in range(runs)]
        fired = [outcome.fired for outcome in outcomes if outcome.fired]
        median = f"{np.median(fired):,.0f}" if fired else ""
        peak = max(outcome.peak for outcome in outcomes)
        body.append([life.name, len(fired), median, sum(outcome.held for outcome in outcomes), f"{peak:,.0f}"])
    head = ["model and labels", "alerts", "labels until then", "held", "largest log e"]
    yield (
        f"{runs} runs of {LIVES[0].steps} steps of {PER_STEP:,} predictions, p uniform, threshold {THRESHOLD}, rate {ALPHA}. Late "
        f"labels come {A_DAY} steps later. Held are runs in which an alert was held back for some time.\n\n"
        + table(head, body)
    )
    cases = (("120 forecasts over an hour", False), ("the same, a quarter as long where the favourite wins", True))
    rows: list[list[object]] = []
    for name, shorter in cases:
        peaks = [played(seed, shorter=shorter) for seed in range(runs)]
        rows.append([name, sum(peak >= LIMIT for peak in peaks), f"{max(peaks):.1f}"])
    yield (
        f"{runs} runs of {100 * GAMES:,} clusters of a calibrated model, each with one outcome, which its forecasts approach. A cluster "
        "is one bet.\n\n" + table(["clusters", "alerts", "largest log e"], rows)
    )
