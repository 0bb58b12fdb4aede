"""Watching: how soon the sequential tests find a fault, and how often they alarm falsely however long they look.

"Lin" is the test that alerts come from. It bets on which side of the confidence the outcome falls, against "the ECE is at most δ"; for
alerts δ is the model's limit, `thresholds.ece`. "LR" is the likelihood ratio that is reported beside it, against "every confidence is
within δ of the chance". `window` is the policy that looks at a lower bound of the ECE of the last labels. Each may alarm falsely in one
of a hundred runs (alpha = .01), unless a column says otherwise. A reference is the delay of a prototype that keeps the same promise, to be
matched or beaten.

Confidences are uniform unless a row says otherwise, and the model is calibrated until the fault. A delay is counted in labels from the
fault to the alarm: the median over runs.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from monitor.stats.cells import Cells, Floats, place
from monitor.stats.noise import ece_lower_bound
from monitor.stats.reliability import bins_of
from monitor.stats.sequential import betting
from monitor.stats.sequential.betting import Entries
from monitor.stats.sequential.guarantee import Deciding
from monitor.stats.sequential.ledger import Ledger, margin
from monitor.stats.sequential.witnesses import BIN_OF_CELL, BINS, FIXED, SHARES, soft
from tests.benchmarks.alarms import ALPHA, THRESHOLD
from tests.benchmarks.streams import POPULATIONS, Counts, drawn, rows, table, temperature

BUCKET: Final = 50
CALM: Final = 5_000
REFERENCE: Final = {(0.10, "LR, δ = 0"): 350, (0.10, "LR, δ = .02"): 550, (0.10, "Lin, δ = .02"): 1_100}
REFERENCE_HALF: Final = {(0.05, "LR, δ = 0"): 1_300, (0.05, "LR, δ = .02"): 4_200, (0.05, "Lin, δ = .02"): 6_950}
REFERENCES: Final = REFERENCE | REFERENCE_HALF

Bets = Callable[[Ledger, Any], Ledger]
"""A step: what is held, the labelled events as entries or counts, and what is held thereafter."""


def lin(threshold: float) -> Bets:
    """Return the step of the product's tests at a threshold."""
    return lambda ledger, entries: ledger.advanced(entries, threshold)


def ratio_only(delta: float) -> Bets:
    """Return the step of the likelihood ratio alone, at any margin."""

    def step(ledger: Ledger, entries: Entries) -> Ledger:
        labels = np.bincount(entries.row, entries.n, entries.rows).astype(np.float64)
        still = np.zeros_like(ledger.wealth)
        nothing = np.zeros((entries.rows, BINS))
        return ledger.after(labels, still, betting.ratio(entries, delta), nothing, nothing)

    return step


@dataclass(slots=True)
class Watched:
    """A test that watches many runs: when it first alarmed in each, in labels."""

    name: str
    step: Bets
    ratio: bool  # whether its likelihood ratio is what alarms
    ledger: Ledger
    at: Floats = field(init=False)  # infinite where it has not

    def __post_init__(self) -> None:
        self.at = np.full(len(self.ledger.steps), np.inf)

    def see(self, events: Entries | Counts) -> None:
        """Take a step."""
        self.ledger = self.step(self.ledger, events)
        fired = (self.ledger.log_ratio if self.ratio else self.ledger.log_e) >= -np.log(ALPHA)
        self.at = np.where(fired & np.isinf(self.at), self.ledger.labels, self.at)


