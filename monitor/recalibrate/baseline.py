"""Fit on the validation set: a model's first calibrator before live labels come, and refits by hand."""

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
"""The share of a validation set that is held out. It is chosen at random, since its rows often share one timestamp."""

GROWTH: Final = 1.1
"""After a refusal, a validation set is tried again once its labels have grown by this factor."""

QUIET: Final = MINUTE
"""A first calibrator waits until the validation set has not grown for this long, lest it be fitted on half an upload."""


def reference_sample(connection: Connection, clock: Clocked, version: str | None, holdout: float = HALF) -> Sample:
    """Return `reference_parts` without the segments."""
    return reference_parts(connection, clock, version, holdout)[0]


def reference_parts(
    connection: Connection, clock: Clocked, version: str | None, holdout: float = HALF
) -> tuple[Sample, Segments]:
    """Return the labelled raw scores of a validation set, its newest rows, and the held-out ones of declared segments.

    Their time is 0 or 1, so that a split by time is a random one.

    Parameters
    ----------
    version : of the model; None: all versions
    holdout : share of rows with time 1, chosen by keyed hash of an event's cluster or id; the share to split by

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
    """Return a reproducible random number in [0, 1), the same for all events of a cluster."""
    if row.cluster is None:
        return (row.key >> 1) / 2**62
    digest = hashlib.blake2b(row.cluster.encode(), digest_size=8, key=key, person=b"baseline").digest()
    return int.from_bytes(digest, "little") / 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """A validation set for a model's first calibrator."""

    version: str
    over: Range
    labels: int  # of all versions
    sample: Sample
    segments: Segments  # declared ones, held out
    others: Mapping[str, Sample]  # of the other versions, by name


def first(connection: Connection, clock: Clocked, now: int) -> First | None:
    """Return the validation set to fit a first calibrator on now, the newest of several versions'; None where none is due.

    None is due once the model has had a calibrator or enough live labels for one; while the validation set has too few labels, hardly
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
    """Return the number of labels to fit on: of raw probabilities, or of predictive distributions."""
    return summary.labels if model.task == "regression" else round(float(summary.cells("raw").n.sum()))


def _has_none(connection: Connection, model: Model) -> bool:
    """Return whether a model may get a first calibrator without a person."""
    return model.settings.recalibration != "off" and versions.document(connection, model.id, 1) is None


def fitted(model: Model, first: First) -> Outcome:
    """Return the result of a fit on a random half of a validation set, judged on the other half."""
    outcome = tried(model, first.sample, holdout=HALF, incumbent=None, others=first.others, segments=first.segments)
    return described_validation(first.over, first.version, outcome, HALF)


def described_validation(over: Range, version: str | None, outcome: Outcome, holdout: float) -> Outcome:
    """Return an outcome with the validation set as the source of its labels."""
    outcome = described(over, version, outcome, holdout)
    return replace(outcome, fitted_from=structs.replace(outcome.fitted_from, source=VALIDATION))


def noted(connection: Connection, model: Model, first: First) -> bool:
    """Lock the model and note an attempt; return False where it was changed or given a calibrator meanwhile."""
    if models.by_name(connection, model.name, lock=True) != model or not _has_none(connection, model):
        return False
    before = versions.attempt(connection, model.id) or Attempt(attempted_at=0, labels=0, waits_for_person=False)
    versions.note_attempt(connection, model.id, replace(before, reference_labels=first.labels))
    return True
