"""Numbers as people send them: in decimal text, and outside their range or crossing by rounding."""

import pytest

from monitor.rollup.verify import differences_of
from monitor.store import models

CALIBRATION = "/v1/models/m/calibration"
DAY = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}


def event(api, name):
    return api.get(f"/v1/models/m/events/{name}")


def differences(api):
    with api.services.database.read() as connection:
        return [str(difference) for difference in differences_of(connection, models.by_name(connection, "m"))]


def test_a_number_as_text_is_the_same_event_as_the_number(api, tools):
    api.send(tools.prediction("a", probability="0.25"), tools.label("a", 1))
    api.send(tools.prediction("a", probability=0.25))

    assert event(api, "a")["prediction"]["served"] == 0.25
    assert event(api, "a")["conflicts"] == []


@pytest.mark.parametrize("label", ["12.50", 12.5, "1.25e1"])
@pytest.mark.parametrize("first", ["prediction", "label"])
def test_a_label_of_a_regression_in_decimal_text_is_that_number(api, tools, label, first):
    api.put("m", status=201, label_delay="0s", minimum_labels=1)
    items = [tools.prediction("a", mean="12.0", std=1), tools.label("a", label)]
    for item in items if first == "prediction" else reversed(items):
        assert api.send(item)["rejected"] == []

    assert event(api, "a")["label"]["label"] == label
    assert api.get(CALIBRATION, **DAY)["mean_absolute_error"] == 0.5
    assert differences(api) == []


@pytest.mark.parametrize(("prediction", "label"), [("12.50", 12.5), (12.5, "12.50"), (12.5, 12.5)])
def test_an_answer_in_decimal_text_is_right_where_the_number_is(api, tools, prediction, label):
    api.put("m", status=201, label_delay="0s", minimum_labels=1)
    api.send(tools.prediction("a", confidence=0.75, prediction=prediction), tools.label("a", label))

    assert api.get(CALIBRATION, **DAY)["accuracy"] == 1.0


@pytest.mark.parametrize(("label", "accuracy"), [(True, 1.0), (False, 0.0), ("true", 1.0)])
def test_a_boolean_names_the_class_that_is_called_so(api, tools, label, accuracy):
    api.put("m", status=201, task="multiclass", classes=["false", "maybe", "true"], label_delay="0s", minimum_labels=1)
    answer = api.send(
        tools.prediction("a", probabilities={"true": 0.75, "false": 0.25, "maybe": 0.0}), tools.label("a", label)
    )

    assert answer["rejected"] == []
    assert api.get(CALIBRATION, **DAY)["accuracy"] == accuracy
    assert differences(api) == []
