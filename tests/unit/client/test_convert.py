"""Calibrators of scikit-learn and betacal as documents: the same map, or an error that says why not."""

import subprocess
import sys
import warnings
from typing import Any

import betacal
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from monitor import Client
from monitor.calibrators.errors import BadDocument
from monitor.calibrators.families import from_document
from monitor.calibrators.platt import Platt
from monitor.client import document_from
from monitor.client.transport import Answer, Transport
from monitor.domain.errors import BadInput, Conflict, MonitorError, NotFound, Unavailable

Floats = NDArray[np.float64]
INNER = np.concatenate([np.linspace(1e-5, 1 - 1e-5, 5_001), [1e-5, 0.5, 0.99999]])


def logit(p: Floats) -> Floats:
    return np.asarray(np.log(p / (1 - p)))


@pytest.fixture(scope="module")
def rows() -> tuple[Floats, NDArray[np.int64]]:
    """Return scores that are too sure of themselves, and outcomes."""
    dice = np.random.default_rng(5)
    p = np.clip(dice.beta(0.7, 0.7, 3_000), 1e-4, 1 - 1e-4)
    return p, (dice.random(3_000) < 1 / (1 + np.exp(-0.5 * logit(p) - 0.3))).astype(int)


@pytest.fixture(scope="module")
def features() -> tuple[Floats, NDArray[np.int64]]:
    dice = np.random.default_rng(6)
    x = dice.normal(size=(900, 3))
    return x, (x[:, 0] + dice.normal(size=900) > 0).astype(int)


def applied(document: dict[str, Any], p: Floats) -> Floats:
    return np.asarray(from_document(document).predict_proba(p))


def test_isotonic_regression_is_the_same_map(rows: Any) -> None:
    fitted = IsotonicRegression(out_of_bounds="clip").fit(*rows)
    document = document_from(fitted)
    assert document["method"] == "isotonic"
    p = np.linspace(0.0, 1.0, 5_001)
    np.testing.assert_allclose(applied(document, p), fitted.predict(p), rtol=0, atol=1e-12)


def test_isotonic_regression_that_turns_scores_around_is_refused(rows: Any) -> None:
    falling = IsotonicRegression(increasing=False).fit(rows[0], 1 - rows[1])
    with pytest.raises(BadInput, match="its map falls"):
        document_from(falling)


def test_isotonic_regression_of_logits_is_sampled(rows: Any) -> None:
    fitted = IsotonicRegression(out_of_bounds="nan").fit(logit(rows[0]), rows[1])
    reached = INNER[(INNER > rows[0].min()) & (INNER < rows[0].max())]
    np.testing.assert_allclose(
        applied(document_from(fitted, on="logit"), reached), fitted.predict(logit(reached)), rtol=0, atol=1e-6
    )


def test_logistic_regression_of_logits_is_platt(rows: Any) -> None:
    fitted = LogisticRegression().fit(logit(rows[0]).reshape(-1, 1), rows[1])
    document = document_from(fitted, on="logit")
    assert document["method"] == "platt"
    expected = fitted.predict_proba(logit(INNER).reshape(-1, 1))[:, 1]
    np.testing.assert_allclose(applied(document, INNER), expected, rtol=0, atol=1e-12)


def test_logistic_regression_of_probabilities_is_sampled(rows: Any) -> None:
    fitted = LogisticRegression().fit(rows[0].reshape(-1, 1), rows[1])
    p = np.linspace(0.0, 1.0, 5_001)
    document = document_from(fitted, on="probability")
    np.testing.assert_allclose(applied(document, p), fitted.predict_proba(p.reshape(-1, 1))[:, 1], rtol=0, atol=1e-6)


def test_logistic_regression_does_not_say_what_it_takes(rows: Any) -> None:
    fitted = LogisticRegression().fit(logit(rows[0]).reshape(-1, 1), rows[1])
    with pytest.raises(BadInput, match="tell whether logit or probability"):
        document_from(fitted)
    with pytest.raises(BadInput, match="must be logit or probability"):
        document_from(fitted, on="score")


def test_a_falling_slope_is_no_calibrator(rows: Any) -> None:
    fitted = LogisticRegression().fit(logit(rows[0]).reshape(-1, 1), 1 - rows[1])
    with pytest.raises(BadDocument, match="slope"):
        document_from(fitted, on="logit")


