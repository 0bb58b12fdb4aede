"""Estimators: scikit-learn's manner, without scikit-learn."""

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from monitor.calibrators.errors import BadDocument, NotFitted
from monitor.calibrators.families import FAMILIES, from_document, make
from monitor.calibrators.platt import Platt
from monitor.calibrators.scaling_binning import ScalingBinning

BINARY = [method for method, estimator in FAMILIES.items() if "binary" in estimator.family.tasks]
P, Y = np.array([0.2, 0.3, 0.4, 0.6, 0.7, 0.8]), np.array([0, 0, 1, 0, 1, 1])


def waves(X: Any) -> Any:
    """Return a column of probabilities made of the first of any numbers; what is no matrix of numbers stays as it is."""
    given = X if hasattr(X, "toarray") else np.asarray(X)
    if given.ndim != 2 or not given.shape[1] or hasattr(X, "toarray") or given.dtype.kind == "c":
        return X
    try:
        with np.errstate(invalid="ignore"):
            return 0.5 + 0.45 * np.sin(5.0 * given[:, :1].astype(float))
    except TypeError:
        return given[:, :1]


def in_front(family: type[Any]) -> type[Any]:
    """Return the family behind a model whose probabilities and outcomes are made of whatever numbers it gets.

    scikit-learn's checks send columns of any numbers with labels of their own; calibrators take probabilities that have to do with theirs.
    """

    class Model(family):  # type: ignore[misc]  # made at run time
        def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
            p = waves(X)
            if p is not X and p.dtype == float and np.asarray(y).shape == (len(p),):
                y = (996.0 * p % 1.0 < p)[:, 0]
            return super().fit(p, y, sample_weight)

        def predict_proba(self, X: Any) -> Any:
            return super().predict_proba(waves(X))

    Model.__name__ = Model.__qualname__ = f"{family.__name__}InFront"
    Model.__module__ = __name__
    globals()[Model.__name__] = Model  # so that pickle finds it
    return Model


MODELS = {method: in_front(FAMILIES[method]) for method in BINARY}

EXPECTED = {
    "check_n_features_in": "the model in front hands over one column, however many it gets",
    "check_n_features_in_after_fitting": "the model in front hands over one column, however many it gets",
    "check_fit2d_predict1d": "single probabilities may also come as a plain list",
    "check_dtype_object": "what is no number is a ValueError here, as all that is wrong with rows, and no TypeError",
    "check_estimators_empty_data_messages": "a matrix without columns is refused in other words",
}


@pytest.mark.filterwarnings("ignore:.*does not inherit from `sklearn.base.BaseEstimator`:UserWarning")
@pytest.mark.parametrize("method", BINARY)
def test_estimator_passes_the_checks_of_scikit_learn_but_for_a_few_with_a_reason(method: str) -> None:
    results = check_estimator(MODELS[method](), on_fail=None, on_skip=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert set(failed) == set(EXPECTED), failed


def test_estimators_are_not_scikit_learns() -> None:
    code = "import sys, monitor.calibrators.families; print('sklearn' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "False\n"


def test_estimator_that_is_not_fitted_says_so_without_scikit_learn() -> None:
    code = (
        "from monitor.calibrators.platt import Platt; from monitor.calibrators.errors import NotFitted\n"
        "try: Platt().predict_proba([0.5])\n"
        "except NotFitted as error: print(type(error) is NotFitted, error)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "True this Platt is not fitted: call fit first\n"


@pytest.mark.parametrize("method", [method for method in BINARY if FAMILIES[method].learns])
def test_estimator_that_is_not_fitted_has_neither_map_nor_document(method: str) -> None:
    for error in (NotFitted, NotFittedError, ValueError, AttributeError):
        with pytest.raises(error, match="not fitted: call fit first"):
            make(method, task="binary").predict_proba([0.5])
    with pytest.raises(NotFitted):
        make(method, task="binary").to_document()


@pytest.mark.parametrize("method", BINARY)
def test_estimator_survives_clone_and_pickle(method: str) -> None:
    fitted = make(method, task="confidence", classes=2).fit(P, Y)
    unfitted = clone(fitted)
    assert unfitted.get_params() == fitted.get_params()
    assert not FAMILIES[method].learns or not hasattr(unfitted, "n_features_in_")
    restored = pickle.loads(pickle.dumps(fitted))  # noqa: S301  our own bytes
    assert restored.predict_proba(P).tolist() == fitted.predict_proba(P).tolist()


@pytest.mark.parametrize("method", BINARY)
def test_estimator_takes_a_column_as_it_takes_a_list(method: str) -> None:
    one, other = make(method, task="binary").fit(P, Y), make(method, task="binary").fit(P[:, None], Y)
    assert one.to_document() == other.to_document()
    assert one.predict_proba(P).tolist() == other.predict_proba(P[:, None]).tolist()
    assert one.n_features_in_ == from_document(one.to_document()).n_features_in_ == 1


def test_estimator_shows_what_differs_from_its_defaults() -> None:
    assert repr(ScalingBinning(bins=7)) == "ScalingBinning(bins=7)"
    assert repr(ScalingBinning(task="confidence")) == "ScalingBinning(task='confidence')"


def test_estimator_names_its_settings_when_one_is_unknown() -> None:
    with pytest.raises(ValueError, match="'clip' is no setting of Platt; it has task"):
        Platt().set_params(clip=0.1)


def test_family_reads_documents_of_its_own_method_only() -> None:
    with pytest.raises(BadDocument, match="Platt reads platt"):
        Platt.from_document({"method": "identity", "task": "binary", "parameters": {}})
