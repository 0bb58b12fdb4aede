"""Refit, promote, roll back and compare by hand, over HTTP and at a terminal alike."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal

from msgspec import UNSET, Struct, UnsetType, convert
from sqlalchemy import Connection

from ..calibrators.document import check
from ..calibrators.errors import BadDocument
from ..calibrators.families import FAMILIES
from ..domain.errors import BadInput, Conflict, NotFound
from ..domain.names import CHALLENGER
from ..domain.settings import Model
from ..domain.times import DAY, parse_bound, rfc3339
from ..stats.values import has_scores
from ..store import models, rollups, versions
from ..store.audit import Action, Detail
from ..store.calibrators import Calibrator, Fitted
from ..store.engine import Database
from ..store.impact import DecisionImpact
from ..windows.baseline import of_versions, together
from ..windows.clock import Clocked, clocked
from ..windows.ranges import Range, widened
from ..windows.rows import of_version
from ..windows.samples import Sample, Segments, held_out_segments, raw_sample
from ..windows.sums import of_series
from . import decisions, registry
from .baseline import described_validation, reference_parts, reference_sample
from .difference import Difference, compared
from .job import champion_document, conclude, firing_versions, since_breach
from .naming import calibrator_of, champion_number
from .outcomes import Refitted, Refused
from .refit import HOLDOUT, Outcome, described, judged_document, refit, refused

ONLY_SCORES: Final = (
    "the model sends scores, not probabilities: they are mapped to confidences by a line fitted once per model version (`mapping` in its "
    "calibration), and a calibrator needs confidences"
)
NO_VALIDATION: Final = "there is no validation set: no predictions with `reference: true`"
RECENT_DAYS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for a refit."""

    method: str = "auto"
    start: str | None = None  # RFC 3339; if not given, the breach where an alert fires, else 30 days before the end
    end: str | None = None  # RFC 3339; the newest matured prediction if not given
    version: str | None = None  # only predictions of this model version
    holdout: float = HOLDOUT
    promote: bool | None = None  # None: as the model's `recalibration` says
    document: Mapping[str, Any] | None = None  # of a calibrator fitted elsewhere, to be judged instead of a fit
    source: Literal["live", "validation"] = "live"  # where labels are from; the validation set has no start and end
    dry_run: bool = False  # fit and judge, and change nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grounds:
    """The labels that a refit by hand is fitted and judged on."""

    clock: Clocked
    sample: Sample
    over: Range
    incumbent: Calibrator | None
    others: Mapping[str, Sample]  # of the other versions, by name, where one version is asked for
    segments: Segments
    unusable: str | None  # why there is nothing to fit; None where there may be


def refit_now(database: Database, name: str, asked: Asked, *, actor: str, now: int) -> Refitted | Refused:
    """Refit on the labelled raw scores of a range, judge on the latest of them, register what passes.

    Returns
    -------
    the new version, or a refusal; for a dry run, what would be registered

    Raises
    ------
    NotFound
        for an unknown model, or one that was deleted meanwhile.
    BadInput
        for an unusable request.
    Conflict
        when another calibrator was put in service meanwhile.

    """
    if asked.method != "auto" and asked.method not in FAMILIES:
        raise BadInput("method", asked.method, f"must be auto or one of {', '.join(FAMILIES)}")
    read, describe = (_live, described) if asked.source == "live" else (_validation, described_validation)
    with database.read() as connection:
        clock = clocked(connection, models.named(connection, name), now)
        grounds = read(connection, clock, asked, now)
    outcome = describe(grounds.over, asked.version, _outcome(asked, grounds), asked.holdout)
    if asked.dry_run:
        return _tried(outcome)
    with database.write() as connection:
        clock = replace(clock, model=_unchanged_since(connection, clock.model, grounds.incumbent))
        return conclude(connection, clock, outcome, promote=asked.promote, actor=actor, now=now)


