"""Documents of calibrators: which are valid, and the sealed versions that are stored and served. Plain Python, without NumPy.

A fitted calibrator is `{"method", "task", "parameters"}`; a sealed version adds model, number, origin, evidence and a hash.
"""

from collections.abc import Mapping
from typing import Any

from .errors import BadDocument
from .families import of_document
from .hashing import Checked, Json, digest


def check(document: object) -> Checked:
    """Return the working part of a document; hold it against its hash, where it has one.

    Raises
    ------
    BadDocument
        for an unknown method or task, a missing, unknown, infinite or unordered parameter, or another hash.

    Examples
    --------
    >>> check({"method": "temperature", "task": "binary", "parameters": {"temperature": 2}}).parameters
    {'temperature': 2.0}

    """
    estimator, fields = of_document(document)
    return estimator.family.checked(fields)


def verify(document: object) -> Checked:
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
) -> dict[str, Json]:
    """Return the immutable, numbered version of a fitted calibrator, with its hash.

    Parameters
    ----------
    fitted : the `to_document()` of a fitted calibrator
    fitted_from : the origin of the rows, as JSON
    gate : the gate's evidence, as JSON; None for a version that was not judged
    created_at : RFC 3339 time

    Raises
    ------
    BadDocument
        for an invalid calibrator, name of a model, or number.

    """
    checked = check({name: fitted.get(name) for name in Checked._fields})
    return {
        "model": model,
        "number": number,
        **checked._asdict(),
        "fitted_from": dict(fitted_from),
        "gate": None if gate is None else dict(gate),
        "created_at": created_at,
        "sha256": digest(model, number, checked),
    }
