"""Detectors: false alarms and delays of this project's sequential test beside those of other packages, on the same streams.

Every stream has 15,000 labelled predictions of a binary model, uniform confidences and outcomes with the chance that the confidence says,
unless a column says otherwise. Labels come one by one, or in batches of 250 for tests that take batches. Every detector has the settings
that its package documents as defaults. A delay is counted in labels from the change, or from the start where the model was wrong from the
start: the median over streams without an alarm before the change, where a stream that is never found counts as infinite.

Packages that need an environment of their own run in another interpreter, `--peers PYTHON`; what it lacks is named.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from monitor.stats.cells import Floats
from monitor.stats.sequential.ledger import Ledger
from tests.benchmarks import peer_detectors
from tests.benchmarks.interpreter import Peer
from tests.benchmarks.streams import GRID, rows, table, temperature

STREAMS: Final = 40
LABELS: Final = 15_000
CHANGE: Final = 5_000
BATCH: Final = peer_detectors.BATCH

Chance = Callable[[Floats], Floats]
"""What a stream's confidences, in the order of labels, come true with; shape (labels,) to the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What streams go through."""

    name: str
    change: int = CHANGE  # labels before it
    wrong: bool = False  # whether the model is, from then on: else every alarm is false
    mix: tuple[float, float] = (1.0, 1.0)  # of the beta distribution of confidences from the change on
    chance: Chance = lambda p: p

    def streams(self, count: int) -> tuple[Floats, Floats]:
        """Return confidences and outcomes; shape (count, labels)."""
        dice = np.random.default_rng([6, sum(map(ord, self.name))])
        p = dice.random((count, LABELS))
        if self.mix != (1.0, 1.0):
            p[:, self.change :] = dice.beta(*self.mix, (count, LABELS - self.change))
        return p, (dice.random(p.shape) < self.chance(p)).astype(np.float64)


def shift(ece: float) -> float:
    """Return the shift of log odds that makes the ECE of uniform confidences so large."""
    return float(brentq(lambda by: np.abs(expit(logit(GRID) + by) - GRID).mean() - ece, 0.0, 5.0))


def biased(p: Floats) -> Floats:
    """Return chances that are shifted from the change on, to an ECE of .10."""
    return np.asarray(expit(logit(p) + shift(0.10) * (np.arange(LABELS) >= CHANGE)))


def drifting(p: Floats) -> Floats:
    """Return chances whose shift grows with every label from the change on, to an ECE of .15 at the end."""
    grown = np.clip((np.arange(LABELS) - CHANGE) / (LABELS - CHANGE), 0.0, None)
    return np.asarray(expit(logit(p) + shift(0.15) * grown))