def _live(connection: Connection, clock: Clocked, asked: Asked, now: int) -> _Grounds:
    wanted, (start, end) = of_version(asked.version), _range(asked, clock, now)
    sample = raw_sample(connection, clock, start, end, wanted)
    incumbent = champion_document(connection, clock.model)
    if _is_answer(connection, clock, asked) and sample.labels:
        sample = since_breach(connection, clock, sample, incumbent)
        start = int(sample.at.min())
    scores = not sample.labels and has_scores(of_series(connection, clock.model, start, end, wanted))
    return _Grounds(
        clock=clock,
        sample=sample,
        over=(start, end),
        incumbent=incumbent,
        others={
            name: raw_sample(connection, clock, start, end, of_version(name))
            for name in _beside(asked, (key.version for key in rollups.series_ids(connection, clock.model.id)))
        },
        segments=held_out_segments(connection, clock, sample, holdout=asked.holdout, end=end, version=asked.version),
        unusable=ONLY_SCORES if scores else None,
    )


def _is_answer(connection: Connection, clock: Clocked, asked: Asked) -> bool:
    """Return whether a refit without a range answers a firing alert: then labels from before the breach would only harm it."""
    versions_off = firing_versions(connection, clock.model)
    return asked.start is None and asked.end is None and any(asked.version in {None, name} for name in versions_off)


def _validation(connection: Connection, clock: Clocked, asked: Asked, _now: int) -> _Grounds:
    for name in ("start", "end"):
        if getattr(asked, name) is not None:
            raise BadInput(name, getattr(asked, name), "must not be given with the validation set, which is used whole")
    parts = of_versions(connection, clock.model)
    whole = together([part for name, part in parts.items() if asked.version in {None, name}])
    sample, segments = reference_parts(connection, clock, asked.version, asked.holdout)
    return _Grounds(
        clock=clock,
        sample=sample,
        over=(0, 0) if whole is None else whole.over,
        incumbent=champion_document(connection, clock.model),
        others={name: reference_sample(connection, clock, name, asked.holdout) for name in _beside(asked, parts)},
        segments=segments,
        unusable=NO_VALIDATION if whole is None else None,
    )


def _beside(asked: Asked, names: Iterable[str]) -> list[str]:
    """Return the other versions, which a calibrator for one version would serve too and may not harm."""
    return [] if asked.version is None or asked.holdout <= 0 else sorted(set(names) - {asked.version})


def _range(asked: Asked, clock: Clocked, now: int) -> tuple[int, int]:
    """Return the range to fit on: as asked, else the last month of matured predictions, of which an alert leaves those since the breach."""
    matured = clock.matured_until or now
    end = parse_bound("end", asked.end) if asked.end is not None else matured
    start = parse_bound("start", asked.start) if asked.start is not None else end - RECENT_DAYS * DAY
    if start >= end:
        raise BadInput("start", asked.start, f"must be before the end, {rfc3339(end)}")
    return widened(start, end, clock.progress.minutes_from)


def _outcome(asked: Asked, grounds: _Grounds) -> Outcome:
    model, sample = grounds.clock.model, grounds.sample
    if grounds.unusable is not None:
        return refused(grounds.unusable, sample)
    attempt = partial(refit, method=asked.method)
    if asked.document is not None:
        attempt = partial(judged_document, fitted=_usable(asked.document, model))
    try:
        return attempt(
            model,
            sample,
            holdout=asked.holdout,
            incumbent=grounds.incumbent,
            others=grounds.others,
            segments=grounds.segments,
        )
    except BadInput as error:
        if error.field != "holdout":
            raise
        return refused(error.reason, sample)


def _usable(document: Mapping[str, Any], model: Model) -> Fitted:
    """Return the calibrator that a document describes; raise BadInput unless it is valid and of the model's task."""
    try:
        checked = check({name: document[name] for name in ("method", "task", "parameters") if name in document})
    except BadDocument as error:
        raise BadInput(f"document.{error.field}", error.value, error.reason) from error
    if checked.task != (model.task or checked.task):
        raise BadInput("document.task", checked.task, f"the model's task is {model.task}")
    return convert(checked._asdict(), Fitted)


