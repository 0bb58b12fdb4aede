"""The confidence that a text states in digits: read where the text says it plainly, and an error everywhere else.

A value counts after a label ("Confidence: 85%"), before or after a word for being sure ("I'm 85% sure"), or alone.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypedDict

from ..domain.errors import Unreadable
from .amounts import VALUE, Unclear, has_scale, ratio
from .wording import ends_plainly, is_own_label, is_plain


class Verbalized(TypedDict):
    """Arguments of `Client.log` for a confidence stated in digits."""

    confidence: float
    confidence_source: Literal["verbalized"]


def verbalized(text: str, *, scale: Literal[1, 10, 100] | None = None) -> Verbalized:
    """Return the confidence that a text states in digits.

    It is a number after "confidence", "certainty" or, at the start of a line, "probability" ("Confidence: 85%", `{"confidence": 0.85}`),
    a number before "confident", "sure" or "certain" ("I'm about 85 % sure"), or the whole text. Several statements must agree.
    A range of at most 20 points is its middle (80-90 % is .85). In other languages only a label that stands alone with its value is
    read ("Confiance : 85 %").

    A denial, a question, a condition, a wish, a bound ("at least 80 %", "80 % or higher"), another quantity ("95 % CI") and what
    someone else may think are no statements: "I can't be 100 % sure" is unreadable. So is every wording that is not known to be plain.

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
        when the text states no confidence plainly, several, or one that is out of range or ambiguous.

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
    try:
        confidence = _confidence(_plain(text), scale)
    except Unclear as error:
        raise Unreadable("text", text, str(error)) from None
    return {"confidence": confidence, "confidence_source": "verbalized"}


NOTHING: Final = "states no confidence in digits"
NOT_PLAIN: Final = "states a bound, a denial, a condition, a question or what someone else thinks, not a confidence"


def _confidence(plain: str, scale: int | None) -> float:
    statements = _statements(plain)
    ratios = {ratio(stated.value, stated.scale or scale) for stated in statements if stated.holds}
    if not ratios:
        raise Unclear(_reason(statements, scale))
    if len(ratios) > 1:
        raise Unclear("states several confidences: " + " and ".join(f"{confidence:g}" for confidence in sorted(ratios)))
    if not ratios.isdisjoint(_denied(statements, scale)):
        raise Unclear(NOT_PLAIN)
    return ratios.pop()


def _reason(statements: list["_Stated"], scale: int | None) -> str:
    """Return why no statement holds: that a value is invalid, before the wording around it."""
    try:
        _ = [ratio(stated.value, stated.scale or scale) for stated in statements]
    except Unclear as error:
        return str(error)
    return NOT_PLAIN if statements else NOTHING


def _denied(statements: list["_Stated"], scale: int | None) -> Iterator[float]:
    for stated in statements:
        if not stated.holds:
            try:
                yield ratio(stated.value, stated.scale or scale)
            except Unclear:
                continue


class _Stated(NamedTuple):
    """A value beside a word for confidence."""

    value: re.Match[str]
    scale: int | None  # stated by the words before it
    holds: bool  # false where the wording is not known to be plain


def _plain(text: str) -> str:
    """Return a text in lower case with marks as on keyboards, without invisible characters, decoration and runs of blanks."""
    if not text.isascii():
        text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    text = _TAG.sub(r"\n\1: ", _TIMES.sub("\u00d7", text.translate(_PLAINER).lower()))
    text = _DECORATION.sub(" ", _APOSTROPHE.sub("\u2019", text)).replace("\u2019", "'")
    return _LINE_ENDS.sub("\n", _BLANKS.sub(" ", text)).strip()


_PLAINER: Final = str.maketrans(
    {
        **{chr(wide): chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)},
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u2018\u2019\u201c\u201d\u00ab\u00bb\u00b4\u300c\u300d", "'"),
        "\u066a": "%",
        "\u2248": "~",
        "\u301c": "~",
        "\u2192": "->",
        "\u3002": ". ",
        "\u3001": ", ",
        "\u3010": "(",
        "\u3011": ")",
    }
)
"""Full-width and typographic characters, to those on keyboards."""

_TAG: Final = re.compile(r"<(confidence|certainty|probability)>")
_TIMES: Final = re.compile(r"(?<=[0-9])(?: \* (?=\S)|\*(?=[0-9]))")
_APOSTROPHE: Final = re.compile(r"(?<=[a-z])['`](?=[a-z])")
_DECORATION: Final = re.compile(r"[*_`\"'\\$]+")
_BLANKS: Final = re.compile(r"[^\S\n]+")
_LINE_ENDS: Final = re.compile(r" ?\n[ \n]*")

