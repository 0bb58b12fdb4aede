"""What thresholds select, from cells, against single events under real calibrators."""

import numpy as np
import pytest

from monitor.calibrators.families import from_document
from monitor.domain.settings import Model, ModelSettings
from monitor.recalibrate.prediction_sets import sets_of
from monitor.recalibrate.thresholds import TOO_FLAT, precision_of
from monitor.stats.cells import place
from monitor.stats.impact import View, selected, shares_above, steps_of
from monitor.stats.thresholds import share_interval
from monitor.store.calibrators import Fitted
from monitor.windows.raw_scores import Cellwise, Eventwise, Under

EVENTS = 5000
CALIBRATORS = {
    "identity": {"method": "identity", "parameters": {}},
    "temperature": {"method": "temperature", "parameters": {"temperature": 1.7}},
    "platt": {"method": "platt", "parameters": {"slope": 0.6, "intercept": -0.4}},
    "beta": {"method": "beta", "parameters": {"a": 0.7, "b": 1.4, "c": 0.2}},
    "quadratic_logit": {"method": "quadratic_logit", "parameters": {"square": 0.1, "slope": 0.9, "intercept": -0.2}},
    "isotonic": {"method": "isotonic", "parameters": {"x": [0.1, 0.303, 0.62, 0.8], "y": [0.05, 0.31, 0.31, 0.9]}},
}


FLAT = {"method": "scaling_binning", "parameters": {"edges": [0.21, 0.47, 0.77], "values": [0.1, 0.35, 0.6, 0.85]}}


def document(name):
    return None if name == "identity" else Fitted(task="binary", **(CALIBRATORS | {"flat": FLAT})[name])


@pytest.fixture(scope="module")
def rows():
    """Return scores, of which every fourth is tied with others, and what came true."""
    dice = np.random.default_rng(1)
    p = dice.beta(0.8, 1.2, EVENTS)
    p[::4] = np.round(p[::4], 1)
    return p, (dice.random(EVENTS) < p).astype(int)


def cellwise(p, y, every=2):
    """Return what sums say of events, of which every second is labelled."""
    labelled = np.arange(len(p)) % every == 0
    cells, at = np.unique(place(p), return_inverse=True)
    weights = (labelled, labelled * y, np.ones(len(p)), p)
    n, sy, events, total = (np.bincount(at, weights=each) for each in weights)
    return Cellwise(
        task="binary", at=np.zeros(len(cells), int), cell=cells, n=n, sy=sy, events=events, total=total, without_raw=0
    )


def eventwise(p, y, every=2):
    labelled = np.where(np.arange(len(p)) % every == 0, y, -1)
    return Eventwise(task="binary", at=np.zeros(len(p), int), x=p, y=labelled, without_raw=0)


@pytest.mark.parametrize("name", [*CALIBRATORS, "flat"])
@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("threshold", [0.2, 0.3, 0.45, 0.5, 0.733, 0.9])
def test_cells_hold_what_single_events_show_between_their_bounds(rows, name, below, threshold):
    p, y = rows
    served = p if name == "identity" else from_document(document(name).working_part).predict_proba(p)
    chosen = served <= threshold if below else served > threshold
    view = cellwise(p, y).view(document(name))
    found = selected(view, threshold, below=below, chances=view.mean)
    assert found.low - 1e-6 <= chosen.sum() <= found.high + 1e-6
    assert found.low <= found.events <= found.high
    assert found.high - found.low < 0.1 * EVENTS
    assert name != "identity" or threshold == 0.733 or found.low == found.high  # the end of a cell
    assert found.events == pytest.approx(chosen.sum(), abs=0.03 * EVENTS)
    if chosen.any():
        right = 1 - served if below else served
        assert found.expected_precision == pytest.approx(right[chosen].mean(), abs=0.02)


@pytest.mark.parametrize("threshold", [0.2, 0.45, 0.5, 0.9])
def test_single_events_are_counted_one_by_one(rows, threshold):
    p, y = rows
    view = eventwise(p, y).view(document("platt"))
    served = from_document(document("platt").working_part).predict_proba(p)
    found = selected(view, threshold, below=False, chances=view.mean)
    labelled = (served > threshold) & (np.arange(EVENTS) % 2 == 0)
    assert found.events == found.low == found.high == (served > threshold).sum()
    assert (found.labelled, found.precision) == (labelled.sum(), pytest.approx(y[labelled].mean()))
    assert (found.precision_low, found.precision_high) == pytest.approx(
        share_interval(y[labelled].sum(), labelled.sum())
    )


