"""Stored evaluations: the newest of every series and window, and their history."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Select, delete, func, or_, select

from ..domain.drift import Drift
from ..domain.evaluations import Evaluation
from ..domain.times import HOUR, micros
from .bulk import upsert
from .documents import decoded, encoded
from .schema import evaluation, latest

ALL_VERSIONS: Final = "\x01"
"""What the version of an evaluation over all versions is stored as; no event can carry it."""

CALIBRATION: Final = "calibration"
DRIFT: Final = "drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One evaluation or drift comparison to be stored."""

    model_id: int
    version: str
    segment: str
    window: str
    result: Evaluation | Drift

    @property
    def kind(self) -> str:
        """What the result is of: calibration or drift."""
        return CALIBRATION if isinstance(self.result, Evaluation) else DRIFT


def save(connection: Connection, rows: Sequence[Stored], now: int) -> None:
    """Store evaluations; one of the same end replaces the older."""
    current = [{**_place(row), **_current(row), "computed_at": now} for row in rows]
    upsert(connection, latest, current)
    history = [
        {**_place(row), "end": micros(row.result.end), "fields": _json(_without_curves(row.result)), "computed_at": now}
        for row in rows
        if isinstance(row.result, Evaluation)
    ]
    upsert(connection, evaluation, history, key=["model_id", "window", "version", "segment", "end"])


def _current(row: Stored) -> dict[str, object]:
    result = row.result
    return {
        "kind": row.kind,
        "fields": _json(result),
        "predictions": result.predictions,
        "enough": _tells(result) if isinstance(result, Evaluation) else result.enough,
    }


def _tells(result: Evaluation) -> bool:
    """Return whether an evaluation has figures or a flag to show."""
    return result.has_enough_labels or (result.flag is not None and result.flag.flagged)


def _place(row: Stored) -> dict[str, int | str]:
    return {"model_id": row.model_id, "version": row.version, "segment": row.segment, "window": row.window}


def _json(result: Evaluation | Drift) -> str:
    return encoded(result.as_json() if isinstance(result, Evaluation) else result)


def _without_curves(result: Evaluation) -> Evaluation:
    """Return an evaluation without its curves, which the history leaves out: they are as large as all other fields together."""
    return replace(result, curves=None, levels=None)


def newest(
    connection: Connection, model_id: int | None = None, *, segment: str | None = None
) -> list[tuple[int, str, Evaluation]]:
    """Return the newest evaluations of single versions, of one segment or of all, as (model, window, evaluation)."""
    rows = connection.execute(_newest(CALIBRATION, model_id, segment))
    return [(row.model_id, row.window, Evaluation.from_json(row.fields)) for row in rows]


def newest_drift(
    connection: Connection, model_id: int | None = None, *, segment: str | None = None
) -> list[tuple[int, str, Drift]]:
    """Return the newest comparisons of single versions with their reference, as (model, window, drift)."""
    rows = connection.execute(_newest(DRIFT, model_id, segment))
    return [(row.model_id, row.window, decoded(row.fields, Drift)) for row in rows]


def _newest(kind: str, model_id: int | None, segment: str | None) -> Select[tuple[int, str, str]]:
    query = select(latest.c.model_id, latest.c.window, latest.c.fields).where(
        latest.c.kind == kind, latest.c.version != ALL_VERSIONS
    )
    if model_id is not None:
        query = query.where(latest.c.model_id == model_id)
    if segment is not None:
        query = query.where(latest.c.segment == segment)
    return query.order_by(latest.c.model_id, latest.c.version, latest.c.segment, latest.c.window)


def exported(connection: Connection, most: int) -> list[tuple[int, str, str]]:
    """Return the newest evaluations that are exported, as (model, window, JSON): of models as a whole, then of segments with enough labels.

    Those with most predictions come first.
    """
    rows = connection.execute(_by_traffic(CALIBRATION).where(_exportable()).limit(most))
    return [(row.model_id, row.window, row.fields) for row in rows]


def exported_drift(connection: Connection, most: int) -> list[tuple[int, str, str]]:
    """Return the newest comparisons with references, where there are enough predictions, in the same order."""
    rows = connection.execute(_by_traffic(DRIFT).where(latest.c.enough).limit(most))
    return [(row.model_id, row.window, row.fields) for row in rows]


