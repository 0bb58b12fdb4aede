"""What can go wrong, as a tree.

MonitorError
├── BadInput            a value that the caller sent: names the field, the value and what would be right
│   └── Unreadable      what a language model gave that does not say how sure it is; also a ValueError
├── NotFound            a model, event or calibrator that is not there
├── Conflict            a request that the present state does not allow
├── TooLarge            a body over its limit
├── Unavailable         storage that does not answer now; worth a retry
├── LeaseLost           another process leads now; this one's work is void
├── Corrupt             stored data that does not read back as written
└── ConfigError         a setting that is missing or wrong
"""

from typing import Any


class MonitorError(Exception):
    """Base of every error that calwatch raises on purpose."""


class BadInput(MonitorError):
    """A value that the caller sent is not usable."""

    def __init__(self, field: str, value: Any, reason: str) -> None:
        self.field = field
        self.value = value
        self.reason = reason
        super().__init__(f"{field} is {shown(value)}: {reason}")


class Unreadable(BadInput, ValueError):
    """What a language model gave does not say how sure it is."""


class NotFound(MonitorError):
    """What was asked for does not exist."""


class Conflict(MonitorError):
    """The present state does not allow the request."""


class TooLarge(MonitorError):
    """A request body is over its limit."""


class Unavailable(MonitorError):
    """Storage does not answer now; the same request may succeed later."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class LeaseLost(MonitorError):
    """Another process leads now; nothing of the current transaction may stand."""


class Corrupt(MonitorError):
    """Stored data does not read back as it was written."""


class ConfigError(MonitorError):
    """A setting is missing or wrong."""


def shown(value: Any, limit: int = 80) -> str:
    """Return a value as it may stand in a message: one line, of bounded length."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
