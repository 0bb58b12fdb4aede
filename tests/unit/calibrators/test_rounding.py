"""Calibrators take what rounding put out of place as what it means, and one bad entry of an array costs no more than a good one."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.calibrators.compiled import (
    compile_array,
    compile_distribution,
    compile_distributions,
    compile_scalar,
    compile_vector,
)
from monitor.calibrators.distributions import Distribution
from monitor.calibrators.families import FAMILIES, from_document
from monitor.calibrators.singles import PIECE, clipped, in_pieces
from monitor.calibrators.vectors import CHUNK
from monitor.client.champion import Champion

SINGLES: dict[str, dict[str, Any]] = {
    "identity": {},
    "temperature": {"temperature": 1.5},
    "platt": {"slope": 0.7, "intercept": 0.1},
    "beta": {"a": 0.7, "b": 1.2, "c": 0.1},
    "quadratic_logit": {"square": 0.05, "slope": 0.8, "intercept": 0.1},
    "scaling_binning": {"edges": [0.3, 0.6], "values": [0.1, 0.4, 0.8]},
    "isotonic": {"x": [0.1, 0.9], "y": [0.2, 0.8]},
}
VECTORS: dict[str, dict[str, Any]] = {
    "identity": {},
    "temperature": {"temperature": 1.5},
    "vector": {"slopes": [0.5, 1.0, 1.5], "intercepts": [0.1, 0.0, -0.1]},
    "structured_vector": {"slopes": [0.5, 1.0, 1.5], "intercepts": [0.1, 0.0, -0.1]},
}


def single(method: str) -> dict[str, Any]:
    return {"method": method, "task": "binary", "parameters": SINGLES[method]}


def multiclass(method: str) -> dict[str, Any]:
    return {"method": method, "task": "multiclass", "parameters": VECTORS[method]}


def test_every_family_is_here() -> None:
    families = {method: estimator.family.tasks for method, estimator in FAMILIES.items()}
    assert SINGLES.keys() == {method for method, tasks in families.items() if "binary" in tasks}
    assert VECTORS.keys() == {method for method, tasks in families.items() if "multiclass" in tasks}


OUT = [(1.0 + 1e-6, 1.0), (1.0000001, 1.0), (float(np.nextafter(1.0, 2.0)), 1.0), (-1e-6, 0.0), (-5e-324, 0.0)]


@pytest.mark.parametrize("method", SINGLES)
@pytest.mark.parametrize(("p", "meant"), OUT)
def test_a_probability_that_rounding_put_out_is_calibrated_as_the_end_it_means(
    method: str, p: float, meant: float
) -> None:
    scalar, array = compile_scalar(single(method)), compile_array(single(method))
    estimator = from_document(single(method))

    assert scalar(p) == scalar(meant)
    assert array(np.array([0.5, p]))[1] == array(np.array([0.5, meant]))[1]
    assert estimator.predict_proba([0.5, p]).tolist() == estimator.predict_proba([0.5, meant]).tolist()


@pytest.mark.parametrize("method", SINGLES)
@pytest.mark.parametrize("p", [1.0 + 2e-6, -2e-6, math.nan, math.inf, -math.inf])
def test_a_number_beyond_rounding_is_refused(method: str, p: float) -> None:
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        compile_scalar(single(method))(p)
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        compile_array(single(method))(np.array([0.5, p]))
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        from_document(single(method)).predict_proba([0.5, p])


COARSE = [
    ([1.0000005, -0.0000005, 0.0], [1.0, 0.0, 0.0]),
    ([0.51, 0.255, 0.255], [0.5, 0.25, 0.25]),
    ([0.495, 0.2475, 0.2475], [0.5, 0.25, 0.25]),
]


@pytest.mark.parametrize("method", VECTORS)
@pytest.mark.parametrize(("vector", "meant"), COARSE)
def test_a_vector_that_rounding_put_off_is_calibrated_as_what_it_means(
    method: str, vector: list[float], meant: list[float]
) -> None:
    scalar, array = compile_vector(multiclass(method)), compile_array(multiclass(method))
    estimator = from_document(multiclass(method))

    assert scalar(vector) == pytest.approx(scalar(meant), abs=1e-12)
    assert array(np.array([vector])) == pytest.approx(array(np.array([meant])), abs=1e-12)
    assert estimator.predict_proba([vector]) == pytest.approx(estimator.predict_proba([meant]), abs=1e-12)


@pytest.mark.parametrize("method", VECTORS)
@pytest.mark.parametrize("vector", [[0.5, 0.3, 0.221], [0.5, 0.25, 0.229], [1.00001, 0.0, 0.0], [math.nan, 0.5, 0.5]])
def test_a_vector_beyond_rounding_is_refused(method: str, vector: list[float]) -> None:
    with pytest.raises(ValueError, match="must"):
        compile_vector(multiclass(method))(vector)
    with pytest.raises(ValueError, match="must"):
        compile_array(multiclass(method))(np.array([vector]))


@pytest.mark.parametrize("method", VECTORS)
def test_a_sum_within_a_thousandth_is_taken_as_it_is(method: str) -> None:
    if method == "identity":
        assert compile_vector(multiclass(method))([0.5, 0.25, 0.2505]) == [0.5, 0.25, 0.2505]
        assert compile_array(multiclass(method))(np.array([[0.5, 0.25, 0.2505]])).tolist() == [[0.5, 0.25, 0.2505]]


@pytest.mark.parametrize("method", VECTORS)
def test_logits_of_masked_classes_give_them_no_probability(method: str) -> None:
    served = compile_vector(multiclass(method), logits=True)([1.0, -math.inf, 0.5])

    assert served[1] < 1e-6
    assert sum(served) == pytest.approx(1.0)
    for bad in ([-math.inf] * 3, [math.inf, 0.0, 0.0], [math.nan, 0.0, 0.0]):
        with pytest.raises(ValueError, match="logits"):
            compile_vector(multiclass(method), logits=True)(bad)
        with pytest.raises(ValueError, match="logits"):
            from_document(multiclass(method), logits=True).predict_proba([bad])
    array = from_document(multiclass(method), logits=True).predict_proba([[1.0, -math.inf, 0.5]])
    assert array[0] == pytest.approx(served, abs=1e-9)


def test_quantiles_that_cross_by_rounding_are_sorted() -> None:
    document = {"method": "variance_scaling", "task": "regression", "parameters": {"scale": 2.0}}
    many = compile_distributions(document)
    crossing, meant = np.array([[1.0, 2.0, 1.99], [1.0, 2.0, 3.0]]), np.array([[1.0, 1.99, 2.0], [1.0, 2.0, 3.0]])

    assert many((100, 500, 900), crossing)[1].tolist() == many((100, 500, 900), meant)[1].tolist()
    with pytest.raises(ValueError, match="must not fall"):
        many((100, 500, 900), np.array([[1.0, 2.0, 1.9]]))
    assert compile_distribution(document)(Distribution((100, 500, 900), (1.0, 1.99, 2.0))).values[1] == pytest.approx(
        1.99
    )


BAD = [math.nan, math.inf, -math.inf, -0.5, 1.5]


@pytest.mark.parametrize("method", SINGLES)
@pytest.mark.parametrize("bad", BAD)
def test_one_bad_entry_leaves_every_other_one_calibrated_and_none_is_calibrated_alone(method: str, bad: float) -> None:
    values = np.random.default_rng(1).random(5 * PIECE + 7)
    clean, scalars = Champion(number=1, document=single(method)), 0

    def scalar(_p: float) -> float:
        nonlocal scalars
        scalars += 1
        return 0.0

    champion = Champion(number=1, scalar=scalar, document=single(method))
    failures: list[Exception] = []
    expected = clean.apply(values, pytest.fail)
    values[2 * PIECE + 3] = bad
    served = champion.apply(values, failures.append)

    assert np.array_equal(np.delete(served, 2 * PIECE + 3), np.delete(expected, 2 * PIECE + 3))
    assert served[2 * PIECE + 3] == bad or math.isnan(bad)
    assert (len(failures), scalars) == (1, 0)


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_entry_costs_no_more_numbers_calibrated_and_a_second_look_at_its_piece_alone(
    monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    calibrated, looked_at = [], []

    def into(p: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        calibrated.append(len(p))
        out[:] = p

    def looking(p: NDArray[np.float64]) -> tuple[NDArray[np.float64], Any]:
        looked_at.append(len(p))
        return clipped(p)

    monkeypatch.setattr("monitor.calibrators.singles.clipped", looking)
    values = np.full(5 * PIECE + 7, 0.5)
    values[2 * PIECE + 3] = bad
    in_pieces(into)(values, lambda _error: None)

    assert calibrated == [PIECE] * 5 + [7]
    assert looked_at == [PIECE]


@pytest.mark.parametrize("method", VECTORS)
@pytest.mark.parametrize("bad", BAD)
def test_one_bad_row_leaves_every_other_one_calibrated_and_none_is_calibrated_alone(method: str, bad: float) -> None:
    rows = np.random.default_rng(1).dirichlet([1.0, 1.0, 1.0], size=CHUNK)
    vectors = 0

    def vector(_p: Any) -> list[float]:
        nonlocal vectors
        vectors += 1
        return []

    champion = Champion(number=1, vector=vector, document=multiclass(method))
    failures: list[Exception] = []
    expected = champion.apply(rows, pytest.fail)
    rows[CHUNK // 2, 1] = bad
    served = champion.apply(rows, failures.append)

    assert np.array_equal(np.delete(served, CHUNK // 2, axis=0), np.delete(expected, CHUNK // 2, axis=0))
    assert np.array_equal(served[CHUNK // 2], rows[CHUNK // 2], equal_nan=True)
    assert (len(failures), vectors) == (1, 0)


@given(st.lists(st.floats(), min_size=1, max_size=40))
def test_an_array_is_calibrated_as_its_numbers_are_one_by_one(values: list[float]) -> None:
    for method in ("platt", "isotonic"):
        scalar = compile_scalar(single(method))
        champion = Champion(number=1, scalar=scalar, document=single(method))
        served = champion.apply(np.array(values), lambda _error: None)
        assert served == pytest.approx(champion.apply(values, lambda _error: None), rel=1e-12, nan_ok=True)


def test_an_array_with_values_that_are_missing_is_calibrated_elsewhere() -> None:
    import pandas as pd  # noqa: PLC0415  a type of its arrays

    champion = Champion(number=1, scalar=compile_scalar(single("platt")), document=single("platt"))
    failures: list[Exception] = []
    served = champion.apply(pd.array([0.25, None, 0.75], dtype="Float64").to_numpy(dtype=object), failures.append)

    assert served[[0, 2]] == pytest.approx([champion.scalar(0.25), champion.scalar(0.75)])
    assert math.isnan(served[1])
    assert len(failures) == 1
