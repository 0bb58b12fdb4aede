"""Documents: what goes out comes back, and nothing else gets in."""

import json
import math
from typing import Any

import numpy as np
import pytest

from monitor.calibrators.compiled import (
    compile_array,
    compile_distribution,
    compile_distributions,
    compile_scalar,
    compile_vector,
)
from monitor.calibrators.document import check, seal, verify
from monitor.calibrators.errors import BadDocument
from monitor.calibrators.families import FAMILIES, from_document, make
from monitor.calibrators.family import TASKS
from monitor.calibrators.hashing import canonical
from monitor.calibrators.parameters import MOST_KNOTS
from tests.unit.calibrators.samples import DOCUMENTS

NAN, INFINITY = float("nan"), float("inf")


def of(task: str) -> set[str]:
    return {method for method, estimator in FAMILIES.items() if task in estimator.family.tasks}


def sealed(document: dict[str, Any] = DOCUMENTS[2]) -> dict[str, Any]:
    return seal(
        document,
        model="shop/fraud",
        number=3,
        fitted_from={"labelled": 900},
        gate=None,
        created_at="2026-01-02T03:04:05Z",
    )


def test_every_method_is_in_these_tests_and_has_its_own_name() -> None:
    assert set(FAMILIES) == {document["method"] for document in DOCUMENTS} == set().union(*map(of, TASKS))
    assert all(method == estimator.family.method for method, estimator in FAMILIES.items())
    assert of("binary") == of("confidence")


FORMS: dict[str, tuple[Any, ...]] = {
    "binary": (compile_scalar, compile_array),
    "confidence": (compile_scalar, compile_array),
    "multiclass": (compile_vector, compile_array),
    "regression": (compile_distribution, compile_distributions),
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_method_has_every_form_of_the_tasks_it_takes_and_no_other(document: dict[str, Any]) -> None:
    own = FORMS[document["task"]]
    assert all(callable(form(document)) for form in own)
    for form in {form for forms in FORMS.values() for form in forms}.difference(own):
        with pytest.raises(ValueError, match=f"task is '{document['task']}': use compile_"):
            form(document)


@pytest.mark.parametrize("method", FAMILIES)
def test_family_without_a_task_has_no_form_of_it(method: str) -> None:
    family = FAMILIES[method].family
    forms: dict[str, Any] = {"binary": family.singles, "multiclass": family.vectors, "regression": family.distributions}
    for task in forms.keys() - set(family.tasks):
        with pytest.raises(ValueError, match="this family does not calibrate"):
            forms[task].scalar({})


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_method_says_which_tasks_it_takes(document: dict[str, Any]) -> None:
    tasks = FAMILIES[document["method"]].family.tasks
    for task in set(TASKS) - set(tasks):
        with pytest.raises(BadDocument, match=f"{document['method']} calibrates {tasks[0]}"):
            check(document | {"task": task})


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_makes_the_round_trip_through_text(document: dict[str, Any]) -> None:
    read = json.loads(json.dumps(sealed(document)))
    assert verify(read)._asdict() == document
    assert from_document(read).to_document() == document


@pytest.mark.parametrize("method", sorted(of("binary") - {"identity"}))
def test_fitted_calibrator_survives_its_sealed_document(method: str) -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(size=500)
    fitted = make(method, task="binary").fit(p, rng.uniform(size=500) < p**2)
    restored = from_document(json.loads(canonical(sealed(fitted.to_document()))))
    assert (restored.predict_proba(p) == fitted.predict_proba(p)).all()


def test_canonical_json_is_sorted_tight_and_in_utf8() -> None:
    assert canonical({"z": [1.0, 1e22, 0.1], "é": {"b": None, "a": True}}) == (
        '{"z":[1.0,1e+22,0.1],"é":{"a":true,"b":null}}'.encode()
    )


def test_seal_hashes_the_canonical_json_of_its_five_fields() -> None:
    # Computed with sha256sum over {"method":"temperature","model":"shop/fraud","number":3,"parameters":{"temperature":1.5},"task":"binary"}
    assert sealed()["sha256"] == "1b8b1f8e298645dac2f1d60b400297b94335cb37530ab9b445a04411bbfc6812"


def test_hash_is_the_same_for_equal_numbers_however_written() -> None:
    document = {"method": "platt", "task": "binary", "parameters": {"slope": 1, "intercept": -0.0}}
    same = {"parameters": {"intercept": 0, "slope": 1.0}, "task": "binary", "method": "platt"}
    assert sealed(document)["sha256"] == sealed(same)["sha256"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "shop/other"),
        ("number", 4),
        ("task", "multiclass"),
        ("parameters", {"temperature": 1.5000000000000002}),
        ("sha256", "0" * 64),
        ("sha256", None),
        ("sha256", 7),
    ],
)
def test_sealed_document_with_anything_changed_is_refused(field: str, value: Any) -> None:
    changed = sealed() | {field: value}
    for read in (verify, check, from_document):
        with pytest.raises(BadDocument, match="sha256"):
            read(changed)