@dataclass(slots=True)
class Trailing:
    """The window policy over the last labels of many runs, judged at every bucket once the window is full."""

    name: str
    labels: int
    runs: int
    threshold: float
    at: Floats = field(init=False)
    history: list[tuple[Floats, Floats]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at = np.full(self.runs, np.inf)

    def see(self, p: Floats, y: Floats, labels: int, *, judge: bool) -> None:
        """Take a bucket in, and judge the windows of runs that have not alarmed."""
        width = self.labels // BUCKET
        self.history = [*self.history[-(2 * width - 1) :], (p, y)]
        if not judge or len(self.history) < 2 * width:
            return
        for run in np.flatnonzero(np.isinf(self.at)):
            before, now = (
                bins_of(Cells.from_rows(*(np.concatenate([pair[i][run] for pair in part]) for i in (0, 1))))
                for part in (self.history[:width], self.history[width:])
            )
            if (ece_lower_bound(now, before, alpha=ALPHA) or 0.0) > self.threshold:
                self.at[run] = labels


def delays(
    ece: float,
    tests: dict[str, tuple[Bets, bool]],
    *,
    runs: int,
    longest: int,
    windows: tuple[int, ...] = (1_000, 2_000),
    seed: int = 4,
) -> dict[str, tuple[float, int]]:
    """Return per test the median labels from drift to alarm, and the runs in which it alarmed before.

    Confidences are uniform, calibrated for 5,000 labels, then overconfident by a temperature that makes the ECE.
    """
    dice = np.random.default_rng([seed, round(1000 * ece)])
    factor = temperature(ece)
    watched = [Watched(name, step, ratio, Ledger.begin(runs)) for name, (step, ratio) in tests.items()]
    trailing = [Trailing(f"`window`, last {size:,}", size, runs, THRESHOLD) for size in windows]
    everyone: list[Watched | Trailing] = [*watched, *trailing]
    for seen in range(0, CALM + longest, BUCKET):
        p = dice.random((runs, BUCKET))
        y = (dice.random((runs, BUCKET)) < (p if seen < CALM else expit(factor * logit(p)))).astype(np.float64)
        entries = rows(p, y)
        for test in watched:
            if not settled(test.at):
                test.see(entries)
        for window in trailing:
            if not settled(window.at):
                window.see(p, y, seen + BUCKET, judge=seen % (5 * BUCKET) == 0)
        if all(settled(watcher.at) for watcher in everyone):
            break
    return {
        watcher.name: (float(np.median(after(watcher.at))), int((watcher.at <= CALM).sum())) for watcher in everyone
    }


def after(at: Floats) -> Floats:
    """Return delays of the runs that had not alarmed before the drift."""
    since_drift: Floats = at[at > CALM] - CALM
    return since_drift


def settled(at: Floats) -> bool:
    """Return whether the median delay is known."""
    return float((after(at) < np.inf).mean()) > 0.5


TESTS: Final[dict[str, tuple[Bets, bool]]] = {
    "LR, δ = 0": (ratio_only(0.0), True),
    "LR, δ = .02": (ratio_only(0.02), True),
    "Lin, δ = .02": (lin(0.02), False),
    "Lin, δ = .05": (lin(0.05), False),
}


def delay_table(runs: int, eces: tuple[float, ...] = (0.05, 0.10, 0.15)) -> str:
    """Return a table of median delays, with the reference figures where there are any."""
    by_ece = {}
    for ece in eces:
        tests = {name: test for name, test in TESTS.items() if ece > THRESHOLD or not name.endswith(".05")}
        by_ece[ece] = delays(ece, tests, runs=runs, longest=8_000 if ece <= THRESHOLD else 4_000)
    names = dict.fromkeys(name for row in by_ece.values() for name in row)
    body = [[name, *(_cell(by_ece[ece].get(name), REFERENCES.get((ece, name))) for ece in eces)] for name in names]
    return table(["median labels from drift to alarm", *(f"ECE {ece:.2f}" for ece in eces)], body)


def _cell(delay: tuple[float, int] | None, reference: int | None) -> str:
    if delay is None:
        return "-"
    median = "none" if np.isinf(delay[0]) else f"{delay[0]:,.0f}"
    early = f", {delay[1]} before the drift" if delay[1] else ""
    return median + early + ("" if reference is None else f" (reference {reference:,})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What becomes wrong with a model, and its limit."""

    name: str
    limit: float
    chance: Callable[[Floats], Floats]  # of y = 1, by confidence
    references: dict[int, int]  # delays to be matched, by the labels before the fault


FAULTS: Final = (
    Fault(
        name="too extreme by a temperature, ECE .10",
        limit=0.05,
        chance=lambda p: np.asarray(expit(temperature(0.10) * logit(p))),
        references={5_000: 1_950, 500_000: 2_950},
    ),
    Fault(
        name="too extreme by a temperature, ECE .05",
        limit=0.02,
        chance=lambda p: np.asarray(expit(temperature(0.05) * logit(p))),
        references={5_000: 6_275},
    ),
    Fault(
        name="confidences from .7 to .9 too high by .25, ECE .05",
        limit=0.02,
        chance=lambda p: np.where((p > 0.7) & (p <= 0.9), p - 0.25, p),
        references={5_000: 3_400},
    ),
)
LONG_CALM: Final = 500_000
DEFAULT: Final = ALPHA / 4
"""What the first start of a test gets of the rate: half goes to versions and restarts, and half of that to the first."""


def found_after(fault: Fault, calm: int, *, runs: int, longest: int = 20_000, seed: int = 9) -> dict[float, float]:
    """Return the median labels from the fault to the alarm, by alpha; runs that alarmed before it count as never found."""
    dice, ledger = np.random.default_rng([seed, calm]), Ledger.begin(runs)
    population, early = POPULATIONS[0], np.zeros(runs, dtype=bool)
    step, still = min(calm // 100, 1_000), Tied(population.p, fault.limit)
    for _ in range(0, calm, step):
        ledger = still(ledger, drawn(dice, population.p, population.p, runs=runs, labels=step))
        early |= ledger.log_e >= -np.log(ALPHA)
    at = {alpha: np.full(runs, np.inf) for alpha in (ALPHA, DEFAULT)}
    for seen in range(BUCKET, longest + 1, BUCKET):
        p = dice.random((runs, BUCKET))
        y = (dice.random(p.shape) < fault.chance(p)).astype(np.float64)
        ledger = ledger.advanced(rows(p, y), fault.limit)
        for alpha, first in at.items():
            first[(ledger.log_e >= -np.log(alpha)) & np.isinf(first) & ~early] = seen
        if all(np.isfinite(first).mean() > 0.5 for first in at.values()):
            break
    return {alpha: float(np.median(first)) for alpha, first in at.items()}


def fault_table(runs: int) -> str:
    """Return a table of delays after a short and after a long calm, and with what a first start gets by default."""
    body = []
    for fault in FAULTS:
        for calm in (CALM, LONG_CALM):
            delay = found_after(fault, calm, runs=runs)
            reference = f"{fault.references[calm]:,}" if calm in fault.references else "-"
            figures = (f"{delay[ALPHA]:,.0f}", reference, f"{delay[DEFAULT]:,.0f}")
            body.append([fault.name, f"{fault.limit:.2f}", f"{calm // BUCKET:,}", f"{calm:,}", *figures])
    head = ("fault", "limit", "steps before it", "labels before it", f"alpha = {ALPHA}", "reference")
    return table([*head, f"as spent by default, alpha = {DEFAULT}"], body)


def edges(limit: float, *, runs: int, labels: int, bucket: int, seed: int = 10) -> dict[str, tuple[int, int]]:
    """Return, by population, the runs with a false alarm about a model whose ECE is the limit: at alpha, and as spent by default."""
    ever = {}
    for population in POPULATIONS:
        dice, ledger, step = np.random.default_rng(seed), Ledger.begin(runs), Tied(population.p, limit)
        highest = np.zeros(runs)
        for _ in range(0, labels, bucket):
            taken = drawn(dice, population.p, population.edge(limit), runs=runs, labels=bucket)
            ledger = step(ledger, taken)
            highest = np.maximum(highest, ledger.log_e)
        at_alpha, by_default = (int((highest >= -np.log(alpha)).sum()) for alpha in (ALPHA, DEFAULT))
        ever[population.name] = (at_alpha, by_default)
    return ever


def edge_table(runs: int, labels: int, bucket: int) -> str:
    """Return a table of false alarms about models whose ECE is exactly the limit."""
    body = [
        [name, f"{limit:.2f}", at_alpha, by_default]
        for limit in (0.05, 0.02)
        for name, (at_alpha, by_default) in edges(limit, runs=runs, labels=labels, bucket=bucket).items()
    ]
    head = ("confidences", "limit", f"of {runs} runs, with a false alarm, alpha = {ALPHA}")
    return table([*head, f"as spent by default, alpha = {DEFAULT}"], body)


def sabotaged(threshold: float) -> Bets:
    """Return a step whose learned witnesses have seen the outcomes that they bet on."""

    def step(ledger: Ledger, entries: Entries) -> Ledger:
        gaps, variances = betting.seen(entries)
        told, spread = ledger.gaps + gaps[:, np.newaxis], ledger.variances + variances[:, np.newaxis]
        labels = np.bincount(entries.row, entries.n, entries.rows).astype(np.float64)
        linear = betting.linear(entries, np.sign(told), soft(told, spread)) - betting.charge(labels, threshold)
        return ledger.after(labels, linear, betting.ratio(entries, threshold), gaps, variances)

    return step


class Tied:
    """Steps over events that have one of a few confidences: what a bet pays on one of them is looked up, and adds up exactly.

    The same as `Ledger.advanced` over their entries, many times as fast.
    """

    def __init__(self, p: Floats, threshold: float, *, own: bool = False, decides: Deciding = "log_e") -> None:
        self.p, self.bin, self.threshold, self.decides = p, BIN_OF_CELL[place(p)], threshold, decides
        self.own = own  # whether learned witnesses have seen their own step
        signs = np.tile(np.array([-1.0, 0.0, 1.0])[:, np.newaxis], (len(p), 1, BINS))
        self.paid, self.ratio = {}, {}
        for y in (0.0, 1.0):
            one = np.ones(len(p))
            event = Entries(
                rows=len(p), row=np.arange(len(p)), cell=place(p), n=one, sy=y * one, sp=p, spp=p**2, spy=y * p
            )
            self.paid[y] = betting.linear(event, signs)
            self.ratio[y] = betting.ratio(event, margin(threshold, decides))

    def __call__(self, ledger: Ledger, counts: Counts) -> Ledger:
        """Take a step."""
        n, ones = counts.n.sum(axis=0), counts.sy.sum(axis=0)
        by_outcome = {0.0: n - ones, 1.0: ones}
        gap, variance = (
            np.stack([np.bincount(self.bin, row, BINS) for row in sums])
            for sums in (ones - n * counts.p, n * counts.p * (1 - counts.p))
        )
        told = ledger.gaps + gap[:, np.newaxis] * self.own
        signs = np.sign(told)[..., self.bin]
        fixed = np.sum([np.tensordot(k, self.paid[y][:, : len(FIXED)], 1) for y, k in by_outcome.items()], axis=0)
        learned = np.zeros((len(n), signs.shape[1], fixed.shape[2]))
        for at, sign in enumerate((-1.0, 0.0, 1.0)):
            for y, k in by_outcome.items():
                learned += (k[:, np.newaxis] * (signs == sign)) @ self.paid[y][:, len(FIXED) + at]
        ratio = sum(k @ self.ratio[y] for y, k in by_outcome.items())
        softly = self._softly(soft(told, ledger.variances + variance[:, np.newaxis] * self.own), by_outcome)
        labels = n.sum(axis=1)
        linear = np.concatenate([fixed, learned, softly], axis=1) - betting.charge(labels, self.threshold)
        return ledger.after(labels, linear, ratio, gap, variance, decides=self.decides)

    def _softly(self, sides: Floats, by_outcome: dict[float, Floats]) -> Floats:
        """Return what soft witnesses are paid; shape (runs, 3, 5)."""
        d = sides[..., self.bin, np.newaxis]
        paid = np.zeros((*sides.shape[:2], len(SHARES)))
        for y, k in by_outcome.items():
            factors = np.log1p(SHARES * d * (y - self.p)[:, np.newaxis])
            paid += np.einsum("rv,rmvs->rms", k, factors)
        return paid


@dataclass(frozen=True, slots=True, kw_only=True)
class Long:
    """Of so many runs watched for long, those in which each test ever alarmed."""

    runs: int
    calibrated: int  # Lin, δ = .05
    strict: int  # Lin, δ = .02
    ratio: int  # LR, δ = .02
    edge: int  # Lin, δ = .05, of a model whose ECE is .05
    peeking_z: int  # calibration in the large at 1 % at every look
    peeking_bound: int  # the lower bound at 1 % on all labels so far at every look, of a model whose ECE is .05
    own_step: int  # Lin, δ = .02, whose bets have seen their own step


def long(runs: int, labels: int, bucket: int, *, seed: int = 5) -> Long:
    """Return false alarms of streams watched bucket by bucket, and of tests that peek without paying for it."""
    dice = np.random.default_rng(seed)
    p = POPULATIONS[0].p
    chances = {"calm": p, "edge": POPULATIONS[0].edge(THRESHOLD)}
    default, strict, own = Tied(p, 0.05), Tied(p, 0.02), Tied(p, 0.02, own=True)
    tests = {"calm": {"lin": default, "strict": strict, "sabotaged": own}, "edge": {"lin": default}}
    ever: dict[str, NDArray[np.bool_]] = {}
    for name, chance in chances.items():
        watched = {key: Watched(key, step, False, Ledger.begin(runs)) for key, step in tests[name].items()}
        by_ratio, total = np.zeros(runs, dtype=bool), None
        peeked = np.zeros(runs, dtype=bool)
        for _ in range(0, labels, bucket):
            step = drawn(dice, p, chance, runs=runs, labels=bucket)
            total = step if total is None else total + step
            for test in watched.values():
                test.see(step)
            by_ratio |= watched["lin"].ledger.log_ratio >= -np.log(ALPHA)
            peeked |= rejected(total) if name == "calm" else bounded(total)
        ever |= {f"{name} {key}": np.isfinite(test.at) for key, test in watched.items()}
        ever |= {f"{name} ratio": by_ratio, f"{name} peeked": peeked}
    count = {key: int(alarmed.sum()) for key, alarmed in ever.items()}
    return Long(
        runs=runs, calibrated=count["calm lin"], strict=count["calm strict"], ratio=count["calm ratio"], edge=count["edge lin"],
        peeking_z=count["calm peeked"], peeking_bound=count["edge peeked"], own_step=count["calm sabotaged"],
    )  # fmt: skip


def longest(runs: int, labels: int, bucket: int, *, at_once: int = 100) -> Long:
    """Return the same of many runs, some at a time, so that their arrays stay in the processor's cache."""
    parts = [asdict(long(at_once, labels, bucket, seed=seed)) for seed in range(runs // at_once)]
    return Long(**{name: sum(part[name] for part in parts) for name in parts[0]})


def rejected(total: Counts) -> NDArray[np.bool_]:
    """Return whether calibration in the large is rejected at ALPHA, two-sided."""
    n, sy = total.n.sum(axis=0), total.sy.sum(axis=0)
    gap, variance = (sy - n * total.p).sum(axis=1), (n * total.p * (1 - total.p)).sum(axis=1)
    return np.abs(gap) > float(ndtri(1 - ALPHA / 2)) * np.sqrt(variance)


def bounded(total: Counts) -> NDArray[np.bool_]:
    """Return whether the split lower bound of all labels so far exceeds the threshold."""
    sign = np.sign((total.n * total.p - total.sy)[0].reshape(total.n.shape[1], 15, -1).sum(axis=2))
    n, sy = (sums[1].reshape(len(sign), 15, -1).sum(axis=2) for sums in (total.n, total.sy))
    sp = (total.n * total.p)[1].reshape(len(sign), 15, -1).sum(axis=2)
    rate = (sy + 0.5) / (n + 1)
    spread = np.sqrt((sign**2 * n * rate * (1 - rate)).sum(axis=1))
    bound = ((sign * (sp - sy)).sum(axis=1) - float(ndtri(1 - ALPHA)) * spread) / n.sum(axis=1)
    return bound > THRESHOLD


def long_table(alarms: Long) -> str:
    """Return a table of runs with a false alarm."""
    body = [
        ["Lin, δ = .05 (the default), calibrated model", alarms.calibrated],
        ["Lin, δ = .05, model whose ECE is exactly .05", alarms.edge],
        ["Lin, δ = .02, calibrated model", alarms.strict],
        ["LR, δ = .02, calibrated model", alarms.ratio],
        ["control: a 1 % z-test of all labels so far at every look, calibrated model", alarms.peeking_z],
        [
            "control: the 1 % lower bound of all labels so far at every look, model whose ECE is exactly .05",
            alarms.peeking_bound,
        ],
        ["control: Lin, δ = .02, with bets that have seen their own step, calibrated model", alarms.own_step],
    ]
    return table(["test", f"of {alarms.runs} runs, with a false alarm"], body)


def run() -> Iterator[str]:
    """Yield the tables, one by one."""
    yield "Delays (400 runs, 5,000 calm labels, steps of 50):\n\n" + delay_table(400)
    yield "Delays of Lin after a short and a long calm (400 runs, steps of 50):\n\n" + fault_table(400)
    yield "A million labels, judged every 1,000:\n\n" + long_table(longest(400, 1_000_000, 1_000))
    yield "A million labels of models whose ECE is exactly the limit, judged by Lin every 1,000:\n\n" + edge_table(
        400, 1_000_000, 1_000
    )
