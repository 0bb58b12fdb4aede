"""From what a language model gave to the fields of an event, and what is refused."""

import math
import time
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import monitor
from monitor.client import items
from monitor.client.answers import agreement, average, token_logprobs, verbalized
from monitor.domain.errors import BadInput, MonitorError, Unreadable
from monitor.domain.events import PredictionEvent
from monitor.ingest.decode import decode_events

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

STATED = [
    ("Confidence: 85%", 0.85),
    ("confidence=0.85", 0.85),
    ("I'm 85 % sure", 0.85),
    ("0.85", 0.85),
    (".85", 0.85),
    ("85%", 0.85),
    ("85", 0.85),
    ("85.", 0.85),
    ("(85%)", 0.85),
    ("85/100", 0.85),
    ("8/10", 0.8),
    ("8.5 out of 10", 0.85),
    ("0.85 out of 1.0", 0.85),
    ("85 percent", 0.85),
    ("85 per cent", 0.85),
    ("85.5", 0.855),
    ("0", 0.0),
    ("0%", 0.0),
    ("0.0", 0.0),
    ("1.0", 1.0),
    ("100", 1.0),
    ("100%", 1.0),
    ("0.85%", 0.0085),
    ("8.5e-1", 0.85),
    ('{"confidence": 85}', 0.85),
    ('{"confidence": 0.85}', 0.85),
    ('{"confidence": 8.5e-1}', 0.85),
    ('{"answer": "42", "confidence": "85%"}', 0.85),
    ('{"confidence_score":0.85,"answer":"42"}', 0.85),
    ('{"overall_confidence": 0.85}', 0.85),
    ('```json\n{\n  "answer": 1066,\n  "confidence" : 85\n}\n```', 0.85),
    ("The answer is 42. Confidence: 85%", 0.85),
    ("The answer is 42.\n\n**Confidence:** 85%\n", 0.85),
    ("**Confidence**: **85**%", 0.85),
    ("_Confidence_ \u2013 85 %", 0.85),
    ("| Confidence | 85% |", 0.85),
    ("<answer>42</answer><confidence>85</confidence>", 0.85),
    ("<CONFIDENCE>0.85</CONFIDENCE>", 0.85),
    ("Confidence (0-100): 85", 0.85),
    ("Confidence (0-100): 5", 0.05),
    ("Confidence (0\u20131): 1", 1.0),
    ("Confidence [0 to 10]: 8", 0.8),
    ("Confidence: high (85%)", 0.85),
    ("Confidence: Very High, 85%", 0.85),
    ("Confidence (85%)", 0.85),
    ("Confidence level: 85%", 0.85),
    ("Confidence Score = 85/100 (very high)", 0.85),
    ("My confidence in this answer is 85%.", 0.85),
    ("My certainty is about 85%", 0.85),
    ("with a confidence of 0.85", 0.85),
    ("Confidence: ~85%", 0.85),
    ("Confidence: approx. 85%", 0.85),
    ("Confidence:\n85%", 0.85),
    ("CONFIDENCE: 85%", 0.85),
    ("I am confident at 85%", 0.85),
    ("I am 85% confident that there are 12 of them", 0.85),
    ("I'm 85 percent certain", 0.85),
    ("I'm 0.85 confident", 0.85),
    ("8 out of 10 confident", 0.8),
    ("Confidence: 0.85 (85%)", 0.85),
    ("Confidence: 85%. As I said, I'm 85% sure.", 0.85),
    ("The 95% confidence interval is 3 to 7. Confidence: 85%", 0.85),
    ("Answer: 42% Confidence: 85%", 0.85),
    ("Guess: 1912\nProbability: 0.85", 0.85),
    ("The probability is 0.25.\nConfidence: 0.85", 0.85),
    ("Probability: 0.25\nConfidence: 0.85", 0.85),
    ("Confidence: 85\uff05", 0.85),
    ("Confidence: 85\u00a0%", 0.85),
    ("Confidence:\u202f85\u202f%", 0.85),
    ("Confi\u00addence: 8\u200b5%", 0.85),
    ("Confidence: 85\\%", 0.85),
    ("Confidence: $85\\%$", 0.85),
    ("Confidence: 85%\n- 2 sources agree", 0.85),
    ("Confidence: 85% because of 3 papers", 0.85),
]

