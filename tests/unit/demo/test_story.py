"""What the demo says is missing when the story does not come out as told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from monitor.demo.answers import Alert, Calibrator, Detail, Entry, Evidence, Figures, State
from monitor.demo.story import Period, Plan, Sight, missing, missing_of_refusal, what_is_left

END = datetime(2026, 1, 8, 12, 47, 31, tzinfo=UTC)
PLAN = Plan.until(END, shuffled=False)
FIRED = PLAN.shift + timedelta(hours=4)


def fired_alert(at: datetime = FIRED) -> Alert:
    return Alert(at=at, kind="miscalibration", state="firing")


def entry(action: str, actor: str = "calwatch", reason: str | None = None) -> Entry:
    return Entry(action=action, actor=actor, detail=Detail(reason=reason))


def period(ece: float | None) -> Period:
    return Period(name="a period", figures=None if ece is None else Figures(ece=ece))


WELL = Sight(
    at=PLAN.end,
    state=State(state="calibrated", predictions=1, labelled=1),
    figures=Figures(),
    alerts=[fired_alert()],
    calibrators=[Calibrator(number=1)],
    champion=1,
    audit=[entry("register"), entry("promote")],
)
REFUSED = replace(WELL, calibrators=[], champion=None, audit=[entry("refuse", reason="no gain")])
DOWN = [period(0.01), period(0.17), period(0.02)]


def test_plan_ends_about_now_and_shifts_on_a_whole_hour() -> None:
    assert timedelta(0) <= END - PLAN.end < timedelta(minutes=30)
    assert (PLAN.shift.minute, PLAN.start.minute) == (0, 0)
    assert list(PLAN.steps())[-1] == PLAN.end


def test_missing_is_nothing_when_all_went_well() -> None:
    assert missing(WELL, DOWN, PLAN) == []


def test_missing_names_an_alert_that_never_fired() -> None:
    assert missing(replace(WELL, alerts=[]), DOWN, PLAN) == ["no alert on calibration fired"]


def test_missing_names_an_alert_before_the_shift() -> None:
    early = replace(WELL, alerts=[fired_alert(PLAN.shift - timedelta(hours=1)), fired_alert()])
    assert len(missing(early, DOWN, PLAN)) == 1
    assert "before the shift" in missing(early, DOWN, PLAN)[0]


def test_missing_names_the_promotion_and_why_it_was_refused() -> None:
    assert missing(REFUSED, DOWN[:2], PLAN) == ["no calibrator was promoted by `auto`; refits were refused: no gain"]


def test_missing_takes_no_promotion_by_a_person() -> None:
    by_hand = replace(WELL, audit=[entry("register", "api"), entry("promote", "api")])
    assert missing(by_hand, DOWN, PLAN) == ["no calibrator was promoted by `auto`"]


def test_missing_names_an_ece_that_stayed_above_the_threshold() -> None:
    found = missing(WELL, [*DOWN[:2], period(0.06)], PLAN)
    assert found == ["ECE after the promotion is 0.060, not under the threshold 0.05"]


def test_missing_names_an_ece_that_did_not_come_down() -> None:
    found = missing(WELL, [period(0.01), period(0.02), period(0.03)], PLAN)
    assert found == ["ECE did not come down: 0.020 before the promotion, 0.030 after"]


def test_missing_says_when_nothing_has_matured_after_the_promotion() -> None:
    assert missing(WELL, [*DOWN[:2], period(None)], PLAN) == ["nothing that was served after the promotion has matured"]


def test_missing_of_refusal_is_nothing_when_refits_were_refused() -> None:
    assert missing_of_refusal(REFUSED, PLAN) == []


def test_missing_of_refusal_names_what_was_registered_all_the_same() -> None:
    assert missing_of_refusal(WELL, PLAN) == [
        "no refit was refused",
        "a calibrator was registered although the labels are shuffled",
    ]


def told(remedy: str | None) -> Sight:
    alert = Alert(
        at=FIRED, kind="miscalibration", state="firing", evidence=Evidence(remedy=remedy, remedy_reason="Because.")
    )
    return replace(WELL, alerts=[alert])


def test_a_loss_of_accuracy_that_no_calibrator_repairs_is_said_at_the_end() -> None:
    compared = [Period(name="a period", figures=Figures(ece=0.01, accuracy=right)) for right in (0.95, 0.7, 0.71)]
    words = what_is_left(told("retrain"), compared) or ""
    assert (
        "right 71% of the time, before the shift 95%. What to do: retrain the model. As the alert said: Because."
        in words
    )
    assert "What to do: check the labels." in (what_is_left(told("check_labels"), compared[:2]) or "")


def test_nothing_is_left_where_a_calibrator_was_enough() -> None:
    assert what_is_left(told("recalibrate"), DOWN) is None
    assert what_is_left(told(None), DOWN) is None
