"""From what a language model or an ensemble gave to the fields of an event: how sure it was, in numbers, or an error; never a guess.

The functions raise `Unreadable`, a ValueError, where nothing can be told, so that serving code decides: log no event for that answer,
or ask again. `Client.log` itself raises nothing.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from typing import Any, Final, Literal

from ..domain.errors import Unreadable
from ..domain.events import MAX_SAMPLES

Answer = str | int | float
Fields = dict[str, Any]
"""Arguments of `Client.log`."""


def agreement(
    answers: Iterable[Answer],
    *,
    key: Callable[[Answer], Hashable] | None = None,
    same: Callable[[Answer, Answer], bool] | None = None,
) -> Fields:
    """Return the answer that most of several sampled ones give, and how many of them do.

    Of answers given equally often the one that came first is taken. An answer is never left out silently: an empty one is an error.

    Parameters
    ----------
    answers : 1 to 50 texts or numbers, in the order in which they were sampled
    key : answers agree if this makes the same of them, such as `str.casefold`; by default they must be equal
    same : or answers agree if this says so of one and the first of a group, such as a model that compares meanings

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
    given = list(answers)
    if not 1 <= len(given) <= MAX_SAMPLES:
        raise Unreadable("answers", len(given), f"must be 1 to {MAX_SAMPLES} answers")
    for each in given:
        _check_answer(each)
    if key is not None and same is not None:
        raise Unreadable("same", same, "must be left out beside key: one of them says which answers agree")
    groups = _alike(given, same) if same is not None else _by_key(given, key or _itself)
    largest = max(groups, key=len)  # the first of several
    return {
        "prediction": largest[0],
        "agreeing": len(largest),
        "samples": len(given),
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
    for each in answers:
        groups.setdefault(key(each), []).append(each)
    return list(groups.values())


def _alike(answers: list[Answer], same: Callable[[Answer, Answer], bool]) -> list[list[Answer]]:
    groups: list[list[Answer]] = []
    for each in answers:
        group = next((group for group in groups if same(group[0], each)), None)
        if group is None:
            groups.append([each])
        else:
            group.append(each)
    return groups


How = Literal["mean", "sum", "min", "single"]


def token_logprobs(logprobs: Iterable[float], *, how: How = "mean") -> Fields:
    """Return the score of an answer from the natural logarithms of its tokens' probabilities.

    A mean, a sum or the least of them is no probability of the answer: it is a score, which the server reads as one once it has labels.
    Only of an answer of a single token (yes or no, a choice) is exp(logprob) a confidence: `how="single"`.

    Parameters
    ----------
    logprobs : one number per token of the answer, none above 0
    how : `mean`, `sum` or `min`, the same for all events of a model version; or `single`

    Returns
    -------
    `score` or, of a single token, `confidence`, with `confidence_source`, for `client.log(prediction=…, **fields)`

    Raises
    ------
    Unreadable
        when there is no token, or for `single` more than one, or a logprob is above 0 or not finite.

    Examples
    --------
    >>> token_logprobs([-0.25, -0.75]), token_logprobs([0.0], how="single")
    ({'score': -0.5, 'confidence_source': 'logprob'}, {'confidence': 1.0, 'confidence_source': 'logprob'})

    """
    given = [_logprob(each) for each in logprobs]
    if not given:
        raise Unreadable("logprobs", given, "must have at least one token")
    if how == "single":
        if len(given) != 1:
            raise Unreadable("logprobs", given, "must be of one token: of several, take their mean, sum or min")
        return {"confidence": math.exp(given[0]), "confidence_source": "logprob"}
    if how not in _SCORES:
        raise Unreadable("how", how, "must be mean, sum, min or single")
    return {"score": _SCORES[how](given), "confidence_source": "logprob"}


_SCORES: Final[dict[str, Callable[[list[float]], float]]] = {
    "mean": lambda given: math.fsum(given) / len(given),
    "sum": math.fsum,
    "min": min,
}


def _logprob(value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unreadable("logprobs", value, "must be numbers") from error
    if isinstance(value, str | bool) or not -math.inf < found <= 0.0:
        raise Unreadable("logprobs", value, "must be logarithms of probabilities: finite, and at most 0")
    return found


def average(members: Iterable[float] | Iterable[Iterable[float]]) -> Any:
    """Return what the members of an ensemble say together: the mean of their probabilities, or of their vectors class by class.

    This is the ensemble's own value, and what a calibrator is applied to.

    Parameters
    ----------
    members : of a binary model a probability each, of a multiclass one a vector each, in the order of its classes; lists or arrays

    Returns
    -------
    a probability, or a list with one per class

    Raises
    ------
    Unreadable
        when there are no members, they are not all of one kind and length, or hold what is no probability.

    Examples
    --------
    >>> average([0.9, 0.6]), average([[0.5, 0.5], [1.0, 0.0]])
    (0.75, [0.75, 0.25])

    With a client, what is served, what the members said and what calibrated their average go into one event:
    `client.log(probability=client.calibrated(average(said)), members=said)`.

    """
    said = [each.tolist() if hasattr(each, "tolist") else each for each in members]
    if not said:
        raise Unreadable("members", said, "must be at least one member")
    if not any(isinstance(each, Iterable) for each in said):
        return math.fsum(_probability(each) for each in said) / len(said)
    vectors = [_member(each) for each in said]
    if len({len(each) for each in vectors}) != 1:
        raise Unreadable("members", [len(each) for each in vectors], "must be vectors of the same classes")
    return [math.fsum(entries) / len(vectors) for entries in zip(*vectors, strict=True)]


def _member(vector: Any) -> list[float]:
    if isinstance(vector, str) or not isinstance(vector, Iterable):
        raise Unreadable("members", vector, "must be all probabilities, or all vectors")
    return [_probability(each) for each in vector]


def _probability(value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unreadable("members", value, "must hold numbers") from error
    if isinstance(value, str | bool) or not 0.0 <= found <= 1.0:
        raise Unreadable("members", value, "must hold probabilities, from 0 to 1")
    return found


def verbalized(text: str, *, scale: Literal[1, 10, 100] | None = None) -> Fields:
    """Return the confidence that a text states, in digits.

    Read are a number after "confidence", "certainty" or, at the start of a line, "probability" ("Confidence: 85%", `{"confidence": 0.85}`),
    a number before "confident", "sure" or "certain" ("I'm 85 % sure"), and a text that is nothing but the number. Several
    statements must agree.

    A number with %, "percent", /10, /100, "out of 10" says what it is of, and so does "(0-100)" after the word. A bare one is read by
    `scale`; without, .85, 0 and 1.0 are ratios and numbers above 10 are percent, and 1 to 10 are refused: they may be either, or
    out of ten.

    Parameters
    ----------
    text : the model's answer, or the part of it that states the confidence
    scale : what bare numbers are out of, as the prompt asked for: 1, 10 or 100

    Returns
    -------
    `confidence` and `confidence_source`, for `client.log(prediction=…, **fields)`

    Raises
    ------
    Unreadable
        when the text states no confidence, or several, a bound or a range, one that is out of range, or one that may mean two things.

    Examples
    --------
    >>> verbalized("The capital is Lyon. Confidence: 85%")
    {'confidence': 0.85, 'confidence_source': 'verbalized'}
    >>> verbalized("I'm quite sure.")
    Traceback (most recent call last):
    monitor.errors.Unreadable: text is "I'm quite sure.": states no confidence in digits

    """
    if not isinstance(text, str):
        raise Unreadable("text", text, "must be text")
    if scale not in (None, 1, 10, 100):
        raise Unreadable("scale", scale, "must be 1, 10 or 100")
    plain = _plain(text)
    try:
        found = {_ratio(stated, scale) for stated in _statements(plain)}
    except _Unclear as error:
        raise Unreadable("text", text, str(error)) from None
    if len(found) != 1:
        several = " and ".join(f"{each:g}" for each in sorted(found))
        raise Unreadable("text", text, f"states several confidences: {several}" if found else NOTHING)
    return {"confidence": found.pop(), "confidence_source": "verbalized"}


NOTHING: Final = "states no confidence in digits"


class _Unclear(ValueError):
    """A statement of a confidence that can't be read."""


def _plain(text: str) -> str:
    """Return a text in small letters, without marks that don't show, decoration, and runs of blanks."""
    if not text.isascii():
        text = "".join(each for each in text if unicodedata.category(each) != "Cf")
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
"""What stands for a dash, a quotation mark or a percent sign in print, to the one on keyboards."""

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
    """Return all that a text states as a confidence; a labelled probability counts where nothing else does."""
    found = [each for named in _NAMED.finditer(plain) for each in _after(plain, named.end(), named["echo"])]
    found += _before_sure(plain)
    if not found:
        found = [each for named in _PROBABILITY.finditer(plain) for each in _after(plain, named.end())]
    return found or _alone(plain)


def _after(plain: str, start: int, echo: str | None = None) -> list["_Stated"]:
    """Return the value that stands at a place, and the one that follows it in brackets."""
    value = _VALUE.match(plain, start)
    if value is None:
        return []
    bracket = _AGAIN.match(plain, value.end())
    again = None if bracket is None else _VALUE.match(plain, bracket.end())
    closed = again is not None and plain[again.end() : again.end() + 1] in {")", "]"}
    return [(value, echo), *([(again, None)] if again is not None and closed else [])]


def _before_sure(plain: str) -> list["_Stated"]:
    """Return the values that stand before a word for being sure; a bare number must be a ratio."""
    found: list[_Stated] = []
    for value in _VALUE.finditer(plain):
        if not _SURE.match(plain, value.end()) or not (value["unit"] or _BARE_RATIO.fullmatch(value["number"])):
            continue
        if _NOT_AS_SAID.search(plain[max(0, value.start() - _LOOKS_BACK) : value.start()]):
            raise _Unclear("states a bound, a range or a denial, not a confidence")
        found.append((value, None))
    return found


def _alone(plain: str) -> list["_Stated"]:
    inner = plain.strip("()[]{} ")
    value = _VALUE.match(inner)
    return [(value, None)] if value is not None and inner[value.end() :] in {"", "."} else []


_Stated = tuple[re.Match[str], str | None]
"""A value, and what the words before it say it is out of."""


def _ratio(stated: _Stated, scale: int | None) -> float:
    """Return what a statement means, as a ratio.

    Raises
    ------
    _Unclear
        when it means nothing, or may mean two things.

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
    """Return what a number is out of."""
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
"""A bare number from 1 to this may be on several scales."""