REFUSED = [
    ("", "no confidence"),
    ("   \n", "no confidence"),
    ("I'm quite sure.", "no confidence"),
    ("Confidence: high", "no confidence"),
    ("Confidence: eighty-five percent", "no confidence"),
    ("Confidence: N/A", "no confidence"),
    ("Confidence: nan", "no confidence"),
    ("Confidence: inf", "no confidence"),
    ('{"confidence": null}', "no confidence"),
    ('{"confidence": [0.8, 0.9]}', "no confidence"),
    ('{"confidence": true}', "no confidence"),
    ("The answer is 42", "no confidence"),
    ("42 is the answer", "no confidence"),
    ("I'm confident that the answer is 42", "no confidence"),
    ("In 1985 sure enough", "no confidence"),
    ("I am confident in 1985", "no confidence"),
    ("The 95% confidence interval is 3 to 7", "no confidence"),
    ("at the 95% confidence level", "no confidence"),
    ("The probability is 0.25", "no confidence"),
    ("Overconfidence: 0.85", "no confidence"),
    ("Confidence: 85th percentile", "no confidence"),
    ("Confidence: 0,85", "no confidence"),
    ("Confidence: 1,000", "no confidence"),
    ("Confidence: 8/10/2025", "no confidence"),
    ("Confidence: 8:30", "no confidence"),
    ("Confidence: 0.8.5", "no confidence"),
    ("Confidence: \uff18\uff15%", "no confidence"),
    ("Confidence: 8\uff15%", "no confidence"),
    ("Confidence: between 80 and 90%", "no confidence"),
    ("Confidence: at least 80%", "no confidence"),
    ("Confidence: almost 100%", "no confidence"),
    ("1" * 400, "no confidence"),
    ("Confidence: 60%. No, I'm 90% sure.", "several confidences: 0.6 and 0.9"),
    ("Confidence: 0.85 (90%)", "several confidences"),
    ('{"confidence": 0.8} {"confidence": 0.9}', "several confidences"),
    ("Confidence: 80-90%", "a range"),
    ("Confidence: 80 \u2013 90%", "a range"),
    ("Confidence: 80% to 90%", "a range"),
    ("Confidence: 80% or 90%", "a range"),
    ("Confidence: 0.8, 0.9", "a list"),
    ("Confidence: 85% ± 5%", "a range"),
    ("Confidence: 90%+", "a bound"),
    ("Confidence: >90%", "a bound"),
    ("Confidence: ≥ 90%", "a bound"),
    ("Confidence: <50%", "a bound"),
    ("I'm not 85% sure", "a denial"),
    ("I'm more than 85% sure", "a bound"),
    ("I'm almost 100% sure", "a bound"),
    ("I'm 80 to 90% sure", "a range"),
    ("I'm between 80% and 90% confident", "a range"),
    ("1", "out of ten or percent"),
    ("Confidence: 1", "out of ten or percent"),
    ("Confidence: 8", "out of ten or percent"),
    ("Confidence: 10", "out of ten or percent"),
    ("Confidence: 1.5", "out of ten or percent"),
    ('{"confidence": 1}', "out of ten or percent"),
    ("Confidence: 110%", "must be from 0 to 100"),
    ("Confidence: 850", "must be from 0 to 100"),
    ("12/10", "must be from 0 to 10"),
    ("Confidence: -5%", "must be from 0 to 100"),
    ("Confidence: \u22120.5", "must be from 0 to 1"),
    ("-0.85", "must be from 0 to 1"),
    ("Confidence: 4/5", "out of 1, 10 or 100"),
    ("Confidence: 3 out of 7", "out of 1, 10 or 100"),
    ("85/0", "out of 1, 10 or 100"),
    ("Confidence (0-100): 0.85", "a ratio or out of 100"),
    ("Confidence (0-1): 85", "must be from 0 to 1"),
]


@pytest.mark.parametrize(("text", "expected"), STATED, ids=range(len(STATED)))
def test_verbalized_reads_what_is_stated(text, expected):
    assert verbalized(text) == {"confidence": expected, "confidence_source": "verbalized"}


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=range(len(REFUSED)))
def test_verbalized_refuses_and_names_the_text(text, reason):
    with pytest.raises(Unreadable, match=reason) as refusal:
        verbalized(text)
    assert refusal.value.field == "text"
    assert refusal.value.value == text


