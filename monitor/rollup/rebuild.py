"""Roll a model up again from its event rows, under its present settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from ..domain.errors import NotFound
from ..domain.records import PredictionRow
from ..domain.settings import CLASS, Model
from ..domain.times import LATEST
from ..store import clusters, counters, events, models, names, rollups, sequential
from ..store.clusters import Cluster, ClusterKey
from ..store.engine import Database
from ..store.lease import fence
from ..store.standing import standing_labels
from .classes import sums_of_classes
from .cohorts import (
    class_clusters_of,
    class_cohort_sums,
    cluster_keys,
    clusters_of,
    cohort_sums,
    gathered_clusters,
)
from .effects import halves
from .job import add_sums
from .join import Change
from .naming import counted_unnamed, name_all
from .sums import entries_of, staked, sums_of
from .undeclared import counted_undeclared

CHUNK = 5000


def rebuild_model(
    database: Database, model: Model, *, report: Callable[[int, int], None] = lambda _done, _all: None
) -> int:
    """Replace a model's rollups by sums of its rows under the newest revision; return its number of predictions.

    What waits for the sequential tests is summed again too, except labels that came too late for them.

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
        return sum_again(connection, current, report=report)


def sum_again(
    connection: Connection, model: Model, *, report: Callable[[int, int], None] = lambda _done, _all: None
) -> int:
    """Do so in the caller's transaction, which must have fenced off the leader."""
    before = models.progress_of(connection, [model.id])[model.id]
    rollups.clear(connection, model.id)
    counters.forget_of_rows(connection, model.id)
    waiting = _emptied(connection, model, before.taken_until or 0)
    predictions = labels = 0
    for chunk in events.scan(connection, model.id, chunk=CHUNK, reference=None):
        changes = _changes(connection, model, chunk)
        _name_again(connection, model, chunk, changes)
        waiting |= _add(connection, model, changes, before.minutes_from or 0, waiting)
        traffic = [change for change in changes if not change.row.reference]
        predictions += len(traffic)
        labels += sum(change.after is not None for change in traffic)
        report(predictions, before.predictions)
    clusters.save(connection, waiting)
    events.restamp(connection, model.id, model.revision)
    models.save_progress(connection, model.id, replace(before, predictions=predictions, labels=labels))
    return predictions


def _name_again(connection: Connection, model: Model, rows: Sequence[PredictionRow], changes: Sequence[Change]) -> None:
    """Note what events count under now; places that are left go to the values that came last."""
    revised = [change.row for change in changes]
    names.add(connection, name_all(connection, revised, {model.id: model}, models.revisions(connection, [model.id])))
    events.mark(connection, [new for old, new in zip(rows, revised, strict=True) if new.unnamed != old.unnamed])
    counters.add_by_model(connection, counted_unnamed(revised))


def _changes(connection: Connection, model: Model, rows: list[PredictionRow]) -> list[Change]:
    revised = [replace(row, revision=model.revision) for row in rows]
    labels = standing_labels(connection, model, revised)
    return [Change(row=row, fresh=True, before=None, after=label) for row, label in zip(revised, labels, strict=True)]


def _add(
    connection: Connection,
    model: Model,
    changes: list[Change],
    minutes_from: int,
    waiting: Mapping[ClusterKey, Cluster],
) -> dict[ClusterKey, Cluster]:
    """Add the sums of events; return the clusters that wait and that they belong to, with their sums."""
    revisions = models.revisions(connection, [model.id])
    key = events.hash_key(connection)
    names = {change.row.cluster for change in changes}
    half_of, known = halves(key, names), {model.id: model}
    entries = entries_of(changes, known, revisions, half_of)
    bets = staked(changes, entries, known, half_of)
    sums = sums_of(changes, entries, revisions, {model.id: minutes_from})
    add_sums(connection, rollups.SUMS, sums)
    counters.add_by_model(connection, counted_undeclared(connection, changes, known))
    taken = sequential.taken(connection, [model.id])
    add_sums(connection, rollups.COHORTS, cohort_sums(changes, bets, taken, revisions, with_late=False))
    cluster_names = cluster_keys(key, names)
    gathering = [(bets, clusters_of(changes, cluster_names, revisions))]
    for part in sums_of_classes(changes, known, revisions):
        add_sums(connection, rollups.COHORTS, class_cohort_sums(changes, part, taken, with_late=False))
        gathering.append((part.entries, class_clusters_of(changes, cluster_names, part)))
    gathered: dict[ClusterKey, Cluster] = {}
    spans = {model.id: model.settings.cluster_span}
    for part_entries, clustered in gathering:
        of_waiting = {i: [name for name in keys if name in waiting] for i, keys in clustered.items()}
        stored = {name: waiting[name] for keys in of_waiting.values() for name in keys}
        gathered |= gathered_clusters(changes, part_entries, taken, of_waiting, stored=stored, spans=spans)
    return gathered


def _emptied(connection: Connection, model: Model, taken_until: int) -> dict[ClusterKey, Cluster]:
    """Delete the cohorts that wait; return the clusters that do, without their sums.

    Clusters of segments that are declared no more never open again.
    """
    ids = rollups.every_series(connection, model.id)
    sequential.forget_due(connection, list(ids.values()), LATEST, LATEST)
    clusters.forget(
        connection, model.id, [*model.settings.segments, *map(CLASS.__add__, model.settings.class_thresholds)]
    )
    stored = clusters.of_model(connection, model.id)
    return {
        key: replace(one, summary=b"", rest=b"") for key, one in stored.items() if one.waits and one.due > taken_until
    }
