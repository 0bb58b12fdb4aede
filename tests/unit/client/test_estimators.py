"""An estimator whose probabilities are calibrated and logged, beside real ones of scikit-learn. Nobody listens at the address."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from monitor import CalibratedModel, Client
from monitor.calibrators.compiled import compile_scalar, compile_vector
from monitor.calibrators.document import seal
from monitor.domain.errors import BadInput
from monitor.domain.events import PredictionEvent
from monitor.ingest.decode import decode_events

NOBODY = "http://127.0.0.1:9"
PLATT = {"method": "platt", "task": "binary", "parameters": {"slope": 0.7, "intercept": -0.3}}
VECTOR = {
    "method": "vector",
    "task": "multiclass",
    "parameters": {
        "slopes": [0.3, 2.0, 1.0],
        "intercepts": [0.5, 0.0, -0.5],
        "classes": ["virginica", "setosa", "versicolor"],
    },
}

X, Y = make_classification(300, random_state=1)
IRIS = load_iris()
NAMES = IRIS.target_names[IRIS.target]
Connect = Callable[..., Client]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Return how to make a client that has a calibrator, if one is named, and no server."""
    made: list[Client] = []

    def of(fitted: dict[str, Any] | None = None) -> Client:
        document = None
        if fitted is not None:
            document = tmp_path / "calibrator.json"
            sealed = seal(fitted, model="m", number=3, fitted_from={}, gate=None, created_at="2026-01-01T00:00:00Z")
            document.write_text(json.dumps(sealed))
        made.append(Client(NOBODY, "m", timeout=0.1, bootstrap=document))
        return made[-1]

    yield of
    for client in made:
        client.close(timeout=0)


def queued(client: Client) -> list[dict[str, Any]]:
    return [json.loads(item) for item in client._outbox.front(1_000, 1 << 30)]  # noqa: SLF001 - nobody listens


@pytest.fixture
def iris() -> LogisticRegression:
    return LogisticRegression(max_iter=500).fit(IRIS.data, NAMES)


def test_probabilities_of_two_classes_are_calibrated_and_logged(connect: Connect):
    client, estimator = connect(PLATT), LogisticRegression().fit(X, Y)
    raw = estimator.predict_proba(X)[:, 1]

    served = CalibratedModel(estimator, client).predict_proba(X)

    expected = [compile_scalar(PLATT)(p) for p in raw.tolist()]
    assert served.tolist() == [[1.0 - p, p] for p in expected]
    events = queued(client)
    assert [event["probability"] for event in events] == expected
    assert [event["raw_probability"] for event in events] == raw.tolist()
    assert {event["calibrator_version"] for event in events} == {3}
    assert len({event["event_id"] for event in events}) == len(X)


def test_probabilities_of_several_classes_go_by_name_whatever_the_calibrators_order(connect: Connect, iris: Any):
    client, order = connect(VECTOR), [2, 0, 1]  # of scikit-learn's sorted classes in the calibrator's
    raw = iris.predict_proba(IRIS.data[:60])

    served = CalibratedModel(iris, client).predict_proba(IRIS.data[:60])

    expected = np.array([compile_vector(VECTOR)(row) for row in raw[:, order].tolist()])
    np.testing.assert_allclose(served[:, order], expected, atol=1e-12)
    events = queued(client)
    assert events[0]["probabilities"] == dict(zip(iris.classes_, served[0].tolist(), strict=True))
    assert events[0]["raw_probabilities"] == dict(zip(iris.classes_, raw[0].tolist(), strict=True))


def test_without_a_calibrator_the_estimators_own_values_are_served(connect: Connect, iris: Any):
    client = connect()
    served = CalibratedModel(iris, client).predict_proba(IRIS.data)
    np.testing.assert_array_equal(served, iris.predict_proba(IRIS.data))
    assert "raw_probabilities" not in queued(client)[0]


@pytest.mark.parametrize("classes", [[0, 1, 2], [1.0, 2.0, 3.0], ["a", "b", "c"]], ids=str)
def test_what_is_logged_is_what_the_server_takes(connect: Connect, classes: list[Any]):
    client = connect()
    estimator = LogisticRegression(max_iter=500).fit(IRIS.data, np.array(classes)[IRIS.target])
    CalibratedModel(estimator, client).predict_proba(IRIS.data)
    waiting = client._outbox.front(1_000, 1 << 30)  # noqa: SLF001 - nobody listens
    decoded = decode_events(b"\n".join(waiting), "application/x-ndjson", now=datetime.now(UTC))
    assert (len(decoded.accepted), decoded.rejected) == (len(IRIS.data), [])
    first = decoded.accepted[0]
    assert isinstance(first, PredictionEvent)
    assert set(first.probabilities) == {str(name) for name in classes}


def test_event_ids_and_segments_are_those_given(connect: Connect):
    client = connect()
    model = CalibratedModel(LogisticRegression().fit(X, Y), client)
    rows, ids = model.serve(X[:2], event_ids=["a", 7], segments=[{"country": "CH"}, None])
    assert (rows.shape, ids) == ((2, 2), ["a", "7"])
    first, second = queued(client)
    assert (first["event_id"], first["segments"]) == ("a", {"country": "CH"})
    assert (second["event_id"], "segments" in second) == ("7", False)