def test_logistic_regression_of_several_features_is_no_calibrator(features: Any) -> None:
    with pytest.raises(BadInput, match="3 features"):
        document_from(LogisticRegression().fit(*features), on="logit")


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize(
    "make",
    [
        LogisticRegression,
        GaussianNB,
        lambda: make_pipeline(StandardScaler(), LogisticRegression()),
        lambda: RandomForestClassifier(30, min_samples_leaf=20, random_state=0),
    ],
    ids=["logistic regression", "naive Bayes", "pipeline", "forest"],
)
def test_a_calibrated_classifier_gives_what_it_makes_of_its_own_scores(features: Any, method: str, make: Any) -> None:
    x, y = features
    inner = make().fit(x[:450], y[:450])
    fitted = CalibratedClassifierCV(FrozenEstimator(inner), method=method).fit(x[450:], y[450:])
    raw = inner.predict_proba(x)[:, 1]
    well = (raw > 2e-6) & (raw < 1 - 2e-6)
    served = applied(document_from(fitted), raw)
    np.testing.assert_allclose(served[well], fitted.predict_proba(x)[well, 1], rtol=0, atol=1e-6)


def test_a_calibrated_classifier_without_ensemble_is_converted(features: Any) -> None:
    fitted = CalibratedClassifierCV(LogisticRegression(), ensemble=False, cv=3).fit(*features)
    assert document_from(fitted)["method"] == "platt"


def test_an_ensemble_is_no_single_calibrator(features: Any) -> None:
    fitted = CalibratedClassifierCV(LogisticRegression(), ensemble=True, cv=3).fit(*features)
    with pytest.raises(BadInput, match="ensemble=False"):
        document_from(fitted)


def test_several_classes_go_by_temperature_alone() -> None:
    dice = np.random.default_rng(8)
    x = dice.normal(size=(1_200, 3))
    y = (x + dice.normal(size=x.shape)).argmax(axis=1)
    inner = LogisticRegression().fit(x[:600], y[:600])
    warm = CalibratedClassifierCV(FrozenEstimator(inner), method="temperature").fit(x[600:], y[600:])
    document = document_from(warm, task="multiclass")
    assert document["method"] == "temperature"
    np.testing.assert_allclose(applied(document, inner.predict_proba(x)), warm.predict_proba(x), rtol=0, atol=1e-9)
    sigmoid = CalibratedClassifierCV(FrozenEstimator(inner), method="sigmoid").fit(x[600:], y[600:])
    with pytest.raises(BadInput, match="calibrator for each class"):
        document_from(sigmoid, task="multiclass")


def three(x: Floats) -> NDArray[np.int64]:
    return np.digitize(x[:, 0] + np.random.default_rng(10).normal(size=len(x)), [-0.5, 0.5])


def test_several_classes_are_never_taken_for_two(features: Any) -> None:
    x, _ = features
    warm = CalibratedClassifierCV(LogisticRegression(), method="temperature", ensemble=False).fit(x, three(x))
    with pytest.raises(BadInput, match="must be multiclass"):
        document_from(warm)
    scores = x[:, :1]
    with pytest.raises(BadInput, match="tells 3 classes apart"):
        document_from(LogisticRegression().fit(scores, three(x)), on="logit")
    with pytest.raises(BadInput, match="answers with 3 classes"):
        document_from(make_pipeline(StandardScaler(), LogisticRegression()).fit(scores, three(x)))


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize(
    "inner",
    [SGDClassifier(loss="modified_huber", random_state=0), BaggingClassifier(LogisticRegression(), 3, random_state=0)],
    ids=["clipped margins", "a mean of logits"],
)
def test_a_classifier_whose_score_is_no_logit_of_its_probability_is_not_guessed_at(
    features: Any, method: str, inner: Any
) -> None:
    fitted = CalibratedClassifierCV(inner, method=method, ensemble=False, cv=3).fit(*features)
    with pytest.raises(BadInput, match="tell whether logit or probability"):
        document_from(fitted)


def test_a_temperature_of_confidences_is_that_of_two_classes(features: Any) -> None:
    x, y = features
    fitted = CalibratedClassifierCV(LogisticRegression(), method="temperature", ensemble=False).fit(x, y)
    p = np.linspace(0.01, 0.99, 99)
    served = applied(document_from(fitted, task="confidence"), p)
    np.testing.assert_allclose(served, applied(document_from(fitted), p), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "unfitted",
    [IsotonicRegression(), LogisticRegression(), CalibratedClassifierCV(ensemble=False), GaussianNB(), Platt()],
    ids=lambda unfitted: type(unfitted).__name__,
)
def test_what_is_not_fitted_is_refused_in_words(unfitted: Any) -> None:
    with pytest.raises(BadInput, match="is it fitted"):
        document_from(unfitted, on="logit")