@pytest.mark.parametrize(
    ("text", "scale", "expected"),
    [("1", 1, 1.0), ("1", 10, 0.1), ("1", 100, 0.01), ("Confidence: 8", 10, 0.8), ("8", 100, 0.08), ("0", 100, 0.0),
     ("0.85", 1, 0.85), ("85%", 1, 0.85), ("8/10", 100, 0.8), ("Confidence (0-10): 8", 100, 0.8)],
)  # fmt: skip
def test_a_scale_says_what_bare_numbers_are_out_of(text, scale, expected):
    assert verbalized(text, scale=scale)["confidence"] == expected


@pytest.mark.parametrize(("text", "scale"), [("85", 1), ("11", 10), ("0.85", 100), ("0.85", 10), ("101", 100)])
def test_a_number_that_is_not_on_the_scale_is_refused(text, scale):
    with pytest.raises(Unreadable):
        verbalized(text, scale=scale)


@pytest.mark.parametrize("value", [None, 0.85, b"85%", ["85%"]])
def test_verbalized_takes_text_only(value):
    with pytest.raises(Unreadable, match="must be text"):
        verbalized(value)


def test_an_unknown_scale_is_refused():
    with pytest.raises(Unreadable, match="1, 10 or 100"):
        verbalized("3", scale=5)


@given(st.text())
def test_verbalized_gives_a_ratio_or_an_error_for_any_text(text):
    try:
        found = verbalized(text)["confidence"]
    except Unreadable:
        return
    assert 0.0 <= found <= 1.0
    assert any(each in "0123456789" for each in text)


@given(st.text(alphabet=' .,%0123456789confidencesure:-/()\n{}"', max_size=60))
def test_verbalized_holds_on_texts_that_look_like_statements(text):
    with suppress(Unreadable):
        assert 0.0 <= verbalized(text)["confidence"] <= 1.0


@pytest.mark.parametrize(
    "piece",
    [
        "confidence ",
        "confidence: ",
        "85% ",
        "1",
        "1.",
        " ",
        "\n ",
        "confidence (0-1",
        "about ",
        "<confidence>",
        "9/",
        "- ",
        "85 of ",
    ],
)
def test_a_long_text_is_read_in_time_that_grows_with_its_length(piece):
    text = piece * (200_000 // len(piece))
    begun = time.process_time()
    with suppress(Unreadable):
        verbalized(text)
    assert time.process_time() - begun < 2.0


def test_an_unreadable_answer_is_a_value_error_among_ours():
    assert issubclass(Unreadable, ValueError)
    assert issubclass(Unreadable, BadInput)
    assert issubclass(Unreadable, MonitorError)


def test_agreement_counts_the_majority():
    assert agreement(["a", "b", "a"]) == {
        "prediction": "a", "agreeing": 2, "samples": 3, "confidence_source": "self_consistency",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "options", "expected"),
    [
        (["b", "a", "a", "b"], {}, ("b", 2)),  # of equals the first
        (["a"], {}, ("a", 1)),
        ([1, 1.0, 2], {}, (1, 2)),
        (["Paris", "paris ", "Lyon"], {}, ("Paris", 1)),
        (["Paris", "paris ", "Lyon"], {"key": lambda each: each.strip().casefold()}, ("Paris", 2)),
        (["4", "four", "5"], {"same": lambda one, other: {one, other} <= {"4", "four"} or one == other}, ("4", 2)),
        ((each for each in "xyy"), {}, ("y", 2)),
        (["x"] * 50, {}, ("x", 50)),
    ],
)
def test_agreement_by_any_meaning_of_same(answers, options, expected):
    found = agreement(answers, **options)
    assert (found["prediction"], found["agreeing"]) == expected


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=50))
def test_agreement_is_of_a_most_frequent_answer(answers):
    found = agreement(answers)
    most = max(answers.count(each) for each in answers)
    assert found["agreeing"] == most == answers.count(found["prediction"])
    assert found["prediction"] == next(each for each in answers if answers.count(each) == most)


@pytest.mark.parametrize(
    "answers", [[], ["a"] * 51, ["a", ""], ["a", "  "], ["a", None], [True], [math.nan], [math.inf], [["a"]]]
)
def test_agreement_refuses_what_is_no_answer(answers):
    with pytest.raises(Unreadable, match="answers"):
        agreement(answers)


def test_agreement_takes_one_meaning_of_same():
    with pytest.raises(Unreadable, match="beside key"):
        agreement(["a"], key=str, same=str.__eq__)


