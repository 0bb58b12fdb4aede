"""Labels of regressions in decimal text, under the rules of labels that rows are stored with."""

import msgspec
import pytest

from monitor.domain.records import PredictionRow
from monitor.domain.settings import RULES, Model, ModelSettings, Reading
from monitor.store.payload import Payload
from monitor.store.rows import measured, usable

MODEL = Model(
    id=1,
    name="m",
    task="regression",
    classes=None,
    settings=ModelSettings(),
    revision=2,
    created_at=0,
    former=(Reading(until=1, rules=0, classes=None, ordered=True),),
)


def row(revision: int) -> PredictionRow:
    payload = msgspec.msgpack.encode(Payload(mean=12.0, std=1.0))
    return PredictionRow(
        key=2,
        model_id=1,
        event_id="a",
        at=0,
        received_at=0,
        rolled_at=0,
        version="",
        calibrator=None,
        segments=None,
        cluster=None,
        p=12.0,
        raw=None,
        payload=payload,
        digest=0,
        revision=revision,
    )


@pytest.mark.parametrize(("revision", "error"), [(1, None), (2, -0.5)])
def test_text_is_a_number_for_rows_of_the_present_rules_alone(revision: int, error: float | None) -> None:
    assert MODEL.rules == RULES
    found = measured(MODEL, row(revision), '"12.50"')

    assert (None if found is None else found.error) == error
    assert usable(MODEL.as_of(revision), '"12.50"') is (error is not None)


@pytest.mark.parametrize("revision", [1, 2])
def test_a_number_is_one_for_rows_of_all_rules(revision: int) -> None:
    found = measured(MODEL, row(revision), "12.5")

    assert found is not None
    assert usable(MODEL.as_of(revision), "12.5")
