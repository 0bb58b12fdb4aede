"""What `Client.calibrate` costs in process, by family of calibrators.

One number is compared with one row through scikit-learn's `CalibratedClassifierCV` over a logistic regression: how many calls take as
long as that row. A million numbers in an array are compared with `numpy.interp` over 60 knots, the plainest map that numpy has.
"""

import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression

from monitor import Client
from monitor.calibrators.document import seal
from tests.benchmarks.measure import Ratio, ratio, repeated

KNOTS = np.linspace(0.01, 0.99, 60)
HEIGHTS = np.linspace(0.05, 0.9, 60)
DOCUMENTS: dict[str, dict[str, Any]] = {
    "identity": {},
    "temperature": {"temperature": 1.5},
    "platt": {"slope": 0.7, "intercept": 0.1},
    "beta": {"a": 0.7, "b": 1.2, "c": 0.1},
    "quadratic_logit": {"square": 0.05, "slope": 0.8, "intercept": 0.1},
    "scaling_binning": {"edges": KNOTS[::4].tolist(), "values": [0.02, *HEIGHTS[::4].tolist()]},
    "isotonic": {"x": KNOTS.tolist(), "y": HEIGHTS.tolist()},
}
NOWHERE = "http://127.0.0.1:9"


def run() -> Iterator[Ratio]:
    """Yield both ratios per family."""
    logging.getLogger("calwatch.client").setLevel(logging.ERROR)  # it warns that there is no server
    one_row, many = _one_row(), np.random.default_rng(1).random(1_000_000)
    one_bad = many.copy()
    one_bad[500_000] = np.nan
    with tempfile.TemporaryDirectory() as folder:
        for method, parameters in DOCUMENTS.items():
            client = _client(Path(folder), {"method": method, "task": "binary", "parameters": parameters})
            value = ratio(repeated(one_row, 50), repeated(partial(client.calibrate, 0.83), 50), runs=15)
            yield Ratio(f"one number by {method}: calls in the time of one row through scikit-learn", value, "≥ 500")
            value = ratio(partial(client.calibrate, many), lambda: np.interp(many, KNOTS, HEIGHTS), runs=7)
            yield Ratio(f"a million numbers by {method}: time over that of numpy.interp", value, "≤ 3")
            value = ratio(partial(client.calibrate, one_bad), partial(client.calibrate, many), runs=7)
            yield Ratio(f"a million numbers by {method}, one of them NaN: time over that without it", value, "≤ 1.5")
            client.close(timeout=0)


def _one_row() -> Callable[[], object]:
    """Return scikit-learn's call for one row."""
    dice = np.random.default_rng(0)
    rows = dice.normal(size=(500, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = CalibratedClassifierCV(LogisticRegression(), method="sigmoid", cv=2)
        peer.fit(rows, (rows[:, 0] + dice.normal(size=500) > 0).astype(int))
    return lambda: peer.predict_proba(rows[:1])


def _client(folder: Path, fitted: dict[str, Any]) -> Client:
    """Return a client that serves a calibrator and finds no server."""
    path = folder / f"{fitted['method']}.json"
    path.write_text(
        json.dumps(seal(fitted, model="m", number=1, fitted_from={}, gate=None, created_at="2026-01-01T00:00:00Z"))
    )
    client = Client(NOWHERE, "m", bootstrap=path, refresh_seconds=3_600)
    if client.calibrator_version != 1:
        raise RuntimeError(f"{fitted['method']} is not in force")
    return client
