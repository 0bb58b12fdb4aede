"""False alarms: how often each policy alarms about a model that is no worse than its threshold."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.stats.cells import Cells, Floats, place
from monitor.stats.noise import ece_lower_bound
from monitor.stats.reliability import Bins, bins_of, ece
from monitor.stats.sequential.evidence import Clusters, Evidence
from monitor.stats.sequential.ledger import Ledger
from tests.benchmarks.streams import POPULATIONS, Counts, Population, drawn, rows, table

ALPHA: Final = 0.01
THRESHOLD: Final = 0.05
STREAM: Final = 100
"""Windows that follow one another in one stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """Of so many windows, those in which a rule alarmed."""

    windows: int
    rule: int  # ECE > threshold
    window: int  # lower bound > threshold
    sequential: int
    window_streams: int  # of 100 windows, in which the lower bound ever alarmed
    streams: int  # in which the sequential test did


def windows(population: Population, chance: Floats, labels: int, count: int, *, seed: int = 1) -> Alarms:
    """Return how often each policy alarms in windows of so many labels, judged one after another."""
    dice = np.random.default_rng([seed, labels])
    streams = count // STREAM
    ledger, ever = Ledger.begin(streams), np.zeros(streams, dtype=bool)
    previous = drawn(dice, population.p, chance, runs=streams, labels=labels).bins()
    rule = bound = sequential = 0
    bounded = np.zeros(streams, dtype=bool)
    for _ in range(STREAM):
        step = drawn(dice, population.p, chance, runs=streams, labels=labels)
        bins = step.bins()
        above = np.array([exceeds(now, before) for now, before in zip(bins, previous, strict=True)])
        ledger = ledger.advanced(step.entries(), THRESHOLD)
        fired = ledger.log_e >= -np.log(ALPHA)
        rule += sum((ece(window) or 0.0) > THRESHOLD for window in bins)
        bound, bounded = bound + int(above.sum()), bounded | above
        sequential, ever = sequential + int(fired.sum()), ever | fired
        ledger, previous = afresh(ledger, fired), bins
    counts = {"window_streams": int(bounded.sum()), "streams": int(ever.sum())}
    return Alarms(windows=count, rule=rule, window=bound, sequential=sequential, **counts)


def exceeds(bins: Bins, previous: Bins | None) -> bool:
    """Return whether the lower bound of a window's ECE is above the threshold."""
    return (ece_lower_bound(bins, previous, alpha=ALPHA) or 0.0) > THRESHOLD


def afresh(ledger: Ledger, fired: NDArray[np.bool_]) -> Ledger:
    """Return the ledger with those rows begun anew, as after an alarm."""
    if not fired.any():
        return ledger
    begun = Ledger.begin(len(fired))
    changed = {}
    for field in fields(ledger):
        old = getattr(ledger, field.name)
        changed[field.name] = np.where(fired.reshape(-1, *[1] * (old.ndim - 1)), getattr(begun, field.name), old)
    return replace(ledger, **changed)


