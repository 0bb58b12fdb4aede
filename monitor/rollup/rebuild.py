"""Roll a model up again from its event rows, under its present settings."""

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from ..domain.errors import NotFound
from ..domain.records import PredictionRow
from ..domain.settings import CLASS, Model
from ..domain.times import LATEST
from ..store import clusters, events, models, rollups, sequential
from ..store.engine import Database
from ..store.lease import fence
from ..store.standing import standing_labels
from .classes import sums_of_classes
from .cohorts import class_cohort_sums, cohort_sums
from .effects import halves
from .job import add_sums
from .join import Change
from .sums import entries_of, sums_of

CHUNK = 5000


def rebuild_model(
    database: Database, model: Model, *, report: Callable[[int, int], None] = lambda _done, _all: None
) -> int:
    """Replace a model's rollups by sums of its rows under the newest revision; return its number of predictions.

    What waits for the sequential tests of versions is not touched; what waits for those of segments is summed again.

    This is one transaction that fences off the leader: whatever it computes meanwhile is void.

    Parameters
    ----------
    report : called now and then with the number of predictions done, and of all

    Raises
    ------
    NotFound
        when the model was deleted.

    """
    with database.write(patient=True) as connection:
        fence(connection)
        current = models.by_name(connection, model.name)
        if current is None or current.id != model.id:
            raise NotFound(f"there is no model {model.name} any more")
        return _rebuild(connection, current, report)


def _rebuild(connection: Connection, model: Model, report: Callable[[int, int], None]) -> int:
    before = models.progress_of(connection, [model.id])[model.id]
    rollups.clear(connection, model.id)
    _forget_waiting_segments(connection, model)
    predictions = labels = 0
    for chunk in events.scan(connection, model.id, chunk=CHUNK, reference=None):
        changes = _changes(connection, model, chunk)
        _add(connection, model, changes, before.minutes_from or 0)
        traffic = [change for change in changes if not change.row.reference]
        predictions += len(traffic)
        labels += sum(change.after is not None for change in traffic)
        report(predictions, before.predictions)
    events.restamp(connection, model.id, model.revision)
    models.save_progress(connection, model.id, replace(before, predictions=predictions, labels=labels))
    return predictions


def _changes(connection: Connection, model: Model, rows: list[PredictionRow]) -> list[Change]:
    labels = standing_labels(connection, model, rows)
    return [
        Change(row=replace(row, revision=model.revision), fresh=True, before=None, after=label)
        for row, label in zip(rows, labels, strict=True)
    ]


def _add(connection: Connection, model: Model, changes: list[Change], minutes_from: int) -> None:
    revisions = models.revisions(connection, [model.id])
    key = events.hash_key(connection)
    half_of = halves(key, {change.row.cluster for change in changes})
    entries = entries_of(changes, {model.id: model}, revisions, half_of)
    sums = sums_of(changes, entries, revisions, {model.id: minutes_from})
    add_sums(connection, rollups.SUMS, sums)
    taken = sequential.taken(connection, [model.id])
    add_sums(connection, rollups.COHORTS, cohort_sums(changes, entries, taken, revisions, segments_only=True))
    for part in sums_of_classes(changes, {model.id: model}, revisions):
        add_sums(connection, rollups.COHORTS, class_cohort_sums(changes, part, taken, with_late=False))


def _forget_waiting_segments(connection: Connection, model: Model) -> None:
    """Delete the cohorts of segments that wait, and what clusters hold of segments that are declared no more."""
    ids = rollups.every_series(connection, model.id)
    sequential.forget_due(connection, [number for key, number in ids.items() if key.segment], LATEST, LATEST)
    clusters.forget(
        connection, model.id, [*model.settings.segments, *map(CLASS.__add__, model.settings.class_thresholds)]
    )
