"""Exported scores of windows: of models as a whole, and of segments with enough labels, those with most traffic first."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Connection

from ..domain.drift import Drift
from ..domain.evaluations import CALIBRATED, MISCALIBRATED, SUSPECT, TOO_FEW_LABELS, Bin, Evaluation, Verdict
from ..domain.settings import Model
from ..domain.times import SECOND, micros
from ..store import evaluations
from ..store.documents import decoded
from ..windows import regression, scores
from ..windows.figures import Figure
from ..windows.verdicts import Standing
from .exposition import Family

SCORE_LABELS: Final = ("model", "model_version", "segment", "window")
FIGURES: Final[tuple[Figure[Any], ...]] = (*scores.FIGURES, *regression.FIGURES)
VERDICTS: Final[Mapping[Verdict, int]] = {CALIBRATED: 0, SUSPECT: 1, MISCALIBRATED: 2, TOO_FEW_LABELS: -1}
FLAGGED_TEXT: Final = "1 where a segment is off, false discoveries controlled; else 0."
VERDICT_TEXT: Final = "Verdict on the window: 0 calibrated, 1 suspect, 2 miscalibrated, -1 too few labels."

Place = tuple[str, ...]
"""The values of a sample's labels."""


def gauge(name: str, text: str, labels: Iterable[str]) -> Family:
    """Return a family of gauges without samples."""
    return Family(f"calibration_{name}", text, tuple(labels))


def _place(model: Model, window: str, result: Evaluation | Drift) -> Place:
    return model.name, result.version or "", result.segment, window


def exported() -> dict[str, str]:
    """Return the names of exported figures, without their prefix `calibration_`, and the description of each.

    A name that figures of probabilities and of distributions share describes both. Texts are plain, as Prometheus shows them.
    """
    sentences: dict[str, list[str]] = {}
    for figure in FIGURES:
        if figure.exported is not None:
            sentences.setdefault(figure.exported, []).append(figure.sentence)
    return {name: " ".join(texts).replace("`", "") for name, texts in sentences.items()}


_EXPORTED: Final = {figure.name: figure.exported for figure in FIGURES if figure.exported is not None}


class _Scores:
    """The families of scores, filled window by window."""

    def __init__(self) -> None:
        labels, of_bins = SCORE_LABELS, (*SCORE_LABELS, "bin")
        self.figures = {name: gauge(name, text, labels) for name, text in exported().items()}
        self.samples = gauge("window_samples", "Predictions in the window.", labels)
        self.coverage = gauge("window_labelled_ratio", "Share of the window's predictions that have a label.", labels)
        self.end = gauge("window_end_timestamp_seconds", "End of the window, in event time.", labels)
        self.verdict = gauge("verdict", VERDICT_TEXT, labels)
        self.flagged = gauge("segment_flagged", FLAGGED_TEXT, labels)
        self.bin_confidence = gauge(
            "bin_confidence_ratio", "Mean confidence of a bin; the label is its upper edge.", of_bins
        )
        self.bin_observed = gauge(
            "bin_observed_ratio", "Observed frequency of a bin; the label is its upper edge.", of_bins
        )
        self.bin_samples = gauge("bin_samples", "Labelled events of a bin; the label is its upper edge.", of_bins)

        windows = (*self.figures.values(), self.samples, self.coverage, self.end, self.verdict, self.flagged)
        self.families = [*windows, self.bin_confidence, self.bin_observed, self.bin_samples]
        self.size = 0  # series so far

    def add_all(self, other: "_Scores") -> None:
        """Add what others hold."""
        for family, more in zip(self.families, other.families, strict=True):
            family.add_all(more)
        self.size += other.size

    def add(self, place: Place, evaluation: Evaluation) -> None:
        self.samples.add(place, evaluation.predictions)
        self.coverage.add(place, evaluation.label_coverage)
        self.verdict.add(place, VERDICTS[evaluation.verdict])
        self.end.add(place, micros(evaluation.end) / SECOND)
        self.flagged.add(place, None if evaluation.flag is None else evaluation.flag.flagged)
        if evaluation.has_enough_labels:
            for figure, name in _EXPORTED.items():
                self.figures[name].add(place, evaluation.figures.get(figure))
            if evaluation.segment == "" and evaluation.curves is not None:
                self._add_bins(place, evaluation.curves.reliability)
        self.size = sum(len(family.samples) for family in self.families)

    def _add_bins(self, place: Place, bins: Iterable[Bin]) -> None:
        for one in bins:
            of_bin = (*place, f"{one.upper:.4g}")
            self.bin_samples.add(of_bin, one.count)
            self.bin_confidence.add(of_bin, one.mean_confidence)
            self.bin_observed.add(of_bin, one.observed)


def scored(connection: Connection, known: dict[int, Model], most_series: int) -> Iterator[Family]:
    """Yield the families of scores and of drift.

    Parameters
    ----------
    known : models by id
    most_series : windows that begin beyond so many series are left out: first segments, those with least traffic first

    """
    standings = Standing.now(connection, [*known.values()])
    scores_of = _Scores()
    shown: set[Place] = set()
    for number, window, text in evaluations.exported(connection, most_series // _LEAST_SERIES + 1):
        if scores_of.size >= most_series:
            break
        if number in known:
            evaluation = standings[number].judged(_parsed(text))
            place = _place(known[number], window, evaluation)
            scores_of.add_all(_written(text, place, evaluation.verdict))
            shown.add(place)
    yield from scores_of.families
    yield _drift(connection, known, shown)
    yield _left_out(evaluations.exportable(connection) - len(shown))


_LEAST_SERIES: Final = 4
"""So many series a window has at least."""


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Evaluation:
    """Return a stored evaluation; most are the same at the next scrape."""
    return Evaluation.from_json(text)


@lru_cache(maxsize=4096)
def _written(text: str, place: Place, verdict: Verdict) -> _Scores:
    """Return what is exported of a stored evaluation, of which alerts may have changed the verdict."""
    scores_of = _Scores()
    scores_of.add(place, replace(_parsed(text), verdict=verdict))
    return scores_of


@lru_cache(maxsize=4096)
def _parsed_drift(text: str) -> Drift:
    return decoded(text, Drift)


def _drift(connection: Connection, known: dict[int, Model], shown: Collection[Place]) -> Family:
    """Return the drift of models as a whole, and of the segments whose scores are exported."""
    family = gauge("drift_psi", "Population stability index of raw scores against the reference.", SCORE_LABELS)
    for number, window, text in evaluations.exported_drift(connection, len(shown)):
        if number in known:
            drift = _parsed_drift(text)
            place = _place(known[number], window, drift)
            family.add(place, drift.psi if not drift.segment or place in shown else None)
    return family


def _left_out(windows: int) -> Family:
    family = gauge("windows_left_out", "Windows of models and segments with scores that were too many to export.", ())
    family.add((), max(0, windows))
    return family