def calm(sizes: tuple[int, ...], count: int, *, edge: bool) -> str:
    """Return a table of alarms about calibrated models, or about ones whose ECE is the threshold itself."""
    body = []
    for population in POPULATIONS:
        chance = population.edge(THRESHOLD) if edge else population.p
        for labels in sizes:
            alarms = windows(population, chance, labels, count)
            streams = [f"{fired} of {count // STREAM}" for fired in (alarms.window_streams, alarms.streams)]
            body.append([population.name, labels, alarms.rule, alarms.window, alarms.sequential, *streams])
    head = ["confidences", "labels a window", "ECE > .05", "`window`", "`sequential`"]
    head += [f"streams of {STREAM} windows with an alarm: `window`", "`sequential`"]
    return table(head, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Of so many runs on calibrated events that share their luck in clusters, those with a false alarm."""

    runs: int
    declared: int
    undeclared: int
    window: int  # by the window's lower bound, which knows nothing of clusters


def clustered(runs: int, steps: int, *, size: int = 20, clusters: int = 10, seed: int = 2) -> Shared:
    """Return false alarms where all of a cluster's outcomes hang on one draw: y = 1 where U <= p, the same U for all.

    Each event by itself is calibrated. Every step has ten clusters of twenty events.
    """
    dice = np.random.default_rng(seed)
    blind, told = Ledger.begin(runs), [Evidence.begin() for _ in range(runs)]
    cluster = np.repeat(np.arange(clusters), size)
    nothing = Cells.from_rows([], [])
    ever_blind, ever_told = np.zeros(runs, dtype=bool), np.zeros(runs, dtype=bool)
    held: list[tuple[Floats, Floats]] = []
    for _ in range(steps):
        p = dice.random((runs, clusters * size))
        y = (dice.random((runs, clusters))[:, cluster] <= p).astype(np.float64)
        held.append((p, y))
        blind = blind.advanced(rows(p, y), THRESHOLD)
        ones = np.ones(clusters * size)
        told = [
            test.advanced(nothing, Clusters(cluster, place(p[i]), ones, y[i], p[i]), threshold=THRESHOLD)
            for i, test in enumerate(told)
        ]
        ever_blind |= blind.log_e >= -np.log(ALPHA)
        ever_told |= np.array([test.log_e for test in told]) >= -np.log(ALPHA)
    return Shared(
        runs=runs, declared=int(ever_told.sum()), undeclared=int(ever_blind.sum()), window=int(_windowed(held).sum())
    )


def _windowed(held: list[tuple[Floats, Floats]], steps: int = 5) -> NDArray[np.bool_]:
    """Return the runs in which the lower bound of a window of so many steps ever exceeds the threshold."""
    ever = np.zeros(len(held[0][0]), dtype=bool)
    for run in range(len(ever)):
        previous = None
        for first in range(0, len(held) - steps + 1, steps):
            p, y = (np.concatenate([pair[i][run] for pair in held[first : first + steps]]) for i in (0, 1))
            bins = bins_of(Cells.from_rows(p, y))
            ever[run] |= exceeds(bins, previous)
            previous = bins
    return ever


@dataclass(frozen=True, slots=True, kw_only=True)
class Delayed:
    """Of so many runs on calibrated events whose positives are labelled first, those with a false alarm."""

    runs: int
    matured: int  # days are judged once their labels have matured
    arrival: int  # labels are judged as they arrive
    window_matured: int
    window_arrival: int  # the last days' predictions as far as they are labelled


def delayed(runs: int, days: int, *, labels: int = 500, positive: int = 1, negative: int = 5, seed: int = 3) -> Delayed:
    """Return false alarms where an outcome 1 is known after one day and an outcome 0 after five."""
    dice = np.random.default_rng(seed)
    population = POPULATIONS[0]
    history = [drawn(dice, population.p, population.p, runs=runs, labels=labels) for _ in range(days)]
    matured, arrival = Ledger.begin(runs), Ledger.begin(runs)
    ever = np.zeros((4, runs), dtype=bool)
    for today in range(negative, days):
        matured = matured.advanced(history[today - negative].entries(), THRESHOLD)
        ever[0] |= matured.log_e >= -np.log(ALPHA)
        ever[2] |= _above(_sum(history[max(0, today - negative - 6) : today - negative + 1]))
    for today in range(positive, days):
        early = history[today - positive]
        arrived = Counts(early.p, early.sy, early.sy)
        window = [*history[max(0, today - 6) : max(0, today - negative + 1)]]
        window += [
            Counts(day.p, day.sy, day.sy)
            for day in history[max(0, today - negative + 1, today - 6) : today - positive + 1]
        ]
        if today >= negative:
            late = history[today - negative]
            arrived += Counts(late.p, late.n - late.sy, 0 * late.sy)
        arrival = arrival.advanced(arrived.entries(), THRESHOLD)
        ever[1] |= arrival.log_e >= -np.log(ALPHA)
        ever[3] |= _above(_sum(window))
    counts = [int(alarmed.sum()) for alarmed in ever]
    return Delayed(runs=runs, matured=counts[0], arrival=counts[1], window_matured=counts[2], window_arrival=counts[3])


def _sum(days: list[Counts]) -> Counts:
    total = days[0]
    for day in days[1:]:
        total += day
    return total


def _above(counts: Counts) -> NDArray[np.bool_]:
    return np.array([exceeds(bins, None) for bins in counts.bins()])


def dependence(runs: int, steps: int) -> str:
    """Return a table of runs with a false alarm where labels depend on one another or on their outcome."""
    shared, late = clustered(runs, steps), delayed(runs, steps)
    body = [
        ["twenty events share their luck, not declared", shared.undeclared, shared.window],
        ["the same, declared as `cluster`", shared.declared, "not told"],
        ["positives labelled after 1 day, negatives after 5: labels as they arrive", late.arrival, late.window_arrival],
        ["the same, days judged once matured", late.matured, late.window_matured],
    ]
    return table([f"calibrated model, {runs} runs", "`sequential`", "`window`"], body)


def run() -> Iterator[str]:
    """Yield the tables, one by one."""
    sizes = (200, 500, 1_000, 2_000, 5_000, 10_000)
    yield "Alarms in 10,000 windows of calibrated models:\n\n" + calm(sizes, 10_000, edge=False)
    yield "Alarms in 10,000 windows of models whose ECE is exactly the threshold:\n\n" + calm(sizes, 10_000, edge=True)
    yield "Runs with a false alarm:\n\n" + dependence(200, 60)
