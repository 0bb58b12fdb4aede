"""Numbers as people send them: in decimal text, and outside their range or crossing by rounding."""

import json

import pytest
from sqlalchemy import update

from monitor.rollup.rebuild import rebuild_model
from monitor.rollup.verify import differences_of
from monitor.store import counters, models, schema

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


OUT = 1.0000001


def corrected(api):
    return api.get("/v1/models/m")["corrected"]


def refused(api, item):
    """Send an item that is refused, and return why."""
    (rejection,) = api.send(item, status=422)["rejected"]
    return rejection


def metric(api, kind):
    text = api.client.get("/metrics").text
    line = f'calibration_events_corrected_total{{correction="{kind}",model="m"}}'
    return next((float(row.split()[-1]) for row in text.splitlines() if row.startswith(line)), None)


def figures(api):
    """Return what the model's day says, without what its name or its settings say."""
    return {name: value for name, value in api.get(CALIBRATION, **DAY).items() if name != "computed_at"}


@pytest.mark.parametrize(("sent", "meant"), [(OUT, 1.0), (1.000001, 1.0), (-1e-7, 0.0), (-5e-324, 0.0)])
@pytest.mark.parametrize(
    "fields",
    [
        {"probability": None},
        {"probability": None, "raw_probability": 0.75, "calibrator_version": 1},
        {"confidence": None, "prediction": "x"},
        {"confidence": None, "prediction": "x", "raw_confidence": 0.75, "calibrator_version": 1},
    ],
    ids=str,
)
def test_a_probability_that_rounding_put_out_is_clamped_and_kept_as_sent(api, tools, sent, meant, fields):
    api.put("m", status=201, label_delay="0s", minimum_labels=1)
    form, *_ = fields
    raw = fields.get(f"raw_{form}")
    item = tools.prediction("a", **fields | {form: sent})
    assert api.send(item, tools.label("a", "x" if form == "confidence" else 1))["rejected"] == []
    stored = event(api, "a")["prediction"]

    assert (stored["served"], stored["raw"]) == (meant, raw)
    assert (stored["served_as_sent"], stored["corrected"]) == (sent, ["clamped"])
    assert api.get(CALIBRATION, **DAY)["brier"] == (1.0 - meant) ** 2
    assert (corrected(api)["clamped"], metric(api, "clamped")) == (1, 1.0)
    assert differences(api) == []


def test_a_raw_probability_that_rounding_put_out_is_clamped_and_kept_as_sent(api, tools):
    api.put("m", status=201, label_delay="0s", minimum_labels=1)
    api.send(tools.prediction("a", 0.5, raw_probability=OUT, metadata={"a": 1}), tools.label("a", 1))
    stored = event(api, "a")["prediction"]

    assert (stored["raw"], stored["raw_as_sent"], stored["served_as_sent"]) == (1.0, OUT, 0.5)
    assert stored["metadata"] == {"a": 1}
    assert api.get(CALIBRATION, scores="raw", **DAY)["brier"] == 0.0
    assert differences(api) == []


def test_a_resend_of_a_corrected_event_is_a_repeat_and_the_end_it_means_is_a_conflict(api, tools):
    api.send(tools.prediction("a", OUT), tools.prediction("b", 1.0))
    api.send(tools.prediction("a", OUT), tools.prediction("b", OUT))
    (conflict,) = event(api, "b")["conflicts"]

    assert event(api, "a")["conflicts"] == []
    assert (conflict["kind"], conflict["content"]["served"]) == ("prediction", OUT)
    assert corrected(api) == {"clamped": 1, "normalized": 0, "sorted": 0}


@pytest.mark.parametrize("p", [1.0000011, -1.1e-6, 2.0])
def test_a_probability_beyond_rounding_is_refused(api, tools, p):
    assert refused(api, tools.prediction("a", p))["code"] == "out_of_range"


OFF = {"cat": 0.51, "dog": 0.255, "owl": 0.255}
EVEN = {"cat": 0.5, "dog": 0.25, "owl": 0.25}
CLASSES = ["cat", "dog", "owl"]


def vector_events(tools, vector, model="m"):
    raw = {"cat": vector["dog"], "dog": vector["cat"], "owl": vector["owl"]}
    return [
        tools.prediction("a", probabilities=vector, model=model),
        tools.prediction("b", probabilities=[*vector.values()], model=model),
        tools.prediction("c", probabilities=vector, raw_probabilities=raw, calibrator_version=1, model=model),
        *[tools.label(name, label, model=model) for name, label in (("a", "cat"), ("b", "dog"), ("c", "dog"))],
    ]


