"""Names of models, versions, classes and segments: their rules, and the name of a calibrator in a sentence."""

import hashlib
import re
from typing import Final

from .errors import BadInput
from .events import MAX_NAME

CHAMPION: Final = "champion"
"""The alias of the calibrator in service."""
CHALLENGER: Final = "challenger"
"""The alias of the one that is to take its place."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def name_fault(name: str) -> str | None:
    """Return the fault of a name, by the same rules as in events, or None."""
    if not 1 <= len(name) <= MAX_NAME:
        return f"must be 1 to {MAX_NAME} characters long"
    if has_control(name):
        return "must not have control characters"
    return "must be text, without half of a surrogate pair" if _SURROGATE.search(name) else None


def check_model_name(name: str) -> None:
    """Refuse an invalid model name.

    Raises
    ------
    BadInput
        with the reason.

    """
    fault = name_fault(name)
    if fault is None and name in UNADDRESSABLE:
        fault = "must not be . or .., which mean places in an address"
    if fault is not None:
        raise BadInput("model", name, fault)


def version_name(number: int | None) -> str:
    """Return a calibrator's name in a sentence; None and 0 stand for none.

    >>> version_name(3), version_name(None)
    ('calibrator 3', 'no calibrator')
    """
    return f"calibrator {number}" if number else "no calibrator"


HASHED: Final = 32
"""Hexadecimal digits of the hash that stands for the end of a long text."""


def shortened(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters: a hash stands for the end of a longer one, so that different texts stay so.

    >>> shortened("ab", 40), len(shortened("a" * 50, 40)), shortened("a" * 50, 40) == shortened("a" * 51, 40)
    ('ab', 40, False)
    """
    if len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:HASHED]
    return f"{text[: limit - HASHED - 1]}#{digest}"


UNADDRESSABLE: Final = frozenset({".", ".."})
"""Names that no model may have, since HTTP clients remove them from an address in any spelling."""


def has_control(text: str) -> bool:
    """Return whether a text has a control character."""
    return not text.isprintable() and _CONTROL.search(text) is not None


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
