"""What to do about miscalibrated windows: each is compared with the model's reference, and its labels with one another."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import structs
from sqlalchemy import Connection

from ..domain.evaluations import CALIBRATED, TOO_FEW_LABELS, Evaluation
from ..domain.settings import Model
from ..domain.times import parse_duration
from ..stats.cells import Cells
from ..stats.remedy import NOT_COMPARED, Advice, Amounts, Grounds, of_distributions, of_probabilities
from ..stats.summary import Summary
from ..store import evaluations
from ..store.evaluations import ALL_VERSIONS
from . import baseline
from .clock import Clocked, fitted_on
from .ranges import Range, widened
from .sums import Place, at_place, by_place, in_parts
from .suspects import suspects

MOST_PAST: Final = 200
"""Stored evaluations of a window that are looked at for a calibrated past."""

LOOK_BACK: Final = 4
"""A calibrated past reaches back this many times the longest window at most."""

Sums = Cells | Amounts
"""What is compared: sums of scores as the model gave them, or of errors of predictive distributions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A miscalibrated window, whose remedy is wanted."""

    version: str  # ALL_VERSIONS for all
    segment: str  # empty for the model as a whole
    over: Range
    sums: Sums

    @classmethod
    def of(cls, model: Model, evaluation: Evaluation, summary: Summary) -> "Breach":
        """Return the breach that an evaluation found in the sums of its window."""
        version = ALL_VERSIONS if evaluation.version is None else evaluation.version
        sums = compared(model, summary)
        return cls(version=version, segment=evaluation.segment, over=evaluation.over, sums=sums)

    @property
    def place(self) -> Place:
        """Version and segment."""
        return self.version, self.segment

    @property
    def window(self) -> tuple[str, Range]:
        """Version and range."""
        return self.version, self.over

    @property
    def named(self) -> str | None:
        """The version, None for all of them."""
        return None if self.version == ALL_VERSIONS else self.version


def compared(model: Model, summary: Summary) -> Sums:
    """Return what of a summary is compared."""
    if model.task == "regression":
        amounts = {name: summary.amount(name) for name in ("crps", "error", "absolute_error")}
        return Amounts(labels=float(summary.labels), **amounts)
    return summary.cells("raw")


def with_remedy(evaluation: Evaluation, advice: Advice) -> Evaluation:
    """Return an evaluation with what to do about it."""
    return structs.replace(evaluation, remedy=advice.remedy, remedy_reason=advice.reason)


def is_pending(evaluation: Evaluation) -> bool:
    """Return whether an evaluation waits to be compared with a reference, for its remedy."""
    return evaluation.remedy_reason == NOT_COMPARED


def remedies(connection: Connection, clock: Clocked, breaches: Sequence[Breach]) -> list[Advice]:
    """Return what to do about windows that are off.

    The reference is the range that is declared as such, or else the validation set, what the champion was fitted on, or the
    calibrated past before the window: the first with enough labels. Labels are held against one another for whole models only.
    """
    if not breaches:
        return []
    references = _References.read(connection, clock, breaches)
    return [
        _advice(clock.model, breach.sums, references.of(breach), _suspects(connection, clock.model, breach))
        for breach in breaches
    ]


def _suspects(connection: Connection, model: Model, breach: Breach) -> list[str]:
    return [] if breach.segment else suspects(connection, model, breach.named, breach.over)


def _advice(model: Model, now: Sums, reference: Sums | None, suspicions: Sequence[str]) -> Advice:
    thresholds = model.settings.thresholds
    grounds = Grounds(
        minimum=model.settings.minimum_labels,
        threshold=thresholds["ece"],
        psi=thresholds["psi"],
        suspects=suspicions,
    )
    if isinstance(now, Amounts):
        return of_distributions(now, reference if isinstance(reference, Amounts) else None, grounds)
    cells = reference if isinstance(reference, Cells) else None
    return of_probabilities(now, cells, grounds, binary=model.task == "binary")


@dataclass(frozen=True, slots=True, kw_only=True)
class _References:
    """What windows may be compared with, by range and place."""

    minimum: int
    declared: Sequence[Range]
    fitted: Sequence[Range]
    past: Mapping[tuple[str, Range], Range]  # by version and window, of whole models
    stored: Mapping[tuple[Range, Place], Sums]
    validated: Mapping[str, Sums]  # by version

    @classmethod
    def read(cls, connection: Connection, clock: Clocked, breaches: Sequence[Breach]) -> "_References":
        """Read the sums that some windows are compared with."""
        declared, fitted = _declared(clock), _fitted(connection, clock)
        windows = {breach.window: breach for breach in breaches}
        calm = {window: _calibrated_past(connection, clock, breach) for window, breach in windows.items()}
        past = {window: over for window, over in calm.items() if over is not None}
        places = {breach.place for breach in breaches}
        return cls(
            minimum=clock.model.settings.minimum_labels,
            declared=declared,
            fitted=fitted,
            past=past,
            stored=_stored(connection, clock, places, {*declared, *fitted, *past.values()}),
            validated=_validated(connection, clock.model),
        )

    def of(self, breach: Breach) -> Sums | None:
        """Return the first reference of a window that has enough labels."""
        past = self.past.get(breach.window)
        whole = not breach.segment
        candidates = [
            *(self.stored.get((over, breach.place)) for over in self.declared),
            self.validated.get(breach.version) if whole else None,
            *(self.stored.get((over, breach.place)) for over in self.fitted),
            None if past is None else self.stored.get((past, breach.place)),
        ]
        return next((sums for sums in candidates if sums is not None and labels_of(sums) >= self.minimum), None)


def labels_of(sums: Sums) -> float:
    """Return the number of labels in sums."""
    return sums.labels if isinstance(sums, Amounts) else float(sums.n.sum())


def _declared(clock: Clocked) -> list[Range]:
    reference = clock.model.settings.reference
    return [widened(*reference, clock.progress.minutes_from)] if isinstance(reference, tuple) else []


def _fitted(connection: Connection, clock: Clocked) -> list[Range]:
    over = fitted_on(connection, clock.model)
    return [widened(*over, clock.progress.minutes_from)] if isinstance(over, tuple) else []


def _calibrated_past(connection: Connection, clock: Clocked, breach: Breach) -> Range | None:
    """Return the newest range before a window over which evaluations of the whole said "calibrated", None where none did.

    Those of long windows come first. Where none ended before the window began, those that ended within it.
    """
    start, end = breach.over
    settings = clock.model.settings
    by_length = sorted(settings.windows, key=lambda window: -parse_duration("window", window))
    for until in (start, end):
        for window in by_length:
            earlier = evaluations.history(
                connection,
                clock.model.id,
                window=window,
                segment="",
                version=breach.named,
                start=0,
                end=until,
                limit=MOST_PAST,
            )
            over = _last_run(earlier)
            if over is not None:
                first = max(over[0], over[1] - LOOK_BACK * settings.longest_window)
                return widened(first, over[1], clock.progress.minutes_from)
    return None


def _last_run(earlier: Sequence[Evaluation]) -> Range | None:
    """Return the range of the last calibrated evaluations in a row; those without a verdict do not break it."""
    run: list[Range] = []
    for seen in reversed(earlier):
        if seen.verdict == CALIBRATED:
            run.append(seen.over)
        elif run and seen.verdict != TOO_FEW_LABELS:
            break
    return (min(start for start, _ in run), max(end for _, end in run)) if run else None


def _stored(
    connection: Connection, clock: Clocked, places: Collection[Place], ranges: Collection[Range]
) -> dict[tuple[Range, Place], Sums]:
    """Return the sums of some places over some ranges."""
    segments = {segment for _, segment in places}
    if len(segments) == 1:
        parts: Iterable[Mapping[Range, Mapping[Place, Summary]]] = [
            by_place(connection, clock.model, ranges, *segments)
        ]
    else:
        parts = in_parts(connection, clock.model, ranges)
    return {
        (over, place): compared(clock.model, summary)
        for part in parts
        for over, sums in part.items()
        for place in places
        if (summary := at_place(sums, place)) is not None
    }


def _validated(connection: Connection, model: Model) -> dict[str, Sums]:
    """Return the validation set by version, and as a whole."""
    parts = baseline.of_versions(connection, model)
    whole = baseline.together(parts.values())
    summaries = {version: part.summary for version, part in parts.items()}
    if whole is not None:
        summaries[ALL_VERSIONS] = whole.summary
    return {version: compared(model, summary) for version, summary in summaries.items()}
