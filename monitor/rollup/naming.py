"""Give the first so many versions and segment values of a model sums of their own; all others count as `__other__`.

A row keeps what it counts under, so that a limit that is raised later changes no sum of before.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from ..domain.records import VERSION, PredictionRow, counted_as_other
from ..domain.segments import segment_of
from ..domain.settings import Model, ModelSettings, Revision
from ..store import names
from ..store.counters import UNNAMED, unnamed_label
from ..store.names import Name
from ..store.rows import own_segments, segments_of

Alike = tuple[str, str | None, bool, tuple[str, ...]]
"""What the names of an event follow from: its version, its segments as sent, whether it is part of the validation set, which has no
segments, and the segments that are fields of the event."""


def name_all(
    connection: Connection,
    rows: Iterable[PredictionRow],
    models: Mapping[int, Model],
    revisions: Mapping[tuple[int, int], Revision],
) -> list[Name]:
    """Note in each row what it counts under; return the names that are new, which the caller adds in the same transaction.

    Parameters
    ----------
    rows : in the order in which they get names while there are any left
    models, revisions : of the rows

    """
    by_model: dict[int, dict[Alike, list[PredictionRow]]] = {}
    for row in rows:
        declared = revisions[row.model_id, row.revision].segments
        own = own_segments(declared)
        values = tuple(segments_of(row, declared).get(name, "") for name in own) if own else ()
        by_model.setdefault(row.model_id, {}).setdefault((row.version, row.segments, row.reference, values), []).append(
            row
        )
    return [
        name
        for number, groups in by_model.items()
        for name in _name_model(connection, models[number], revisions, list(groups.values()))
    ]


def _name_model(
    connection: Connection,
    model: Model,
    revisions: Mapping[tuple[int, int], Revision],
    groups: Sequence[list[PredictionRow]],
) -> Iterator[Name]:
    """Name the rows of a model, in groups that have the same names; yield the new names."""
    wanted = [_names_of(group[0], revisions[model.id, group[0].revision]) for group in groups]
    known = names.among_these(connection, model.id, {name for group in wanted for name in group})
    new: list[Name] = []
    if any(name not in known for group in wanted for name in group):
        new = list(_new(model, wanted, known, names.counts(connection, model.id)))
        known |= {(name.key, name.value) for name in new}
    for group, of_group in zip(groups, wanted, strict=True):
        others = [key for key, value in of_group if (key, value) not in known]
        unnamed = msgspec.json.encode(others).decode() if others else None
        for row in group:
            row.unnamed = unnamed
    yield from new


def _names_of(row: PredictionRow, revision: Revision) -> list[tuple[str, str]]:
    """Return the version and the segments of a row, by key."""
    values = segments_of(row, revision.segments) if revision.segments and not row.reference else {}
    segments = ((declared, segment_of(declared, values)) for declared in revision.segments)
    return [(VERSION, row.version), *((key, name[len(key) + 1 :]) for key, name in segments if name is not None)]


def _new(
    model: Model, wanted: Iterable[Sequence[tuple[str, str]]], known: set[tuple[str, str]], counts: Mapping[str, int]
) -> Iterator[Name]:
    """Yield the names of those without one, as long as the model's limits leave any."""
    places = Counter(counts)
    for key, value in dict.fromkeys(name for group in wanted for name in group if name not in known):
        if places[key] < limit_of(model.settings, key):
            yield Name(model_id=model.id, key=key, value=value, place=places[key])
            places[key] += 1


def counted_unnamed(rows: Iterable[PredictionRow]) -> Counter[tuple[int, str, str]]:
    """Return how many predictions count under `__other__`, by model, counter and what they have no name of."""
    return Counter((row.model_id, UNNAMED, unnamed_label(key)) for row in rows for key in counted_as_other(row.unnamed))


def limit_of(settings: ModelSettings, key: str) -> int:
    """Return how many versions, or values of a declared segment, have sums of their own."""
    return settings.most_versions if key == VERSION else settings.most_segment_values