@pytest.mark.parametrize(
    ("logprobs", "how", "expected"),
    [([-0.5, -1.5], "mean", -1.0), ([-0.5, -1.5], "sum", -2.0), ([-0.5, -1.5], "min", -1.5), ([0.0, 0], "mean", 0.0)],
)
def test_token_logprobs_make_a_score(logprobs, how, expected):
    assert token_logprobs(logprobs, how=how) == {"score": expected, "confidence_source": "logprob"}


def test_one_token_has_a_probability():
    assert token_logprobs([math.log(0.25)], how="single") == {
        "confidence": pytest.approx(0.25), "confidence_source": "logprob",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("logprobs", "how"),
    [([], "mean"), ([], "single"), ([-1.0, -1.0], "single"), ([0.1], "mean"), ([math.nan], "sum"), ([-math.inf], "min"),
     (["-1"], "mean"), ([True], "mean"), ([None], "mean"), ([-1.0], "median")],
)  # fmt: skip
def test_token_logprobs_refuses_what_is_none(logprobs, how):
    with pytest.raises(Unreadable):
        token_logprobs(logprobs, how=how)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([0.9, 0.6], 0.75),
        ([0.5], 0.5),
        ((0, 1), 0.5),
        ([0.1] * 10, 0.1),
        ([1 / 3] * 3, 1 / 3),
        (iter([0.25, 0.75]), 0.5),
        (np.array([0.25, 0.75]), 0.5),
        ([np.float32(0.25), 0.75], 0.5),
        ([[0.5, 0.5], [1.0, 0.0]], [0.75, 0.25]),
        (np.array([[0.5, 0.5], [1.0, 0.0]]), [0.75, 0.25]),
        ([np.array([0.5, 0.5]), (1.0, 0.0)], [0.75, 0.25]),
    ],
)
def test_average_is_what_members_say_together(members, expected):
    assert average(members) == expected


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([], "at least one member"),
        ([0.5, 1.5], "probabilities, from 0 to 1"),
        ([0.5, math.nan], "probabilities, from 0 to 1"),
        ([0.5, True], "probabilities, from 0 to 1"),
        ([0.5, None], "hold numbers"),
        (["0.5"], "all probabilities, or all vectors"),
        ([0.5, [0.5, 0.5]], "all probabilities, or all vectors"),
        ([[0.5, 0.5], [1.0]], "vectors of the same classes"),
        ([[0.5, "0.5"]], "probabilities, from 0 to 1"),
    ],
)
def test_average_refuses_what_is_no_ensemble(members, reason):
    with pytest.raises(Unreadable, match=reason):
        average(members)


@pytest.mark.parametrize(
    ("said", "form"), [([0.9, 0.3, 0.7], "probability"), ([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], "probabilities")]
)
def test_average_is_what_the_server_takes_beside_its_members(said, form):
    for fields in ({form: average(said), "members": said}, {"members": np.array(said)}):
        sent = items.encode(items.prediction(event_id="e", model="m", timestamp=NOON, **fields))
        found = decode_events(b'{"events": [' + sent + b"]}", "application/json", now=NOON)
        assert found.rejected == []
        assert getattr(found.accepted[0], form) == average(said)


def test_the_package_names_what_serving_code_calls():
    assert {"agreement", "average", "verbalized", "token_logprobs"} <= set(monitor.__all__)
    assert monitor.average is average
    assert (monitor.agreement, monitor.verbalized, monitor.token_logprobs) == (agreement, verbalized, token_logprobs)


@pytest.mark.parametrize(
    ("fields", "served", "score"),
    [
        (agreement(["a", "b", "a"]), 2 / 3, None),
        ({"prediction": "a"} | verbalized("Confidence: 85%"), 0.85, None),
        ({"prediction": "a"} | verbalized("0%"), 0.0, None),
        ({"prediction": "a"} | token_logprobs([-0.5, -1.5]), None, -1.0),
        ({"prediction": "a"} | token_logprobs([0.0], how="single"), 1.0, None),
    ],
)
def test_what_the_helpers_make_is_an_event_that_the_server_takes(fields, served, score):
    sent = items.encode(items.prediction(event_id="e", model="m", timestamp=NOON, **fields))
    found = decode_events(b'{"events": [' + sent + b"]}", "application/json", now=NOON)
    assert found.rejected == []
    (event,) = found.accepted
    assert isinstance(event, PredictionEvent)
    assert (event.confidence, event.score) == (served, score)
