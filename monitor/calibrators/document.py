"""Calibrator documents: what a valid one is, its canonical JSON and its hash. Plain Python, without NumPy.

A fitted calibrator is `{"method", "task", "parameters"}`; a sealed version adds whose it is, where it came from and a hash. Numbers are
brought to one form before they are hashed (1 and 1.0 are the same temperature), so that a store which rewrites JSON does no harm.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .errors import BadDocument
from .parameters import PARAMETERS, TASKS

HASHED: Final = ("model", "number", "method", "task", "parameters")
LONGEST_NAME: Final = 200


class Checked(NamedTuple):
    """The working part of a document, valid and with every number in its one form."""

    method: str
    task: str
    parameters: dict[str, Any]


def check(document: Any) -> Checked:
    """Return the working part of a document, or say what is wrong with it.

    A document that carries a hash is also held against it.

    Raises
    ------
    BadDocument
        for an unknown method or task, a missing, unknown, infinite or unordered parameter, or a hash that does not fit.

    Examples
    --------
    >>> check({"method": "temperature", "task": "binary", "parameters": {"temperature": 2}}).parameters
    {'temperature': 2.0}

    """
    if not isinstance(document, Mapping):
        raise BadDocument("document", document, "it must be an object")
    checked = _check_working_part(document)
    if "sha256" in document:
        _check_hash(document, checked)
    return checked


def verify(document: Any) -> Checked:
    """Return the working part of a sealed document; unlike `check`, refuse one without a hash."""
    if isinstance(document, Mapping) and "sha256" not in document:
        raise BadDocument("sha256", None, "a sealed document carries its hash")
    return check(document)


def seal(
    fitted: Mapping[str, Any],
    *,
    model: str,
    number: int,
    fitted_from: Mapping[str, Any],
    gate: Mapping[str, Any] | None,
    created_at: str,
) -> dict[str, Any]:
    """Return the immutable, numbered version of a fitted calibrator, with its hash.

    Parameters
    ----------
    fitted : the `to_document()` of a fitted calibrator
    fitted_from : where the rows came from, as JSON
    gate : the evidence, as JSON; None when it was not gated
    created_at : RFC 3339 time

    Raises
    ------
    BadDocument
        when the fitted calibrator, the model's name or the number is not valid.

    """
    checked = _check_working_part(fitted)
    return {
        "model": model,
        "number": number,
        **checked._asdict(),
        "fitted_from": dict(fitted_from),
        "gate": None if gate is None else dict(gate),
        "created_at": created_at,
        "sha256": _digest(model, number, checked),
    }


def canonical(value: Any) -> bytes:
    """Return JSON in its one form: keys sorted, no spaces, UTF-8, floats in their shortest round-trip digits.

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


def _check_working_part(document: Mapping[str, Any]) -> Checked:
    method, task = _one_of(document, "method", PARAMETERS), _one_of(document, "task", TASKS)
    tasks, check_parameters = PARAMETERS[method]
    if task not in tasks:
        raise BadDocument("task", task, f"{method} calibrates {' and '.join(tasks)}")
    parameters = document.get("parameters")
    if not isinstance(parameters, Mapping):
        raise BadDocument("parameters", parameters, "it must be an object")
    return Checked(method, task, check_parameters(parameters, task))


def _check_hash(document: Mapping[str, Any], checked: Checked) -> None:
    expected = _digest(document.get("model"), document.get("number"), checked)
    if document["sha256"] != expected:
        raise BadDocument("sha256", document["sha256"], f"the content hashes to {expected}")


def _digest(model: Any, number: Any, checked: Checked) -> str:
    if not isinstance(model, str) or not 1 <= len(model) <= LONGEST_NAME:
        raise BadDocument("model", model, f"it must be a name of 1 to {LONGEST_NAME} characters")
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number < 2**63:
        raise BadDocument("number", number, "it must be a whole number from 1")
    try:
        text = canonical(dict(zip(HASHED, (model, number, *checked), strict=True)))
    except UnicodeEncodeError as error:
        raise BadDocument("model", model, "it must be valid Unicode") from error
    return hashlib.sha256(text).hexdigest()


def _one_of(document: Mapping[str, Any], field: str, allowed: Any) -> str:
    value = document.get(field)
    if not isinstance(value, str) or value not in allowed:
        raise BadDocument(field, value, f"it must be one of {', '.join(allowed)}")
    return value
