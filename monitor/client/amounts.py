"""Numbers that may state a confidence: their forms, ranges and scales."""

import re
from decimal import Decimal
from typing import Final

WIDEST: Final = Decimal("0.2")
"""A wider range is no statement of a confidence: it may be the scale."""

AMBIGUOUS: Final = 10
"""Bare numbers from 1 to this are ambiguous."""

BOUNDS: Final = {"<", ">", "\u2264", "\u2265", "+"}

HEDGES: Final = (
    "about|around|roughly|approximately|approx\\.?|circa|ca\\.|maybe|perhaps|probably|possibly|some|say|only|just|exactly|precisely"
    "|somewhere(?: around|(?= between))|something like|i'd say|i would say|an? (?:solid|good|full|honest|modest)"
)
"""Words before a number that leave it what it is."""

_NUMBER: Final = r"(?:[0-9]{1,20}(?:\.[0-9]{1,20})?|\.[0-9]{1,20})(?:e[-+]?[0-9]{1,2})?+"
_UNIT: Final = (
    r" ?(?:%|percent\b|per ?cent\b|pct\b)| ?(?:/|(?:out )?of (?=[0-9])) ?[0-9]{1,9}(?:\.[0-9]{1,9})?(?![0-9])"
)

# In a plain text no two blanks follow one another, and what is optional is possessive where giving it back would change the meaning.
VALUE: Final = re.compile(
    rf"(?:(?:{HEDGES}) |(?<!~)~(?!~) ?){{0,2}}(?P<between>(?:some)?(?:between|from) )?"
    r"(?P<sign>-(?! )|[+<>\u2264\u2265] ?)?+"
    rf"(?<![0-9.])(?P<low>{_NUMBER})(?P<low_unit>{_UNIT})?+"
    rf"(?:(?P<joint> ?(?:[-~\u00b1]|\+/-) ?| (?:to|and) )(?P<high>{_NUMBER})(?P<high_unit>{_UNIT})?+(?![.,][0-9]| ?/|\w))?"
    r"(?:(?<=%)(?![a-z0-9_])|(?!\w))(?![.,:][0-9]| ?[/^\u00d7]| ?x ?[0-9]| \.?[0-9])"
    r"(?:(?=(?P<more> ?\+| ?[-~\u00b1] ?\.?[0-9]| ?, ?\.?[0-9]| (?:to|or) \.?[0-9])))?"
)
"""A number or a range in a plain text, with the hedges before it."""

_BARE_RATIO: Final = re.compile(r"0?\.[0-9]+|1\.0+")
_ENDS: Final = re.compile(
    r" ?(?:$|[^\w ])| (?:because|since|as|based|due|given|or so|confiden|certain|sure)|\w* \w+ ?:"
)


class Unclear(ValueError):
    """A statement of a confidence is ambiguous or invalid."""


def has_scale(value: re.Match[str]) -> bool:
    """Tell whether a value says by itself what it is out of."""
    return bool(value["low_unit"] or value["high_unit"] or _BARE_RATIO.fullmatch(value["low"]))


def ratio(value: re.Match[str], scale: int | None) -> float:
    """Return a value as a ratio, and a range as its middle.

    Parameters
    ----------
    value : match of `VALUE`
    scale : maximum of bare numbers: 1, 10 or 100; None where it is to be told from the number

    Raises
    ------
    Unclear
        when it is a bound, a list, a wide range, ambiguous or out of its scale.

    """
    joint, sign = (value["joint"] or "").strip(), (value["sign"] or "").strip()
    if value["more"] or sign in BOUNDS or (value["between"] and not value["high"]) or not _is_said(value, joint):
        raise Unclear(f"states a bound, a range or a list, {value[0].strip()}")
    unit = value["low_unit"] or value["high_unit"]
    low = _read(sign + value["low"], unit, scale)
    if value["high"] is None or joint in {"\u00b1", "+/-"}:
        return abs(float(low))
    high = _read(value["high"], value["high_unit"] or unit, scale)
    if not low < high <= low + WIDEST:
        raise Unclear(f"states a range, {value[0].strip()}, that is wider than {WIDEST} or falls")
    return float((low + high) / 2)


def _is_said(value: re.Match[str], joint: str) -> bool:
    """Tell whether a value is whole: two numbers with "and" need "between", and bare ones count nothing that follows."""
    if joint == "and" and not value["between"]:
        return False
    return has_scale(value) or _ENDS.match(value.string, value.end()) is not None


def _read(written: str, unit: str | None, scale: int | None) -> Decimal:
    number = Decimal(written)
    whole = _stated_whole(unit) if unit else _guessed_whole(abs(number), written, scale)
    if not 0 <= number <= whole:
        raise Unclear(f"states {written}: must be from 0 to {whole}")
    return number / whole


def _stated_whole(unit: str) -> int:
    if not unit[-1].isdigit():
        return 100
    whole = Decimal(unit.strip(" /outf"))
    if whole not in (1, 10, 100):
        raise Unclear(f"states a confidence{unit}: must be out of 1, 10 or 100")
    return int(whole)


def _guessed_whole(number: Decimal, written: str, scale: int | None) -> int:
    if scale is not None and scale > 1 and 0 < number < 1:
        raise Unclear(f"states {written}, which is a ratio or out of {scale}")
    if scale is not None:
        return scale
    if number < 1 or (number == 1 and "." in written):
        return 1
    if number <= AMBIGUOUS:
        raise Unclear(f"states {written}, which may be a ratio, out of ten or percent: say so by scale")
    return 100
