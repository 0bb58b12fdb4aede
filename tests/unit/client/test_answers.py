"""From what a language model gave to the fields of an event, and what is refused."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import monitor
from monitor.client import items
from monitor.client.answers import agreement, average, token_logprobs
from monitor.client.stated import verbalized
from monitor.domain.errors import BadInput, MonitorError, Unreadable
from monitor.domain.events import PredictionEvent
from monitor.ingest.decode import decode_events

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


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
    [([-0.5, -1.5], "mean", -1.0), ([-0.5, -1.5], "sum", -2.0), ([-0.5, -1.5], "min", -1.5), ([0.0, 0], "mean", 0.0),
     ([1e-7, -1.0], "sum", -1.0), ([1e-6], "mean", 0.0)],
)  # fmt: skip
def test_token_logprobs_make_a_score(logprobs, how, expected):
    assert token_logprobs(logprobs, how=how) == {"score": expected, "confidence_source": "logprob"}


def test_an_unlikely_token_is_no_unknown_one():
    assert token_logprobs([-100.0, -700.0], how="min")["score"] == -700.0


def test_one_token_has_a_probability():
    assert token_logprobs([math.log(0.25)], how="single") == {
        "confidence": pytest.approx(0.25), "confidence_source": "logprob",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("logprobs", "how"),
    [([], "mean"), ([], "single"), ([-1.0, -1.0], "single"), ([0.1], "mean"), ([2e-6], "mean"), ([math.nan], "sum"), ([-math.inf], "min"),
     ([-0.5, -9999.0], "mean"), ([-0.5, -9999], "sum"), ([-1e4], "single"), ([-0.5, -3.4e38], "min"), ([-746.0], "mean"),
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
        ([1.0000001, 1.0], 1.0),
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
