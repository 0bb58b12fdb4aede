"""Scores of whole windows from independent packages, on random and on hostile inputs."""

from fractions import Fraction
from itertools import starmap
from typing import get_args

import numpy as np
import pytest
from calibration.utils import get_selective_stats, get_top_predictions
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score, roc_curve
from statsmodels.api import GLM, Logit, families

from monitor.stats import entries
from monitor.stats.cells import Cells
from monitor.stats.cox import cox, offset
from monitor.stats.direction import Direction, direction
from monitor.stats.entries import LOG_CLIP, Scored, binary_losses, top, vector_losses
from monitor.stats.reliability import distinct
from monitor.stats.scores import accuracy, brier, calibration_in_the_large_z, mean_confidence, spiegelhalter_z
from monitor.stats.selective import SAME, augrc, aurc, ranking, risk_coverage
from monitor.stats.summary import Summary

Floats = NDArray[np.float64]
Window = tuple[Floats, Floats]
Answers = tuple[Floats, NDArray[np.int64]]
ROUNDING = 1e-12
FIXED_POINT = 2.0**-29  # of a mean over sums in multiples of 2⁻³⁰


def summed(p: Floats, y: Floats) -> Summary:
    """Return the sums that are stored of a binary model's labelled events."""
    scored = [
        Scored(i, False, "both", confidence, int(outcome), *binary_losses(confidence, int(outcome)))
        for i, (confidence, outcome) in enumerate(zip(p.tolist(), y.tolist(), strict=True))
    ]
    return Summary.of_entries(*entries.of_outcomes(scored)[1:])


def test_brier_and_accuracy_are_those_of_scikit_learn(window: Window) -> None:
    p, y = window
    cells = Cells.from_rows(p, y)
    peer = brier_score_loss(y, p, labels=[0, 1], pos_label=1)
    assert brier(cells) == pytest.approx(peer, abs=ROUNDING)
    assert summed(p, y).loss("served", "brier") / len(p) == pytest.approx(peer, abs=FIXED_POINT)
    assert accuracy(cells, binary=True) == pytest.approx(accuracy_score(y, p > 0.5), abs=ROUNDING)
    assert accuracy(cells, binary=False) == pytest.approx(y.mean(), abs=ROUNDING)
    assert mean_confidence(cells) == pytest.approx(p.mean(), abs=ROUNDING)


@pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one")
def test_log_loss_is_that_of_scikit_learn_once_clipped(window: Window) -> None:
    p, y = window
    both = np.column_stack([1 - p, p])
    peer = log_loss(y, np.maximum(both, LOG_CLIP), labels=[0, 1])
    found = summed(p, y)
    assert found.loss("served", "log_loss") / len(p) == pytest.approx(peer, abs=FIXED_POINT)
    assert found.loss("served", "clipped") == (both[np.arange(len(y)), y.astype(int)] < LOG_CLIP).sum()


@pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one")
def test_losses_of_vectors_are_those_of_scikit_learn(answers: Answers) -> None:
    p, labels = answers
    losses, clipped, briers = zip(*starmap(vector_losses, zip(p.tolist(), labels.tolist(), strict=True)), strict=True)
    classes = list(range(p.shape[1]))
    assert np.mean(losses) == pytest.approx(log_loss(labels, np.maximum(p, LOG_CLIP), labels=classes), abs=1e-9)
    assert np.mean(briers) == pytest.approx(
        brier_score_loss(labels, p, labels=classes, scale_by_half=False), abs=ROUNDING
    )
    assert sum(clipped) == (p[np.arange(len(labels)), labels] < LOG_CLIP).sum()
    assert [top(vector) for vector in p.tolist()] == get_top_predictions(p).tolist()


def standardised(p: Floats, y: Floats, direction_of: Floats) -> float | None:
    """Return the score test of statsmodels for a deviation of log odds from the forecasts' in some direction, as a normal score.

    Certain forecasts, whose log odds are infinite, have no variance: they are put so near their ends that they have next to none.
    """
    near = np.clip(p, 1e-14, 1 - 1e-14)
    model = GLM(y, direction_of[:, None], family=families.Binomial(), offset=logit(near))
    information = -float(model.hessian(np.zeros(1), observed=False)[0, 0])
    return None if information < 1e-10 else float(model.score(np.zeros(1))[0]) / float(np.sqrt(information))


def test_calibration_in_the_large_is_the_score_test_of_statsmodels(window: Window) -> None:
    p, y = window
    peer = standardised(p, y, np.ones_like(p))
    found = calibration_in_the_large_z(Cells.from_rows(p, y))
    assert found == (None if peer is None else pytest.approx(peer, rel=1e-7, abs=1e-7))


def test_spiegelhalters_z_is_the_score_test_of_statsmodels(window: Window) -> None:
    p, y = window
    peer = standardised(p, y, 1 - 2 * p)
    sums = summed(p, y)
    found = spiegelhalter_z(
        sums.loss("served", "spiegelhalter_numerator"), sums.loss("served", "spiegelhalter_denominator")
    )
    assert found == (None if peer is None else pytest.approx(peer, abs=1e-4))


