"""Functions of documents: plain Python says what the arrays say, and both what the formula says."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from monitor.calibrators.compiled import compile_array, compile_scalar, compile_vector
from monitor.calibrators.errors import BadDocument
from monitor.calibrators.families import FAMILIES, from_document
from monitor.calibrators.singles import PIECE
from tests.unit.calibrators.samples import CONFIDENCE, FORMULAS, SCALARS

SCALAR = st.one_of(*SCALARS.values())


def steepness(parameters: dict[str, Any]) -> float:
    """Return by how much rounding of the logit grows: the two logarithms need not share it."""
    steep = [parameters.get(name, 0.0) for name in ("slope", "a", "b")] + [1.0 / parameters.get("temperature", 1.0)]
    return max(1.0, *steep) + 40.0 * abs(parameters.get("square", 0.0))


@given(SCALAR, st.lists(CONFIDENCE, min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_scalar_array_and_estimator_say_the_same(document: dict[str, Any], p: list[float]) -> None:
    parameters = document["parameters"]
    p = [*p, *parameters.get("x", []), *parameters.get("edges", []), 0.0, 1.0]
    apply = compile_scalar(document)
    ours, rounding = [apply(one) for one in p], 1e-12 * steepness(parameters)
    assert ours == pytest.approx(from_document(document).predict_proba(p).tolist(), abs=rounding, rel=0.0)
    assert ours == pytest.approx(compile_array(document)(np.array(p)).tolist(), abs=rounding, rel=0.0)
    assert all(0.0 <= one <= 1.0 for one in ours)


@given(SCALAR, st.lists(st.floats(2e-6, 1.0 - 2e-6), min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_scalar_array_and_estimator_say_what_the_formula_says(document: dict[str, Any], given: list[float]) -> None:
    parameters, p = document["parameters"], np.array(given)
    expected = FORMULAS[document["method"]](p, **parameters)
    within = 1e-9 * steepness(parameters)  # the formula takes other ways around rounding
    for served in (
        [compile_scalar(document)(one) for one in given],
        compile_array(document)(p),
        from_document(document).predict_proba(p),
    ):
        np.testing.assert_allclose(served, expected, rtol=0.0, atol=within)


def test_vectors_and_arrays_of_them_say_what_the_formula_says() -> None:
    p = np.random.default_rng(0).dirichlet([1.0, 2.0, 3.0], size=50)
    slopes, intercepts = np.array([0.5, 1.0, 2.0]), np.array([0.3, -0.1, -0.2])
    lines = {"slopes": slopes.tolist(), "intercepts": intercepts.tolist()}
    for method, parameters, scores in (
        ("identity", {}, np.log(p)),
        ("temperature", {"temperature": 1.7}, np.log(p) / 1.7),
        ("vector", lines, np.log(p) * slopes + intercepts),
        ("structured_vector", lines, np.log(p) * slopes + intercepts),
    ):
        document = {"method": method, "task": "multiclass", "parameters": parameters}
        one, from_logits = compile_vector(document), compile_vector(document, logits=True)
        for served in (
            [one(row) for row in p.tolist()],
            [from_logits(row) for row in (np.log(p) + 3.0).tolist()],
            compile_array(document)(p),
            from_document(document).predict_proba(p),
            from_document(document, logits=True).predict_proba(np.log(p) + 3.0),
        ):
            np.testing.assert_allclose(served, softmax(scores, axis=1), rtol=1e-12)


@given(SCALAR, st.lists(CONFIDENCE, min_size=2, max_size=20))
@settings(max_examples=200, deadline=None)
def test_no_map_decreases(document: dict[str, Any], p: list[float]) -> None:
    rising = sorted([*p, *(i / 50 for i in range(51))])
    rounding = 1e-12 * steepness(document["parameters"])
    for served in ([compile_scalar(document)(one) for one in rising], compile_array(document)(np.array(rising))):
        assert np.diff(served).min() >= -rounding


@given(SCALAR)
@settings(max_examples=40, deadline=None)
def test_array_form_goes_piece_by_piece_as_it_goes_in_one(document: dict[str, Any]) -> None:
    p = np.random.default_rng(0).random(PIECE + 5)
    apply = compile_array(document)
    assert apply(p).tolist() == [*apply(p[:PIECE]), *apply(p[PIECE:])]
    assert apply(np.array([])).shape == (0,)
    with pytest.raises(ValueError, match="must be in"):
        apply(np.append(p, np.nan))


def test_every_method_for_single_probabilities_is_drawn_here() -> None:
    assert (
        set(SCALARS)
        == set(FORMULAS)
        == {method for method, estimator in FAMILIES.items() if "binary" in estimator.family.tasks}
    )


@given(st.lists(st.floats(1e-9, 1.0), min_size=2, max_size=12), st.floats(1e-3, 1e3))
@settings(max_examples=200, deadline=None)
def test_vector_map_agrees_with_the_array_form(parts: list[float], temperature: float) -> None:
    document = {"method": "temperature", "task": "multiclass", "parameters": {"temperature": temperature}}
    vector = [part / sum(parts) for part in parts]
    array = from_document(document).predict_proba([vector])[0].tolist()
    assert compile_vector(document)(vector) == pytest.approx(array, abs=1e-12 * max(1.0, 1.0 / temperature))


@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=12), st.floats(1e-3, 1e3))
@settings(max_examples=200, deadline=None)
def test_vector_map_of_logits_agrees_with_the_array_form(logits: list[float], temperature: float) -> None:
    document = {"method": "temperature", "task": "multiclass", "parameters": {"temperature": temperature}}
    array = from_document(document, logits=True).predict_proba([logits])[0].tolist()
    assert compile_vector(document, logits=True)(logits) == pytest.approx(array, abs=1e-9)


def test_identity_gives_back_what_it_got() -> None:
    assert compile_scalar({"method": "identity", "task": "binary", "parameters": {}})(0.123) == 0.123
    apply = compile_vector({"method": "identity", "task": "multiclass", "parameters": {}})
    assert apply((0.2, 0.8)) == [0.2, 0.8]


def test_identity_makes_probabilities_of_logits() -> None:
    document = {"method": "identity", "task": "multiclass", "parameters": {}}
    assert compile_vector(document, logits=True)([1.0, 1.0]) == [0.5, 0.5]
    assert from_document(document, logits=True).predict_proba([[1.0, 1.0]]).tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("p", [float("nan"), -0.1, 1.1, float("inf")])
@pytest.mark.parametrize(
    "document",
    [
        {"method": "identity", "task": "binary", "parameters": {}},
        {"method": "temperature", "task": "binary", "parameters": {"temperature": 2.0}},
        {"method": "isotonic", "task": "binary", "parameters": {"x": [0.5], "y": [0.5]}},
    ],
)
def test_scalar_map_takes_probabilities_only(document: dict[str, Any], p: float) -> None:
    with pytest.raises(ValueError, match="probability is"):
        compile_scalar(document)(p)


@pytest.mark.parametrize("p", [[], [1.0], [0.5, 0.6], [float("nan"), 0.5], [-0.5, 1.5]])
@pytest.mark.parametrize("method", ["identity", "temperature"])
def test_vector_map_takes_distributions_only(method: str, p: list[float]) -> None:
    parameters = {"temperature": 2.0} if method == "temperature" else {}
    apply = compile_vector({"method": method, "task": "multiclass", "parameters": parameters})
    with pytest.raises(ValueError, match="probabilities"):
        apply(p)


@pytest.mark.parametrize("logits", [[], [1.0], [float("nan"), 0.5], [float("inf"), 0.5]])
def test_vector_map_takes_finite_logits_only(logits: list[float]) -> None:
    apply = compile_vector(
        {"method": "temperature", "task": "multiclass", "parameters": {"temperature": 2.0}}, logits=True
    )
    with pytest.raises(ValueError, match="finite"):
        apply(logits)


def test_vector_map_of_temperature_takes_zeros() -> None:
    apply = compile_vector({"method": "temperature", "task": "multiclass", "parameters": {"temperature": 1.0}})
    assert apply([1.0, 0.0]) == pytest.approx([1.0 - 1e-15, 1e-15], rel=1e-12)


def test_compile_refuses_the_other_shape_and_bad_documents() -> None:
    binary = {"method": "temperature", "task": "binary", "parameters": {"temperature": 2.0}}
    with pytest.raises(ValueError, match="compile_scalar"):
        compile_vector(binary)
    with pytest.raises(ValueError, match="compile_vector"):
        compile_scalar(binary | {"task": "multiclass"})
    with pytest.raises(ValueError, match="logits go with"):
        from_document(binary, logits=True)
    with pytest.raises(BadDocument):
        compile_scalar(binary | {"parameters": {"temperature": float("nan")}})


def test_no_module_that_serves_imports_numpy_or_scipy() -> None:
    code = (
        "import sys\n"
        "from monitor.calibrators.compiled import compile_scalar, compile_vector, compile_distribution\n"
        "from monitor.calibrators.families import FAMILIES\n"
        "from monitor.calibrators.distributions import Distribution\n"
        "platt = {'method': 'platt', 'task': 'binary', 'parameters': {'slope': 0.5, 'intercept': 0.1}}\n"
        "warm = {'method': 'temperature', 'task': 'multiclass', 'parameters': {'temperature': 2}}\n"
        "wide = {'method': 'pit_isotonic', 'task': 'regression', 'parameters': {'x': [0.5], 'y': [0.6]}}\n"
        "compile_scalar(platt)(0.3), compile_vector(warm)([0.5, 0.5]), compile_distribution(wide)(Distribution((), (0.0, 1.0)))\n"
        "print(len(FAMILIES), sorted({'numpy', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == f"{len(FAMILIES)} []\n"


def test_array_form_needs_numpy_alone() -> None:
    code = (
        "import sys\nimport numpy as np\n"
        "from monitor.calibrators.compiled import compile_array, compile_distributions\n"
        "steps = {'method': 'isotonic', 'task': 'binary', 'parameters': {'x': [0.1, 0.9], 'y': [0.2, 0.8]}}\n"
        "lines = {'method': 'vector', 'task': 'multiclass', 'parameters': {'slopes': [1, 2], 'intercepts': [0, 1]}}\n"
        "wide = {'method': 'pit_isotonic', 'task': 'regression', 'parameters': {'x': [0.5], 'y': [0.6]}}\n"
        "compile_array(steps)(np.array([0.3])), compile_array(lines)(np.array([[0.5, 0.5]]))\n"
        "compile_distributions(wide)((), np.array([[0.0, 1.0]]))\n"
        "print(sorted({'scipy', 'sklearn'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "[]\n"


def test_scalar_map_takes_numpy_floats_too() -> None:
    apply = compile_scalar({"method": "platt", "task": "binary", "parameters": {"slope": 0.5, "intercept": 0.1}})
    assert apply(np.float64(0.3)) == apply(0.3)


def test_isotonic_map_stays_a_probability_where_rounding_goes_up() -> None:
    # Without care the line through the two knots is an ulp above 1 just before the second: no server takes that.
    knots = {"x": [0.09216650845432967, 0.7445795418834955], "y": [5.032710398239815e-11, 1.0]}
    document, below = {"method": "isotonic", "task": "binary", "parameters": knots}, 0.7445795418834954
    served = [
        compile_scalar(document)(below),
        float(compile_array(document)(np.array([below]))[0]),
        float(from_document(document).predict_proba([below])[0]),
    ]
    assert served == [1.0, 1.0, 1.0]
