"""A model of several classes, each off in its own way: from events to a calibrator with a line for each class, and to what is served."""

import numpy as np
import pytest

from monitor.calibrators.compiled import compile_vector

CLASSES = ["ant", "bee", "cat"]
PUSH = np.array([1.2, 0.0, -1.2])
"""By how much the true logits differ from those of the model: no temperature makes that good."""


def at(second):
    """Return a time of the morning."""
    return f"2026-01-05T{6 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


def softmax(logits):
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


def biased(tools, count, form):
    """Return events of a model that gives its last class too often, and their labels."""
    dice = np.random.default_rng(1)
    logits = 1.5 * dice.normal(size=(count, 3))
    said = logits if form == "logits" else softmax(logits)
    truth = (logits + PUSH + dice.gumbel(size=logits.shape)).argmax(axis=1)
    sent = []
    for i in range(count):
        sent.append(tools.prediction(f"e{i}", timestamp=at(i), **{form: said[i].tolist()}))
        sent.append(tools.label(f"e{i}", CLASSES[truth[i]], timestamp=at(i)))
    return sent


@pytest.fixture
def declared(sqlite_api):
    sqlite_api.put("m", status=201, task="multiclass", classes=CLASSES, label_delay="0s")
    return sqlite_api


@pytest.mark.parametrize("form", ["probabilities", "logits"])
def test_classes_that_are_off_each_in_its_way_get_a_line_each(declared, tools, form):
    declared.send(*biased(tools, 1_800, form))
    made = declared.post("/v1/models/m/calibrators", {"method": "auto", "promote": True}, status=201)
    assert (made["method"], made["promoted"]) == ("structured_vector", True)
    assert made["parameters"]["intercepts"] == pytest.approx(PUSH.tolist(), abs=0.25)
    assert made["parameters"]["slopes"] == pytest.approx([1.0] * 3, abs=0.25)
    assert made["parameters"]["classes"] == CLASSES
    vector = [0.2, 0.3, 0.5]
    served = declared.post("/v1/models/m/calibrate", {"probabilities": [vector]})
    assert served["probabilities"][0] == pytest.approx(compile_vector(made)(vector), abs=1e-12)
    assert served["probabilities"][0] == pytest.approx(softmax(np.log([vector]) + PUSH)[0].tolist(), abs=0.06)


def test_vector_scaling_is_fitted_when_it_is_asked_for(declared, tools):
    declared.send(*biased(tools, 900, "probabilities"))
    made = declared.post("/v1/models/m/calibrators", {"method": "vector", "promote": False}, status=201)
    assert made["method"] == "vector"
    assert len(made["parameters"]["slopes"]) == len(made["parameters"]["intercepts"]) == 3
    assert declared.get("/v1/models/m/calibrators/1")["parameters"] == made["parameters"]


def test_a_calibrator_of_other_classes_is_not_registered(sqlite_api):
    sqlite_api.put("m", status=201, task="multiclass", classes=CLASSES)
    parameters = {"slopes": [1.0, 1.0, 1.0], "intercepts": [0.0, 1.0, -1.0], "classes": ["cat", "bee", "ant"]}
    document = {"method": "vector", "task": "multiclass", "parameters": parameters}
    path = "/v1/models/m/calibrators"
    error = sqlite_api.refused("POST", path, json={"document": document, "holdout": 0})
    assert (error["field"], error["reason"]) == (
        "document.parameters.classes",
        "must be the model's classes in their order",
    )
    document = document | {"parameters": parameters | {"classes": CLASSES}}
    made = sqlite_api.post(path, {"document": document, "holdout": 0}, status=201)
    assert made["parameters"] == document["parameters"]
