"""Classes one by one against sums over rows."""

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.stats.classwise import class_calibration, classwise_rows, sce
from monitor.stats.noise import signed_sum_lower_bound, signs
from monitor.stats.reliability import Bins, ece

Floats = NDArray[np.float64]


def vectors(seed: int, n: int, classes: int, sharpening: float = 1.0) -> tuple[Floats, NDArray[np.int64]]:
    """Return probability vectors and labels that are drawn from a power of them."""
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.full(classes, 0.7), n)
    truth = p**sharpening / (p**sharpening).sum(axis=1, keepdims=True)
    return p, (truth.cumsum(axis=1) < generator.random(n)[:, None]).sum(axis=1)


@pytest.mark.parametrize("bins", [10, 12, 15, 20, 30])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_sce_is_the_mean_of_the_classes_errors(bins: int, classes: int) -> None:
    p, labels = vectors(classes, 700, classes)
    each = [ece(Bins.from_rows(p[:, j], labels == j, bins)) for j in range(classes)]
    assert sce(classwise_rows(p, labels), bins) == pytest.approx(np.mean(np.array(each, dtype=float)), abs=1e-12)


def test_classes_that_never_were_the_label_count() -> None:
    rows = classwise_rows([[0.5, 0.2, 0.3]] * 4, [0, 0, 0, 0])
    assert sce(rows) == pytest.approx((0.5 + 0.2 + 0.3) / 3)


def test_nothing_has_no_error() -> None:
    nothing = np.zeros((3, 60, 3))
    found = class_calibration(nothing, nothing, bins=15, alpha=0.05)
    assert sce(nothing) is None
    assert [(each.labelled, each.ece, each.observed, each.ece_lower_bound) for each in found] == [
        (0,) + (None,) * 3
    ] * 3


@pytest.mark.parametrize("bins", [7, 16, 120])
def test_bins_must_be_unions_of_cells(bins: int) -> None:
    with pytest.raises(ValueError, match="must divide 60"):
        sce(np.zeros((2, 60, 3)), bins)


def test_a_class_has_its_bound_from_the_signs_of_the_window_before() -> None:
    now, before = vectors(1, 2000, 4, 0.5), vectors(2, 1500, 4, 0.5)
    found = class_calibration(classwise_rows(*now), classwise_rows(*before), bins=15, alpha=0.05)
    for j, each in enumerate(found):
        bins, previous = (Bins.from_rows(p[:, j], labels == j, 15) for p, labels in (now, before))
        assert each.ece == pytest.approx(ece(bins), abs=1e-12)
        bound = signed_sum_lower_bound(bins.n, bins.sy, bins.sp, signs(previous), 0.05)
        assert each.ece_lower_bound == pytest.approx(bound, abs=1e-12)
        assert each.positives == (now[1] == j).sum()
        assert each.mean_probability == pytest.approx(now[0][:, j].mean())
        assert each.observed == pytest.approx((now[1] == j).mean())


def test_without_a_hundred_labels_before_there_is_no_bound() -> None:
    now, few = classwise_rows(*vectors(1, 500, 3)), classwise_rows(*vectors(2, 99, 3))
    for before in (None, few):
        assert {each.ece_lower_bound for each in class_calibration(now, before, bins=15, alpha=0.05)} == {None}


def test_the_bound_of_a_class_exceeds_the_truth_no_more_often_than_it_says() -> None:
    over = 0
    for seed in range(200):
        now, before = (classwise_rows(*vectors(2 * seed + i, 400, 3)) for i in (0, 1))
        found = class_calibration(now, before, bins=15, alpha=0.05)[0].ece_lower_bound
        assert found is not None
        over += found > 0  # the truth of a calibrated model
    assert over <= 200 * 0.05 + 3 * np.sqrt(200 * 0.05 * 0.95)