def test_event_ids_of_a_frame_are_a_column_of_it(connect: Connect):
    frame = pd.DataFrame(X[:3], columns=[f"x{i}" for i in range(X.shape[1])], index=["u", "v", "w"])
    model = CalibratedModel(LogisticRegression().fit(frame, [0, 1, 0]), connect())
    assert model.serve(frame, event_ids=frame.index).event_ids == ["u", "v", "w"]
    assert list(model.feature_names_in_) == list(frame.columns)


@pytest.mark.parametrize("given", [{"event_ids": ["a"]}, {"segments": [{}] * 3}], ids=str)
def test_entries_that_are_not_one_per_row_are_refused_and_nothing_is_logged(connect: Connect, given: dict[str, Any]):
    client = connect()
    with pytest.raises(BadInput, match="one entry for each of the 2 rows"):
        CalibratedModel(LogisticRegression().fit(X, Y), client).predict_proba(X[:2], **given)
    assert queued(client) == []


def test_an_unusable_id_costs_its_own_event_only(connect: Connect):
    client = connect()
    served = CalibratedModel(LogisticRegression().fit(X, Y), client).serve(X[:2], event_ids=["", "b"])
    assert (served.event_ids, client.stats().dropped, len(queued(client))) == (["", "b"], 1, 1)


def test_an_estimator_of_several_outputs_is_refused(connect: Connect):
    several = MultiOutputClassifier(LogisticRegression()).fit(X, np.column_stack([Y, Y]))
    with pytest.raises(BadInput, match="one output"):
        CalibratedModel(several, connect()).predict_proba(X)


def test_predict_takes_the_likeliest_class_after_calibration_and_logs_nothing(connect: Connect, iris: Any):
    client = connect({**PLATT, "parameters": {"slope": 1.0, "intercept": -3.0}})
    estimator = LogisticRegression().fit(X, np.array(["no", "yes"])[Y])
    model = CalibratedModel(estimator, client)
    assert model.predict(X).tolist() == ["yes" if p > 0.5 else "no" for p in model.predict_proba(X)[:, 1]]
    assert (model.predict(X) == "yes").sum() < (estimator.predict(X) == "yes").sum()
    other = connect(VECTOR)
    several = CalibratedModel(iris, other)
    assert (
        several.predict(IRIS.data).tolist() == iris.classes_[several.predict_proba(IRIS.data).argmax(axis=1)].tolist()
    )
    assert client.stats().logged + other.stats().logged == len(X) + len(IRIS.data)


def test_fit_fits_a_clone_and_serves_it(connect: Connect):
    estimator = LogisticRegression()
    model = CalibratedModel(estimator, connect())
    assert model.fit(X, Y) is model
    assert not hasattr(estimator, "classes_")
    assert model.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(model.predict_proba(X), LogisticRegression().fit(X, Y).predict_proba(X))


def test_parameters_are_those_of_the_estimator_too(connect: Connect):
    model = CalibratedModel(LogisticRegression(C=2.0), connect())
    assert model.get_params()["estimator__C"] == 2.0
    assert set(model.get_params(deep=False)) == {"estimator", "client"}
    assert model.set_params(estimator__C=3.0).estimator.C == 3.0
    other = LogisticRegression()
    assert model.set_params(estimator=other, estimator__C=4.0).estimator is other
    assert other.C == 4.0
    with pytest.raises(BadInput, match="estimator__NAME"):
        model.set_params(C=1.0)


def test_a_clone_is_unfitted_and_shares_the_client(connect: Connect):
    model = CalibratedModel(LogisticRegression(C=2.0), connect()).fit(X, Y)
    twin = clone(model)
    assert (twin.client, twin.estimator.C) == (model.client, 2.0)
    assert twin.estimator is not model.estimator
    with pytest.raises(NotFittedError):
        check_is_fitted(twin)
    check_is_fitted(model)


def test_scikit_learn_takes_it_as_a_classifier_in_pipelines_and_searches(connect: Connect):
    client = connect()
    model = CalibratedModel(LogisticRegression(), client)
    assert is_classifier(model)
    pipeline = make_pipeline(StandardScaler(), model).fit(X, Y)
    assert pipeline.predict_proba(X).shape == (len(X), 2)
    search = GridSearchCV(model, {"estimator__C": [0.01, 1.0]}, cv=2).fit(X, Y)
    assert search.best_estimator_.score(X, Y) > 0.8
    assert client.stats().logged == len(X)


def test_a_fitted_model_is_pickled_as_its_estimator_is(connect: Connect):
    model = CalibratedModel(LogisticRegression().fit(X, Y), connect())
    model.client = None
    twin = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own
    assert twin.predict.__self__.classes_.tolist() == [0, 1]


def test_nothing_of_scikit_learn_is_imported_for_other_estimators():
    code = (
        "import sys\n"
        "from monitor import CalibratedModel, Client\n"
        "class Other:\n"
        "    classes_ = [0, 1]\n"
        "    def predict_proba(self, X): return [[0.4, 0.6]] * len(X)\n"
        "with Client('http://127.0.0.1:9', 'm', timeout=0.1) as client:\n"
        "    model = CalibratedModel(Other(), client)\n"
        "    print(model.predict_proba([1, 2]).tolist(), model.predict([1]).tolist(), 'sklearn' in sys.modules)\n"
        "    client.close(timeout=0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[0.4, 0.6], [0.4, 0.6]] [1] False"