SCENES: Final = (
    Scene(name="nothing changes", change=0),
    Scene(name="from 5,000 on confidences are Beta(5, 5)", mix=(5.0, 5.0)),
    Scene(name="from 5,000 on confidences are Beta(1, 9)", mix=(1.0, 9.0)),
    Scene(
        name="ECE .10 from the start",
        change=0,
        wrong=True,
        chance=lambda p: np.asarray(expit(temperature(0.10) * logit(p))),
    ),
    Scene(name="bias from 5,000 on, ECE .10", wrong=True, chance=biased),
    Scene(name="linear drift from 5,000 on, ECE .15 at the end", wrong=True, chance=drifting),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """What watches streams, with the settings that it is given."""

    name: str
    settings: str
    alarms_when: str
    peer: str | None = None  # its name in the other interpreter's script; None: it is ours
    threshold: float = 0.05  # of ours
    alpha: float = 0.01  # of ours


DETECTORS: Final = (
    Detector(
        name="calwatch",
        settings="limit .05, alpha = .01 for this one test",
        alarms_when="the ECE has exceeded the limit",
    ),
    Detector(
        name="calwatch, as spent by default",
        settings="limit .05, alpha = .01 for a model and all its restarts, of which a first start gets a quarter",
        alarms_when="the ECE has exceeded the limit",
        alpha=0.0025,
    ),
    Detector(
        name="calwatch, limit .02",
        settings="limit .02, alpha = .01 for this one test",
        alarms_when="the ECE has exceeded the limit",
        threshold=0.02,
    ),
    Detector(
        name="probcal `CalibrationMonitor`",
        settings="alpha = .05, offset and shape, all earlier batches",
        alarms_when="confidences are not exactly right, by a shift or a slope of log odds",
        peer="probcal",
    ),
    Detector(
        name="river `ADWIN`",
        settings="δ = .002; fed (p - y)²",
        alarms_when="the mean Brier score changes, up or down; it does not test calibration",
        peer="adwin",
    ),
    Detector(
        name="river `PageHinkley`",
        settings="threshold 50, δ = .005, both directions; fed (p - y)²",
        alarms_when="the mean Brier score changes, up or down; it does not test calibration",
        peer="page_hinkley",
    ),
    Detector(
        name="insurance-monitoring `PITMonitor`",
        settings="alpha = .05, 100 bins; fed F(y), as its documentation computes it for counts",
        alarms_when="the distribution of these values changes; by its documentation not where a model was wrong from the start",
        peer="pit_as_documented",
    ),
    Detector(
        name="insurance-monitoring `PITMonitor`, randomised",
        settings="alpha = .05, 100 bins; fed a number drawn between F(y - 1) and F(y)",
        alarms_when="the distribution of these values changes; by its documentation not where a model was wrong from the start",
        peer="pit_randomised",
    ),
)  # fmt: skip


def watched(p: Floats, y: Floats, threshold: float, alpha: float) -> Floats:
    """Return after how many labels our test alarms first in each stream; inf for never."""
    ledger, at = Ledger.begin(len(p)), np.full(len(p), np.inf)
    for first in range(0, p.shape[1], BATCH):
        ledger = ledger.advanced(rows(p[:, first : first + BATCH], y[:, first : first + BATCH]), threshold)
        at = np.where((ledger.log_e >= -np.log(alpha)) & np.isinf(at), first + BATCH, at)
    return at


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a detector made of a scene's streams."""

    early: int  # streams with an alarm before the change
    detected: int  # with the first one after it
    delay: float  # median, of streams without an early one; inf: most are never found
    streams: int

    @classmethod
    def of(cls, at: Floats, change: int) -> "Verdict":
        """Return it from the labels of first alarms."""
        late = at[at > change]
        delay = float(np.median(late)) - change if len(late) else np.inf
        return cls(early=int((at <= change).sum()), detected=int(np.isfinite(late).sum()), delay=delay, streams=len(at))


def told(verdict: Verdict, scene: Scene) -> str:
    """Return a verdict in words: false alarms of a calibrated model; else how many streams were found, and how soon."""
    if not scene.wrong:
        return f"{verdict.early + verdict.detected} of {verdict.streams}"
    early = f", {verdict.early} before the change" if verdict.early else ""
    soon = f" after {verdict.delay:,.0f}" if np.isfinite(verdict.delay) else ""
    return f"{verdict.detected} of {verdict.streams}{soon}{early}"


def run(interpreter: str | None = None, streams: int = STREAMS) -> Iterator[str]:
    """Yield a table of false alarms, one of delays, what each detector is, and what is missing."""
    peer, versions, missing = Peer(interpreter or sys.executable, peer_detectors.__file__), {}, {}
    told_by: dict[str, list[str]] = {detector.name: [] for detector in DETECTORS}
    with tempfile.TemporaryDirectory() as folder:
        for scene in SCENES:
            p, y = scene.streams(streams)
            path = Path(folder) / "streams.npz"
            np.savez(path, p=p, y=y)
            for detector in DETECTORS:
                if detector.peer is None:
                    at = watched(p, y, detector.threshold, detector.alpha)
                else:
                    answer = peer.ask(detector.peer, path)
                    if "missing" in answer:
                        missing[detector.name] = answer["missing"]
                        continue
                    versions[detector.name] = answer["version"]
                    at = np.array([np.inf if labels is None else labels for labels in answer["at"]], dtype=np.float64)
                told_by[detector.name].append(told(Verdict.of(at, scene.change), scene))
    peer.close()
    yield from _tables(told_by, versions, streams)
    yield from (f"MISSING: {name}: {why}; name an interpreter that has it by --peers" for name, why in missing.items())


def _tables(told_by: dict[str, list[str]], versions: dict[str, str], streams: int) -> Iterator[str]:
    for wrong, title in (
        (False, f"Streams with a false alarm, of {streams} whose model is calibrated throughout"),
        (
            True,
            f"Streams that were found, of {streams} whose model is or becomes wrong, and the median delay in labels",
        ),
    ):
        places = [place for place, scene in enumerate(SCENES) if scene.wrong == wrong]
        body = [[name, *(cells[place] for place in places)] for name, cells in told_by.items() if cells]
        yield f"{title}:\n\n" + table(["detector", *(SCENES[place].name for place in places)], body)
    lines = [
        f"- {detector.name} ({versions.get(detector.name, 'this project')}), {detector.settings}. It alarms when {detector.alarms_when}."
        for detector in DETECTORS
        if told_by[detector.name]
    ]
    yield "What they are:\n\n" + "\n".join(lines)
