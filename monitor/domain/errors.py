"""The tree of errors.

MonitorError
├── BadInput            an unusable value from the caller: names the field, the value and what would be right
│   └── Unreadable      output of a language model that states no confidence; also a ValueError
├── NotFound            no such model, event or calibrator
├── Conflict            a request that the present state does not allow
├── TooLarge            a body over its limit
├── Unavailable         no answer from the database or the server; worth a retry
├── LeaseLost           another process leads; the work of this one is void
├── Corrupt             stored data that does not decode
└── ConfigError         a missing or wrong setting
"""

from typing import Any


class MonitorError(Exception):
    """Base of all errors that calwatch raises itself."""


class BadInput(MonitorError):
    """A value from the caller is not usable."""

    def __init__(self, field: str, value: Any, reason: str) -> None:
        self.field = field
        self.value = value
        self.reason = reason
        super().__init__(f"{field} is {shown(value)}: {reason}")


class Unreadable(BadInput, ValueError):
    """The output of a language model states no confidence."""


class NotFound(MonitorError):
    """The model, event or calibrator does not exist."""


class Conflict(MonitorError):
    """The present state does not allow the request."""


class TooLarge(MonitorError):
    """A request body is over its limit."""


class Unavailable(MonitorError):
    """The database or the server does not answer; the same request may succeed later."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class LeaseLost(MonitorError):
    """Another process leads; the current transaction must not commit."""


class Corrupt(MonitorError):
    """Stored data does not decode."""


class ConfigError(MonitorError):
    """A setting is missing or wrong."""


def shown(value: Any, limit: int = 80) -> str:
    """Return a value for a message: one line of bounded length."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
