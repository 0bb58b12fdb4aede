"""Why the labels of a window may be wrong: those of one source, one segment, or of early against late ones differ from the rest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from ..domain.records import LabelRow, PredictionRow
from ..domain.segments import segment_of
from ..domain.settings import Model
from ..stats.odd_one_out import Labelled, OddOne, Places, odd_one_out
from ..store.rows import measured, outcome, segments_of
from ..store.standing import standing_labels
from .ranges import Range
from .rows import newest, of_version

MOST_ROWS: Final = 10_000
"""Labelled events that are compared at most, the newest ones."""

MOST_CHUNKS: Final = 10
"""Chunks of predictions that are looked at for them at most."""

HALF: Final = 0.5

Groupings = Sequence[tuple[str, Mapping[str, Places]]]
"""Ways to group labelled events: what a group is called in a sentence, and which events are in each, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A labelled event."""

    stated: float  # the confidence; of a regression the probability integral transform
    outcome: float
    source: str | None  # of the label
    delay: int  # of the label
    segments: tuple[str, ...]


def suspects(connection: Connection, model: Model, version: str | None, over: Range) -> list[str]:
    """Return why the labels of a window may be wrong, in sentences; none where nothing speaks for it.

    Parameters
    ----------
    version : of the model; None for all
    over : the window

    """
    rows = _rows(connection, model, version, over)
    if not rows:
        return []
    labelled = Labelled(
        stated=np.array([row.stated for row in rows]),
        outcome=None if model.task == "regression" else np.array([row.outcome for row in rows]),
    )
    groupings = groupings_of(
        [row.source for row in rows], [row.segments for row in rows], np.array([row.delay for row in rows])
    )
    return suspicions(labelled, groupings, model.settings.thresholds["ece"])


def suspicions(labelled: Labelled, groupings: Groupings, threshold: float) -> list[str]:
    """Return which groups of labels are off while all others are right, in sentences."""
    odd = [(words, odd_one_out(labelled, groups, threshold)) for words, groups in groupings]
    return [words.format(name=one.name) + _figures(one) for words, one in odd if one is not None]


def _figures(one: OddOne) -> str:
    return f" are off by {100 * one.error:.1f} points on average, all others by {100 * one.others:.1f}."


def groupings_of(
    sources: Sequence[str | None], segments: Sequence[tuple[str, ...]], delays: NDArray[np.int64]
) -> Groupings:
    """Return the ways to group labelled events: by source, by segment, and those of the median delay or less against later ones.

    Parameters
    ----------
    sources : of the labels
    segments : of the predictions
    delays : of the labels, shape (n,)

    """
    names, named = np.unique([str(source) for source in sources], return_inverse=True)
    by_source = {str(name): named == number for number, name in enumerate(names)} if len(names) > 1 else {}
    present = {name for some in segments for name in some}
    by_segment = {name: np.array([name in some for some in segments]) for name in sorted(present)}
    early = _early(delays)
    return (
        ("Check the labels: those of source {name}", by_source),
        ("Check how labels are made there: predictions of {name}", by_segment),
        ("Check how labels come about: {name} ones", {"early": early, "late": ~early}),
    )


def _early(delays: NDArray[np.int64]) -> Places:
    """Return which labels came early: about half of them, equal delays together."""
    middle = np.median(delays)
    return min((delays <= middle, delays < middle), key=lambda early: abs(float(early.mean()) - HALF))


def _rows(connection: Connection, model: Model, version: str | None, over: Range) -> list[_Row]:
    """Return the newest labelled events of a window."""
    chunks = newest(connection, model.id, *over, of_version(version))
    rows = (row for chunk in islice(chunks, MOST_CHUNKS) for row in _labelled(connection, model, chunk))
    return list(islice(rows, MOST_ROWS))


def _labelled(connection: Connection, model: Model, rows: Sequence[PredictionRow]) -> Iterator[_Row]:
    for row, label in zip(rows, standing_labels(connection, model, rows), strict=True):
        judged = None if label is None else _judged(model, row, label)
        if label is not None and judged is not None:
            yield _Row(
                stated=judged[0],
                outcome=judged[1],
                source=label.source,
                delay=max(0, (label.received_at if label.at is None else label.at) - row.at),
                segments=_segments(model, row),
            )


def _judged(model: Model, row: PredictionRow, label: LabelRow) -> tuple[float, float] | None:
    """Return what was stated and what came of it; None where one is unknown."""
    if model.task == "regression":
        errors = measured(model, row, label.label)
        return None if errors is None else (errors.pit, 0.0)
    y = outcome(model, row, label.label)
    return None if y is None else (row.p, float(y))


def _segments(model: Model, row: PredictionRow) -> tuple[str, ...]:
    declared = model.settings.segments
    values = segments_of(row, declared) if declared else {}
    return tuple(name for key in declared if (name := segment_of(key, values)) is not None)