@pytest.mark.parametrize("name", CALIBRATORS)
def test_steps_are_what_thresholds_on_served_scores_select(rows, name):
    p, y = rows
    served = p if name == "identity" else from_document(document(name).working_part).predict_proba(p)
    steps = Under(cellwise(p, y), document(name)).steps
    above = steps.events.sum() - np.cumsum(steps.events)
    rounding = 0.0 if name == "identity" else 1e-15
    counted = (served[:, None] > steps.upper + rounding).sum(axis=0)
    assert above.tolist() == counted.tolist()
    assert (np.diff(steps.upper) > 0).all()
    # Beyond its ends and on its plateau an isotonic map tells nothing apart.
    assert len(steps.n) == 402 if name == "identity" else 40 < len(steps.n) < (100 if name == "isotonic" else 402)


def test_a_calibrator_of_steps_within_cells_says_so(rows):
    flat = Under(cellwise(*rows), document("flat"))
    found = precision_of(flat, wanted=0.8, confidence=0.9)
    assert (found.above, found.reason) == (None, TOO_FLAT)
    single = precision_of(Under(eventwise(*rows), document("flat")), wanted=0.8, confidence=0.9)
    assert 0.6 <= single.above.threshold < 0.85


@pytest.mark.parametrize("way", [cellwise, eventwise])
def test_a_moved_threshold_selects_as_many_as_before(rows, way):
    p, y = rows
    before, after = (Under(way(p, y), document(name)) for name in ("platt", "temperature"))
    moved = before.known.moved(0.4, before, after)
    old, new = (from_document(document(name).working_part).predict_proba(p) for name in ("platt", "temperature"))
    assert (new > moved).sum() == (old > 0.4).sum()
    everything, nothing = (before.known.moved(each, before, after) for each in (1e-9, 0.999999))
    assert everything is None
    assert (new > nothing).sum() == 0


def test_a_calibrator_that_turns_scores_around_has_no_thresholds_but_counts():
    falling = View(
        lower=np.array([0.9, 0.6]), upper=np.array([0.6, 0.2]), mean=np.array([0.7, 0.4]), tilt=np.zeros(2),
        n=np.ones(2), sy=np.ones(2), events=np.full(2, 10.0),
    )  # fmt: skip
    assert steps_of(falling, np.ones(2, dtype=bool)) is None
    shares, cut = shares_above(falling, 0.4)
    assert (shares.tolist(), cut.tolist()) == ([1.0, pytest.approx(0.5)], [False, True])


@pytest.mark.parametrize("tilt", [-0.3, 0.0, 0.1])
def test_the_part_of_a_cell_is_that_of_a_line_with_its_mean(tilt):
    slope = np.clip(tilt, -1 / 6, 1 / 6)
    view = View(
        lower=np.zeros(1), upper=np.ones(1), mean=np.array([0.5 + tilt]), tilt=np.array([tilt]), n=np.ones(1),
        sy=np.ones(1), events=np.ones(1),
    )  # fmt: skip
    s = (np.arange(10_000) + 0.5) / 10_000
    density = 1 + 12 * slope * (s - 0.5)
    assert (density * s).mean() == pytest.approx(0.5 + slope, abs=1e-6)
    for threshold in (0.1, 0.5, 0.8):
        assert shares_above(view, threshold)[0][0] == pytest.approx(density[s > threshold].sum() / 10_000, abs=1e-6)


def test_coverage_is_measured_on_labels_that_had_no_part_in_the_threshold():
    at = np.arange(1000)
    x, y = np.full(1000, 0.8), (at < 700).astype(int)
    model = Model(id=1, name="m", task="binary", classes=None, settings=ModelSettings(), revision=1, created_at=0)
    events = Eventwise(task="binary", at=at, x=x, y=y, without_raw=0)
    found = sets_of(model, Under(events, None), coverage=0.9)
    assert found.threshold == pytest.approx(0.8)
    measured = found.measured
    assert (measured.threshold, measured.labelled, measured.coverage) == (pytest.approx(0.2), 300, 0.0)
    few = Eventwise(task="binary", at=at[:200], x=x[:200], y=y[:200], without_raw=0)
    assert sets_of(model, Under(few, None), coverage=0.9).measured is None


def test_nothing_is_no_share():
    none = cellwise(np.zeros(0), np.zeros(0, int)).view(None)
    found = selected(none, 0.5, below=False, chances=none.mean)
    assert (found.share, found.precision, found.expected_precision, found.precision_low) == (None, None, None, None)