_DEGREE: Final = r"(?:high|medium|moderate|low|strong)"
_NAMED: Final = re.compile(
    r"(?<![a-z0-9])(?<![a-z]-)(?:(?:confidence|certainty)(?: (?:score|level|rating|value|percentage|percent|pct|estimate))?+"
    r"|confident(?= ?[:=(]| at )|(?:sure|certain)(?= ?\())"
    r"(?: in (?:(?:this|that|the|my) )?(?:final |own )?(?:answer|response|reply|result|claim|guess|estimate|prediction|solution)"
    r"| that (?:this|it|(?:the|my|this) answer) is (?:right|correct|true))?+"
    r"(?: ?[(\[] ?[01](?:\.0)?%? ?(?:-|to) ?(?P<echo>100|10|1)(?:\.0)?%? ?[)\]]"
    r"| ?[(\[](?P<percent>(?:in |as a )?(?:%|percent|percentage))[)\]])?+"
    r"[ \n]?(?:(?P<mark>[:=|]{1,2}|->)|[(]|-{1,2}(?= )|(?:is|at|of|as|to be) (?:an? (?=[0-9]))?)?[ \n]?"
    rf"(?:(?:(?:very|fairly|quite|extremely|moderately|relatively) )?{_DEGREE}(?:(?:-| to |/){_DEGREE})?,? ?(?:[(:-]|at )? ?)?"
)
_ABROAD: Final = re.compile(
    r"(?:信頼度|確信度|自信度|置信度|可信度|信心度?|把握度?|신뢰도|확신도|confiance|certitude|confianza|certeza|confiança|konfidenz|gewissheit"
    r"|fiducia|confidenza|vertrouwen|zekerheid|ni(?:vel|veau) de confian(?:za|ce)|уверенность|достоверность) ?(?:[:=]|は|是|为|為) ?"
)
_PROBABILITY: Final = re.compile(r"^(?:[-#>{] ?)?probability ?[:=|] ?", re.MULTILINE)
_SURE: Final = re.compile(
    r" ?(?:or so )?(?:confident|confidence|sure|certain|certainty)\b(?! ?(?:interval|level|limit|bound|region|band|set)|s? ?[:=|]"
    r"| to (?!say|answer))"
)
_AGAIN: Final = re.compile(r" ?[(\[]")


def _statements(plain: str) -> list[_Stated]:
    """Return all values beside a word for confidence; a labelled probability counts only without any other."""
    stated = [value for named in _NAMED.finditer(plain) for value in _after_name(plain, named)]
    stated += _before_sure(plain)
    stated += [value for named in _ABROAD.finditer(plain) for value in _abroad(plain, named)]
    if not stated:
        stated = [
            value
            for named in _PROBABILITY.finditer(plain)
            for value in _values(plain, named, holds=True, labelled=True)
        ]
    return stated or _alone(plain)


def _after_name(plain: str, named: re.Match[str]) -> list[_Stated]:
    scale = 100 if named["percent"] else int(named["echo"] or 0) or None
    if named["mark"] is None:
        return _values(plain, named, holds=is_plain(plain, named.start()), scale=scale)
    return _values(plain, named, holds=is_own_label(plain, named.start()), scale=scale, labelled=True)


def _values(
    plain: str, named: re.Match[str], *, holds: bool, scale: int | None = None, labelled: bool = False
) -> list[_Stated]:
    """Return the value after a name, and the one that follows it in brackets."""
    value = VALUE.match(plain, named.end())
    if value is None:
        return []
    bracket = _AGAIN.match(plain, value.end())
    again = None if bracket is None else VALUE.match(plain, bracket.end())
    if again is None or plain[again.end() : again.end() + 1] not in {")", "]"}:
        return [_Stated(value, scale, holds and ends_plainly(plain, value.end(), labelled=labelled))]
    holds = holds and ends_plainly(plain, again.end() + 1, labelled=labelled)
    return [_Stated(value, scale, holds), _Stated(again, None, holds)]


def _before_sure(plain: str) -> Iterator[_Stated]:
    """Yield the values before a word for being sure; a bare number must be a ratio."""
    for value in VALUE.finditer(plain):
        sure = _SURE.match(plain, value.end())
        if sure and has_scale(value):
            holds = is_plain(plain, value.start()) and ends_plainly(plain, sure.end())
            yield _Stated(value, None, holds)


def _abroad(plain: str, named: re.Match[str]) -> list[_Stated]:
    """Return the value of a label in another language, whose denials are not known: it must be all that its clause says."""
    value = VALUE.match(plain, named.end())
    if value is None:
        return []
    before, after = _BEGINS.search(plain[max(0, named.start() - 3) : named.start()]), _ENDS.match(plain, value.end())
    return [_Stated(value, None, before is not None and after is not None)]


_BEGINS: Final = re.compile(r"(?:^|[.!;,\n({|>-] ?)$")
_ENDS: Final = re.compile(
    r"(?: ?(?:です|である|입니다))? ?(?:$|[.,;)}|\n])(?! ?(?:or|and|ou|oder|o|no|non|nicht|pas) )"
)


def _alone(plain: str) -> list[_Stated]:
    inner = plain.strip("()[]{} ")
    value = VALUE.match(inner)
    return [_Stated(value, None, holds=True)] if value is not None and inner[value.end() :] in {"", "."} else []
