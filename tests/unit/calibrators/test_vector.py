"""Vector scaling: the optimum, what it repairs, and what it refuses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from monitor.calibrators import multinomial
from monitor.calibrators.compiled import compile_array, compile_vector
from monitor.calibrators.document import seal
from monitor.calibrators.errors import BadDocument, NotFitted, NotIdentified
from monitor.calibrators.families import from_document, make
from monitor.calibrators.structured_vector import StructuredVector
from monitor.calibrators.temperature import Temperature
from monitor.calibrators.vector import Vector
from monitor.client.champion import Champion, load

Floats = NDArray[np.float64]
Rows = tuple[Floats, NDArray[np.int64]]


def normal(logits: Floats) -> Floats:
    """Return the logarithms of the softmax."""
    return np.asarray(logits - logsumexp(logits, axis=1, keepdims=True))


def drawn(rows: int, slopes: Floats, intercepts: Floats, seed: int = 0) -> Rows:
    """Return what a model says, and labels whose true probabilities are softmax(slopes · log p + intercepts)."""
    rng = np.random.default_rng(seed)
    said = normal(2.0 * rng.normal(size=(rows, len(slopes))))
    true = said * slopes + intercepts
    return np.exp(said), (true + rng.gumbel(size=true.shape)).argmax(axis=1)


def uneven(classes: int) -> tuple[Floats, Floats]:
    """Return slopes and intercepts that no temperature makes."""
    rng = np.random.default_rng(1)
    return rng.uniform(0.5, 1.2, classes), rng.normal(size=classes) / 2.0


def loss_of(p: Floats, y: NDArray[np.int64], lines: Floats) -> tuple[float, Floats]:
    """Return the mean log loss of lines laid end to end and its gradient, by formulas of its own."""
    logs, slopes, intercepts = np.log(p), *np.split(lines, 2)
    scores = normal(logs * slopes + intercepts)
    excess = np.exp(scores)
    excess[np.arange(len(y)), y] -= 1.0
    gradient = np.concatenate([(excess * logs).mean(axis=0), excess.mean(axis=0)])
    return -float(scores[np.arange(len(y)), y].mean()), gradient


def lines_of(fitted: Vector) -> Floats:
    """Return slopes and intercepts end to end."""
    return np.concatenate([fitted.slopes_, fitted.intercepts_])


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_fit_finds_the_optimum_that_scipy_finds(classes: int) -> None:
    p, y = drawn(2_000, *uneven(classes))
    start = np.repeat([1.0, 0.0], classes)
    peer = minimize(lambda lines: loss_of(p, y, lines), start, jac=True, method="BFGS", options={"gtol": 1e-9}).x
    peer[classes:] -= peer[classes:].mean()
    assert lines_of(Vector().fit(p, y)) == pytest.approx(peer, abs=1e-6)


def test_fit_leaves_no_slope_in_the_loss() -> None:
    p, y = drawn(3_000, *uneven(30))
    lines = lines_of(Vector().fit(p, y))
    assert np.abs(loss_of(p, y, lines)[1]).max() < 1e-12


def test_fit_of_many_classes_takes_another_way_to_the_same_place(monkeypatch: pytest.MonkeyPatch) -> None:
    p, y = drawn(3_000, *uneven(12))
    solved = lines_of(Vector().fit(p, y)), lines_of(StructuredVector().fit(p, y))
    monkeypatch.setattr(multinomial, "LARGEST_SOLVED", 1)
    multiplied = lines_of(Vector().fit(p, y)), lines_of(StructuredVector().fit(p, y))
    assert multiplied[0] == pytest.approx(solved[0], abs=1e-6)
    assert multiplied[1] == pytest.approx(solved[1], abs=1e-6)


def test_fit_recovers_the_lines_that_made_the_labels() -> None:
    slopes, intercepts = uneven(4)
    fitted = Vector().fit(*drawn(60_000, slopes, intercepts))
    assert fitted.slopes_ == pytest.approx(slopes, abs=0.05)
    assert fitted.intercepts_ == pytest.approx(intercepts - intercepts.mean(), abs=0.06)


def test_fit_counts_a_row_as_often_as_its_weight_says() -> None:
    p, y = drawn(400, *uneven(3))
    twice = np.where(np.arange(400) < 100, 2.0, 1.0)
    repeated = Vector().fit(np.concatenate([p, p[:100]]), np.concatenate([y, y[:100]]))
    assert lines_of(Vector().fit(p, y, twice)) == pytest.approx(lines_of(repeated), abs=1e-9)


def test_vector_scaling_gives_the_same_twice() -> None:
    p, y = drawn(1_000, *uneven(5))
    assert lines_of(Vector().fit(p, y)).tolist() == lines_of(Vector().fit(p, y)).tolist()


@pytest.mark.parametrize("family", [Vector, StructuredVector])
def test_logits_give_what_their_probabilities_give(family: type[Vector]) -> None:
    p, y = drawn(1_000, *uneven(4))
    shifted = np.log(p) + np.arange(1_000)[:, None]
    from_logits = family(logits=True).fit(shifted, y)
    assert lines_of(from_logits) == pytest.approx(lines_of(family().fit(p, y)), abs=1e-9)
    assert from_logits.predict_proba(shifted) == pytest.approx(family().fit(p, y).predict_proba(p), abs=1e-9)


def test_vector_scaling_may_change_the_answer() -> None:
    slopes, intercepts = np.ones(3), np.array([-1.5, 0.0, 0.0])
    p, y = drawn(20_000, slopes, intercepts)
    repaired = Vector().fit(p, y).predict_proba(p).argmax(axis=1)
    said = p.argmax(axis=1)
    assert (repaired == y).mean() > (said == y).mean() + 0.01
    assert (repaired == 0).mean() < (said == 0).mean() - 0.05


@pytest.mark.parametrize(
    ("y", "why"),
    [
        ([0, 1, 0, 1, 0, 1], "class 2 has no label"),
        ([1, 1, 1, 1, 1, 1], "all labels are 1"),
        ([0, 0, 1, 1, 2, 2], "separate"),
    ],
)
def test_vector_scaling_refuses_what_has_no_optimum(y: list[int], why: str) -> None:
    p = [[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.1, 0.2, 0.7]]
    with pytest.raises(NotIdentified, match=why):
        Vector().fit(p, y)


def test_vector_scaling_refuses_a_class_that_alone_is_told_apart() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1.0, 1.0, 1.0], size=500)
    y = np.where(p[:, 2] > 0.5, 2, rng.integers(0, 2, 500))
    with pytest.raises(NotIdentified, match=r"run away|are labels swapped"):
        Vector().fit(p, y)


def test_vector_scaling_refuses_a_class_whose_score_is_turned_round() -> None:
    p, y = drawn(5_000, np.array([-0.5, 1.0, 1.0]), np.zeros(3))
    with pytest.raises(NotIdentified, match=r"the slope of class 0 is -0\.5"):
        Vector().fit(p, y)


def test_vector_scaling_takes_vectors_of_its_classes_only() -> None:
    fitted = Vector().fit(*drawn(500, *uneven(3)))
    document = fitted.to_document()
    two = [0.5, 0.5]
    with pytest.raises(ValueError, match="2 classes; this calibrator was fitted on 3"):
        fitted.predict_proba([two])
    for apply in (compile_vector(document), compile_vector(document, logits=True)):
        with pytest.raises(ValueError, match="2 classes; this calibrator was fitted on 3"):
            apply(two)
    with pytest.raises(ValueError, match="2 classes; this calibrator was fitted on 3"):
        compile_array(document)(np.array([two]))
    with pytest.raises(NotFitted):
        Vector().predict_proba([two])


PART = st.one_of(st.just(0.0), st.floats(1e-17, 1.0))
LINES = st.integers(2, 8).flatmap(
    lambda classes: st.tuples(
        st.lists(st.floats(1e-3, 20.0), min_size=classes, max_size=classes),
        st.lists(st.floats(-20.0, 20.0), min_size=classes, max_size=classes),
        st.lists(PART, min_size=classes, max_size=classes).filter(lambda parts: sum(parts) > 1e-3),
    )
)


@given(LINES, st.sampled_from(["vector", "structured_vector"]), st.floats(0.9991, 1.0009))
@settings(max_examples=100, deadline=None)
def test_three_forms_of_a_document_agree(
    drawn_lines: tuple[list[float], list[float], list[float]], method: str, total: float
) -> None:
    slopes, intercepts, parts = drawn_lines
    parameters = {"slopes": slopes, "intercepts": intercepts}
    document = {"method": method, "task": "multiclass", "parameters": parameters}
    vector = [min(part / sum(parts) * total, 1.0) for part in parts]
    if abs(sum(vector) - 1.0) > 9e-4:
        return
    served = compile_vector(document)(vector)
    assert served == pytest.approx(from_document(document).predict_proba([vector])[0].tolist(), abs=1e-10)
    assert served == pytest.approx(compile_array(document)(np.array([vector]))[0].tolist(), abs=1e-10)
    assert sum(served) == pytest.approx(1.0)


def test_logits_and_probabilities_are_served_alike() -> None:
    document = Vector().fit(*drawn(500, *uneven(3))).to_document()
    logits = [3.0, -50.0, 1.0]
    vector = np.exp(normal(np.array([logits])))[0].tolist()
    served = compile_vector(document, logits=True)(logits)
    assert served == pytest.approx(compile_vector(document)(vector), abs=1e-12)
    assert served == pytest.approx(from_document(document, logits=True).predict_proba([logits])[0].tolist(), abs=1e-12)


@pytest.mark.parametrize("method", ["vector", "structured_vector"])
@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"slopes": [1.0, 1.0]}, "parameters"),
        ({"slopes": [1.0, 1.0], "intercepts": [0.0, 0.0, 0.0]}, "parameters.intercepts"),
        ({"slopes": [1.0], "intercepts": [0.0]}, "parameters.slopes"),
        ({"slopes": [1.0] * 1_001, "intercepts": [0.0] * 1_001}, "parameters.slopes"),
        ({"slopes": [1.0, 0.0], "intercepts": [0.0, 0.0]}, "parameters.slopes[1]"),
        ({"slopes": [1.0, -1.0], "intercepts": [0.0, 0.0]}, "parameters.slopes[1]"),
        ({"slopes": [1.0, float("nan")], "intercepts": [0.0, 0.0]}, "parameters.slopes[1]"),
        ({"slopes": [1.0, True], "intercepts": [0.0, 0.0]}, "parameters.slopes[1]"),
        ({"slopes": [1.0, 1.0], "intercepts": [0.0, float("inf")]}, "parameters.intercepts[1]"),
        ({"slopes": [1.0, 1.0], "intercepts": [0.0, 10**400]}, "parameters.intercepts[1]"),
        ({"slopes": [1.0, 1.0], "intercepts": [0.0, 0.0], "classes": ["a"]}, "parameters.classes"),
        ({"slopes": [1.0, 1.0], "intercepts": [0.0, 0.0], "classes": ["a", "a"]}, "parameters.classes"),
        ({"slopes": [1.0, 1.0], "intercepts": [0.0, 0.0], "classes": ["a", 1]}, "parameters.classes"),
        ({"slopes": [1.0, 1.0], "intercepts": [0.0, 0.0], "classes": None}, "parameters.classes"),
        ({"slopes": "11", "intercepts": [0.0, 0.0]}, "parameters.slopes"),
    ],
)
def test_documents_say_which_parameter_is_wrong(method: str, parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(BadDocument) as caught:
        from_document({"method": method, "task": "multiclass", "parameters": parameters})
    assert caught.value.field == field


ORDERED = {"slopes": [0.5, 1.0, 2.0], "intercepts": [1.0, 0.0, -1.0]}


def champion(parameters: dict[str, Any]) -> Champion:
    """Return a calibrator as a client has it in force."""
    fitted = {"method": "vector", "task": "multiclass", "parameters": parameters}
    document = seal(fitted, model="m", number=1, fitted_from={}, gate=None, created_at="2026-01-05T12:00:00Z")
    return load(document, model="m")


def test_an_object_by_class_is_read_by_the_names_of_the_classes() -> None:
    serving = champion({**ORDERED, "classes": ["ant", "bee", "cat"]})
    failures: list[Exception] = []
    served = serving.apply({"cat": 0.2, "ant": 0.5, "bee": 0.3}, failures.append)
    in_order = serving.apply([0.5, 0.3, 0.2], failures.append)
    assert list(served) == ["cat", "ant", "bee"]
    assert [served[name] for name in ("ant", "bee", "cat")] == in_order
    assert failures == []


@pytest.mark.parametrize("names", [{}, {"classes": ["ant", "bee", "dog"]}])
def test_an_object_of_other_classes_is_served_as_it_came(names: dict[str, list[str]]) -> None:
    failures: list[Exception] = []
    vector = {"cat": 0.2, "ant": 0.5, "bee": 0.3}
    assert champion({**ORDERED, **names}).apply(vector, failures.append) == vector
    assert [str(each) for each in failures] == [
        f"the calibrator's classes are {', '.join(names.get('classes', [])) or 'not named'}: send these, or an array"
    ]


def test_names_of_classes_stay_with_a_document() -> None:
    parameters = {**ORDERED, "classes": ["ant", "bee", "cat"]}
    document = {"method": "structured_vector", "task": "multiclass", "parameters": parameters}
    assert from_document(document).to_document() == document
    assert "classes" not in Vector().fit(*drawn(500, *uneven(3))).to_document()["parameters"]


def test_vectors_are_calibrated_of_multiclass_models_only() -> None:
    with pytest.raises(BadDocument, match="vector calibrates multiclass"):
        from_document({"method": "vector", "task": "binary", "parameters": {"slopes": [1, 1], "intercepts": [0, 0]}})
    with pytest.raises(ValueError, match="vector calibrates multiclass"):
        make("vector", task="binary")


def test_slopes_that_are_all_alike_are_a_temperature() -> None:
    p, _ = drawn(50, *uneven(4))
    alike = {"slopes": [0.5] * 4, "intercepts": [0.0] * 4}
    lines = from_document({"method": "vector", "task": "multiclass", "parameters": alike})
    one = from_document({"method": "temperature", "task": "multiclass", "parameters": {"temperature": 2.0}})
    assert lines.predict_proba(p) == pytest.approx(one.predict_proba(p), abs=1e-12)
    assert isinstance(one, Temperature)
