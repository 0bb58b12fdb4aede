"""Convert the output of a language model or an ensemble into fields of an event: a number or an error, never a guess.

The functions raise `Unreadable`, a ValueError, where the output states no confidence, so that serving code can decide: log no event
for that answer, or ask again. `Client.log` itself raises nothing.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from typing import Any, Final, Literal, TypedDict

from ..domain.errors import Unreadable
from ..domain.events import MAX_SAMPLES

Answer = str | int | float


class Agreement(TypedDict):
    """Arguments of `Client.log` for the most frequent of several sampled answers."""

    prediction: Answer
    agreeing: int
    samples: int
    confidence_source: Literal["self_consistency"]


class TokenScore(TypedDict, total=False):
    """Arguments of `Client.log` from the probabilities of tokens: a score, or a confidence for a single token."""

    score: float
    confidence: float
    confidence_source: Literal["logprob"]


class Verbalized(TypedDict):
    """Arguments of `Client.log` for a confidence stated in digits."""

    confidence: float
    confidence_source: Literal["verbalized"]


def agreement(
    answers: Iterable[Answer],
    *,
    key: Callable[[Answer], Hashable] | None = None,
    same: Callable[[Answer, Answer], bool] | None = None,
) -> Agreement:
    """Return the most frequent of several sampled answers, and the number of answers that agree with it.

    Ties go to the answer that came first. No answer is ignored: an empty one is an error.

    Parameters
    ----------
    answers : 1 to 50 texts or numbers, in the order of sampling
    key : answers agree if their keys are equal, for example `str.casefold`; by default the answers must be equal
    same : or an answer agrees with a group if this is true of the group's first answer and it, for example a model of meanings

    Returns
    -------
    `prediction`, `agreeing`, `samples` and `confidence_source`, for `client.log(**fields)`

    Raises
    ------
    Unreadable
        when there is no answer or more than 50, or one is empty, not finite, or neither text nor a number.

    Examples
    --------
    >>> agreement(["Paris", "Lyon", "paris"], key=str.casefold)
    {'prediction': 'Paris', 'agreeing': 2, 'samples': 3, 'confidence_source': 'self_consistency'}

    """
    sampled = list(answers)
    if not 1 <= len(sampled) <= MAX_SAMPLES:
        raise Unreadable("answers", len(sampled), f"must be 1 to {MAX_SAMPLES} answers")
    for answer in sampled:
        _check_answer(answer)
    if key is not None and same is not None:
        raise Unreadable("same", same, "must be left out beside key: one of them says which answers agree")
    groups = _alike(sampled, same) if same is not None else _by_key(sampled, key or _itself)
    largest = max(groups, key=len)  # the first of several
    return {
        "prediction": largest[0],
        "agreeing": len(largest),
        "samples": len(sampled),
        "confidence_source": "self_consistency",
    }


def _check_answer(answer: Any) -> None:
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise Unreadable("answers", answer, "must be text or numbers")
    if isinstance(answer, str) and not answer.strip():
        raise Unreadable("answers", answer, "must not be empty: name what stands for no answer, or leave the event out")
    if isinstance(answer, float) and not math.isfinite(answer):
        raise Unreadable("answers", answer, "must be finite")


def _itself(answer: Answer) -> Hashable:
    return answer


def _by_key(answers: list[Answer], key: Callable[[Answer], Hashable]) -> list[list[Answer]]:
    groups: dict[Hashable, list[Answer]] = {}
    for answer in answers:
        groups.setdefault(key(answer), []).append(answer)
    return list(groups.values())


def _alike(answers: list[Answer], same: Callable[[Answer, Answer], bool]) -> list[list[Answer]]:
    groups: list[list[Answer]] = []
    for answer in answers:
        group = next((group for group in groups if same(group[0], answer)), None)
        if group is None:
            groups.append([answer])
        else:
            group.append(answer)
    return groups


How = Literal["mean", "sum", "min", "single"]


def token_logprobs(logprobs: Iterable[float], *, how: How = "mean") -> TokenScore:
    """Return the score of an answer from the natural logarithms of its tokens' probabilities.

    Their mean, sum or minimum is a score, not a probability of the answer; the server calibrates it once it has labels. Only for an
    answer of a single token (yes or no, a choice) is exp(logprob) a confidence: `how="single"`.

    Parameters
    ----------
    logprobs : one number per token of the answer, none above 0
    how : `mean`, `sum` or `min`, the same for all events of a model version; or `single`

    Returns
    -------
    `score`, or for a single token `confidence`, with `confidence_source`, for `client.log(prediction=…, **fields)`

    Raises
    ------
    Unreadable
        when there is no token, or for `single` more than one, or a logprob is above 0 or not finite.

    Examples
    --------
    >>> token_logprobs([-0.25, -0.75]), token_logprobs([0.0], how="single")
    ({'score': -0.5, 'confidence_source': 'logprob'}, {'confidence': 1.0, 'confidence_source': 'logprob'})

    """
    tokens = [_logprob(value) for value in logprobs]
    if not tokens:
        raise Unreadable("logprobs", tokens, "must have at least one token")
    if how == "single":
        if len(tokens) != 1:
            raise Unreadable("logprobs", tokens, "must be of one token: of several, take their mean, sum or min")
        return {"confidence": math.exp(tokens[0]), "confidence_source": "logprob"}
    if how not in _SCORES:
        raise Unreadable("how", how, "must be mean, sum, min or single")
    return {"score": _SCORES[how](tokens), "confidence_source": "logprob"}


_SCORES: Final[dict[str, Callable[[list[float]], float]]] = {
    "mean": lambda tokens: math.fsum(tokens) / len(tokens),
    "sum": math.fsum,
    "min": min,
}


def _logprob(value: Any) -> float:
    try:
        logprob = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unreadable("logprobs", value, "must be numbers") from error
    if isinstance(value, str | bool) or not -math.inf < logprob <= 0.0:
        raise Unreadable("logprobs", value, "must be logarithms of probabilities: finite, and at most 0")
    return logprob


def average(members: Iterable[float] | Iterable[Iterable[float]]) -> Any:
    """Return the mean of an ensemble's probabilities, or of its vectors class by class.

    This is the ensemble's own value, to which a calibrator is applied.

    Parameters
    ----------
    members : a probability per member of a binary model, a vector per member of a multiclass one; lists or arrays

    Returns
    -------
    a probability, or a list of one per class

    Raises
    ------
    Unreadable
        when there are no members, their types or lengths differ, or a value is no probability.

    Examples
    --------
    >>> average([0.9, 0.6]), average([[0.5, 0.5], [1.0, 0.0]])
    (0.75, [0.75, 0.25])

    With a client, the served value, the members and the calibrator's version go into one event:
    `client.log(probability=client.calibrated(average(members)), members=members)`.

    """
    values = [member.tolist() if hasattr(member, "tolist") else member for member in members]
    if not values:
        raise Unreadable("members", values, "must be at least one member")
    if not any(isinstance(value, Iterable) for value in values):
        return math.fsum(map(_probability, values)) / len(values)
    vectors = [_vector(value) for value in values]
    if len(set(map(len, vectors))) != 1:
        raise Unreadable("members", [len(vector) for vector in vectors], "must be vectors of the same classes")
    return [math.fsum(entries) / len(vectors) for entries in zip(*vectors, strict=True)]


def _vector(member: Any) -> list[float]:
    if isinstance(member, str) or not isinstance(member, Iterable):
        raise Unreadable("members", member, "must be all probabilities, or all vectors")
    return [_probability(value) for value in member]


def _probability(value: Any) -> float:
    try:
        probability = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unreadable("members", value, "must hold numbers") from error
    if isinstance(value, str | bool) or not 0.0 <= probability <= 1.0:
        raise Unreadable("members", value, "must hold probabilities, from 0 to 1")
    return probability


def verbalized(text: str, *, scale: Literal[1, 10, 100] | None = None) -> Verbalized:
    """Return the confidence that a text states in digits.

    It is a number after "confidence", "certainty" or, at the start of a line, "probability" ("Confidence: 85%", `{"confidence": 0.85}`),
    a number before "confident", "sure" or "certain" ("I'm 85 % sure"), or the whole text. Several statements must agree.

    A number with %, "percent", /10, /100 or "out of 10" states its scale, and so does "(0-100)" after the word. A bare number is read by
    `scale`; without it, .85, 0 and 1.0 are ratios, numbers above 10 are percent, and 1 to 10 are refused as ambiguous.

    Parameters
    ----------
    text : the model's answer, or the part that states the confidence
    scale : maximum of bare numbers, as the prompt asked for: 1, 10 or 100

    Returns
    -------
    `confidence` and `confidence_source`, for `client.log(prediction=…, **fields)`

    Raises
    ------
    Unreadable
        when the text states no confidence, several, a bound or a range, or one that is out of range or ambiguous.

    Examples
    --------
    >>> verbalized("The capital is Lyon. Confidence: 85%")
    {'confidence': 0.85, 'confidence_source': 'verbalized'}
    >>> verbalized("I'm quite sure.")
    Traceback (most recent call last):
    calwatch.domain.errors.Unreadable: text is "I'm quite sure.": states no confidence in digits

    """
    if not isinstance(text, str):
        raise Unreadable("text", text, "must be text")
    if scale not in (None, 1, 10, 100):
        raise Unreadable("scale", scale, "must be 1, 10 or 100")
    plain = _plain(text)
    try:
        ratios = {_ratio(stated, scale) for stated in _statements(plain)}
    except _Unclear as error:
        raise Unreadable("text", text, str(error)) from None
    if len(ratios) != 1:
        several = " and ".join(f"{ratio:g}" for ratio in sorted(ratios))
        raise Unreadable("text", text, f"states several confidences: {several}" if ratios else NOTHING)
    return {"confidence": ratios.pop(), "confidence_source": "verbalized"}


NOTHING: Final = "states no confidence in digits"


class _Unclear(ValueError):
    """A statement of a confidence is ambiguous or invalid."""


def _plain(text: str) -> str:
    """Return a text in lower case, without invisible characters, decoration and runs of blanks."""
    if not text.isascii():
        text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    text = _TAG.sub(r"\n\1: ", text.lower().translate(_PLAINER))
    return _LINE_ENDS.sub("\n", _BLANKS.sub(" ", _DECORATION.sub(" ", text))).strip()


_PLAINER: Final = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u2018\u2019\u201c\u201d\u00ab\u00bb", "'"),
        **dict.fromkeys("\uff05\u066a", "%"),
        "\u2248": "~",
        "\u2192": ":",
    }
)
"""Typographic dashes, quotation marks and percent signs, to those on keyboards."""

_TAG: Final = re.compile(r"<(confidence|certainty|probability)>")
_DECORATION: Final = re.compile(r"[*_`\"'\\$]+")
_BLANKS: Final = re.compile(r"[^\S\n]+")
_LINE_ENDS: Final = re.compile(r" ?\n[ \n]*")

# In a plain text no two blanks follow one another, and what is optional is possessive where giving it back would change the meaning.
_VALUE: Final = re.compile(
    r"(?:(?:about|around|roughly|approximately|approx\.?|circa|ca\.|~) ?)?"
    r"(?P<sign>[-+<>\u2264\u2265] ?)?+"
    r"(?<![0-9.])(?P<number>[0-9]{1,20}(?:\.[0-9]{1,20})?|\.[0-9]{1,20})(?P<power>e[-+]?[0-9]{1,2})?+"
    r"(?P<unit> ?(?P<percent>%|percent\b|per ?cent\b|pct\b)"
    r"| ?(?:/|(?:out )?of (?=[0-9])) ?(?P<of>[0-9]{1,9}(?:\.[0-9]{1,9})?)(?![0-9]))?+"
    r"(?!\w|[.,:][0-9]| ?/)"
    r"(?:(?=(?P<more> ?\+| ?[-~\u00b1] ?\.?[0-9]| ?, ?\.?[0-9]| (?:to|or) \.?[0-9])))?"
)
_NAMED: Final = re.compile(
    r"(?<![a-z0-9])(?:(?:confidence|certainty)(?: (?:score|level|rating|value|percentage))?+|confident(?= ?[:=]| at ))"
    r"(?: in (?:this|that|the|my) (?:final |own )?(?:answer|response|reply|result|claim|guess|estimate|prediction|solution))?+"
    r"(?: ?[(\[] ?[01](?:\.0)?%? ?(?:-|to) ?(?P<echo>100|10|1)(?:\.0)?%? ?[)\]])?+"
    r"[ \n]?(?:[:=|(]|->|-(?= )|is |at |of )?[ \n]?"
    r"(?:(?:very )?(?:high|medium|moderate|low),? ?[(:-]? ?)?"
)
_PROBABILITY: Final = re.compile(r"^(?:[-#>{] ?)?probability ?[:=|] ?", re.MULTILINE)
_SURE: Final = re.compile(
    r" ?(?:confident|confidence|sure|certain|certainty)\b(?! ?(?:interval|level|limit|bound|region|band|set)|s? ?[:=|])"
)
_NOT_AS_SAID: Final = re.compile(
    r"(?:\b(?:not|than|least|most|over|under|above|below|up to|almost|nearly|only if)|[0-9]%? ?(?:-|to|and|or)) ?$"
)
_LOOKS_BACK: Final = 24
_AGAIN: Final = re.compile(r" ?[(\[]")
_BARE_RATIO: Final = re.compile(r"0?\.[0-9]+|1\.0+")


def _statements(plain: str) -> list["_Stated"]:
    """Return all confidences that a text states; a labelled probability counts only without any other."""
    stated = [value for named in _NAMED.finditer(plain) for value in _after(plain, named.end(), named["echo"])]
    stated += _before_sure(plain)
    if not stated:
        stated = [value for named in _PROBABILITY.finditer(plain) for value in _after(plain, named.end())]
    return stated or _alone(plain)


def _after(plain: str, start: int, echo: str | None = None) -> list["_Stated"]:
    """Return the value at a place of the text, and the one that follows it in brackets."""
    value = _VALUE.match(plain, start)
    if value is None:
        return []
    bracket = _AGAIN.match(plain, value.end())
    again = None if bracket is None else _VALUE.match(plain, bracket.end())
    closed = again is not None and plain[again.end() : again.end() + 1] in {")", "]"}
    return [(value, echo), *([(again, None)] if again is not None and closed else [])]


def _before_sure(plain: str) -> list["_Stated"]:
    """Return the values before a word for being sure; a bare number must be a ratio."""
    stated: list[_Stated] = []
    for value in _VALUE.finditer(plain):
        if not _SURE.match(plain, value.end()) or not (value["unit"] or _BARE_RATIO.fullmatch(value["number"])):
            continue
        if _NOT_AS_SAID.search(plain[max(0, value.start() - _LOOKS_BACK) : value.start()]):
            raise _Unclear("states a bound, a range or a denial, not a confidence")
        stated.append((value, None))
    return stated


def _alone(plain: str) -> list["_Stated"]:
    inner = plain.strip("()[]{} ")
    value = _VALUE.match(inner)
    return [(value, None)] if value is not None and inner[value.end() :] in {"", "."} else []


_Stated = tuple[re.Match[str], str | None]
"""A value, and the scale stated by the words before it."""


def _ratio(stated: _Stated, scale: int | None) -> float:
    """Return a stated confidence as a ratio.

    Raises
    ------
    _Unclear
        when it is invalid or ambiguous.

    """
    value, echo = stated
    written = value[0].strip()
    if value["more"] or (value["sign"] or "").strip() in {"<", ">", "\u2264", "\u2265", "+"}:
        raise _Unclear(f"states a bound, a range or a list, {written}")
    number = Decimal((value["number"] or "") + (value["power"] or ""))
    whole = _whole(value, number, scale if echo is None else int(echo))
    if value["sign"] or number > whole:
        raise _Unclear(f"states {written}: must be from 0 to {whole}")
    return float(number / whole)


def _whole(value: re.Match[str], number: Decimal, scale: int | None) -> int:
    """Return the maximum of a number's scale."""
    if value["percent"]:
        return 100
    if value["of"]:
        if Decimal(value["of"]) not in (1, 10, 100):
            raise _Unclear(f"states {value[0]}: must be out of 1, 10 or 100")
        return int(Decimal(value["of"]))
    if scale is not None and scale > 1 and 0 < number < 1:
        raise _Unclear(f"states {value['number']}, which is a ratio or out of {scale}")
    if scale is not None:
        return scale
    if number < 1 or (number == 1 and "." in value["number"]):
        return 1
    if number <= AMBIGUOUS:
        raise _Unclear(f"states {value['number']}, which may be a ratio, out of ten or percent: say so by scale")
    return 100


AMBIGUOUS: Final = 10
"""Bare numbers from 1 to this are ambiguous."""
