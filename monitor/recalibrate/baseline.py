"""Fit on the validation set: a model's first calibrator, before any live label has come, and what a person asks for."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs
from sqlalchemy import Connection

from ..calibrators.ladder import FEWEST_LABELS
from ..domain.records import PredictionRow
from ..domain.settings import VALIDATION, Model
from ..domain.times import MINUTE
from ..stats.summary import Summary
from ..store import events, models, versions
from ..store.versions import Attempt
from ..windows.baseline import of_versions
from ..windows.clock import Clocked
from ..windows.ranges import Range
from ..windows.samples import MOST_ROWS, Sample, Segments, sample_of
from .refit import Outcome, described, tried

HALF: Final = 0.5
"""The share of a validation set that judges what was fitted on the rest, chosen at random: its rows often share one timestamp."""

GROWTH: Final = 1.1
"""A validation set that a fit was refused on is tried again once it has so many times the labels."""

QUIET: Final = MINUTE
"""A first calibrator waits until the validation set has not grown for so long, lest it be fitted on half an upload."""


def reference_sample(connection: Connection, clock: Clocked, version: str | None, holdout: float = HALF) -> Sample:
    """Return `reference_parts` without the segments."""
    return reference_parts(connection, clock, version, holdout)[0]


def reference_parts(
    connection: Connection, clock: Clocked, version: str | None, holdout: float = HALF
) -> tuple[Sample, Segments]:
    """Return the labelled raw scores of a validation set, its newest rows, and those of declared segments that are to be held out.

    Their time is 0 or 1, so that a split by time is one by chance.

    Parameters
    ----------
    version : only predictions of this model version; None: of all
    holdout : the share of rows with time 1, chosen by keyed hash of an event's cluster or id; to be split by the same share

    """
    key = events.hash_key(connection)
    rows: list[PredictionRow] = []
    for chunk in events.scan(connection, clock.model.id, reference=True):
        rows += [
            replace(row, at=int(_chance(row, key) >= 1.0 - holdout)) for row in chunk if version in {None, row.version}
        ]
        if len(rows) >= MOST_ROWS:
            break
    return sample_of(connection, clock.model, rows[:MOST_ROWS], judged_from=1)


def _chance(row: PredictionRow, key: bytes) -> float:
    """Return a number in [0, 1) that is the same whenever asked for, and for all events of a cluster."""
    if row.cluster is None:
        return (row.key >> 1) / 2**62
    digest = hashlib.blake2b(row.cluster.encode(), digest_size=8, key=key, person=b"baseline").digest()
    return int.from_bytes(digest, "little") / 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """A validation set that a model's first calibrator can be fitted on now."""

    version: str
    over: Range
    labels: int  # of all versions
    sample: Sample
    segments: Segments  # declared ones, held out
    others: Mapping[str, Sample]  # of the other versions, by name


def first(connection: Connection, clock: Clocked, now: int) -> First | None:
    """Return what a first calibrator is to be fitted on now, of several versions' validation sets the newest, or None.

    None where the model had a calibrator ever, where live labels are enough for one, while the validation set has too few labels, hardly
    more than at the last attempt, or still grows.
    """
    model = clock.model
    if not _has_none(connection, model) or clock.progress.labels >= FEWEST_LABELS:
        return None
    parts = of_versions(connection, model)
    usable = {version: _usable(model, part.summary) for version, part in parts.items()}
    enough = {version: part for version, part in parts.items() if usable[version] >= FEWEST_LABELS}
    last = versions.attempt(connection, model.id)
    tried, labels = 0 if last is None else last.reference_labels, sum(usable.values())
    if not enough or labels < GROWTH * tried or now - events.reference_rolled_at(connection, model.id) < QUIET:
        return None
    version = max(enough, key=lambda name: enough[name].newest)
    beside = {name: reference_sample(connection, clock, name) for name in sorted(parts) if name != version}
    sample, segments = reference_parts(connection, clock, version)
    return First(
        version=version,
        over=parts[version].over,
        labels=labels,
        sample=sample,
        segments=segments,
        others={name: sample for name, sample in beside.items() if sample.labels},
    )


def _usable(model: Model, summary: Summary) -> int:
    """Return how many labels a calibrator can be fitted on: those of raw probabilities, or of predictive distributions."""
    return summary.labels if model.task == "regression" else round(float(summary.cells("raw").n.sum()))


def _has_none(connection: Connection, model: Model) -> bool:
    """Return whether a model may get a first calibrator by itself."""
    return model.settings.recalibration != "off" and versions.document(connection, model.id, 1) is None


def fitted(model: Model, found: First) -> Outcome:
    """Return what a fit on one random half of a validation set, judged on the other, comes to."""
    outcome = tried(model, found.sample, holdout=HALF, incumbent=None, others=found.others, segments=found.segments)
    return told(found.over, found.version, outcome, HALF)


def told(over: Range, version: str | None, outcome: Outcome, holdout: float) -> Outcome:
    """Return an outcome that says that it is from a validation set."""
    outcome = described(over, version, outcome, holdout)
    return replace(outcome, fitted_from=structs.replace(outcome.fitted_from, source=VALIDATION))


def noted(connection: Connection, model: Model, found: First) -> bool:
    """Lock the model and note an attempt, unless it was changed or given a calibrator meanwhile: then nothing is to follow."""
    if models.by_name(connection, model.name, lock=True) != model or not _has_none(connection, model):
        return False
    before = versions.attempt(connection, model.id) or Attempt(attempted_at=0, labels=0, waits_for_person=False)
    versions.note_attempt(connection, model.id, replace(before, reference_labels=found.labels))
    return True