def exportable(connection: Connection) -> int:
    """Return how many evaluations could be exported."""
    query = select(func.count()).where(latest.c.kind == CALIBRATION, latest.c.version != ALL_VERSIONS, _exportable())
    return connection.execute(query).scalar_one()


def _exportable() -> ColumnElement[bool]:
    return or_(latest.c.segment == "", latest.c.enough)


def _by_traffic(kind: str) -> Select[tuple[int, str, str]]:
    query = select(latest.c.model_id, latest.c.window, latest.c.fields).where(
        latest.c.kind == kind, latest.c.version != ALL_VERSIONS
    )
    place = (latest.c.model_id, latest.c.version, latest.c.segment, latest.c.window)
    return query.order_by(latest.c.segment != "", latest.c.predictions.desc(), *place)


def overall(connection: Connection, model_id: int | None = None) -> list[tuple[int, str, Evaluation]]:
    """Return the newest evaluations of models as a whole, as (model, window, evaluation): over all versions, or of the only one."""
    query = select(latest.c.model_id, latest.c.window, latest.c.fields).where(
        latest.c.kind == CALIBRATION, latest.c.segment == ""
    )
    if model_id is not None:
        query = query.where(latest.c.model_id == model_id)
    rows = connection.execute(query.order_by(latest.c.version != ALL_VERSIONS, latest.c.version))
    chosen: dict[tuple[int, str], str] = {}
    for row in rows:
        chosen.setdefault((row.model_id, row.window), row.fields)
    return [(number, window, Evaluation.from_json(text)) for (number, window), text in chosen.items()]


def retain(connection: Connection, model_id: int, places: Sequence[tuple[str, str, str, str]]) -> None:
    """Forget the newest evaluations of series and windows that are no longer evaluated.

    Parameters
    ----------
    places : (version, segment, window, kind) of what was evaluated now

    """
    kept = set(places)
    rows = connection.execute(
        select(latest.c.version, latest.c.segment, latest.c.window, latest.c.kind).where(latest.c.model_id == model_id)
    ).all()
    for version, segment, window, kind in rows:
        if (version, segment, window, kind) not in kept:
            connection.execute(
                delete(latest).where(
                    latest.c.model_id == model_id,
                    latest.c.version == version,
                    latest.c.segment == segment,
                    latest.c.window == window,
                    latest.c.kind == kind,
                )
            )


def history(
    connection: Connection,
    model_id: int,
    *,
    window: str,
    segment: str,
    version: str | None,
    start: int,
    end: int,
    limit: int,
) -> list[Evaluation]:
    """Return stored evaluations whose window ended within [start, end], oldest first; of too many, the newest.

    They have no curves. Without a version there is one for each end: that over all versions, or that of the only one.
    """
    query = select(evaluation.c.fields).where(
        evaluation.c.model_id == model_id,
        evaluation.c.window == window,
        evaluation.c.segment == segment,
        evaluation.c.end >= start,
        evaluation.c.end <= end,
    )
    if version is not None:
        query = query.where(evaluation.c.version == version)
    else:
        query = query.where(or_(evaluation.c.version == ALL_VERSIONS, ~_over_all_versions()))
    rows = connection.execute(query.order_by(evaluation.c.end.desc()).limit(limit)).scalars().all()
    return [Evaluation.from_json(row) for row in reversed(rows)]


def _over_all_versions() -> ColumnElement[bool]:
    """Return the condition that there is an evaluation over all versions of the same window and end."""
    other = evaluation.alias()
    same = (other.c[name] == evaluation.c[name] for name in ("model_id", "window", "segment", "end"))
    return select(other.c.id).where(other.c.version == ALL_VERSIONS, *same).exists()


def thin(connection: Connection, *, before: int, hourly_before: int) -> int:
    """Delete evaluations older than `before`, and of those older than `hourly_before` all that do not end on the hour."""
    gone = connection.execute(delete(evaluation).where(evaluation.c.computed_at < before)).rowcount
    off_the_hour = evaluation.c.end % HOUR != 0
    gone += connection.execute(
        delete(evaluation).where(evaluation.c.computed_at < hourly_before, off_the_hour)
    ).rowcount
    return gone
