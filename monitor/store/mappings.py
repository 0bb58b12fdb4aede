"""Maps from values that are not probabilities to probabilities, one of a family per model version."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, select

from .bulk import upsert
from .schema import mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueMap:
    """The map of one family of values of a model version."""

    model_id: int
    version: str
    family: str  # agreement or score
    until: int  # fitted on predictions before this, in event time
    parameters: dict[str, float]


def of_model(connection: Connection, model_id: int) -> list[ValueMap]:
    """Return a model's maps, newest first; a line without bounds, of an earlier release, is none: it is fitted again."""
    rows = connection.execute(
        select(mapping)
        .where(mapping.c.model_id == model_id)
        .order_by(mapping.c.created_at.desc(), mapping.c.version, mapping.c.family)
    )
    maps = [
        ValueMap(
            model_id=row.model_id,
            version=row.version,
            family=row.family,
            until=row.until,
            parameters=msgspec.json.decode(row.parameters, type=dict[str, float]),
        )
        for row in rows
    ]
    return [value_map for value_map in maps if "slope" not in value_map.parameters or "low" in value_map.parameters]


def put(connection: Connection, maps: Sequence[ValueMap], now: int) -> None:
    """Store maps, in the place of earlier ones of the same version and family."""
    upsert(
        connection,
        mapping,
        [
            {
                "model_id": value_map.model_id,
                "version": value_map.version,
                "family": value_map.family,
                "until": value_map.until,
                "created_at": now,
                "parameters": msgspec.json.encode(value_map.parameters).decode(),
            }
            for value_map in maps
        ],
    )
