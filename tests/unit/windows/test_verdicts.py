"""Verdicts on windows, with what alerts and sequential tests say of their model."""

from typing import Any

from msgspec import structs

from monitor.domain.alerts import Alarm, Firing
from monitor.domain.evaluations import ClassCalibration, Curves, Evaluation, Flag, Verdict
from monitor.domain.sequential import VersionEvidence
from monitor.domain.settings import Model, ModelSettings
from monitor.domain.times import HOUR, moment
from monitor.windows.verdicts import FLAGGED, MARGINAL, Standing

MODEL = Model(id=1, name="m", task="binary", classes=None, settings=ModelSettings(), revision=1, created_at=0)
NOW = 100 * HOUR


def evaluated(bound: float | None = 0.01, **fields: Any) -> Evaluation:
    window = Evaluation(
        model="m",
        version="1",
        segment="",
        start=moment(NOW - 24 * HOUR),
        end=moment(NOW),
        scores="served",
        predictions=900,
        labelled=900,
        label_coverage=1.0,
        matured=True,
        verdict="calibrated",
        labels_needed=0,
        direction=None,
        figures={"ece": 0.05, "ece_lower_bound": bound, "ece_null_mean": 0.02},
    )
    return structs.replace(window, **fields)


def standing(*firings: Firing, log_e: float | None = 0.0, held_because: str | None = None) -> Standing:
    test = VersionEvidence(
        version="1", log_e=log_e, log_sr=None, log_ratio=None, labels=900, steps=9, direction="none", threshold=0.05,
        false_alarm_rate=0.02, start=1, level=0.01, since=moment(0), until=moment(NOW),
        held=held_because is not None, held_because=held_because,
    )  # fmt: skip
    return Standing(model=MODEL, newest=NOW, firings=firings, tests=[test])


def fires(segment: str = "", version: str = "1", **fields: Any) -> Firing:
    return Firing(alarm=Alarm("miscalibration", "sequential", version, segment), **{"since": NOW - HOUR, **fields})


def verdict(window: Evaluation, of: Standing) -> Verdict:
    return of.judged(window).verdict


def test_while_an_alert_fires_no_window_has_too_few_labels() -> None:
    few = evaluated(None, verdict="too_few_labels", labels_needed=400)
    assert verdict(few, standing()) == "too_few_labels"
    told = standing(fires()).judged(few)
    assert (told.verdict, told.labels_needed, told.has_enough_labels) == ("miscalibrated", 400, False)
    assert told.verdict_reason == "An alert has been firing since 1970-01-05T03:00:00Z."
    assert told.remedy == "wait"


def test_an_alert_is_about_its_version_and_all_versions_together() -> None:
    other = standing(fires(version="2"))
    assert verdict(evaluated(), other) == "calibrated"
    assert verdict(evaluated(version=None), other) == "miscalibrated"


def test_an_alert_on_one_class_is_about_the_whole_and_that_class() -> None:
    def of(name: str) -> ClassCalibration:
        return ClassCalibration(
            name=name, labelled=900, positives=300, mean_probability=0.3, observed=0.3, ece=0.01, ece_lower_bound=0.0,
            threshold=0.05, verdict="calibrated",
        )  # fmt: skip

    window = evaluated(curves=Curves(reliability=(), risk_coverage=(), classes=(of("cat"), of("dog"))))
    told = standing(fires("class=cat")).judged(window)
    assert told.verdict == "miscalibrated"
    assert told.curves is not None
    assert [one.verdict for one in told.curves.classes] == ["miscalibrated", "calibrated"]


def test_a_bound_above_the_threshold_is_a_suspicion_until_an_alert_fires() -> None:
    told = standing().judged(evaluated(0.06))
    assert (told.verdict, told.remedy) == ("suspect", "wait")
    assert told.verdict_reason == "The ECE is at least 0.060 (threshold 0.05), but no alert fires yet."
    assert verdict(evaluated(0.06), standing(fires())) == "miscalibrated"


def test_a_test_half_way_to_its_alert_is_a_suspicion_about_windows_that_reach_until_now() -> None:
    told = standing(log_e=2.4).judged(evaluated())
    assert (told.verdict, told.verdict_reason, told.remedy_reason) == ("suspect", MARGINAL, MARGINAL)
    assert verdict(evaluated(), standing(log_e=2.2)) == "calibrated"
    assert verdict(evaluated(version="2"), standing(log_e=2.4)) == "calibrated"
    assert verdict(evaluated(end=moment(NOW - HOUR)), standing(log_e=2.4)) == "calibrated"
    assert verdict(evaluated(segment="country:de"), standing(log_e=2.4)) == "calibrated"


def test_a_flagged_segment_is_suspect() -> None:
    flag = Flag(e_value_log=9.0, flagged=True)
    told = standing().judged(evaluated(segment="country:de", flag=flag))
    assert (told.verdict, told.verdict_reason) == ("suspect", FLAGGED)
    assert (
        verdict(evaluated(segment="country:de", flag=Flag(e_value_log=1.0, flagged=False)), standing()) == "calibrated"
    )


def test_a_past_window_has_the_alerts_of_its_time() -> None:
    past = evaluated(end=moment(NOW - 10 * HOUR))
    assert verdict(past, standing(fires())) == "calibrated"
    assert verdict(past, standing(fires(since=NOW - 20 * HOUR, until=NOW - 5 * HOUR))) == "miscalibrated"
    assert verdict(evaluated(), standing(fires(since=NOW - 20 * HOUR, until=NOW - 5 * HOUR))) == "calibrated"


def test_a_stored_evaluation_keeps_its_verdict_but_for_alerts_that_it_fired() -> None:
    stored = evaluated(0.06, verdict="suspect", verdict_reason=MARGINAL)
    assert standing().remembered(stored) == stored
    assert standing(fires()).remembered(stored).verdict == "miscalibrated"


def test_a_held_alert_is_suspect_and_calls_for_a_look_at_the_labels() -> None:
    held = standing(log_e=9.0, held_because="Late labels differ.")
    told = held.judged(evaluated(0.09))
    assert (told.verdict, told.verdict_reason) == ("suspect", "Late labels differ.")
    assert (told.remedy, told.remedy_reason) == ("check_labels", "Late labels differ.")
    assert held.judged(evaluated(segment="country:se")).remedy is None
    fired = standing(fires(), held_because="Late labels differ.").judged(evaluated(0.09))
    assert (fired.verdict, fired.remedy) == ("miscalibrated", "wait")


def test_an_alert_on_segments_is_about_these_and_named_beside_the_whole() -> None:
    firing = Firing(alarm=Alarm("segment", "sequential", "1", ""), since=NOW - HOUR, segments=("country:de",))
    off = standing(firing)
    assert verdict(evaluated(segment="country:de"), off) == "miscalibrated"
    assert verdict(evaluated(segment="country:fr"), off) == "calibrated"
    whole = off.judged(evaluated())
    assert whole.verdict == "calibrated"
    assert whole.verdict_reason == "An alert on segments has been firing since 1970-01-05T03:00:00Z: country=de."
