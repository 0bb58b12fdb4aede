"""Confidences of language models from event to figure: stated in words, by agreeing answers, as scores that are no probabilities."""

import math
import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from monitor.calibrators.logistic import fit_line
from monitor.client import agreement, token_logprobs, verbalized
from monitor.rollup.verify import differences_of
from monitor.stats.values import SCORE_VALUES, agreement_place, beta_binomial, score_place
from monitor.store import mappings, models
from monitor.store.mappings import ValueMap

CALIBRATION = "/v1/models/m/calibration"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}


def at(minutes):
    """Return a time so many minutes before noon."""
    return (NOON - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def pair(tools, name, fields, y, *, minutes=0, answer="Paris", **more):
    """Return an event and its label: a boolean, or every other time the true answer."""
    label = bool(y) if len(name) % 2 else (answer if y else "Lyon")
    sent = {"prediction": answer, "timestamp": at(minutes)} | fields | more
    return [tools.prediction(name, **sent), tools.label(name, label)]


def declared(api, **settings):
    defaults = {"task": "confidence", "label_delay": "0s", "minimum_labels": 10, "thresholds": {"ece": 0.2}}
    api.put("m", status=201, **(defaults | settings))


def differences(api):
    with api.services.database.read() as connection:
        return [str(each) for each in differences_of(connection, models.by_name(connection, "m"))]


def clipped_log_loss(p, y):
    return -math.log(p if y else 1 - p)


P = [0.5, 0.5, 0.5, 0.6, 0.5, 0.6, 0.6, 0.6, 0.6]
Y = [0, 1, 0, 1, 0, 1, 1, 1, 0]


def stated(api, tools):
    """Send the nine verbalised confidences of the example, as a client reads them."""
    texts = [f"Paris. Confidence: {p:.0%}" for p in P]
    api.send(
        *[
            event
            for i, (text, y) in enumerate(zip(texts, Y, strict=True))
            for event in pair(tools, f"e{i}", verbalized(text), y)
        ]
    )


def test_each_verbalised_value_is_a_bin(api, tools):
    declared(api, minimum_labels=5)
    stated(api, tools)
    found = api.get(CALIBRATION, **DAY)
    assert [(each["lower"], each["upper"], each["count"]) for each in found["reliability"]] == [
        (0.5, 0.5, 4),
        (0.6, 0.6, 5),
    ]
    assert [each["observed"] for each in found["reliability"]] == [0.25, 0.8]
    assert found["ece"] == pytest.approx(4 / 9 * 0.25 + 5 / 9 * 0.2)
    assert found["brier"] == pytest.approx(sum((p - y) ** 2 for p, y in zip(P, Y, strict=True)) / 9)
    assert (found["mapping"], found["labelled"]) == (None, 9)
    assert differences(api) == []


def test_bins_of_equal_width_may_be_asked_for_all_the_same(sqlite_api, tools):
    declared(sqlite_api)
    stated(sqlite_api, tools)
    found = sqlite_api.get(CALIBRATION, bins=10, **DAY)
    assert [each["count"] for each in found["reliability"]] == [0, 0, 0, 0, 4, 5, 0, 0, 0, 0]


def test_verbalised_values_among_others_are_binned_as_any(sqlite_api, tools):
    declared(sqlite_api)
    stated(sqlite_api, tools)
    sqlite_api.send(*pair(tools, "judged", {"confidence": 0.7, "confidence_source": "judge"}, 1))
    assert len(sqlite_api.get(CALIBRATION, **DAY)["reliability"]) == 15


def sampled(tools, events, *, first=0, minutes=5, samples=3, seed=1, **more):
    """Return events of an honest model that answers each question so many times, their shares, and whether they are right."""
    dice = random.Random(seed)
    sent, rows = [], []
    for i in range(first, first + events):
        rate = dice.betavariate(4, 2)
        k = sum(dice.random() < rate for _ in range(samples))
        y = int(dice.random() < rate)
        rows.append((k, samples, y))
        fields = {"agreeing": k, "samples": samples, "confidence_source": "self_consistency"}
        sent += pair(tools, f"s{i}", fields, y, minutes=minutes, **more)
    return sent, rows


def test_agreeing_answers_are_no_confidence_until_there_is_a_map(sqlite_api, tools):
    declared(sqlite_api)
    events, rows = sampled(tools, 150)
    sqlite_api.send(*events)
    sqlite_api.judge()
    found = sqlite_api.get(CALIBRATION, **DAY)
    assert (found["verdict"], found["ece"], found["brier"], found["mapping"]) == ("too_few_labels", None, None, None)
    assert (found["predictions"], found["labelled"]) == (150, 150)
    raw = sqlite_api.get(CALIBRATION, scores="raw", **DAY)
    assert raw["brier"] == pytest.approx(sum((k / m - y) ** 2 for k, m, y in rows) / 150)
    assert differences(sqlite_api) == []


def test_agreeing_answers_are_read_by_the_rates_behind_them(api, tools):
    declared(api)
    events, rows = sampled(tools, 600)
    api.send(*events)
    api.judge()
    found, raw = api.get(CALIBRATION, **DAY), api.get(CALIBRATION, scores="raw", **DAY)
    counts = [0] * 1325
    for k, m, _ in rows:
        counts[agreement_place(k, m)] += 1
    a, b = beta_binomial(counts)
    assert found["mapping"] == {
        "version": "", "family": "agreement", "parameters": pytest.approx({"a": a, "b": b}), "until": "2026-01-05T11:56:00Z",
    }  # fmt: skip
    read = [((k + a) / (m + a + b), y) for k, m, y in rows]
    assert found["brier"] == pytest.approx(sum((p - y) ** 2 for p, y in read) / 600, abs=1e-8)
    assert found["log_loss"] == pytest.approx(sum(clipped_log_loss(p, y) for p, y in read) / 600, abs=1e-8)
    assert found["mean_confidence"] == pytest.approx(sum(p for p, _ in read) / 600, abs=1e-8)
    assert raw["ece"] > 0.12
    assert found["ece"] < 0.07
    assert found["verdict"] == "calibrated"
    assert differences(api) == []


def test_a_map_is_made_once_for_each_version(sqlite_api, tools):
    declared(sqlite_api)
    events, _ = sampled(tools, 250, model_version="1")
    sqlite_api.send(*events)
    sqlite_api.judge()
    first = sqlite_api.get(CALIBRATION, version="1", **DAY)["mapping"]
    events, _ = sampled(tools, 250, first=250, minutes=1, samples=9, seed=2, model_version="1")
    other, rows = sampled(tools, 100, first=500, minutes=1, model_version="2")
    sqlite_api.send(*events, *other)
    sqlite_api.judge()
    assert sqlite_api.get(CALIBRATION, version="1", **DAY)["mapping"] == first
    assert sqlite_api.get(CALIBRATION, version="2", **DAY)["mapping"] is None
    assert sqlite_api.get(CALIBRATION, version="2", **DAY)["ece"] is None
    both = sqlite_api.get(CALIBRATION, **DAY)
    assert both["mapping"] == first
    assert sum(each["count"] for each in both["reliability"]) == 500
    assert both["labelled"] == 600
    assert len(rows) == 100


def test_a_calibrated_confidence_is_taken_at_its_word(sqlite_api, tools):
    declared(sqlite_api)
    events, _ = sampled(tools, 250)
    served = {"confidence": 0.75, "raw_confidence": 2 / 3, "calibrator_version": None}
    fields = {"agreeing": 2, "samples": 3, "confidence_source": "self_consistency"} | served
    sqlite_api.send(*events, *[event for i in range(20) for event in pair(tools, f"c{i}", fields, i % 4 > 0)])
    sqlite_api.judge()
    point = next(each for each in sqlite_api.get(CALIBRATION, bins=20, **DAY)["reliability"] if each["upper"] == 0.75)
    assert (point["count"], point["observed"]) == (20, 0.75)
    assert differences(sqlite_api) == []


def test_calibration_is_seen_by_source_and_by_number_of_answers(sqlite_api, tools):
    declared(sqlite_api, segments=["confidence_source", "samples", "country,samples"])
    three, _ = sampled(tools, 120, samples=3, segments={"country": "CH"})
    nine, _ = sampled(tools, 130, first=120, samples=9)
    named = pair(tools, "named", verbalized("85%"), 1, segments={"confidence_source": "mine"})
    sqlite_api.send(*three, *nine, *named)
    stated(sqlite_api, tools)
    sqlite_api.judge()
    counts = {
        segment: sqlite_api.get(CALIBRATION, segment=segment, **DAY)["labelled"]
        for segment in ("confidence_source:self_consistency", "confidence_source:verbalized", "confidence_source:mine",
                        "samples:3", "samples:9", "country,samples:CH,3")
    }  # fmt: skip
    assert list(counts.values()) == [250, 9, 1, 120, 130, 120]
    for segment in counts:
        assert len(sqlite_api.get("/v1/models/m/history", segment=segment)["evaluations"]) == 1
    assert len(sqlite_api.get(CALIBRATION, segment="confidence_source:verbalized", **DAY)["reliability"]) == 2
    assert sqlite_api.get(CALIBRATION, segment="samples:3", **DAY)["ece"] is not None
    assert differences(sqlite_api) == []


def scored(tools, events, *, first=0, minutes=60, seed=3, shift=0.0, every=20):
    """Return events with the mean log-probability of their tokens, their scores, and whether they are right."""
    dice = random.Random(seed)
    sent, rows = [], []
    for i in range(first, first + events):
        score = -dice.gammavariate(2.0, 0.4) + shift
        y = int(dice.random() < 1 / (1 + math.exp(-(3.0 * score + 3.0))))
        rows.append((score, y))
        fields = token_logprobs([2 * min(score, 0.0), 0.0])
        sent += pair(tools, f"l{i}", fields, y, minutes=minutes - (i - first) // every)
    return sent, rows


def middle(score):
    return float(SCORE_VALUES[score_place(score)])


def test_scores_are_read_by_a_line_of_the_first_labels_and_judged_after_them(api, tools):
    declared(api, minimum_labels=250)
    events, rows = scored(tools, 600)
    api.send(*events)
    early = api.get(CALIBRATION, **DAY)
    assert (early["verdict"], early["ece"], early["mapping"], early["labelled"]) == ("too_few_labels", None, None, 600)
    assert api.get(CALIBRATION, scores="raw", **DAY)["ece"] is None
    api.judge()
    found = api.get(CALIBRATION, **DAY)
    # 20 events a minute from 11:00 on: the first 250 labels are there with the 13th minute, of 260.
    assert found["mapping"]["until"] == "2026-01-05T11:13:00Z"
    slope, intercept = (found["mapping"]["parameters"][name] for name in ("slope", "intercept"))
    low, high = (found["mapping"]["parameters"][name] for name in ("low", "high"))
    score, right = np.array([middle(s) for s, _ in rows[:260]]), np.array([float(y) for _, y in rows[:260]])
    within = (low <= score) & (score <= high)
    assert 255 <= within.sum() <= 260
    line = fit_line(score[within], right[within], np.ones(within.sum()))
    assert (slope, intercept) == pytest.approx(line, rel=1e-6)
    bounded = [min(max(middle(score), low), high) for score, _ in rows[260:]]
    read = [(1 / (1 + math.exp(-(slope * s + intercept))), y) for s, (_, y) in zip(bounded, rows[260:], strict=True)]
    assert found["brier"] == pytest.approx(sum((p - y) ** 2 for p, y in read) / 340, abs=1e-8)
    assert sum(each["count"] for each in found["reliability"]) == 340
    assert (found["predictions"], found["labelled"]) == (600, 600)
    assert found["verdict"] == "calibrated"
    before = api.get(CALIBRATION, start=DAY["start"], end="2026-01-05T11:13:00Z")
    assert (before["ece"], before["verdict"]) == (None, "too_few_labels")
    assert differences(api) == []


def wild(tools, first, scores, minutes):
    """Return events with scores that stand for "unknown", every other one of a right answer."""
    return [
        event
        for i, score in enumerate(scores, first)
        for event in pair(tools, f"l{i}", {"score": score, "confidence_source": "logprob"}, i % 2, minutes=minutes)
    ]


def test_two_sentinels_flatten_no_map(api, tools):
    declared(api, minimum_labels=250)
    events, rows = scored(tools, 600)
    api.send(*events, *wild(tools, 600, [-9999.0, -9999.0], minutes=60))
    api.judge()
    found = api.get(CALIBRATION, **DAY)
    assert found["mapping"]["parameters"]["slope"] > 1.5
    assert found["brier"] < 0.9 * np.var([y for _, y in rows])  # a flat map's is the variance
    assert differences(api) == []


def test_scores_that_tell_nothing_get_no_map_and_no_verdict(sqlite_api, tools):
    declared(sqlite_api)
    dice = random.Random(11)
    events = [
        event
        for i in range(600)
        for event in pair(tools, f"n{i}", token_logprobs([-dice.gammavariate(2.0, 0.4)]), dice.random() < 0.7)
    ]
    sqlite_api.send(*events)
    sqlite_api.judge()
    found = sqlite_api.get(CALIBRATION, **DAY)
    assert (found["verdict"], found["ece"], found["mapping"], found["labelled"]) == ("too_few_labels", None, None, 600)


def stored_map(api, **parameters):
    """Store a line for scores since 11:00."""
    until = int(datetime(2026, 1, 5, 11, tzinfo=UTC).timestamp() * 1_000_000)
    with api.services.database.write() as connection:
        model = models.by_name(connection, "m")
        line = ValueMap(model_id=model.id, version="", family="score", until=until, parameters=parameters)
        mappings.put(connection, [line], until)


def line_of(api):
    mapping = api.get(CALIBRATION, **DAY)["mapping"]
    return None if mapping is None else mapping["parameters"]


def test_a_map_that_reads_all_scores_alike_is_fitted_again(api, tools):
    declared(api)
    stored_map(api, slope=1e-3, intercept=0.8, low=-1e4, high=1e4)
    events, _ = scored(tools, 150, minutes=59)
    api.send(*events)
    api.judge()
    assert line_of(api)["slope"] == 1e-3
    events, _ = scored(tools, 450, first=150, minutes=50)
    api.send(*events)
    api.judge()
    assert line_of(api)["slope"] == pytest.approx(3.0, abs=1.2)
    assert api.get(CALIBRATION, **DAY)["mapping"]["until"] > "2026-01-05T11:10:00Z"


@pytest.mark.parametrize("parameters", [(-3.0, 0.0), (1.0, 2.0), (8.0, 8.0)])
def test_a_map_that_is_only_wrong_is_left_for_the_alerts(sqlite_api, tools, parameters):
    declared(sqlite_api)
    line = dict(zip(("slope", "intercept", "low", "high"), (*parameters, -20.0, 20.0), strict=True))
    stored_map(sqlite_api, **line)
    events, _ = scored(tools, 600, minutes=59)
    sqlite_api.send(*events)
    sqlite_api.judge()
    assert line_of(sqlite_api) == line


def test_a_map_of_an_earlier_release_is_fitted_again(sqlite_api, tools):
    declared(sqlite_api)
    stored_map(sqlite_api, slope=1e-3, intercept=0.8)
    assert line_of(sqlite_api) is None
    events, _ = scored(tools, 600, minutes=59)
    sqlite_api.send(*events)
    sqlite_api.judge()
    assert line_of(sqlite_api)["slope"] == pytest.approx(3.0, abs=1.2)


def test_windows_of_the_schedule_judge_what_came_after_the_line(sqlite_api, tools):
    declared(sqlite_api, windows=["1h", "24h"])
    events, _ = scored(tools, 600)
    sqlite_api.send(*events)
    sqlite_api.judge()
    history = sqlite_api.get("/v1/models/m/history", window="24h")["evaluations"]
    assert [each["verdict"] for each in history] == ["calibrated"]
    evidence = sqlite_api.get("/v1/models/m/evidence")["evidence"]
    assert [each["labels"] for each in evidence] == [400]


def test_where_minutes_are_gone_scores_are_judged_from_the_next_hour_on(api, tools, clock):
    declared(api)
    events, _ = scored(tools, 600)
    later, _ = scored(tools, 40, first=600, minutes=0)
    api.send(*events, *later)
    api.judge()
    assert sum(each["count"] for each in api.get(CALIBRATION, **DAY)["reliability"]) == 440
    clock.advance(timedelta(days=4))
    api.send(*pair(tools, "last", token_logprobs([-1.0]), 1, minutes=-4 * 1440))
    found = api.get(CALIBRATION, **DAY)
    assert found["mapping"]["until"] == "2026-01-05T11:10:00Z"
    assert sum(each["count"] for each in found["reliability"]) == 40
    assert differences(api) == []


def test_a_line_is_fitted_on_hours_where_minutes_are_gone(sqlite_api, tools):
    declared(sqlite_api)
    events, _ = scored(tools, 600, minutes=4 * 1440 + 30)
    last = pair(tools, "last", token_logprobs([-1.0]), 1)
    sqlite_api.send(*events, *last)
    sqlite_api.judge()
    found = sqlite_api.get(CALIBRATION, start="2026-01-01T00:00:00Z", end=DAY["end"])
    # 11:30 to 12:00: the first hour that has labels enough is the first of all.
    assert found["mapping"]["until"] == "2026-01-01T12:00:00Z"
    assert sum(each["count"] for each in found["reliability"]) == 1


def test_a_model_of_scores_is_told_why_it_gets_no_calibrator(sqlite_api, tools):
    declared(sqlite_api)
    events, _ = scored(tools, 300)
    sqlite_api.send(*events)
    refused = sqlite_api.post("/v1/models/m/calibrators", {"method": "auto"})
    assert (refused["number"], refused["promoted"]) == (None, False)
    assert "scores, not probabilities" in refused["reason"]


def test_drift_of_scores_is_over_their_places(sqlite_api, tools):
    declared(sqlite_api, minimum_labels=100)
    events, _ = scored(tools, 600, minutes=59)
    sqlite_api.send(*events)
    halves = {"start": at(44), "end": at(29)}
    calm = sqlite_api.get("/v1/models/m/drift", **halves)
    assert (calm["drifted"], calm["predictions"], calm["reference_predictions"]) == (False, 300, 300)
    assert calm["psi"] < calm["psi_null_999"]
    events, _ = scored(tools, 300, first=600, minutes=29, shift=-0.6, seed=4)
    sqlite_api.send(*events)
    moved = sqlite_api.get("/v1/models/m/drift", start=at(29), end=at(14))
    assert (moved["drifted"], moved["wasserstein"]) == (True, None)
    assert moved["relative_move"] > moved["least_move"] > calm["relative_move"] - 0.1
    assert moved["psi"] > 0.2


def test_corrections_repeats_and_late_labels_leave_the_sums_exact(api, tools):
    declared(api, segments=["confidence_source"])
    agreeing, _ = sampled(tools, 60)
    scores, _ = scored(tools, 60)
    stated(api, tools)
    labels = [each for each in (*agreeing, *scores) if each["type"] == "label"]
    predictions = [each for each in (*agreeing, *scores) if each["type"] == "prediction"]
    corrected = [
        {**each, "label": not each["label"] if isinstance(each["label"], bool) else "Paris", "supersedes": True}
        for each in labels[::3]
    ]
    api.send(*labels[::2], *predictions[:70])
    api.send(*predictions, *labels)
    api.send(*corrected, *labels[:10])
    assert differences(api) == []
    found = api.get(CALIBRATION, scores="raw", **DAY)
    assert (found["predictions"], found["labelled"]) == (129, 129)


def test_agreement_of_a_client_is_an_event(sqlite_api, tools):
    declared(sqlite_api)
    fields = agreement(["Paris", "Lyon", "Paris"])
    sqlite_api.send(tools.prediction("a", **fields), tools.label("a", "Paris"))
    raw = sqlite_api.get(CALIBRATION, scores="raw", **DAY)
    assert raw["mean_confidence"] == pytest.approx(2 / 3)
    assert raw["accuracy"] == 1.0


def test_an_event_is_shown_as_it_was_sent(sqlite_api, tools):
    declared(sqlite_api)
    sqlite_api.send(
        *pair(tools, "l1", token_logprobs([-0.5, -1.5]), 1),
        *pair(tools, "s1", {"agreeing": 2, "samples": 3, "confidence_source": "self_consistency"}, 1),
    )
    score, share = (sqlite_api.get(f"/v1/models/m/events/{name}")["prediction"] for name in ("l1", "s1"))
    assert (score["served"], score["score"], score["confidence_source"]) == (None, -1.0, "logprob")
    assert (share["served"], share["agreeing"], share["samples"]) == (2 / 3, 2, 3)
