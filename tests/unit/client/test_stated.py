"""The confidence that a text states, and what is left unreadable: `sentences.txt` holds what people and models write."""

import re
import time
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.client.stated import verbalized
from monitor.domain.errors import Unreadable

ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|(n|\\))")


def _sentences() -> list[tuple[str, float | None]]:
    lines = Path(__file__).with_name("sentences.txt").read_text().splitlines()
    pairs = [line.split(" | ", 1) for line in lines if line and not line.startswith("#")]
    return [(ESCAPE.sub(_unescaped, text), None if value == "-" else float(value)) for value, text in pairs]


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else {"n": "\n", "\\": "\\"}[escape[2]]


SENTENCES = _sentences()


def _read(text: str) -> float | None:
    with suppress(Unreadable):
        return verbalized(text)["confidence"]
    return None


def test_the_sentences_are_many_and_of_both_sorts():
    assert len(SENTENCES) == len(dict(SENTENCES)) >= 400
    assert 150 <= sum(value is None for _, value in SENTENCES) <= len(SENTENCES) - 150


@pytest.mark.parametrize(("text", "expected"), SENTENCES, ids=[text for text, _ in SENTENCES])
def test_a_sentence_is_read_as_what_it_says_or_not_at_all(text, expected):
    assert _read(text) == expected


NUMBERS = [
    "85%",
    "85 %",
    "85\uff05",
    "\uff18\uff15\uff05",
    "85 percent",
    "0.85",
    ".85",
    "85/100",
    "8.5/10",
    "8.5 out of 10",
    "80-90%",
]
HEDGES = ["", "about ", "around ", "roughly ", "approximately ", "~", "maybe ", "only ", "probably around "]
LABELS = ["Confidence: ", "Confidence\uff1a", "**Confidence**: ", "Confidence = ", "My confidence is ", "Certainty: "]
OWN = [
    "I'm {} sure",
    "I am {} certain that it is B.",
    "I\u2019m {} confident in this answer.",
    "It is B ({} sure)",
    "I'd say I'm {} sure.",
]
DENIED = [
    "I'm not {} sure",
    "I am not, to be honest, {} sure",
    "I can't be {} sure",
    "I can\u2019t say with {} certainty",
    "I cannot be {} certain",
    "No one can be {} certain",
    "Nobody is {} sure",
    "Without being {} sure, I'd pick B",
    "I'm never {} sure",
    "I'm far from {} certain",
    "I'm hardly {} sure",
    "I'm by no means {} sure",
    "I'm no longer {} sure",
    "I doubt that I'm {} sure",
    "I don't think that I'm {} sure",
    "I wish I were {} sure",
    "If I were {} sure, I'd say B",
    "I would be {} sure with more data",
    "Are you {} sure?",
    "You can be {} sure that it is wrong",
    "I'm {} sure that it is wrong",
    "I'm at least {} sure",
    "I'm {} sure or more",
    "I was {} sure",
]
DENIED_LABELS = [
    "not ",
    "hardly ",
    "never ",
    "far from ",
    "at least ",
    "up to ",
    "almost ",
    "less than ",
    "more than ",
    "no ",
]
UNDONE = [
    " or higher",
    " or more",
    " and above",
    " at most",
    " minimum",
    "?",
    " if it is true",
    " CI",
    " of people",
    " \u4ee5\u4e0a",
]


@pytest.mark.parametrize(("number", "hedge"), list(product(NUMBERS, HEDGES)))
def test_every_form_is_read_after_every_label_and_in_every_statement(number, hedge):
    texts = [label + hedge + number for label in LABELS] + [frame.format(hedge + number) for frame in OWN]
    assert {text: _read(text) for text in texts} == dict.fromkeys(texts, 0.85)


@pytest.mark.parametrize(("number", "hedge"), list(product(NUMBERS, HEDGES)))
def test_no_form_is_read_where_it_is_denied_asked_or_bounded(number, hedge):
    texts = [frame.format(hedge + number) for frame in DENIED]
    texts += [label + denial + hedge + number for label, denial in product(LABELS, DENIED_LABELS)]
    texts += [label + hedge + number + undone for label, undone in product(LABELS, UNDONE)]
    assert {text: _read(text) for text in texts} == dict.fromkeys(texts)


@pytest.mark.parametrize("frame", DENIED)
def test_a_denial_leaves_a_statement_beside_it_standing(frame):
    assert _read(frame.format("100%").rstrip("?") + ".\nConfidence: 85%") == 0.85


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
    ("Confidence: \uff18\uff15%", 0.85),
    ("Confidence: 8\uff15%", 0.85),
    ("Confidence: between 80 and 90%", 0.85),
    ("Confidence: 80 \u2013 90%", 0.85),
    ("Confidence: 80% to 90%", 0.85),
    ("Confidence: 85% ± 5%", 0.85),
    ("I'm 80 to 90% sure", 0.85),
    ("I'm between 80% and 90% confident", 0.85),
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
    ("Confidence: at least 80%", "no confidence"),
    ("Confidence: almost 100%", "no confidence"),
    ("1" * 400, "no confidence"),
    ("Confidence: 60%. No, I'm 90% sure.", "several confidences: 0.6 and 0.9"),
    ("Confidence: 0.85 (90%)", "several confidences"),
    ('{"confidence": 0.8} {"confidence": 0.9}', "several confidences"),
    ("Confidence: 60-90%", "a range"),
    ("Confidence: 60 \u2013 90%", "a range"),
    ("Confidence: 90% to 80%", "a range"),
    ("Confidence: 80% or 90%", "a range"),
    ("Confidence: 0.8, 0.9", "a list"),
    ("Confidence: 90%+", "a bound"),
    ("Confidence: >90%", "a bound"),
    ("Confidence: ≥ 90%", "a bound"),
    ("Confidence: <50%", "a bound"),
    ("I'm not 85% sure", "a denial"),
    ("I'm more than 85% sure", "a bound"),
    ("I'm almost 100% sure", "a bound"),
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
        confidence = verbalized(text)["confidence"]
    except Unreadable:
        return
    assert 0.0 <= confidence <= 1.0
    assert any(letter.isdecimal() for letter in text)


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
        "not ",
        "I'm 85% sure ",
        "I'm 85% sure, ",
        "80-",
        "confiance : ",
        "although ",
    ],
)
def test_a_long_text_is_read_in_time_that_grows_with_its_length(piece):
    text = piece * (200_000 // len(piece))
    begun = time.process_time()
    with suppress(Unreadable):
        verbalized(text)
    assert time.process_time() - begun < 2.0