def test_sealed_document_may_gain_what_is_not_hashed() -> None:
    assert verify(sealed() | {"gate": {"rows": 1}, "note": "ours"}).parameters == {"temperature": 1.5}


def test_verify_refuses_a_document_without_hash() -> None:
    with pytest.raises(BadDocument, match="sha256"):
        verify(DOCUMENTS[2])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""),
        ("model", "m" * 201),
        ("model", 5),
        ("model", "\ud800"),
        ("number", 0),
        ("number", True),
        ("number", 1.0),
    ],
)
def test_seal_refuses_a_document_of_nobody(field: str, value: Any) -> None:
    whose: dict[str, Any] = {"model": "shop/fraud", "number": 3} | {field: value}
    with pytest.raises(BadDocument, match=field):
        seal(DOCUMENTS[2], **whose, fitted_from={}, gate=None, created_at="2026-01-02T03:04:05Z")


@pytest.mark.parametrize("document", [None, [], "identity", 3, {}, {"method": "identity"}, {"method": ["identity"]}])
def test_check_refuses_what_is_no_document(document: Any) -> None:
    with pytest.raises(BadDocument):
        check(document)


@pytest.mark.parametrize(
    ("method", "task", "parameters", "field"),
    [
        ("pickle", "binary", {}, "method"),
        ("__class__", "binary", {}, "method"),
        ("platt", "regression", {"slope": 1.0, "intercept": 0.0}, "task"),
        ("identity", "binary", None, "parameters"),
        ("identity", "binary", [], "parameters"),
        ("identity", "binary", {"more": 1}, "parameters"),
        ("temperature", "binary", {}, "parameters"),
        ("temperature", "binary", {"temperature": 1.0, "classes": 3}, "parameters"),
        ("temperature", "confidence", {"temperature": 1.0}, "parameters"),
        ("temperature", "confidence", {"temperature": 1.0, "classes": 1}, "parameters.classes"),
        ("temperature", "confidence", {"temperature": 1.0, "classes": 2.5}, "parameters.classes"),
        ("temperature", "confidence", {"temperature": 1.0, "classes": INFINITY}, "parameters.classes"),
        ("temperature", "confidence", {"temperature": 1.0, "classes": NAN}, "parameters.classes"),
        ("temperature", "binary", {"temperature": 0.0}, "parameters.temperature"),
        ("temperature", "binary", {"temperature": -1.0}, "parameters.temperature"),
        ("temperature", "binary", {"temperature": 1e-300}, "parameters.temperature"),
        ("temperature", "binary", {"temperature": NAN}, "parameters.temperature"),
        ("temperature", "binary", {"temperature": INFINITY}, "parameters.temperature"),
        ("temperature", "binary", {"temperature": 10**400}, "parameters.temperature"),
        ("temperature", "binary", {"temperature": "1.5"}, "parameters.temperature"),
        ("temperature", "binary", {"temperature": True}, "parameters.temperature"),
        ("temperature", "binary", {"temperature": None}, "parameters.temperature"),
        ("platt", "binary", {"slope": 1.0}, "parameters"),
        ("platt", "multiclass", {"slope": 1.0, "intercept": 0.0}, "task"),
        ("platt", "binary", {"slope": 0.0, "intercept": 0.0}, "parameters.slope"),
        ("platt", "binary", {"slope": -0.5, "intercept": 0.0}, "parameters.slope"),
        ("platt", "binary", {"slope": 1.0, "intercept": -INFINITY}, "parameters.intercept"),
        ("platt", "binary", {"slope": 1.0, "intercept": NAN}, "parameters.intercept"),
        ("beta", "binary", {"a": 1.0, "b": 1.0}, "parameters"),
        ("beta", "multiclass", {"a": 1.0, "b": 1.0, "c": 0.0}, "task"),
        ("beta", "binary", {"a": 0.0, "b": 0.0, "c": 0.0}, "parameters.a"),
        ("beta", "binary", {"a": 1.0, "b": -1e-9, "c": 0.0}, "parameters.b"),
        ("beta", "binary", {"a": 1.0, "b": 1.0, "c": NAN}, "parameters.c"),
        ("quadratic_logit", "binary", {"square": 0.1, "slope": 1.0}, "parameters"),
        ("quadratic_logit", "multiclass", {"square": 0.1, "slope": 1.0, "intercept": 0.0}, "task"),
        ("quadratic_logit", "binary", {"square": 0.0, "slope": 0.0, "intercept": 0.0}, "parameters.slope"),
        ("quadratic_logit", "binary", {"square": 0.0, "slope": -1.0, "intercept": 0.0}, "parameters.slope"),
        ("quadratic_logit", "binary", {"square": 0.1, "slope": -3.0, "intercept": 0.0}, "parameters.slope"),
        ("quadratic_logit", "binary", {"square": -0.1, "slope": -3.0, "intercept": 0.0}, "parameters.slope"),
        ("quadratic_logit", "binary", {"square": INFINITY, "slope": 1.0, "intercept": 0.0}, "parameters.square"),
        ("quadratic_logit", "binary", {"square": 0.1, "slope": 1e5, "intercept": 0.0}, "parameters.slope"),
        ("scaling_binning", "binary", {"edges": [0.5]}, "parameters"),
        ("scaling_binning", "multiclass", {"edges": [0.5], "values": [0.1, 0.2]}, "task"),
        ("scaling_binning", "binary", {"edges": [0.5], "values": [0.1]}, "parameters.values"),
        ("scaling_binning", "binary", {"edges": [0.5], "values": [0.1, 0.2, 0.3]}, "parameters.values"),
        ("scaling_binning", "binary", {"edges": [0.5, 0.5], "values": [0.1, 0.2, 0.3]}, "parameters.edges"),
        ("scaling_binning", "binary", {"edges": [0.5], "values": [0.2, 0.1]}, "parameters.values"),
        ("scaling_binning", "binary", {"edges": [NAN], "values": [0.1, 0.2]}, "parameters.edges[0]"),
        ("isotonic", "multiclass", {"x": [0.1], "y": [0.1]}, "task"),
        ("isotonic", "binary", {"x": [0.1]}, "parameters"),
        ("isotonic", "binary", {"x": [], "y": []}, "parameters.x"),
        ("isotonic", "binary", {"x": "0.1", "y": [0.1]}, "parameters.x"),
        ("isotonic", "binary", {"x": {"0": 0.1}, "y": [0.1]}, "parameters.x"),
        ("isotonic", "binary", {"x": [0.1, 0.2], "y": [0.1]}, "parameters.y"),
        ("isotonic", "binary", {"x": [0.2, 0.1], "y": [0.1, 0.2]}, "parameters.x"),
        ("isotonic", "binary", {"x": [0.1, 0.1], "y": [0.1, 0.2]}, "parameters.x"),
        ("isotonic", "binary", {"x": [0.0, 5e-324], "y": [0.1, 0.2]}, "parameters.x"),
        ("isotonic", "binary", {"x": [0.1, 0.2], "y": [0.2, 0.1]}, "parameters.y"),
        ("isotonic", "binary", {"x": [0.1, 1.2], "y": [0.1, 0.2]}, "parameters.x[1]"),
        ("isotonic", "binary", {"x": [0.1, 0.2], "y": [-0.1, 0.2]}, "parameters.y[0]"),
        ("isotonic", "binary", {"x": [0.1, NAN], "y": [0.1, 0.2]}, "parameters.x[1]"),
        ("isotonic", "binary", {"x": [0.1, 0.2], "y": [0.1, NAN]}, "parameters.y[1]"),
        ("isotonic", "binary", {"x": [[0.1]], "y": [0.1]}, "parameters.x[0]"),
    ],
)
def test_check_names_the_field_that_is_wrong(method: str, task: str, parameters: Any, field: str) -> None:
    with pytest.raises(BadDocument) as caught:
        check({"method": method, "task": task, "parameters": parameters})
    assert caught.value.field == field


def test_check_refuses_huge_lists_without_reading_them() -> None:
    huge = [0.5] * (MOST_KNOTS + 1)
    with pytest.raises(BadDocument, match="list of 1 to") as caught:
        check({"method": "isotonic", "task": "binary", "parameters": {"x": huge, "y": huge}})
    assert len(str(caught.value)) < 300


def test_check_takes_the_longest_list_that_is_allowed() -> None:
    x = [i / MOST_KNOTS for i in range(MOST_KNOTS)]
    assert (
        len(check({"method": "isotonic", "task": "binary", "parameters": {"x": x, "y": x}}).parameters["x"])
        == MOST_KNOTS
    )


def test_error_shows_deep_nesting_in_few_words() -> None:
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    with pytest.raises(BadDocument) as caught:
        check({"method": "temperature", "task": "binary", "parameters": {"temperature": deep}})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_canonical_json_has_no_nan(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"x": value})
