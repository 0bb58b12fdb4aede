"""Sets of answers, thresholds and abstention against the truth: how often they keep their word, and how much they give away for it.

"Wanted" is the coverage that was asked for: the chance that a set holds the right answer. Sets from cells, as the server makes them for
binary models, hold whole cells and so cover a little more than those from rows. A promise is broken where the true precision is lower, or
the true share of wrong answers higher, than promised. "Volume" is the mean share of events that the threshold selects (none where no
threshold was found), "possible" the share that a threshold could select if the truth were known.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

import numpy as np
from scipy.special import expit, softmax

from monitor.stats.cells import CELLS, Floats, place
from monitor.stats.conformal import adapted, binary_scores, conformal_threshold, prediction_sets, vector_scores
from monitor.stats.thresholds import CUTS, Steps, abstention, precision_threshold

SEEDS: Final = 200
PROMISES: Final = 1000
POPULATION: Final = 100_000
LABELS: Final = 1000
BUCKET: Final = 50

Draw = Callable[[np.random.Generator, int], Floats]

LOGITS: Final[dict[str, Draw]] = {
    "around .5": lambda dice, count: dice.normal(0.0, 1.0, count),
    "spread out": lambda dice, count: dice.normal(0.0, 2.5, count),
    "rare": lambda dice, count: dice.normal(-4.0, 1.5, count),
}
"""Of binary models; their scores are expit of these, and right where the temperature is 1."""


@dataclass(frozen=True)
class Population:
    """Scores, and how likely each is to come true."""

    p: Floats
    truth: Floats

    @classmethod
    def of(cls, logits: Floats, temperature: float) -> "Population":
        """Return scores of a model that is too sure by a temperature."""
        return cls(expit(logits), expit(logits / temperature))

    @cached_property
    def _scores(self) -> tuple[Floats, Floats]:
        """The scores of right answers in ascending order, and the share of events up to each."""
        scores, shares = np.concatenate([1 - self.p, self.p]), np.concatenate([self.truth, 1 - self.truth])
        order = np.argsort(scores)
        return scores[order], np.cumsum(shares[order]) / len(self.p)

    def coverage(self, threshold: float) -> float:
        """Return how often sets of this threshold hold the right answer."""
        scores, reached = self._scores
        return float(np.append(0.0, reached)[np.searchsorted(scores, threshold, side="right")])

    def steps(self, y: Floats | None = None) -> Steps:
        """Return the scores in cells, with what came true, or how much of it on average."""
        at = place(self.p)
        n, sy, expected = (
            np.bincount(at, weights=column, minlength=CELLS).astype(np.float64)
            for column in (np.ones(len(at)), self.truth if y is None else y, self.p)
        )
        return Steps(upper=CUTS, n=n, sy=sy, events=n, expected=expected)


@cache
def population(name: str, temperature: float = 1.0) -> Population:
    """Return a population so large that its shares are those of the source."""
    return Population.of(LOGITS[name](np.random.default_rng(0), POPULATION), temperature)


def drawn(dice: np.random.Generator, name: str, count: int, temperature: float = 1.0) -> tuple[Population, Floats]:
    """Return events of the same source, and what came true."""
    events = Population.of(LOGITS[name](dice, count), temperature)
    return events, (dice.random(count) < events.truth).astype(np.float64)


def of_rows(sample: Population, y: Floats, coverage: float) -> float:
    """Return the threshold of sets from single events, by sorting them."""
    rank = int(np.ceil(np.round((len(y) + 1) * coverage, 9)))
    scores = np.sort(np.where(y == 1, 1 - sample.p, sample.p))
    return float(scores[rank - 1]) if rank <= len(y) else 1.0


def of_cells(sample: Population, y: Floats, coverage: float) -> float:
    """Return the threshold of sets from cells."""
    steps = sample.steps(y)
    lower = np.append(0.0, CUTS[:-1])
    return conformal_threshold(*binary_scores(lower, steps.upper, steps.n, steps.sy), coverage)


def coverages(name: str, coverage: float, seeds: int = SEEDS, labels: int = LABELS) -> tuple[Floats, Floats]:
    """Return the true coverage of each seed's sets, from rows and from cells."""
    samples = (drawn(np.random.default_rng(seed), name, labels) for seed in range(seeds))
    whole = population(name)
    pairs = [[whole.coverage(way(sample, y, coverage)) for way in (of_rows, of_cells)] for sample, y in samples]
    rows, cells = np.array(pairs).T
    return rows, cells


def vector_coverages(classes: int, coverage: float, seeds: int = SEEDS, labels: int = LABELS) -> Floats:
    """Return how often sets of several classes, from so many labels, hold the right answer of as many new events, seed by seed."""
    held = []
    for seed in range(seeds):
        dice = np.random.default_rng(seed)
        vectors = softmax(dice.normal(0.0, 2.0, (2 * labels, classes)), axis=1)
        # Too sure by a temperature of 1.5: the coverage does not depend on it.
        truth = softmax(np.log(vectors) / 1.5, axis=1).cumsum(axis=1)
        y = np.minimum((dice.random((2 * labels, 1)) > truth).sum(axis=1), classes - 1)
        scores = vector_scores(vectors, y)
        threshold = conformal_threshold(scores[:labels], np.ones(labels), coverage)
        inside = prediction_sets(vectors[labels:], threshold)
        held.append(inside[np.arange(labels), y[labels:]].mean())
    return np.array(held)


@dataclass(frozen=True, slots=True)
class Promise:
    """What became of a promise over many seeds."""

    with_threshold: float  # share of seeds with a threshold
    broken: float  # share of seeds whose threshold is worse than promised
    volume: float  # mean share of events selected, 0 where there is no threshold
    possible: float  # the share that the truth would allow


