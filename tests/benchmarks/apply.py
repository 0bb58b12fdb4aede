"""What a calibrator costs in process: over scikit-learn's calibrated classifier on one row, and over numpy.interp."""

import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression

from monitor.calibrators.families import from_document
from monitor.calibrators.scalar import compile_scalar
from tests.benchmarks.measure import Ratio, ratio, repeated

DOCUMENTS = {
    "temperature": {"temperature": 1.5},
    "platt": {"slope": 0.7, "intercept": 0.1},
    "isotonic": {"x": np.linspace(0.01, 0.99, 60).tolist(), "y": np.linspace(0.05, 0.9, 60).tolist()},
}


def run() -> Iterator[Ratio]:
    """Yield the ratios per family."""
    dice = np.random.default_rng(0)
    rows = dice.normal(size=(500, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = CalibratedClassifierCV(LogisticRegression(), method="sigmoid", cv=2)
        peer.fit(rows, (rows[:, 0] + dice.normal(size=500) > 0).astype(int))
    many = dice.random(1_000_000)
    knots = np.linspace(0, 1, 60)
    for method, parameters in DOCUMENTS.items():
        document = {"method": method, "task": "binary", "parameters": parameters}
        scalar = compile_scalar(document)
        value = ratio(
            repeated(lambda: peer.predict_proba(rows[:1]), 50),
            repeated(lambda scalar=scalar: scalar(0.83), 50),
            runs=15,
        )
        yield Ratio(f"scikit-learn's calibrated classifier on one row: over {method} on one number", value)
        fitted = from_document(document)
        value = ratio(lambda fitted=fitted: fitted.predict_proba(many), lambda: np.interp(many, knots, knots), runs=7)
        yield Ratio(f"{method} on 10^6 numbers: over numpy.interp with 60 knots", value)
