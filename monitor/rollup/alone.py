"""Which events of a batch stand alone: a prediction, a label, or one of each, of an event that nothing is stored of.

Nearly all events do. For them joining decides nothing but whether the label is usable, which `Alone` does; `join` takes all others.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from ..domain.records import EventRef, LabelRow, PredictionRow
from ..domain.settings import Model

_PREDICTION: Final = 1
_LABEL: Final = 2
_ODD: Final = 4


def alone(
    arrivals: Sequence[PredictionRow | LabelRow], stored: Sequence[Collection[EventRef]], models: Mapping[int, Model]
) -> set[EventRef]:
    """Return the events of a batch that stand alone.

    Labels that correct others or are about one version are left to `join`, and so are models of answers, whose labels may be about one of
    several, and models that have no task yet.

    Parameters
    ----------
    stored : events that predictions, and labels, are stored of

    """
    takes_part = {number for number, model in models.items() if model.task not in {None, "confidence"}}
    seen: dict[EventRef, int] = {}
    for row in arrivals:
        kind = _kind_of(row)
        ref = row.ref
        before = seen.get(ref, 0)
        seen[ref] = _ODD if before & kind else before | kind
    return {
        ref
        for ref, kinds in seen.items()
        if kinds < _ODD and ref[0] in takes_part and not any(ref in events for events in stored)
    }


def _kind_of(row: PredictionRow | LabelRow) -> int:
    if isinstance(row, PredictionRow):
        return _PREDICTION
    return _ODD if row.supersedes or row.version else _LABEL
