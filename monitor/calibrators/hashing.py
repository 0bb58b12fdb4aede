"""Canonical JSON of calibrators and its hash.

Numbers have one form before they are hashed (1 and 1.0 are the same temperature), so a store that rewrites JSON does no harm.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypedDict

from .errors import BadDocument

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class Fitted(TypedDict):
    """The document of a fitted calibrator, before it is sealed."""

    method: str
    task: str
    parameters: Mapping[str, Json]


HASHED: Final = ("model", "number", "method", "task", "parameters")
LONGEST_NAME: Final = 200


class Checked(NamedTuple):
    """The working part of a document: valid, every number in its one form."""

    method: str
    task: str
    parameters: Mapping[str, Json]

    def as_document(self) -> Fitted:
        """Return the same as a document."""
        return {"method": self.method, "task": self.task, "parameters": self.parameters}


def canonical(value: Any) -> bytes:
    """Return canonical JSON: sorted keys, no spaces, UTF-8, floats in their shortest round-trip digits.

    Raises
    ------
    ValueError
        for NaN, infinities and text that is not Unicode.

    Examples
    --------
    >>> canonical({"b": 0.1, "a": [1, None]})
    b'{"a":[1,null],"b":0.1}'

    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(model: object, number: object, checked: Checked) -> str:
    """Return the SHA-256, in hexadecimal digits, of a calibrator's model, number, method, task and parameters.

    Raises
    ------
    BadDocument
        for an invalid name of a model, or a number below 1.

    """
    if not isinstance(model, str) or not 1 <= len(model) <= LONGEST_NAME:
        raise BadDocument("model", model, f"it must be a name of 1 to {LONGEST_NAME} characters")
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number < 2**63:
        raise BadDocument("number", number, "it must be a whole number from 1")
    try:
        text = canonical(dict(zip(HASHED, (model, number, *checked), strict=True)))
    except UnicodeEncodeError as error:
        raise BadDocument("model", model, "it must be valid Unicode") from error
    return hashlib.sha256(text).hexdigest()


def check_hash(document: Mapping[str, Any], checked: Checked) -> None:
    """Raise BadDocument unless a document's `sha256` is the hash of its content."""
    expected = digest(document.get("model"), document.get("number"), checked)
    if document["sha256"] != expected:
        raise BadDocument("sha256", document["sha256"], f"the content hashes to {expected}")
