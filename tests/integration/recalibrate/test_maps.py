"""The map of a calibrator as the page draws it: for every family, from a route of its own."""

import pytest
from scipy.special import expit, logit
from scipy.stats import norm

from monitor.calibrators.compiled import compile_scalar, compile_vector
from monitor.calibrators.families import FAMILIES
from monitor.recalibrate.maps import MOST_CURVES
from tests.unit.calibrators import samples

CALIBRATORS = "/v1/models/m/calibrators"
CLASSES = ["ant", "bee", "cat"]
LINES = {"slopes": [1.0, 1.5, 0.5], "intercepts": [0.2, 0.0, -0.2], "classes": CLASSES}
LOG_2 = 0.6931471805599453
KNOTS = {"x": [0.1, 0.5, 0.9], "y": [0.2, 0.6, 0.8]}

DOCUMENTS = {(document["method"], document["task"]): document["parameters"] for document in samples.DOCUMENTS}


def registered(api, method, task, parameters, classes=CLASSES):
    """Return the document of a version of some parameters, which is the model's first."""
    api.put("m", status=201, task=task, **({"classes": classes} if task == "multiclass" else {}))
    document = {"method": method, "task": task, "parameters": parameters}
    return api.post(CALIBRATORS, {"document": document, "holdout": 0}, status=201)


def test_every_family_is_among_these():
    assert {method for method, _ in DOCUMENTS} == set(FAMILIES)


@pytest.mark.parametrize(("method", "task"), DOCUMENTS)
def test_every_family_has_a_map_that_rises_from_0_to_1(sqlite_api, method, task):
    made = registered(sqlite_api, method, task, DOCUMENTS[method, task])
    found = sqlite_api.get(f"{CALIBRATORS}/1/map")
    assert (found["number"], found["method"]) == (1, method)
    assert bool("level" in found["x_label"]) is (task == "regression")
    for curve in found["curves"]:
        assert curve["x"] == [i / 100 for i in range(101)]
        assert len(curve["y"]) == 101
        assert curve["y"] == sorted(curve["y"])
        assert 0.0 <= curve["y"][0] <= curve["y"][-1] <= 1.0
    assert made == sqlite_api.get(f"{CALIBRATORS}/1") | {
        name: made[name] for name in ("promoted", "reason", "decisions")
    }


@pytest.mark.parametrize(("method", "task"), [each for each in DOCUMENTS if each[1] in ("binary", "confidence")])
def test_the_map_of_a_single_probability_is_what_is_served(sqlite_api, method, task):
    apply = compile_scalar(registered(sqlite_api, method, task, DOCUMENTS[method, task]))
    (curve,) = sqlite_api.get(f"{CALIBRATORS}/1/map")["curves"]
    assert curve["name"] is None
    assert curve["y"] == pytest.approx([apply(p) for p in curve["x"]], abs=1e-6)


@pytest.mark.parametrize("method", ["vector", "structured_vector"])
def test_the_map_of_vectors_has_a_line_for_each_class(sqlite_api, method):
    apply = compile_vector(registered(sqlite_api, method, "multiclass", LINES))
    curves = sqlite_api.get(f"{CALIBRATORS}/1/map")["curves"]
    assert [curve["name"] for curve in curves] == CLASSES
    assert [curve["y"][70] for curve in curves] == pytest.approx(
        [apply([0.7 if k == chosen else 0.15 for k in range(3)])[chosen] for chosen in range(3)], abs=1e-6
    )


def test_where_all_classes_are_served_alike_one_line_holds_for_all(sqlite_api):
    registered(sqlite_api, "temperature", "multiclass", {"temperature": 2.0})
    (curve,) = sqlite_api.get(f"{CALIBRATORS}/1/map")["curves"]
    assert (curve["name"], curve["y"][50]) == (None, pytest.approx(expit((logit(0.5) + LOG_2) / 2 - LOG_2), abs=1e-6))


def test_of_many_classes_those_that_change_most_are_drawn(sqlite_api):
    classes = [f"class {k}" for k in range(30)]
    intercepts = [0.0] * 8 + [0.5] * 22
    registered(sqlite_api, "vector", "multiclass", {"slopes": [1.0] * 30, "intercepts": intercepts}, classes)
    curves = sqlite_api.get(f"{CALIBRATORS}/1/map")["curves"]
    assert len(curves) == MOST_CURVES
    assert {curve["name"] for curve in curves} >= set(classes[:8])
    assert len({curve["name"] for curve in curves}) == MOST_CURVES


def test_the_map_of_distributions_is_from_stated_levels_to_those_as_served(sqlite_api):
    registered(sqlite_api, "variance_scaling", "regression", {"scale": 2.0})
    (curve,) = sqlite_api.get(f"{CALIBRATORS}/1/map")["curves"]
    assert curve["y"][90] == pytest.approx(norm.cdf(norm.ppf(0.9) / 2), abs=1e-6)
    assert curve["y"][50] == 0.5


def test_the_map_of_isotonic_pit_passes_through_its_knots(sqlite_api):
    registered(sqlite_api, "pit_isotonic", "regression", KNOTS)
    (curve,) = sqlite_api.get(f"{CALIBRATORS}/1/map")["curves"]
    assert [curve["y"][x] for x in (10, 50, 90)] == pytest.approx(KNOTS["y"], abs=0.01)


def test_the_map_of_no_calibrator_is_the_diagonal(sqlite_api):
    registered(sqlite_api, "platt", "binary", {"slope": 0.5, "intercept": 0.2})
    found = sqlite_api.get(f"{CALIBRATORS}/identity/map")
    (curve,) = found["curves"]
    assert (found["number"], found["method"], curve["x"]) == (None, "identity", curve["y"])


def test_there_is_no_map_of_what_there_is_not(sqlite_api):
    sqlite_api.put("m", status=201)
    assert sqlite_api.refused("GET", f"{CALIBRATORS}/champion/map", 404)["detail"] == "model 'm' has no champion"
    assert sqlite_api.refused("GET", f"{CALIBRATORS}/7/map", 404)["detail"] == "model 'm' has no calibrator 7"


def test_an_impossible_name_is_answered_with_those_that_are_possible(sqlite_api):
    sqlite_api.put("m", status=201)
    either = "there is no calibrator '007': name a number, champion, challenger or identity"
    for path in ("007/map", "007/difference", "identity/difference?against=007"):
        assert sqlite_api.refused("GET", f"{CALIBRATORS}/{path}", 404)["detail"] == either
    for name in ("007", "identity"):
        detail = sqlite_api.refused("GET", f"{CALIBRATORS}/{name}", 404)["detail"]
        assert detail == f"there is no calibrator '{name}': name a number, champion or challenger"
    detail = sqlite_api.refused("POST", f"{CALIBRATORS}/007/promote", 404, json={})["detail"]
    assert detail == "there is no calibrator '007': name a number"