@pytest.mark.parametrize("parameters", ["abm", "am", "ab", "a"])
def test_beta_calibration_is_the_same_map(rows: Any, parameters: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = betacal.BetaCalibration(parameters).fit(*rows)
        document = document_from(fitted)
        assert document["method"] == "beta"
        np.testing.assert_allclose(applied(document, INNER), fitted.predict(INNER), rtol=0, atol=1e-9)


MAPS = {
    "a power": lambda p: p**0.3,
    "a step": lambda p: np.where(p < 0.3123, 0.1, 0.8),
    "bins": lambda p: np.floor(p * 7.3) / 8,
    "steep": lambda p: 1 / (1 + np.exp(-500 * (p - 0.5))),
    "flat": lambda p: np.full_like(p, 0.25),
    "single precision": lambda p: (p.astype(np.float32) ** 2).astype(np.float32),
}


@pytest.mark.parametrize("name", MAPS)
def test_any_increasing_map_is_sampled_within_the_stated_error(name: str) -> None:
    document = document_from(MAPS[name])
    p = np.random.default_rng(9).random(200_000)
    assert np.abs(applied(document, p) - MAPS[name](p)).max() <= 1.2e-6


class Smooth:
    """Calibrates as some packages do, by `predict`."""

    def predict(self, p: Floats) -> Floats:
        return 0.8 * p + 0.1


def test_what_predicts_is_sampled() -> None:
    np.testing.assert_allclose(applied(document_from(Smooth()), INNER), 0.8 * INNER + 0.1, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("fitted", "words"),
    [
        (lambda p: 1 - p, "not increasing"),
        (lambda p: p * np.nan, "not increasing"),
        (lambda p: 2 * p, "gives probabilities"),
        (lambda p: np.floor(3e4 * p) / 3e4, "is off by"),
        (3, "no calibrator"),
    ],
)
def test_what_is_no_such_map_is_refused(fitted: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        document_from(fitted)


LIGHT = """
import sys
from monitor.client import document_from
heavy = {"numpy", "scipy", "sklearn", "betacal"} & set(sys.modules)
assert not heavy, heavy
"""


def test_the_converter_loads_nothing() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True, timeout=60)


# Registering


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that lets the server answer, and a list of what it is sent."""
    sent: list[tuple[str, bytes]] = []

    def answering(status: int, body: bytes) -> list[tuple[str, bytes]]:
        def post(_self: Any, path: str, content: bytes, **_: Any) -> Answer:
            sent.append((path, content))
            return Answer(status=status, body=body)

        monkeypatch.setattr(Transport, "post", post)
        return sent

    return answering


def test_register_sends_the_working_part_and_returns_the_answer(answers: Any) -> None:
    sent = answers(200, b'{"number": null, "promoted": false, "reason": "no better"}')
    with Client("http://127.0.0.1:9", "a/b") as client:
        answer = client.register(document_from(Smooth()) | {"number": 9, "sha256": "x"}, promote=True)
    assert answer["reason"] == "no better"
    ((path, content),) = sent
    assert path == "/v1/models/a%2Fb/calibrators"
    assert content.startswith(b'{"document":{"method":"isotonic","task":"binary","parameters":')
    assert content.endswith(b'},"promote":true}')


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (422, b'{"detail": "d", "errors": [{"field": "document", "value": 1, "reason": "r"}]}', BadInput),
        (422, b'{"detail": "d", "errors": []}', MonitorError),
        (404, b'{"detail": "there is no model"}', NotFound),
        (409, b'{"detail": "another one"}', Conflict),
        (401, b'{"detail": "key"}', MonitorError),
        (503, b'{"detail": "later"}', Unavailable),
        (404, b"<html>", Unavailable),
        (200, b"[]", Unavailable),
    ],
)
def test_register_raises_what_the_server_says(answers: Any, status: int, body: bytes, kind: type[Exception]) -> None:
    answers(status, body)
    with Client("http://127.0.0.1:9", "m") as client, pytest.raises(MonitorError) as raised:
        client.register({"method": "identity", "task": "binary", "parameters": {}})
    assert type(raised.value) is kind


def test_register_raises_where_nobody_answers() -> None:
    with Client("http://127.0.0.1:9", "m", timeout=0.2) as client, pytest.raises(Unavailable):
        client.register({"method": "identity", "task": "binary", "parameters": {}}, timeout=0.2)
