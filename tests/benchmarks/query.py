"""What a 30-day window costs at 10⁷ events, as a multiple of what it costs at 10⁵."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from starlette.testclient import TestClient

from monitor.api.app import create_app
from monitor.domain.records import DAY_LEVEL, HOUR_LEVEL, Progress, SeriesKey
from monitor.domain.settings import Model, ModelSettings
from monitor.domain.times import HOUR, micros, rfc3339
from monitor.runtime.config import Settings
from monitor.runtime.wiring import Services, build
from monitor.stats.cells import Integers, place
from monitor.stats.summary import CELL_FIELDS, cell_slot, encode, fixed, gather, loss_slot, total_slot
from monitor.store import models, rollups
from tests.benchmarks.measure import Ratio, ratio

DAYS = 30
START = micros(datetime(2026, 1, 1, tzinfo=UTC))


def hour_of_events(dice: np.random.Generator, count: int) -> tuple[Integers, Integers]:
    """Return the sums of so many labelled events of a top-label model, as the roll-up would have made them."""
    p = dice.beta(8, 2, count)
    y = (dice.random(count) < p).astype(np.int64)
    half = dice.integers(0, 2, count)
    sums = fixed(p)
    cells = {"n": y * 0 + 1, "sy": y, "sp": sums, "spp": fixed(p * p), "spy": sums * y, "en": y * 0 + 1, "esp": sums}
    cells |= {"hn": half, "hsy": half * y, "hsp": half * sums}
    loss = fixed(-np.log(np.where(y == 1, p, 1 - p)))
    slots = [place(p) * len(CELL_FIELDS) + cell_slot("both", 0, name) for name in cells]
    slots += [np.full(count, total_slot("events")), np.full(count, total_slot("labels"))]
    slots += [np.full(count, loss_slot("both", "log_loss")), np.full(count, loss_slot("both", "brier"))]
    values = [*cells.values(), y * 0 + 1, y * 0 + 1, loss, fixed((p - y) ** 2)]
    flat = np.concatenate(slots)
    _, slot, value = gather(np.zeros(len(flat), dtype=np.int64), flat, np.concatenate(values))
    return slot, value


def fill(services: Services, name: str, events: int) -> Model:
    """Store a month of a model's hours and days."""
    database = services.database
    dice = np.random.default_rng(events)
    stored: dict[tuple[int, int, int], bytes] = {}
    with database.write() as connection:
        model = models.create(connection, name, task="binary", classes=None, settings=ModelSettings(), now=START)
        number = rollups.add_series(connection, SeriesKey(model.id, "1", 0, ""))
        for day in range(DAYS):
            parts = [hour_of_events(dice, events // (DAYS * 24)) for _ in range(24)]
            begin = START + day * 24 * HOUR
            for hour, (slot, value) in enumerate(parts):
                stored[number, HOUR_LEVEL, begin + hour * HOUR] = encode(slot, value)
            slots, values = (np.concatenate(column) for column in zip(*parts, strict=True))
            stored[number, DAY_LEVEL, begin] = encode(*gather(np.zeros(len(slots), dtype=np.int64), slots, values)[1:])
        rollups.SUMS.replace(connection, stored, {})
        end = START + DAYS * 24 * HOUR
        progress = Progress(watermark=end, newest_prediction=end, received_at=end, minutes_from=end)
        models.save_progress(connection, model.id, progress)
    return model


def run() -> Iterator[Ratio]:
    """Yield the ratio for a window of whole days, and for one that begins and ends at odd hours."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=f"sqlite:///{Path(folder) / 'bench.db'}")
        services = build(settings, with_jobs=False)
        fill(services, "large", 10_000_000)
        fill(services, "small", 100_000)
        with TestClient(create_app(services, local=True), base_url="http://localhost") as client:
            for what, first, last in (("whole days", 0, 0), ("odd hours", 7 * HOUR, 7 * HOUR)):
                query = {"start": rfc3339(START + first), "end": rfc3339(START + DAYS * 24 * HOUR - last)}

                def ask(name: str, query: dict[str, str] = query) -> None:
                    answer = client.get(f"/v1/models/{name}/calibration", params=query)
                    assert answer.status_code == 200, answer.text
                    assert answer.json()["labelled"] > 90_000

                value = ratio(partial(ask, "large"), partial(ask, "small"), runs=40)
                yield Ratio(f"30-day window ({what}): 10^7 events over 10^5", value, "under 2")
