"""How far figures over the fixed cells lie from those of the raw rows."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from monitor.stats.cells import Cells
from monitor.stats.decomposition import corp
from monitor.stats.discrimination import auc
from monitor.stats.reliability import ace, distinct
from monitor.stats.selective import aurc, ranking
from monitor.stats.smooth import smooth_ece

Floats = NDArray[np.float64]
Rows = tuple[Floats, Floats]
N = 100_000


def simulated(kind: str, power: float) -> Rows:
    """Return forecasts and outcomes that are drawn from a power of them, 1 for a calibrated model."""
    dice = np.random.default_rng(7)
    p = {
        "uniform": dice.random(N),
        "top-label": np.where(dice.random(N) < 0.8, 1 - 10 ** -dice.uniform(3, 8, N), dice.beta(5, 1, N)),
        "rare": dice.beta(1, 200, N),
    }[kind]
    return p, (dice.random(N) < p**power).astype(np.float64)


def digits() -> Rows:
    """Return the confidences of a logistic regression in its answers to handwritten digits, and whether they are right."""
    images, labels = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=100, tol=1e-2).fit(images[:600], labels[:600])
    p = model.predict_proba(images[600:])
    return p.max(axis=1), (p.argmax(axis=1) == labels[600:]).astype(np.float64)


SETS: dict[str, Callable[[], Rows]] = {
    f"{kind} {name}": lambda kind=kind, power=power: simulated(kind, power)  # type: ignore[misc] # defaults bind the loop
    for kind in ("uniform", "top-label", "rare")
    for name, power in (("calibrated", 1.0), ("off", 1.3))
}
SETS["digits"] = digits


@pytest.fixture(params=SETS, scope="module")
def rows(request: pytest.FixtureRequest) -> Rows:
    return SETS[request.param]()


def test_ace_is_within_5e_4_of_the_rows(rows: Rows) -> None:
    assert ace(Cells.from_rows(*rows)) == pytest.approx(ace(distinct(*rows)), abs=5e-4)


def test_smooth_ece_is_within_1e_4_of_the_rows(rows: Rows) -> None:
    assert smooth_ece(Cells.from_rows(*rows)) == pytest.approx(smooth_ece(distinct(*rows)), abs=1e-4)


def test_corp_is_within_6e_4_of_the_rows(rows: Rows) -> None:
    found, exact = corp(Cells.from_rows(*rows)), corp(distinct(*rows))
    assert found is not None
    assert exact is not None
    assert found.miscalibration == pytest.approx(exact.miscalibration, abs=6e-4)
    assert found.discrimination == pytest.approx(exact.discrimination, abs=6e-4)


def test_aurc_is_within_1e_5_of_the_rows(rows: Rows) -> None:
    found, exact = (aurc(ranking(sums(*rows), binary=False)) for sums in (Cells.from_rows, distinct))
    assert found == pytest.approx(exact, abs=1e-5)


def test_aurc_of_a_binary_model_is_within_1e_5_of_the_rows(rows: Rows) -> None:
    p, y = rows
    answers = distinct(np.where(p > 0.5, p, 1 - p), np.where(p > 0.5, y, 1 - y))
    found = aurc(ranking(Cells.from_rows(p, y), binary=True))
    assert found == pytest.approx(aurc(ranking(answers, binary=False)), abs=1e-5)


def test_auc_is_within_5e_4_of_the_rows(rows: Rows) -> None:
    p, y = rows
    found = auc(Cells.from_rows(p, y))
    assert found is not None
    assert found[0] == pytest.approx(roc_auc_score(y, p), abs=5e-4)
