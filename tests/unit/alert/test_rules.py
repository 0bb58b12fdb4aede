# mypy: disable-error-code="attr-defined"
# Evidence is of the kind that a test made.
"""What windows and tests say about alarms, and when an alarm changes by it."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from msgspec import structs, to_builtins

from monitor.alert.classes import class_finding
from monitor.alert.job import watched
from monitor.alert.missing_labels import Coverage, labels_finding
from monitor.alert.score_drift import drift_finding
from monitor.alert.sequential import sequential_finding
from monitor.alert.transitions import Finding, in_words, percent, transition
from monitor.alert.windows import SEQUENTIAL, settled, window_finding
from monitor.domain.alerts import FIRING, RESOLVED, State
from monitor.domain.drift import Drift
from monitor.domain.errors import BadInput
from monitor.domain.evaluations import ClassCalibration, Evaluation, Verdict
from monitor.domain.sequential import VersionEvidence
from monitor.domain.setting_types import PerLabels
from monitor.domain.settings import CLASS, ModelSettings, settings_from
from monitor.domain.times import DAY, HOUR, moment, parse_time

SETTINGS = ModelSettings(class_thresholds={"fraud": 0.02}, alert_policy="window")
START = parse_time("start", "2026-01-05T00:00:00Z")


def evaluated(bound: float | None = 0.06, name: str = "ece", verdict: Verdict = "miscalibrated") -> Evaluation:
    return Evaluation(
        model="m",
        version="v1",
        segment="",
        scores="served",
        start=moment(START),
        end=moment(START + DAY),
        verdict=verdict,
        labels_needed=0,
        direction="overconfident",
        labelled=900,
        predictions=1000,
        label_coverage=0.9,
        matured=True,
        figures={name: 0.08, f"{name}_lower_bound": bound},
    )


def of_class(bound: float | None = 0.03, verdict: Verdict = "miscalibrated") -> ClassCalibration:
    return ClassCalibration(
        name="fraud",
        labelled=900,
        positives=90,
        mean_probability=0.1,
        observed=0.1,
        ece=0.04,
        ece_lower_bound=bound,
        threshold=0.02,
        verdict=verdict,
    )


def under_test(value: float, rate: float = 0.01, log_e: float | None = None) -> VersionEvidence:
    return VersionEvidence(
        version="v1",
        log_e=math.log(value) if log_e is None else log_e,
        log_sr=None,
        log_ratio=None,
        labels=1240,
        steps=12,
        direction="overconfident",
        threshold=0.05,
        false_alarm_rate=rate,
        start=1,
        level=rate / 4,
        since=datetime(2026, 1, 1, tzinfo=UTC),
        until=datetime(2026, 1, 5, 6, tzinfo=UTC),
    )


def said_where_it_fires(found: Finding) -> str:
    return in_words("m", found.alarm, found.claim)


def test_alarm_fires_on_a_bound_above_the_threshold_and_not_before() -> None:
    assert transition(None, window_finding(evaluated(0.051), "24h", SETTINGS), SETTINGS) == FIRING
    assert transition(None, window_finding(evaluated(0.049), "24h", SETTINGS), SETTINGS) is None
    assert transition(None, window_finding(evaluated(None), "24h", SETTINGS), SETTINGS) is None
    few = evaluated(0.2, verdict="too_few_labels")
    assert transition(None, window_finding(few, "24h", SETTINGS), SETTINGS) is None


def test_alarm_ends_by_a_window_that_began_after_it_fired_and_is_clearly_back() -> None:
    fired = State(firing=True, since=START)
    assert transition(fired, window_finding(evaluated(0.039), "24h", SETTINGS), SETTINGS) == RESOLVED
    assert transition(fired, window_finding(evaluated(0.041), "24h", SETTINGS), SETTINGS) is None
    later = State(firing=True, since=START + 1)
    assert transition(later, window_finding(evaluated(0.0), "24h", SETTINGS), SETTINGS) is None


def test_alarm_rests_after_it_ended() -> None:
    rested = State(firing=False, since=START + DAY - HOUR)
    found = window_finding(evaluated(0.2), "24h", SETTINGS)
    assert transition(rested, found, SETTINGS) == FIRING
    assert transition(State(firing=False, since=START + DAY), found, SETTINGS) is None


def test_bound_of_even_odds_is_what_ends_an_alarm() -> None:
    found = window_finding(evaluated(0.0), "24h", SETTINGS, evaluated(0.045))
    assert not found.back
    assert found.evidence.ece_even_odds_bound == 0.045
    of_one = class_finding(evaluated(0.0), of_class(0.0), "24h", SETTINGS, of_class(0.019))
    assert not of_one.back
    assert of_one.evidence.ece_even_odds_bound == 0.019


def test_regression_is_judged_by_its_quantiles() -> None:
    found = window_finding(evaluated(0.07, "quantile_ece"), "24h", SETTINGS)
    assert found.beyond
    evidence = to_builtins(found.evidence)
    assert evidence["quantile_ece"] == 0.08
    assert not {"ece", "ece_lower_bound", "accuracy"} & evidence.keys()
    assert said_where_it_fires(found).startswith("m v1: Quantile ECE over 24h is at least 0.070 (threshold 0.05).")


def test_text_of_the_window_policy_says_its_rate() -> None:
    said = said_where_it_fires(window_finding(evaluated(), "24h", SETTINGS))
    assert said == (
        "m v1: ECE over 24h is at least 0.060 (threshold 0.05). At most 1 % of windows within the threshold would show this."
    )


def test_sequential_alarm_fires_at_one_over_the_level_of_its_test() -> None:
    assert transition(None, sequential_finding(under_test(399.9)), SETTINGS) is None
    found = sequential_finding(under_test(400.1))
    assert transition(None, found, SETTINGS) == FIRING
    assert (found.alarm.window, found.alarm.segment, found.end) == (
        SEQUENTIAL,
        "",
        parse_time("", "2026-01-05T06:00:00Z"),
    )
    assert transition(None, sequential_finding(under_test(400.1, rate=0.001)), SETTINGS) is None
    assert transition(State(firing=True, since=0), sequential_finding(under_test(1e-9)), SETTINGS) is None


def test_a_test_that_has_not_bet_has_no_level_and_fires_nothing() -> None:
    found = sequential_finding(structs.replace(under_test(1e9), start=None, level=None))
    assert transition(None, found, SETTINGS) is None


def test_text_of_the_sequential_policy_says_what_is_claimed_and_its_rates() -> None:
    assert said_where_it_fires(sequential_finding(under_test(432))) == (
        "m v1: ECE is above 0.05: 1,240 labels since 2026-01-01T00:00:00Z gave an e-value of 432 (it fires at 400). A model within the "
        "threshold reaches that with probability at most 0.25 %, however long it is watched; in any of the model's tests, 1 %."
    )


def test_an_alert_fires_by_the_figure_that_decides() -> None:
    base = under_test(1e9)
    for decided_by in ("log_sr", "log_ratio"):
        low = structs.replace(base, decided_by=decided_by, log_e_peak=None, peak=12.8, fires_at=12.9)
        assert not sequential_finding(low).beyond
        assert sequential_finding(structs.replace(low, peak=12.9)).beyond


def test_text_of_a_guarantee_per_labels_says_what_it_promises() -> None:
    test = structs.replace(
        under_test(1),
        guarantee=PerLabels(per_labels=(0.01, 10**6)),
        decided_by="log_sr",
        peak=math.log(2e6),
        fires_at=math.log(1.6e6),
        ece_at_least=0.1,
    )
    found = sequential_finding(test)
    assert said_where_it_fires(found) == (
        "m v1: ECE is above 0.05: 1,240 labels since 2026-01-01T00:00:00Z gave a Shiryaev-Roberts statistic of 2e+06 (it fires at "
        "1.6e+06). A model within the threshold reaches that within the first 1,000,000 labels of a test with probability at most 1 %, "
        "and after 100,000,000 labels or more on average. It has been at least 0.1."
    )
    assert found.evidence.e_value is None
    assert found.evidence.guarantee == test.guarantee


def test_text_of_a_pointwise_limit_is_about_each_confidence() -> None:
    test = structs.replace(
        under_test(1), alert_on="pointwise", decided_by="log_ratio", peak=math.log(432), fires_at=math.log(400)
    )
    assert said_where_it_fires(sequential_finding(test)) == (
        "m v1: Some confidences are off by more than 0.05: 1,240 labels since 2026-01-01T00:00:00Z gave an e-value of 432 (it fires at "
        "400). A model whose confidences are all within 0.05 reaches that with probability at most 0.25 %, however long it is watched; in "
        "any of the model's tests, 1 %."
    )


def test_huge_e_value_is_still_a_number() -> None:
    found = sequential_finding(under_test(1, log_e=9e4))
    assert found.evidence.e_value <= 1.001e300
    assert "over 1e+300" in said_where_it_fires(found)


def test_window_ends_the_alarm_of_a_sequential_test() -> None:
    found = settled(window_finding(evaluated(0.0), "24h", SETTINGS, evaluated(0.01)))
    assert (found.alarm.window, found.evidence.policy) == (SEQUENTIAL, SEQUENTIAL)
    assert transition(State(firing=True, since=START), found, SETTINGS) == RESOLVED
    assert transition(None, found, SETTINGS) is None
    assert (
        found.relief == "ECE over 24h is about 0.010, back under the threshold 0.05. The sequential test starts again."
    )


def test_class_is_judged_by_its_own_threshold() -> None:
    found = class_finding(evaluated(0.0), of_class(), "24h", SETTINGS)
    assert (found.alarm.segment, found.beyond) == ("class=fraud", True)
    assert to_builtins(found.evidence)["class"] == "fraud"
    assert found.evidence.threshold == 0.02
    assert "m v1 (class=fraud): Class-wise ECE over 24h is at least 0.030 (threshold 0.02)." in said_where_it_fires(
        found
    )
    few = class_finding(evaluated(0.0), of_class(verdict="too_few_labels"), "24h", SETTINGS)
    assert transition(None, few, SETTINGS) is None


def test_no_declared_segment_can_be_taken_for_a_class() -> None:
    with pytest.raises(BadInput, match="class="):
        settings_from(ModelSettings(), {"segments": [f"{CLASS}a"]})


def test_the_whole_and_its_classes_are_watched_by_windows_or_by_tests_and_labels_by_windows() -> None:
    by_window = watched(SETTINGS)
    by_test = watched(ModelSettings(class_thresholds={"fraud": 0.02}, alert_policy=SEQUENTIAL))
    about = ("", "class=fraud")
    assert by_window - by_test == {("miscalibration", window, one) for window in SETTINGS.windows for one in about}
    assert by_test - by_window == {("miscalibration", SEQUENTIAL, one) for one in about}
    assert ("missing_labels", "24h", "") in by_test


def drifted(psi: float | None, *, beyond: bool) -> Drift:
    return Drift(
        model="m",
        version="v1",
        segment="",
        start=moment(START),
        end=moment(START + DAY),
        reference_kind="trailing",
        reference_start=moment(START - DAY),
        reference_end=moment(START),
        scores="raw",
        predictions=1000,
        reference_predictions=1000,
        psi=psi,
        psi_null_95=0.034,
        psi_null_999=0.056,
        ks=None,
        ks_null_95=None,
        js=None,
        js_null_95=None,
        wasserstein=None,
        wasserstein_null_95=None,
        class_shift=None,
        threshold=0.2,
        enough=True,
        drifted=beyond,
    )


def test_drift_is_told_beside_what_chance_does() -> None:
    found = drift_finding(drifted(0.31, beyond=True), "7d")
    assert transition(None, found, SETTINGS) == FIRING
    assert said_where_it_fires(found) == (
        "m v1: PSI over 7d is 0.310 (threshold 0.2). By chance alone it exceeds 0.056 once in 1,000 windows."
    )
    back = drift_finding(drifted(0.12, beyond=False), "7d")
    assert transition(State(firing=True, since=START), back, SETTINGS) == RESOLVED
    assert back.relief == "PSI over 7d is 0.120, back under the threshold 0.2."
    assert transition(None, drift_finding(drifted(None, beyond=False), "7d"), SETTINGS) is None


def test_an_alert_that_rounding_raised_ends() -> None:
    rounded = structs.replace(drifted(16.0, beyond=False), relative_move=2e-8, least_move=0.01)
    finding = drift_finding(rounded, "7d")
    assert transition(State(firing=True, since=START), finding, SETTINGS) == RESOLVED
    assert finding.relief == "PSI over 7d is 16.000, of rounding alone."
    assert (finding.evidence.relative_move, finding.evidence.least_move) == (2e-8, 0.01)
    moved = structs.replace(drifted(16.0, beyond=True), relative_move=0.02, least_move=0.01)
    assert transition(State(firing=True, since=START), drift_finding(moved, "7d"), SETTINGS) is None


def covered(now: tuple[int, int], usual: tuple[int, int], before: tuple[int, int] = (0, 0)) -> Finding:
    """Return what is found of (labelled, predictions) of a window, of what is usual, and of the week before."""
    parts = [Coverage(labelled=labelled, predictions=predictions) for labelled, predictions in (now, usual, before)]
    return labels_finding(
        *parts,
        window="24h",
        version="v1",
        over=(START, START + DAY),
        usual_over=(START - 28 * DAY, START),
        settings=SETTINGS,
    )


def test_labels_that_stop_coming_are_missed() -> None:
    found = covered((0, 200), (9000, 10_000))
    assert transition(None, found, SETTINGS) == FIRING
    said = said_where_it_fires(found)
    assert said == (
        "m v1: 0 % of the 200 predictions over 24h whose label is due have one; usually 90 % do. By chance, at most 1 % of windows show "
        "so few."
    )
    assert transition(None, covered((120, 200), (9000, 10_000)), SETTINGS) == FIRING


def test_as_many_labels_as_usual_are_not_missed() -> None:
    for now in ((180, 200), (150, 200), (1, 1), (0, 1), (0, 0), (2, 3)):
        assert transition(None, covered(now, (9000, 10_000)), SETTINGS) is None, now


def test_nothing_is_missed_where_nothing_was_usual_or_too_little_is_known() -> None:
    assert transition(None, covered((0, 5000), (0, 10_000)), SETTINGS) is None
    assert transition(None, covered((0, 5000), (499, 499)), SETTINGS) is None
    assert transition(None, covered((0, 5000), (500, 500)), SETTINGS) == FIRING


def test_weekend_of_those_who_label_is_no_outage() -> None:
    assert transition(None, covered((0, 500), (7000, 10_000), (10, 480)), SETTINGS) is None
    assert transition(None, covered((0, 5000), (7000, 10_000), (0, 30)), SETTINGS) == FIRING
    assert transition(None, covered((0, 500), (7000, 10_000), (400, 480)), SETTINGS) == FIRING


def test_missed_labels_are_back_at_nine_tenths_of_what_is_usual_also_in_the_same_window() -> None:
    fired = State(firing=True, since=START + DAY)
    assert transition(fired, covered((850, 1000), (9000, 10_000)), SETTINGS) == RESOLVED
    assert transition(fired, covered((790, 1000), (9000, 10_000)), SETTINGS) is None
    assert transition(fired, covered((2, 2), (9000, 10_000)), SETTINGS) is None


@pytest.mark.parametrize("share", [0.05, 0.3, 0.95])
@pytest.mark.parametrize("count", [3, 20, 400, 3000])
def test_steady_partial_labelling_raises_no_more_alarms_than_stated(share: float, count: int) -> None:
    random = np.random.default_rng(count)
    fired = days = 0
    for _ in range(10):
        labelled = random.binomial(count, share, 200)
        for day in range(8, 200):
            first = max(0, day - 28)
            usual = int(labelled[first:day].sum()), (day - first) * count
            found = covered((int(labelled[day]), count), usual)
            days += found.enough
            fired += found.enough and found.beyond
    assert days >= 1500 or count < 20
    assert fired <= SETTINGS.false_alarm_rate * max(days, 1)


def test_outage_of_labels_is_noticed_within_a_day_of_a_few_dozen_predictions() -> None:
    random = np.random.default_rng(7)
    fired = [covered((int(random.binomial(60, 0.02)), 60), (300, 1000)).beyond for _ in range(200)]
    assert np.mean(fired) > 0.95


@pytest.mark.parametrize(("ratio", "said"), [(0.005, "0.5 %"), (0.0001, "0.01 %"), (0.3, "30 %")])
def test_percent_says_small_ratios_too(ratio: float, said: str) -> None:
    assert percent(ratio) == said