def test_vectors_of_16_bits_are_brought_to_one_where_the_setting_says_so(api, tools):
    for model, normalize in (("m", True), ("clean", False)):
        api.put(
            model,
            status=201,
            task="multiclass",
            classes=CLASSES,
            normalize=normalize,
            label_delay="0s",
            minimum_labels=1,
        )
    assert api.send(*vector_events(tools, OFF), *vector_events(tools, EVEN, "clean"))["rejected"] == []
    for scores in ("served", "raw"):
        own, clean = (api.get(f"/v1/models/{model}/calibration", scores=scores, **DAY) for model in ("m", "clean"))
        assert own["brier"] == pytest.approx(clean["brier"], abs=1e-8)
        assert own["mean_confidence"] == pytest.approx(clean["mean_confidence"], abs=1e-8)
        assert own["log_loss"] == pytest.approx(clean["log_loss"], abs=1e-8)
    stored = event(api, "a")["prediction"]

    assert (stored["served"], stored["probabilities"], stored["corrected"]) == (pytest.approx(0.5), OFF, ["normalized"])
    assert (corrected(api)["normalized"], metric(api, "normalized")) == (3, 3.0)
    assert differences(api) == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"probabilities": OFF}, "bad_sum"),
        ({"probabilities": EVEN, "raw_probabilities": OFF}, "bad_sum"),
        ({"members": [[0.51, 0.255, 0.255], [0.5, 0.25, 0.25]]}, "bad_sum"),
        ({"quantiles": {"0.1": 2.0, "0.5": 1.99}}, "bad_order"),
        ({"quantiles": {"0.1": 1.0, "0.5": 2.0}, "raw_quantiles": {"0.5": 1.99, "0.1": 2.0}}, "bad_order"),
    ],
    ids=str,
)
def test_rounding_to_16_bits_is_refused_by_default_with_the_setting_that_takes_it(api, tools, fields, code):
    api.put("m", status=201)
    rejection = refused(api, tools.prediction("a", **fields))
    assert rejection["code"] == code
    assert "the setting `normalize` takes rounding up to 0.02" in rejection["reason"]

    api.put("m", normalize=True)
    assert api.send(tools.prediction("a", **fields))["rejected"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"probabilities": [0.5, 0.25, 0.2705]},
        {"probabilities": [0.5, 0.25, 0.2295]},
        {"quantiles": {"0.1": 2.0, "0.5": 1.95}},
        {"quantiles": {"0.1": 2.0, "0.5": -2.0}},
    ],
    ids=str,
)
def test_what_no_rounding_explains_is_refused_under_the_setting_too(api, tools, fields):
    api.put("m", status=201, normalize=True)
    rejection = refused(api, tools.prediction("a", **fields))

    assert rejection["code"] in {"bad_sum", "bad_order"}
    assert "normalize" not in rejection["reason"]


@pytest.mark.parametrize("normalize", [False, True])
def test_a_sum_within_a_thousandth_is_taken_as_it_is(api, tools, normalize):
    api.put(
        "m", status=201, task="multiclass", classes=CLASSES, normalize=normalize, label_delay="0s", minimum_labels=1
    )
    api.send(tools.prediction("a", probabilities=[0.5, 0.25, 0.2509]), tools.label("a", "cat"))

    assert event(api, "a")["prediction"]["served"] == 0.5
    assert api.get(CALIBRATION, **DAY)["brier"] == pytest.approx(0.25 + 0.0625 + 0.2509**2, abs=1e-9)
    assert corrected(api) == {"clamped": 0, "normalized": 0, "sorted": 0}
    assert differences(api) == []


def test_vectors_with_entries_that_rounding_put_out_are_clamped(api, tools):
    api.put("m", status=201, task="multiclass", classes=CLASSES, label_delay="0s", minimum_labels=1)
    api.send(tools.prediction("a", probabilities=[OUT, -1e-7, 0.0]), tools.label("a", "cat"))
    stored = event(api, "a")["prediction"]

    assert (stored["served"], stored["probabilities"]) == (1.0, [OUT, -1e-7, 0.0])
    assert api.get(CALIBRATION, **DAY)["brier"] == 0.0
    assert corrected(api)["clamped"] == 1
    assert differences(api) == []


