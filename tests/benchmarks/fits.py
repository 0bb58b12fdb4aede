"""Fits against those of other packages: the same rows, on the same machine, in turn; and whether they find the same.

Packages that need an environment of their own run in another interpreter, `--peers PYTHON`; without it in this one, and what it lacks is
named.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from monitor.calibrators.families import make
from tests.benchmarks import peers
from tests.benchmarks.interpreter import Peer
from tests.benchmarks.measure import Ratio

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One fit of ours and one of a peer on the same rows."""

    what: str
    peer: str  # its name among the peers
    method: str
    task: str
    rows: str  # its name among the data
    runs: int
    limit: str | None = None
    compared: Callable[[Any, Floats, Floats], list[float]]  # what the fit is compared by: ours, rows and labels


def of_singles(dice: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """Return probabilities of a model that is too sure, and outcomes."""
    p = dice.uniform(0.002, 0.998, count)
    return p, (dice.random(count) < 1 / (1 + ((1 - p) / p) ** 0.6)).astype(np.float64)


def of_vectors(dice: np.random.Generator, count: int, classes: int, *, uneven: bool) -> tuple[Floats, Floats]:
    """Return vectors of a model that is too sure, of each class in its own way where uneven, and labels."""
    said = normal(2.0 * dice.normal(size=(count, classes)))
    slopes = dice.uniform(0.5, 1.0, classes) if uneven else 1 / 1.5
    true = said * slopes + (dice.normal(size=classes) / 2.0 if uneven else 0.0)
    return np.exp(said), (true + dice.gumbel(size=true.shape)).argmax(axis=1).astype(np.float64)


def normal(logits: Floats) -> Floats:
    """Return the logarithms of the softmax."""
    return np.asarray(logits - logsumexp(logits, axis=1, keepdims=True))


def data() -> dict[str, tuple[Floats, Floats]]:
    """Return all rows, by name."""
    dice = np.random.default_rng(0)
    return {
        "50,000 rows": of_singles(dice, 50_000),
        "2,000 rows": of_singles(dice, 2_000),
        "1,000,000 rows": of_singles(dice, 1_000_000),
        "10,000 rows of 100 classes": of_vectors(dice, 10_000, 100, uneven=False),
        "10,000 rows of 10 classes": of_vectors(dice, 10_000, 10, uneven=True),
    }


CONTESTS = (
    Contest(
        what="temperature, binary, netcal's", peer="netcal_temperature", method="temperature", task="binary",
        rows="50,000 rows", runs=7, limit="at least 10", compared=lambda fitted, _p, _y: [fitted.temperature_],
    ),
    Contest(
        what="temperature, binary, netcal's", peer="netcal_temperature", method="temperature", task="binary",
        rows="2,000 rows", runs=7, limit="at least 10", compared=lambda fitted, _p, _y: [fitted.temperature_],
    ),
    Contest(
        what="temperature, netcal's", peer="netcal_temperature", method="temperature", task="multiclass",
        rows="10,000 rows of 100 classes", runs=9, limit="at least 4", compared=lambda fitted, _p, _y: [fitted.temperature_],
    ),
    Contest(
        what="temperature, probmetrics'", peer="probmetrics_temperature", method="temperature", task="multiclass",
        rows="10,000 rows of 100 classes", runs=9, compared=lambda fitted, _p, _y: [fitted.temperature_],
    ),
    Contest(
        what="isotonic, scikit-learn's", peer="sklearn_isotonic", method="isotonic", task="binary",
        rows="1,000,000 rows", runs=9, limit="at least 4", compared=lambda fitted, _p, _y: sorted(set(fitted.y_.tolist())),
    ),
    Contest(
        what="beta, betacal's", peer="betacal_beta", method="beta", task="binary",
        rows="50,000 rows", runs=7, compared=lambda fitted, _p, _y: [fitted.a_, fitted.b_, fitted.c_],
    ),
    Contest(
        what="vector scaling, probmetrics'", peer="probmetrics_vector", method="vector", task="multiclass",
        rows="10,000 rows of 10 classes", runs=7, compared=lambda fitted, _p, _y: [*fitted.slopes_, *fitted.intercepts_],
    ),
    Contest(
        what="structured vector scaling, probmetrics'", peer="probmetrics_structured", method="structured_vector",
        task="multiclass", rows="10,000 rows of 10 classes", runs=7,
        compared=lambda fitted, p, y: [peers.log_loss(fitted.predict_proba(p), y)],
    ),
)  # fmt: skip


REST = 0.3
"""Seconds before our turn: threads of the peer's libraries wait for more work by spinning, for as long as 0.2."""


def run(interpreter: str | None = None) -> Iterator[Ratio | str]:
    """Yield how many times longer each peer takes, and how far what it finds lies from what we find."""
    peer, rows = Peer(interpreter or sys.executable, peers.__file__), data()
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{place}.npz" for place, name in enumerate(rows)}
        for name, (p, y) in rows.items():
            np.savez(paths[name], p=p, y=y)
        for contest in CONTESTS:
            yield from held(contest, peer, paths[contest.rows], *rows[contest.rows])
    peer.close()
    yield f"temperature, ours, from scipy's optimum at most {max(from_scipy(*rows[name]) for name in rows):.1e}"


def held(contest: Contest, peer: Peer, path: Path, p: Floats, y: Floats) -> Iterator[Ratio | str]:
    """Yield the outcome of one contest."""
    first = peer.ask(contest.peer, path)
    what = f"{contest.what} on {contest.rows}"
    if "missing" in first:
        yield f"MISSING: {what}: {first['missing']}; name an interpreter that has it by --peers"
        return
    fitted = make(contest.method, task=contest.task).fit(p, y)
    times = [(peer.ask(contest.peer, path), timed(contest, p, y)) for _ in range(contest.runs)]
    theirs, ours = medians(times, "seconds")
    their_work, our_work = medians(times, "work")
    yield Ratio(f"{what}: time over that of ours", theirs / ours, contest.limit)
    yield (
        f"{1000 * theirs:.1f} ms over {1000 * ours:.1f} ms; in processor time {their_work / our_work:.1f} times;"
        f" {difference(contest.compared(fitted, p, y), first['parameters'])}"
    )


def medians(times: list[tuple[dict[str, Any], dict[str, float]]], clock: str) -> tuple[float, float]:
    """Return the medians of the peer's times and of ours, by one clock."""
    theirs, ours = ([pair[side][clock] for pair in times] for side in (0, 1))
    return statistics.median(theirs), statistics.median(ours)


def timed(contest: Contest, p: Floats, y: Floats) -> dict[str, float]:
    """Return how long our fit takes, and how much of the processors' time."""
    time.sleep(REST)
    began, work = time.perf_counter(), time.process_time()
    make(contest.method, task=contest.task).fit(p, y)
    return {"seconds": time.perf_counter() - began, "work": time.process_time() - work}


def difference(ours: list[float], theirs: list[float]) -> str:
    """Return how far two findings lie apart, in words."""
    if len(ours) != len(theirs):
        return f"{len(ours)} numbers here and {len(theirs)} there"
    # Intercepts of vectors that differ by a constant are the same; so are those of nothing else here.
    apart = np.abs(np.array(ours) - centred(theirs)).max()
    return f"{len(ours)} numbers differ by at most {apart:.1e}, the first is {ours[0]:.7f}"


def centred(parameters: list[float]) -> Floats:
    """Return slopes and intercepts of ten classes with intercepts that sum to 0; others as they are."""
    array = np.array(parameters)
    if len(array) == 20:
        array[10:] -= array[10:].mean()
    return array


def from_scipy(p: Floats, y: Floats) -> float:
    """Return how far our temperature lies from the optimum that scipy finds."""
    task = "binary" if p.ndim == 1 else "multiclass"
    ours = make("temperature", task=task).fit(p, y).temperature_  # type: ignore[attr-defined]
    scores = np.stack([np.log1p(-p), np.log(p)], axis=1) if p.ndim == 1 else np.log(p)
    chosen = np.arange(len(y)), y.astype(int)

    def gradient(beta: float) -> float:
        shares = np.exp(normal(beta * scores))
        return abs(float(((shares * scores).sum(axis=1) - scores[chosen]).mean()))

    best = minimize_scalar(gradient, bounds=(0.9 / ours, 1.1 / ours), method="bounded", options={"xatol": 1e-12}).x
    return abs(1.0 / best - ours)
