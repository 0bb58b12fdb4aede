"""Evaluation of a model's validation set, the labelled predictions that are sent with `reference: true`.

They are summed apart, in hours and days, and are never traffic: no window, no alert and no clock of the model sees them. They give
scores before any live label has come, and a reference for drift.
"""

import operator
from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce

from sqlalchemy import Connection

from ..domain.drift import VALIDATED
from ..domain.evaluations import Evaluation
from ..domain.records import DAY_LEVEL, HOUR_LEVEL
from ..domain.settings import VALIDATION, Model
from ..domain.times import HOUR, LATEST
from ..stats.summary import Scores, Summary
from ..stats.values import UNREAD, read
from ..store import rollups
from ..store.rollups import Span
from .clock import Clocked
from .drift import Reference
from .evaluation import Question, evaluation
from .ranges import Range
from .sums import readings


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The sums of a validation set, or of one model version's part of it."""

    summary: Summary
    over: Range  # whole hours that its predictions lie in
    newest: int  # the highest number of its series: of several parts, the one that came last has the highest


def of_versions(connection: Connection, model: Model) -> dict[str, Validation]:
    """Return a model's validation set by model version."""
    series = {number: key.version for key, number in rollups.reference_series(connection, model.id).items()}
    known = readings(connection, model) if series else {}
    stored: dict[str, list[bytes]] = {}
    for number, _, _, blob in rollups.read(connection, list(series), [Span(DAY_LEVEL, 0, LATEST)]):
        stored.setdefault(series[number], []).append(blob)
    parts = {}
    for version, blobs in stored.items():
        numbers = [number for number, owner in series.items() if owner == version]
        first, last = rollups.extent(connection, numbers, HOUR_LEVEL) or (0, 0)
        summary = read(Summary.of(blobs), known.get(version, UNREAD))
        parts[version] = Validation(summary=summary, over=(first, last + HOUR), newest=max(numbers))
    return parts


def together(parts: Collection[Validation]) -> Validation | None:
    """Return the validation sets of several versions as one, None without any."""
    if not parts:
        return None
    return Validation(
        summary=reduce(operator.add, (part.summary for part in parts)),
        over=(min(part.over[0] for part in parts), max(part.over[1] for part in parts)),
        newest=max(part.newest for part in parts),
    )


def evaluated(
    model: Model, version: str | None, validation: Validation | None, *, scores: Scores, bins: int, by_value: bool
) -> Evaluation:
    """Return the evaluation of a whole validation set; without one, counts of 0 and no figures.

    Parameters
    ----------
    scores, bins, by_value : as of a question

    """
    start, end = (0, 0) if validation is None else validation.over
    question = Question(
        model=model,
        version=version,
        segment="",
        start=start,
        end=end,
        scores=scores,
        bins=bins,
        by_value=by_value,
        watched=False,
    )
    return evaluation(question, Summary.of([]) if validation is None else validation.summary, None)


def may_be_reference(clock: Clocked) -> bool:
    """Return whether drift is measured against the validation set if there is one."""
    declared = clock.model.settings.reference
    return declared in {None, VALIDATION} or clock.fitted_on == VALIDATION


def compared_with(
    clock: Clocked, validation: Validation | None, reference: Reference, before: Summary
) -> tuple[Reference, Summary]:
    """Return the reference of drift and its sums: the validation set where it may be the reference, else `reference` and `before`.

    Unless it is declared, it must have the model's `minimum_labels` of predictions: fewer could never show that anything has drifted.
    """
    settings = clock.model.settings
    if validation is None or not may_be_reference(clock):
        return reference, before
    if settings.reference is None and validation.summary.events < settings.minimum_labels:
        return reference, before
    return Reference(kind=VALIDATED, start=validation.over[0], end=validation.over[1]), validation.summary
