"""Scaling-binning: steps of equal weight under Platt's line."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.numeric import Floats
from monitor.calibrators.platt import Platt
from monitor.calibrators.rows import rows_of_cells
from monitor.calibrators.scaling_binning import ScalingBinning


def rows(n: int = 20_000, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0.5, 1.5, n)
    return expit(scores), (rng.uniform(size=n) < expit(0.6 * scores + 0.2)).astype(int)


def test_steps_are_means_of_platts_line_over_bins_of_equal_weight() -> None:
    p, y = rows(n=1_000)
    fitted, line = ScalingBinning(bins=10).fit(p, y), Platt().fit(p, y)
    scaled = line.predict_proba(np.sort(p)).reshape(10, 100)
    assert fitted.values_ == pytest.approx(scaled.mean(axis=1), abs=1e-12)
    assert np.bincount(np.searchsorted(fitted.edges_, p)).tolist() == [100] * 10


def test_equal_scores_stay_together() -> None:
    fitted = ScalingBinning(bins=4).fit([0.2] * 6 + [0.7] + [0.9], [0, 0, 0, 0, 1, 1, 1, 1])
    assert fitted.edges_.tolist() == pytest.approx([0.45])
    assert ScalingBinning(bins=15).fit([0.2, 0.7] * 5, [0, 1, 0, 1, 1, 1, 0, 0, 0, 1]).values_.shape == (2,)


def test_score_on_an_edge_lies_above_it() -> None:
    fitted = ScalingBinning(bins=2).fit([0.25, 0.25, 0.75, 0.75], [0, 1, 1, 1])
    assert fitted.edges_.tolist() == [0.5]
    assert fitted.predict_proba([0.5, np.nextafter(0.5, 0.0)]).tolist() == fitted.values_[::-1].tolist()


def test_neighbouring_floats_may_be_told_apart() -> None:
    above = float(np.nextafter(0.3, 1.0))
    fitted = ScalingBinning(bins=2).fit([0.1, 0.3, above, 0.9] * 3, [0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1])
    assert (np.diff(fitted.edges_) > 0.0).all()
    assert above in fitted.edges_


def test_order_of_rows_does_not_matter() -> None:
    p, y = rows(n=500)
    turned = np.random.default_rng(3).permutation(500)
    one, other = ScalingBinning().fit(p, y), ScalingBinning().fit(p[turned], y[turned])
    assert one.edges_.tolist() == other.edges_.tolist()
    assert one.values_ == pytest.approx(other.values_, abs=1e-12)


def test_steps_count_weights_as_rows() -> None:
    p, y = rows(n=1_000)
    weight = np.random.default_rng(2).integers(0, 4, 1_000)
    weighted = ScalingBinning().fit(p, y, weight)
    repeated = ScalingBinning().fit(np.repeat(p, weight), np.repeat(y, weight))
    assert weighted.edges_ == pytest.approx(repeated.edges_, abs=1e-12)
    assert weighted.values_ == pytest.approx(repeated.values_, rel=1e-9)


def test_steps_from_fine_cells_are_within_005_of_those_of_the_rows() -> None:
    p, y = rows()
    place = np.minimum((p * 1000).astype(int), 999)
    sums = [np.bincount(place, weights=w, minlength=1000) for w in (np.ones_like(p), y, p, p * y)]
    cells, whole = ScalingBinning().fit(*rows_of_cells(*sums)), ScalingBinning().fit(p, y)
    assert cells.edges_ == pytest.approx(whole.edges_, abs=0.001)
    assert cells.values_ == pytest.approx(whole.values_, abs=0.005)


def test_steps_never_fall() -> None:
    p, y = rows(n=300)
    assert (np.diff(ScalingBinning(bins=300).fit(np.round(p, 2), y).values_) >= 0.0).all()


@pytest.mark.parametrize(
    ("p", "y", "why"),
    [
        ([0.2, 0.3, 0.4], [0, 0, 0], "all labels are 0"),
        ([0.3, 0.3, 0.3], [0, 1, 0], "all scores are the same"),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], "slope is -"),
    ],
)
def test_steps_that_rows_do_not_determine_are_not_identified(p: list[Any], y: list[Any], why: str) -> None:
    with pytest.raises(NotIdentified, match=why):
        ScalingBinning().fit(p, y)


@pytest.mark.parametrize("bins", [1, 0, 20_001])
def test_number_of_bins_is_bounded(bins: int) -> None:
    with pytest.raises(ValueError, match="bins is"):
        ScalingBinning(bins=bins).fit([0.1, 0.9], [0, 1])
