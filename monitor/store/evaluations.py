"""Stored evaluations: the newest of every series and window, and their history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, or_, select

from ..domain.times import HOUR
from .bulk import upsert
from .schema import evaluation, latest

ALL_VERSIONS: Final = "\x01"
"""What the version of an evaluation over all versions is stored as; no event can carry it."""

SHOWN_ONCE: Final = frozenset({"reliability", "risk_coverage", "classes", "pit", "coverage", "quantiles"})
"""The fields that only the newest evaluation keeps: they are as large as all others together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One evaluation or drift comparison to be stored."""

    model_id: int
    version: str
    segment: str
    window: str
    kind: str  # calibration or drift
    end: int
    fields: dict[str, Any]


def save(connection: Connection, rows: Sequence[Stored], now: int) -> None:
    """Store evaluations; one of the same end replaces the older."""
    current = [{**_place(row), "kind": row.kind, "fields": _json(row.fields), "computed_at": now} for row in rows]
    upsert(connection, latest, current)
    history = [
        {**_place(row), "end": row.end, "fields": _json(_without_diagram(row.fields)), "computed_at": now}
        for row in rows
        if row.kind == "calibration"
    ]
    upsert(connection, evaluation, history, key=["model_id", "window", "version", "segment", "end"])


def _place(row: Stored) -> dict[str, Any]:
    return {"model_id": row.model_id, "version": row.version, "segment": row.segment, "window": row.window}


def _json(fields: Mapping[str, Any]) -> str:
    return msgspec.json.encode(fields).decode()


def _without_diagram(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in SHOWN_ONCE}


def newest(
    connection: Connection, model_id: int | None = None, kind: str = "calibration", segment: str | None = None
) -> list[tuple[int, str, dict[str, Any]]]:
    """Return the newest evaluations of single versions, of one segment or of all, as (model, window, fields)."""
    query = select(latest.c.model_id, latest.c.window, latest.c.fields).where(
        latest.c.kind == kind, latest.c.version != ALL_VERSIONS
    )
    if model_id is not None:
        query = query.where(latest.c.model_id == model_id)
    if segment is not None:
        query = query.where(latest.c.segment == segment)
    query = query.order_by(latest.c.model_id, latest.c.version, latest.c.segment, latest.c.window)
    return [(row[0], row[1], msgspec.json.decode(row[2])) for row in connection.execute(query)]


def overall(connection: Connection, model_id: int | None = None) -> list[tuple[int, str, dict[str, Any]]]:
    """Return the newest evaluations of models as a whole, as (model, window, fields): over all versions, or of the only one."""
    query = select(latest.c.model_id, latest.c.window, latest.c.fields).where(
        latest.c.kind == "calibration", latest.c.segment == ""
    )
    if model_id is not None:
        query = query.where(latest.c.model_id == model_id)
    rows = connection.execute(query.order_by(latest.c.version != ALL_VERSIONS, latest.c.version))
    found: dict[tuple[int, str], str] = {}
    for row in rows:
        found.setdefault((row[0], row[1]), row[2])
    return [(number, window, msgspec.json.decode(text)) for (number, window), text in found.items()]


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
) -> list[Mapping[str, Any]]:
    """Return stored evaluations whose window ended within [start, end], oldest first; of too many, the newest.

    They lack the reliability diagram. Without a version there is one for each end: that over all versions, or that of the only one.
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
    return [msgspec.json.decode(row) for row in reversed(rows)]


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
