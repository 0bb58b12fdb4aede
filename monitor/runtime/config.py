"""Settings of the process, from the environment; nothing else reads it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from ..domain.errors import ConfigError

PREFIX: Final = "CALWATCH_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a server or worker; each field is the environment variable CALWATCH_<FIELD>."""

    database_url: str = field(
        default="sqlite:///calwatch.db", metadata={"help": "SQLAlchemy URL of an SQLite file or a Postgres database"}
    )
    rollup_seconds: float = field(default=1.0, metadata={"help": "seconds between roll-ups", "least": 0.01})
    evaluate_seconds: float = field(default=60.0, metadata={"help": "seconds between evaluations", "least": 0.01})
    lease_seconds: float = field(
        default=15.0, metadata={"help": "how long a leader may be silent before another takes over", "least": 1.0}
    )
    rollup_events: int = field(
        default=4000, metadata={"help": "events per roll-up transaction; up to 4 times as many when behind", "least": 1}
    )
    journal_limit: int = field(
        default=5_000_000,
        metadata={
            "help": "unprocessed events beyond which ingest answers 503 until the roll-up catches up",
            "least": 1,
        },
    )
    evaluation_days: int = field(
        default=400, metadata={"help": "days that stored evaluations are kept; after two days one per hour", "least": 1}
    )
    exported_series: int = field(
        default=20_000,
        metadata={
            "help": "series of scores in /metrics at most: of models as a whole first, then of the segments with most traffic",
            "least": 1,
        },
    )
    webhook_url: str = field(default="", metadata={"help": "URL that every alert transition is posted to"})
    webhook_timeout: float = field(default=10.0, metadata={"help": "seconds to wait for the webhook", "least": 0.1})
    webhook_attempts: int = field(
        default=12, metadata={"help": "deliveries tried before a notification is given up", "least": 1}
    )
    clock_file: str = field(
        default="",
        metadata={
            "help": "file with an RFC 3339 time that is the server's time while the file exists, to play history faster than it "
            "happened; for demonstrations and tests"
        },
    )
    log_level: str = field(
        default="INFO",
        metadata={"help": "DEBUG, INFO, WARNING or ERROR", "choices": ("DEBUG", "INFO", "WARNING", "ERROR")},
    )


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings in the environment.

    Raises
    ------
    ConfigError
        when a value does not parse or is out of range.

    """
    variables = os.environ if environment is None else environment
    known = {PREFIX + f.name.upper(): f for f in fields(Settings)}
    values = {
        f.name: _parsed(name, variables[name], f.type, f.metadata) for name, f in known.items() if name in variables
    }
    return Settings(**values)


def unknown(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return CALWATCH_ variables of the environment that are no setting, most likely misspelt."""
    variables = os.environ if environment is None else environment
    known = {PREFIX + f.name.upper() for f in fields(Settings)}
    return sorted(name for name in variables if name.startswith(PREFIX) and name not in known)


_PARSERS: Final[dict[Any, tuple[Callable[[str], Any], str]]] = {
    str: (str, "text"),
    int: (int, "a whole number"),
    float: (float, "a number"),
}


def _parsed(name: str, text: str, field_type: Any, rules: Mapping[str, Any]) -> Any:
    parse, wanted = _PARSERS[field_type]
    try:
        value = parse(text)
    except ValueError:
        raise ConfigError(f"{name} is {text!r}; it must be {wanted}") from None
    if "least" in rules and not value >= rules["least"]:
        raise ConfigError(f"{name} is {text!r}; it must be at least {rules['least']}")
    if "choices" in rules and value not in rules["choices"]:
        raise ConfigError(f"{name} is {text!r}; it must be one of {', '.join(rules['choices'])}")
    return value