@pytest.mark.parametrize(
    ("sent", "meant", "normalize"),
    [
        ({"0.1": 1.0000001, "0.5": 1.0, "0.9": 3.0}, {"0.1": 1.0, "0.5": 1.0000001, "0.9": 3.0}, False),
        (
            {"0.9": 3.0, "0.5": 2.99999999, "0.1": 2.999999991},
            {"0.1": 2.99999999, "0.5": 2.999999991, "0.9": 3.0},
            False,
        ),
        ({"0.1": 2.0, "0.5": 1.97, "0.9": 3.0}, {"0.1": 1.97, "0.5": 2.0, "0.9": 3.0}, True),
    ],
)
def test_quantiles_that_cross_by_rounding_are_sorted_and_kept_as_sent(api, tools, sent, meant, normalize):
    for model, quantiles in (("m", sent), ("clean", meant)):
        api.put(model, status=201, normalize=normalize, label_delay="0s", minimum_labels=1)
        items = [
            tools.prediction("a", quantiles=quantiles, model=model),
            tools.prediction("b", quantiles=meant, raw_quantiles=quantiles, calibrator_version=1, model=model),
            *[tools.label(name, 2.5, model=model) for name in "ab"],
        ]
        assert api.send(*items)["rejected"] == []
    own, clean = (api.get(f"/v1/models/{model}/calibration", **DAY) for model in ("m", "clean"))
    for name in ("crps", "quantiles", "mean_absolute_error"):
        assert own[name] == clean[name]

    assert event(api, "a")["prediction"]["quantiles"] == sent
    assert (corrected(api)["sorted"], metric(api, "sorted")) == (2, 2.0)
    assert differences(api) == []


@pytest.mark.parametrize("masked", ["-inf", "-Infinity", "-INF", float("-inf")])
@pytest.mark.parametrize("by_class", [False, True])
def test_the_logit_of_a_masked_class_gives_it_no_probability(api, tools, masked, by_class):
    api.put("m", status=201, task="multiclass", classes=CLASSES, label_delay="0s", minimum_labels=1)
    logits = {"cat": 0.0, "dog": masked, "owl": 0.0}
    item = tools.prediction("a", logits=logits if by_class else [*logits.values()])
    body = json.dumps({"events": [item, tools.label("a", "cat")]})  # Python writes -Infinity
    answer = api.ask("POST", "/v1/events", content=body, headers={"Content-Type": "application/json"})
    api.roll_up()
    shown = event(api, "a")["prediction"]["logits"]

    assert answer["rejected"] == []
    assert (shown["dog"] if by_class else shown[1]) is None
    assert api.get(CALIBRATION, **DAY)["mean_confidence"] == 0.5
    assert api.get(CALIBRATION, **DAY)["brier"] == 0.5
    assert differences(api) == []


@pytest.mark.parametrize("logits", [["-inf", "-inf", "-inf"], ["inf", 0, 0], ["nan", 0, 0], [None, 0, 0], ["-inf"]])
def test_logits_that_mask_all_or_are_none_are_refused(sqlite_api, tools, logits):
    sqlite_api.put("m", status=201, task="multiclass", classes=CLASSES)

    assert "logits" in refused(sqlite_api, tools.prediction("a", logits=logits))["reason"]


def test_what_was_taken_stays_as_it_was_taken_when_the_setting_is_taken_back(api, tools):
    api.put("m", status=201, task="multiclass", classes=CLASSES, normalize=True, label_delay="0s", minimum_labels=1)
    api.ask("POST", "/v1/events", json={"events": vector_events(tools, OFF)})
    api.put("m", normalize=False)
    api.roll_up()
    before = figures(api)
    with api.services.database.read() as connection:
        model = models.by_name(connection, "m")
    rebuild_model(api.services.database, model)

    assert corrected(api)["normalized"] == 3
    assert figures(api) == before
    assert differences(api) == []
    assert refused(api, tools.prediction("d", probabilities=OFF))["code"] == "bad_sum"


def test_a_corrected_vector_is_verified_after_the_classes_were_extended(api, tools):
    api.put("m", status=201, task="multiclass", classes=CLASSES, normalize=True, label_delay="0s", minimum_labels=1)
    api.send(*vector_events(tools, OFF))
    api.put("m", classes=[*CLASSES, "yak"])

    assert differences(api) == []


def test_verify_reports_a_value_that_is_not_what_was_sent_means(api, tools):
    api.put("m", status=201, task="multiclass", classes=CLASSES, normalize=True)
    api.send(tools.prediction("a", probabilities=OFF))
    with api.services.database.write() as connection:
        connection.execute(update(schema.prediction).values(p=0.51))

    assert any("served value of event a: stored 0.51, rows give 0.5" in line for line in differences(api))


def test_deleting_a_model_ends_its_counts(api, tools):
    api.send(tools.prediction("a", OUT))
    api.ask("DELETE", "/v1/models/m", params={"confirm": "m"})

    assert metric(api, "clamped") is None
    with api.services.database.read() as connection:
        assert counters.corrected(connection) == {}