def precision_promise(
    name: str, temperature: float, labels: int, precision: float, *, confidence: float = 0.95, seeds: int = PROMISES
) -> Promise:
    """Return how often a threshold for a precision gives less than that, of seeds."""
    whole = population(name, temperature).steps()
    n, right = (np.cumsum(column[::-1])[::-1] for column in (whole.n, whole.sy))
    true = np.append(np.divide(right, n, out=np.ones_like(n), where=n > 0), 1.0)[1:]  # above each cut
    share = np.append(n / n[0], 0.0)[1:]
    thresholds, volume, broken = 0, 0.0, 0
    for seed in range(seeds):
        sample, y = drawn(np.random.default_rng(seed), name, labels, temperature)
        chosen = precision_threshold(sample.steps(y), precision=precision, confidence=confidence)
        if chosen is not None:
            cut = int(np.searchsorted(CUTS, chosen.threshold))
            thresholds, volume, broken = thresholds + 1, volume + share[cut], broken + int(true[cut] < precision)
    return Promise(thresholds / seeds, broken / seeds, volume / seeds, float(share[true >= precision].max()))


def risk_promise(
    name: str, temperature: float, labels: int, risk: float, *, confidence: float = 0.95, seeds: int = PROMISES
) -> Promise:
    """Return how often a model that abstains for a risk errs more than that, of seeds."""
    whole = population(name, temperature)
    order = np.argsort(-np.abs(whole.p - 0.5))
    wrong = np.where(whole.p > 0.5, 1 - whole.truth, whole.truth)
    running = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    allowed = np.flatnonzero(running <= risk)
    rules, volume, broken = 0, 0.0, 0
    for seed in range(seeds):
        sample, y = drawn(np.random.default_rng(seed), name, labels, temperature)
        rule = abstention(sample.steps(y), binary=True, risk=risk, confidence=confidence)
        if rule is not None:
            ones = whole.p > (2.0 if rule.above is None else rule.above)
            zeros = whole.p <= (-1.0 if rule.below is None else rule.below)
            errors = (ones * (1 - whole.truth) + zeros * whole.truth).sum() / max((ones | zeros).sum(), 1)
            rules, volume, broken = rules + 1, volume + float((ones | zeros).mean()), broken + int(errors > risk)
    return Promise(
        rules / seeds, broken / seeds, volume / seeds, (int(allowed[-1]) + 1) / len(order) if len(allowed) else 0.0
    )


def drifting(seed: int, coverage: float, *, labels: int = 20_000, hotter: float = 3.0) -> tuple[float, float]:
    """Return the coverage of static and of adaptive sets over the second half, in which a model has become too sure."""
    dice, half = np.random.default_rng(seed), labels // 2
    parts = [drawn(dice, "spread out", half, temperature) for temperature in (1.0, hotter)]
    scores = np.concatenate([np.where(y == 1, 1 - sample.p, sample.p) for sample, y in parts])
    moments = np.arange(labels) // BUCKET
    static = conformal_threshold(scores[:half], np.ones(half), coverage)
    ends = (half, labels)
    before, after = (adapted(moments[:end], scores[:end], np.ones(end), coverage=coverage) for end in ends)
    return float((scores[half:] <= static).mean()), (after.covered - before.covered) / half


def _sets() -> Iterator[str]:
    yield "| scores | wanted | from rows | from cells | wanted + 1/(n + 1), the most from rows |"
    yield "|---|---|---|---|---|"
    for coverage in (0.8, 0.9, 0.95):
        most = coverage + 1 / (LABELS + 1)
        for name in LOGITS:
            rows, cells = coverages(name, coverage)
            yield f"| {name} | {coverage:g} | {rows.mean():.4f} | {cells.mean():.4f} | {most:.4f} |"
        yield f"| 10 classes | {coverage:g} | {vector_coverages(10, coverage).mean():.4f} | | {most:.4f} |"


def _promises() -> Iterator[str]:
    yield "| promise, kept with confidence .95 | scores | labels | threshold found | promise broken | volume | possible |"
    yield "|---|---|---|---|---|---|---|"
    for name, temperature in (("spread out", 1.0), ("spread out", 1.5), ("around .5", 1.0)):
        what = name if temperature == 1.0 else f"{name}, too sure by {temperature:g}"
        for labels in (500, 2000, 10_000):
            kept = (
                ("precision .9", precision_promise(name, temperature, labels, 0.9)),
                ("risk .1", risk_promise(name, temperature, labels, 0.1)),
            )
            for promise, outcome in kept:
                figures = (
                    f"{share:.3f}"
                    for share in (outcome.with_threshold, outcome.broken, outcome.volume, outcome.possible)
                )
                yield f"| {promise} | {what} | {labels:,} | {' | '.join(figures)} |"


def run() -> Iterator[str]:
    """Yield tables: the coverage of sets, the promises of thresholds and of abstention, and adaptive sets under drift."""
    title = f"Sets of answers from {LABELS:,} labels, mean true coverage over {SEEDS} seeds:"
    yield "\n".join([title, "", *_sets()])
    yield "\n".join([f"Thresholds and abstention, {PROMISES:,} seeds each:", "", *_promises()])
    static, adaptive = np.array([drifting(seed, 0.9) for seed in range(20)]).T
    yield (
        "Coverage .9 over 10,000 labels after a model became too sure by a temperature of 3, mean of 20 seeds: "
        f"static {static.mean():.4f}, adaptive {adaptive.mean():.4f}"
    )
