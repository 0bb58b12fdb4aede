"""What a client may be made with: a check of each parameter by name."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..domain.errors import BadInput
from .spool import SMALLEST

LARGEST_REQUEST: Final = 10_000
"""Largest number of items in a request."""
LARGEST_SPOOL: Final = 1 << 40
LONGEST_NAME: Final = 200
LONGEST_SECONDS: Final = 86_400

Check = Callable[[str, Any], None]


def check(parameters: Mapping[str, Any]) -> None:
    """Raise BadInput for the first parameter that is unusable; those of the connection are checked where it is made."""
    for name, check_of in _CHECKS.items():
        check_of(name, parameters[name])


def _name(field: str, value: Any) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_NAME or not value.isprintable():
        raise BadInput(field, value, f"it must be text of 1 to {LONGEST_NAME} printable characters")


def _path(field: str, value: Any) -> None:
    if not isinstance(value, str | os.PathLike) or value == "":
        raise BadInput(field, value, "it must be a path")


def _version(field: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadInput(field, value, "it must be a version's number, from 1")


def _between(low: float, high: float = float("inf")) -> Check:
    def check_of(field: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise BadInput(field, value, f"it must be a number from {low:g} to {high:g}")

    return check_of


def _if_set(check_of: Check) -> Check:
    return lambda field, value: None if value is None else check_of(field, value)


_CHECKS: Final[Mapping[str, Check]] = {
    "model": _name,
    "model_version": _if_set(_name),
    "batch_size": _between(1, LARGEST_REQUEST),
    "queue_size": _between(1),
    "queue_bytes": _between(1),
    "spool_bytes": _between(SMALLEST, LARGEST_SPOOL),
    "flush_seconds": _between(0.001, LONGEST_SECONDS),
    "timeout": _between(0.001, LONGEST_SECONDS),
    "refresh_seconds": _between(0.001, LONGEST_SECONDS),
    "cache": _if_set(_path),
    "bootstrap": _if_set(_path),
    "spool": _if_set(_path),
    "pin": _if_set(_version),
    "block_seconds": _between(0, LONGEST_SECONDS),
}
