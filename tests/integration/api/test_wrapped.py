"""What an estimator and batches log is what the server understands: its accuracy is that which the caller counts."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_classification
from sklearn.linear_model import LogisticRegression

from monitor import CalibratedModel, Client
from tests.integration.conftest import NOON, Api

IRIS = load_iris()
NAMES = [
    np.array(["setosa", "versicolor", "virginica"]),
    np.array([0, 1, 2]),
    np.array([1.0, 2.0, 3.0]),
    np.array([10, 2, 1]),
]


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client("http://127.0.0.1:9", "m", timeout=0.1)  # nobody listens: what is queued is handed to the application
    yield made
    made.close(timeout=0)


def hand_over(client: Client, api: Api) -> None:
    """Send what a client has queued, as if it had been logged at the time of the application."""
    events = [json.loads(item) for item in client._outbox.front(10_000, 1 << 30)]  # noqa: SLF001
    assert api.send(*(event | {"timestamp": NOON} for event in events)) == {"accepted": len(events), "rejected": []}


def figures(api: Api) -> Any:
    return api.get("/v1/models/m/calibration", window="24h")


@pytest.mark.parametrize("names", NAMES, ids=str)
@pytest.mark.parametrize("declared", [[0, 1, 2], [2, 0, 1]], ids=str)
def test_classes_keep_their_names_whatever_the_order_in_which_they_are_declared(
    api: Api, client: Client, names: Any, declared: list[int]
):
    api.put(task="multiclass", classes=[str(names[k]) for k in declared], label_delay="0s", status=201)
    truth = names[IRIS.target]
    model = CalibratedModel(LogisticRegression(C=0.02, max_iter=500).fit(IRIS.data, truth), client)
    served = model.serve(IRIS.data)
    client.label_many(served.event_ids, truth)
    hand_over(client, api)
    right = float((model.classes_[served.probabilities.argmax(axis=1)] == truth).mean())
    assert 0.8 < right < 1.0
    assert figures(api)["accuracy"] == pytest.approx(right)
    assert figures(api)["labelled"] == len(IRIS.data)


def test_two_classes_are_the_probability_of_the_second(api: Api, client: Client):
    api.put(task="binary", classes=["stays", "leaves"], label_delay="0s", status=201)
    rows, target = make_classification(200, random_state=1)
    truth = np.array(["stays", "leaves"])[target]
    model = CalibratedModel(LogisticRegression().fit(rows, target), client)  # 1 is `leaves`
    ids = [f"e{i}" for i in range(len(rows))]
    served = model.predict_proba(rows, event_ids=ids)
    client.label_many(ids, truth)
    hand_over(client, api)
    assert figures(api)["accuracy"] == pytest.approx(float(((served[:, 1] > 0.5) == target).mean()))
    assert figures(api)["brier"] == pytest.approx(float(((served[:, 1] - target) ** 2).mean()))