def _tried(outcome: Outcome) -> Refused:
    return Refused(
        number=None,
        promoted=False,
        dry_run=True,
        reason=outcome.reason,
        held=outcome.held,
        gate=outcome.gate,
        passed=outcome.passed,
        fitted=outcome.fitted,
        fitted_from=outcome.fitted_from,
    )


def _unchanged_since(connection: Connection, model: Model, incumbent: Calibrator | None) -> Model:
    """Lock the model and return it as it is declared now.

    Raises
    ------
    Conflict
        when the champion is not the one that candidates were judged against.
    NotFound
        when the model was deleted.

    """
    locked = models.named(connection, model.name, lock=True)
    if locked.id != model.id:
        raise NotFound(f"model {model.name!r} was deleted and made again during the fit")
    if champion_document(connection, locked) != incumbent:
        raise Conflict("another calibrator was put in service during the fit: try again")
    return locked


class Moved(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is in service now, null for no calibrator; of a dry run also what would be."""

    champion: int | None
    dry_run: Literal[True] | None = None
    would_serve: int | UnsetType | None = UNSET
    difference: Difference | None = None


def promote(
    database: Database, name: str, number: int, *, actor: str, reason: str, now: int, dry_run: bool = False
) -> Moved:
    """Put a version in service; in a dry run, preview the change."""
    with database.read() if dry_run else database.write() as connection:
        model = models.named(connection, name, lock=not dry_run)
        if dry_run:
            return _preview(connection, model, number, now)
        progress = models.progress_of(connection, [model.id])[model.id]
        grounds = Detail(decisions=_impact(connection, model, number, now))
        registry.promote(connection, model, number, progress, actor=actor, now=now, reason=reason, grounds=grounds)
    return Moved(champion=number)


def reject(database: Database, name: str, number: int, *, actor: str, reason: str, now: int) -> Moved:
    """End the wait or the trial of a version; the next refit by itself waits for the next alert, since the same fit would come again.

    Raises
    ------
    NotFound
        when there is no such version.
    Conflict
        when it neither waits for a decision nor is on trial.

    """
    with database.write() as connection:
        model = models.named(connection, name, lock=True)
        calibrator_of(connection, model, number)
        challenger = versions.aliases(connection, model.id).get(CHALLENGER)
        if challenger is None or challenger.number != number:
            raise Conflict(f"calibrator {number} of {name} neither waits for a decision nor is on trial")
        progress = models.progress_of(connection, [model.id])[model.id]
        grounds = Detail(reason=reason)
        registry.dismiss(connection, model, progress, action=Action.REJECT, actor=actor, now=now, grounds=grounds)
        return Moved(champion=champion_number(connection, model))


def _impact(connection: Connection, model: Model, number: int, now: int) -> list[DecisionImpact] | None:
    """Return what declared decisions select before and after a promotion, None where none is declared."""
    if not model.settings.decisions:
        return None
    clock, candidate = clocked(connection, model, now), calibrator_of(connection, model, number)
    incumbent = champion_document(connection, model)
    return decisions.impact_of(connection, clock, candidate, incumbent, now=now)


def roll_back(database: Database, name: str, *, actor: str, reason: str, now: int, dry_run: bool = False) -> Moved:
    """Put back what the champion replaced; in a dry run, preview the change."""
    with database.read() if dry_run else database.write() as connection:
        model = models.named(connection, name, lock=not dry_run)
        if dry_run:
            return _preview(connection, model, registry.replaced(connection, model), now)
        progress = models.progress_of(connection, [model.id])[model.id]
        return Moved(champion=registry.roll_back(connection, model, progress, actor=actor, now=now, reason=reason))


def _preview(connection: Connection, model: Model, number: int | None, now: int) -> Moved:
    champion = champion_number(connection, model)
    difference = compared(connection, model, champion, number, now)
    return Moved(champion=champion, dry_run=True, would_serve=number, difference=difference)