def told_apart(x: Floats, y: Floats) -> bool:
    """Return whether one class is all there is, or some cut leaves no one inside of it on the wrong side."""
    ones, zeros = x[y == 1], x[y == 0]
    return not len(ones) or not len(zeros) or ones.min() >= zeros.max() or ones.max() <= zeros.min()


def test_coxs_line_is_the_logit_of_statsmodels(window: Window) -> None:
    p, y = window
    x = logit(np.clip(p, 1e-6, 1 - 1e-6))
    found = cox(distinct(p, y))
    if told_apart(x, y):
        assert found is None
        assert direction(Cells.from_rows(p, y), None, binary=True) in get_args(Direction)
        return
    peer = Logit(y, np.column_stack([np.ones_like(x), x])).fit(disp=0, method="newton", tol=1e-12, maxiter=100)
    assert found is not None
    assert (found.intercept, found.slope) == pytest.approx(peer.params, rel=1e-6, abs=1e-7)
    assert (found.intercept_error, found.slope_error) == pytest.approx(peer.bse, rel=1e-5)


def test_the_offset_is_where_the_likelihood_of_statsmodels_is_highest(window: Window) -> None:
    p, y = window
    found = offset(distinct(p, y))
    if 0 in {y.sum(), (1 - y).sum()}:
        assert found is None
        return
    # Its own steps diverge where all forecasts are certain; the likelihood is concave, so that no gradient is left at its maximum only.
    model = GLM(y, np.ones((len(y), 1)), family=families.Binomial(), offset=logit(np.clip(p, 1e-6, 1 - 1e-6)))
    assert found is not None
    at = np.array([found.intercept])
    assert float(model.score(at)[0]) == pytest.approx(0.0, abs=1e-6)
    information = -float(model.hessian(at, observed=False)[0, 0])
    assert found.intercept_error == pytest.approx(1 / np.sqrt(information), rel=1e-5)


def as_ranked(window: Window) -> Window:
    """Return a window with confidences that agree to twelve decimals tied, as they are when they are ranked."""
    return np.round(window[0], SAME), window[1]


def test_augrc_is_the_auroc_of_scikit_learn(window: Window) -> None:
    # Of the pairs, those of a wrong and a right answer count by how often the wrong one is ranked first; Traub et al. 2024, eq. 5.
    p, right = as_ranked(window)
    wrong = len(right) - right.sum()
    mixed = 0 < wrong < len(right)
    confused = (1 - roc_auc_score(right, p)) * wrong * right.sum() if mixed else 0.0
    peer = (confused + wrong * (wrong + 1) / 2) / len(right) ** 2
    assert augrc(ranking(distinct(*window), binary=False)) == pytest.approx(peer, abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 50, 700])
def test_aurc_without_ties_is_what_uncertainty_calibrations_area_leaves(n: int) -> None:
    generator = np.random.default_rng(n)
    p = generator.random(n)
    right = (generator.random(n) < p).astype(float)
    area, _ = get_selective_stats(p, right)
    assert aurc(ranking(distinct(p, right), binary=False)) == pytest.approx(1 - area, abs=1e-9)


def test_aurc_of_ties_is_its_definition_in_exact_fractions(window: Window) -> None:
    p, right = as_ranked(window)
    risks, accepted, errors = Fraction(0), 0, Fraction(0)
    for value in np.unique(p)[::-1]:
        tied = right[p == value]
        rate = Fraction(int(len(tied) - tied.sum()), len(tied))
        for _ in tied:
            accepted, errors = accepted + 1, errors + rate
            risks += Fraction(float(errors / accepted))  # else the denominators grow without end
    assert aurc(ranking(distinct(*window), binary=False)) == pytest.approx(float(risks / len(p)), abs=1e-9)


def test_the_risk_coverage_curve_lies_on_the_roc_curve_of_scikit_learn(window: Window) -> None:
    p, right = as_ranked(window)
    points = risk_coverage(ranking(distinct(*window), binary=False))
    assert len(points) == min(20, len(p))
    if not 0 < right.sum() < len(right):
        assert {point.risk for point in points} == {1 - right[0]}
        return
    false, true, _ = roc_curve(right, p, drop_intermediate=False)
    wrong, accepted = false * (1 - right).sum(), false * (1 - right).sum() + true * right.sum()
    for point in points:
        expected = np.interp(point.coverage * len(p), accepted, wrong) / (point.coverage * len(p))
        assert point.risk == pytest.approx(expected, abs=1e-9)


def test_of_nothing_no_score_is_0_or_nan() -> None:
    cells, sums = Cells.from_rows([], []), summed(np.array([]), np.array([]))
    ranked = ranking(cells, binary=True)
    assert [figure(cells) for figure in (brier, mean_confidence, calibration_in_the_large_z, cox, offset)] == [None] * 5
    assert [accuracy(cells, binary=binary) for binary in (True, False)] == [None] * 2
    assert [aurc(ranked), augrc(ranked)] == [None] * 2
    assert risk_coverage(ranked) == []
    assert (sums.labels, sums.loss("served", "log_loss")) == (0, 0.0)
