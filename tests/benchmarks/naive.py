"""What a team would write in an afternoon: FastAPI, pydantic models, one insert of many rows and one commit a request.

Frozen: it is what ingest is measured against, so it stays as it is. The database is set up as calwatch sets it up.
"""

import os
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import BigInteger, Column, Double, Engine, Integer, MetaData, Table, Text, create_engine, event, insert

metadata = MetaData()
predictions = Table(
    "naive_prediction",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("version", Text),
    Column("probability", Double, nullable=False),
    Column("segments", Text),
)
labels = Table(
    "naive_label",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("at", BigInteger),
)


class Prediction(BaseModel):
    """A prediction event of a binary model."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    type: Literal["prediction"]
    event_id: str = Field(min_length=1, max_length=200)
    model: str = Field(min_length=1, max_length=200)
    timestamp: datetime
    model_version: str | None = None
    probability: float = Field(ge=0, le=1)
    segments: dict[str, str] | None = None


class Label(BaseModel):
    """A label event."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    type: Literal["label"]
    event_id: str = Field(min_length=1, max_length=200)
    model: str = Field(min_length=1, max_length=200)
    label: bool | int | float | str
    timestamp: datetime | None = None


class Batch(BaseModel):
    """A request."""

    events: list[Annotated[Prediction | Label, Field(discriminator="type")]]


def engine_of(url: str) -> Engine:
    """Return an engine with a write-ahead log that reaches the disk at each commit."""
    engine = create_engine(url, pool_size=16, max_overflow=32)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _record: Any) -> None:
            cursor = connection.cursor()
            for pragma in ("busy_timeout = 10000", "journal_mode = WAL", "synchronous = FULL", "cache_size = -65536"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

    metadata.create_all(engine)
    return engine


def create_app() -> FastAPI:
    """Return the service on the database of the environment."""
    app = FastAPI()
    engine = engine_of(os.environ["CALWATCH_DATABASE_URL"])

    @app.post("/v1/events")
    def send(batch: Batch) -> dict[str, Any]:
        made = [
            {
                "event_id": one.event_id,
                "model": one.model,
                "at": int(one.timestamp.timestamp() * 1e6),
                "version": one.model_version,
                "probability": one.probability,
                "segments": None if one.segments is None else str(one.segments),
            }
            for one in batch.events
            if isinstance(one, Prediction)
        ]
        told = [
            {
                "event_id": one.event_id,
                "model": one.model,
                "label": str(one.label),
                "at": None if one.timestamp is None else int(one.timestamp.timestamp() * 1e6),
            }
            for one in batch.events
            if isinstance(one, Label)
        ]
        with engine.begin() as connection:
            if made:
                connection.execute(insert(predictions), made)
            if told:
                connection.execute(insert(labels), told)
        return {"accepted": len(batch.events), "rejected": []}

    return app
