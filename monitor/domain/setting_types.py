"""Types of settings: what each takes from JSON, how JSON shows it, and how a schema describes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import getitem
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from .errors import BadInput
from .names import name_fault
from .quantities import Moment
from .times import MINUTE, duration_text, parse_bound, parse_duration, parse_span, rfc3339

T = TypeVar("T")
W = TypeVar("W", bound=str)

REFERENCES: Final = ("champion", "validation")
"""Words for references that are no range of time."""

Selects = Literal["above", "below"]
SELECTS: Final[tuple[Selects, ...]] = ("above", "below")

MAX_WINDOWS: Final = 10
MAX_PAIR: Final = 50
"""Characters of a pair's name: with two values of 200 characters it must still fit into an index of Postgres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingType(Generic[T]):
    """What a setting may be."""

    accepts: str  # such as "a whole number from 1 to 10"
    schema: Any  # the type of its JSON form, as msgspec describes it
    parse: Callable[[str, object], T]  # takes field and value; raises BadInput
    shown: Callable[[T], object] = lambda value: value  # its JSON form
    unit: str = ""
    merges: bool = False  # an object whose keys replace single keys of the old one


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers between two bounds."""

    least: float
    most: float
    open_below: bool = False
    open_above: bool = False

    def __contains__(self, number: float) -> bool:
        above = self.least < number if self.open_below else self.least <= number
        return above and (number < self.most if self.open_above else number <= self.most)

    def __str__(self) -> str:
        if not (self.open_below or self.open_above):
            return f"from {_plain(self.least)} to {_plain(self.most)}"
        lower, upper = "above" if self.open_below else "from", "below" if self.open_above else "up to"
        return f"{lower} {_plain(self.least)} and {upper} {_plain(self.most)}"

    @property
    def schema(self) -> Any:
        """The type of its numbers, as msgspec describes it."""
        lower = Meta(gt=self.least) if self.open_below else Meta(ge=self.least)
        return Annotated[float, lower, Meta(lt=self.most) if self.open_above else Meta(le=self.most)]


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


SHARE: Final = Interval(0, 1, open_below=True, open_above=True)


def whole(least: int, most: int, unit: str = "") -> SettingType[int]:
    """Return the type of a whole number."""
    accepts = f"a whole number from {least} to {most}"

    def parse(name: str, value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise BadInput(name, value, f"must be {accepts}")
        return value

    return SettingType(accepts=accepts, schema=Annotated[int, Meta(ge=least, le=most)], parse=parse, unit=unit)


def number(interval: Interval, noun: str = "a number", unit: str = "") -> SettingType[float]:
    """Return the type of a number, whole or not."""
    accepts = f"{noun} {interval}"

    def parse(name: str, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or value not in interval:
            raise BadInput(name, value, f"must be {accepts}")
        return float(value)

    return SettingType(accepts=accepts, schema=interval.schema, parse=parse, unit=unit)


def ratio(interval: Interval) -> SettingType[float]:
    """Return the type of a ratio."""
    return number(interval, "a ratio", "ratio")


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadInput(name, value, f"must be {FLAG.accepts}")
    return value


FLAG: Final = SettingType(accepts="true or false", schema=bool, parse=_flag)


def choice(*among: W) -> SettingType[W]:
    """Return the type of one of a few words."""
    accepts = f"one of {', '.join(among)}"

    def parse(name: str, value: object) -> W:
        for word in among:
            if value == word:
                return word
        raise BadInput(name, value, f"must be {accepts}")

    return SettingType(accepts=accepts, schema=getitem(Literal, among), parse=parse)


def nullable(of: SettingType[T]) -> SettingType[T | None]:
    """Return a type that may be null too."""

    def parse(name: str, value: object) -> T | None:
        return None if value is None else of.parse(name, value)

    def shown(value: T | None) -> object:
        return None if value is None else of.shown(value)

    return SettingType(
        accepts=f"null, or {of.accepts}", schema=of.schema | None, parse=parse, shown=shown, unit=of.unit
    )


DURATION: Final = SettingType(
    accepts="a duration such as 0s, 15m, 24h or 7d, up to 3660d",
    schema=Annotated[str, Meta(examples=["24h"])],
    parse=parse_span,
    shown=duration_text,
    unit="duration",
)


def names(most: int, *, least: int = 0) -> SettingType[tuple[str, ...]]:
    """Return the type of a list of different names."""
    accepts = f"a list of {least} to {most} names" if least else f"a list of at most {most} names"

    def parse(name: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise BadInput(name, value, f"must be {accepts}")
        for item in value:
            fault = name_fault(item) if isinstance(item, str) else "must be text"
            if fault is not None:
                raise BadInput(name, item, fault)
        if len(set(value)) != len(value):
            raise BadInput(name, value, "must not name anything twice")
        return tuple(value)

    schema = Annotated[list[str], Meta(min_length=least or None, max_length=most)]
    return SettingType(accepts=accepts, schema=schema, parse=parse, shown=list)


def segment_keys(most: int, reserved: str) -> SettingType[tuple[str, ...]]:
    """Return the type of a list of segments and pairs of segments.

    Parameters
    ----------
    reserved : what no segment may begin with

    """
    listed = names(most)

    def parse(name: str, value: object) -> tuple[str, ...]:
        keys = listed.parse(name, value)
        for key in keys:
            fault = _segment_fault(key, reserved)
            if fault is not None:
                raise BadInput(name, key, fault)
        if len({frozenset(key.split(",")) for key in keys}) != len(keys):
            raise BadInput(name, value, "must not name a pair twice; the order within a pair means nothing")
        return keys

    accepts = f"a list of at most {most} keys, or pairs of keys such as country,device"
    return replace(listed, accepts=accepts, parse=parse)


def _segment_fault(key: str, reserved: str) -> str | None:
    if ":" in key:
        return "must not have a colon"
    if key.startswith(reserved):
        return f"must not begin with {reserved}, as alerts on single classes do"
    return _pair_fault(key.split(","), len(key)) if "," in key else None


def _pair_fault(keys: list[str], length: int) -> str | None:
    if len(keys) > 2:  # noqa: PLR2004 - what a pair is
        return "must be one segment, or a pair with a comma between them, as in country,device"
    if "" in keys or keys[0] == keys[1]:
        return "must be a pair of two different segments, as in country,device"
    return f"must have at most {MAX_PAIR} characters, as a pair" if length > MAX_PAIR else None


def _windows(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_WINDOWS:
        raise BadInput(name, value, f"must be {WINDOWS.accepts}")
    for window in value:
        if parse_span(name, window) < MINUTE:
            raise BadInput(name, window, "must be at least 1m")
    if len({parse_duration(name, window) for window in value}) != len(value):
        raise BadInput(name, value, "must not name a window twice")
    return tuple(value)


WINDOWS: Final = SettingType(
    accepts=f'a list of 1 to {MAX_WINDOWS} durations, such as ["1h", "24h", "7d"]',
    schema=Annotated[list[str], Meta(min_length=1, max_length=MAX_WINDOWS)],
    parse=_windows,
    shown=list,
)


def limits(
    noun: str, known: Mapping[str, Interval], example: str, optional: Mapping[str, Interval] | None = None
) -> SettingType[dict[str, float | None]]:
    """Return the type of an object of limits by name, of which any subset may be given; null takes an optional one back."""
    optional = optional or {}
    every = {**known, **optional}

    def parse(name: str, value: object) -> dict[str, float | None]:
        if not isinstance(value, dict):
            raise BadInput(name, value, f"must be an object such as {example}")
        for key, limit in value.items():
            if key not in every:
                raise BadInput(f"{name}.{key}", limit, f"there is no such {noun}; there are {', '.join(every)}")
        return {
            key: None if limit is None and key in optional else number(every[key]).parse(f"{name}.{key}", limit)
            for key, limit in value.items()
        }

    or_null = [f"{key} ({interval}, or null)" for key, interval in optional.items()]
    return SettingType(
        accepts="an object of " + ", ".join([f"{key} ({interval})" for key, interval in known.items()] + or_null),
        schema=Annotated[
            _limits_schema(known, optional), Meta(extra_json_schema={"propertyNames": {"enum": list(every)}})
        ],
        parse=parse,
        merges=True,
    )


def _limits_schema(known: Mapping[str, Interval], optional: Mapping[str, Interval]) -> Any:
    every = {**known, **optional}
    widest: Any = Interval(0, max(interval.most for interval in every.values()), open_below=True).schema
    schemas: dict[str, Any] = {key: interval.schema for key, interval in known.items()}
    schemas |= {key: interval.schema | None for key, interval in optional.items()}
    properties = {key: msgspec.json.schema(schema) for key, schema in schemas.items()}
    return Annotated[dict[str, widest | None], Meta(extra_json_schema={"properties": properties})]


def by_class(of: SettingType[T], example: str) -> SettingType[dict[str, T]]:
    """Return the type of an object of values by class; classes that no event has have no effect."""
    accepts = f"an object of classes, such as {example}"

    def parse(name: str, value: object) -> dict[str, T]:
        if not isinstance(value, dict):
            raise BadInput(name, value, f"must be {accepts}")
        return {key: of.parse(f"{name}.{key}", item) for key, item in value.items()}

    values: Any = of.schema
    return SettingType(accepts=accepts, schema=dict[str, values], parse=parse)


def by_name(of: SettingType[T], noun: str, most: int, example: str) -> SettingType[dict[str, T]]:
    """Return the type of an object of values by names that the owner chooses."""
    accepts = f"an object of at most {most} {noun}, such as {example}"

    def parse(name: str, value: object) -> dict[str, T]:
        if not isinstance(value, dict) or len(value) > most:
            raise BadInput(name, value, f"must be {accepts}")
        for key in value:
            fault = name_fault(key)
            if fault is not None:
                raise BadInput(f"{name}.{key}", key, fault)
        return {key: of.parse(f"{name}.{key}", item) for key, item in value.items()}

    values: Any = of.schema
    return SettingType(accepts=accepts, schema=Annotated[dict[str, values], Meta(max_length=most)], parse=parse)


Share = Annotated[float, Meta(gt=SHARE.least, lt=SHARE.most)]


class Decision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A threshold that the scores are used with."""

    threshold: Share
    selects: Selects = "above"
    precision: Annotated[Share | None, Meta(description="the share of what is selected that is to be right")] = None


def _decision(name: str, value: object) -> Decision:
    if not isinstance(value, dict) or not {"threshold"} <= value.keys() <= set(Decision.__struct_fields__):
        raise BadInput(name, value, f"must be {DECISION.accepts}")
    precision = value.get("precision")
    return Decision(
        threshold=ratio(SHARE).parse(f"{name}.threshold", value["threshold"]),
        selects=choice(*SELECTS).parse(f"{name}.selects", value.get("selects", SELECTS[0])),
        precision=None if precision is None else ratio(SHARE).parse(f"{name}.precision", precision),
    )


DECISION: Final = SettingType(
    accepts="an object of threshold and, if wanted, selects and precision", schema=Decision, parse=_decision
)

EVER: Final = "ever"
FEWEST_PER_ALARMS: Final = 250
"""The fewest labels that a guarantee may count false alarms over."""


class PerLabels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A guarantee over so many labels after a start of the test."""

    per_labels: Annotated[
        tuple[Annotated[float, Meta(ge=1e-6, le=0.5)], Annotated[int, Meta(ge=FEWEST_PER_ALARMS, le=10**12)]],
        Meta(
            description="probability of a false alarm, and the labels within which it holds", examples=[[0.01, 10**6]]
        ),
    ]

    @property
    def false_alarms(self) -> float:
        """The probability of a false alarm within `labels`."""
        return self.per_labels[0]

    @property
    def labels(self) -> int:
        """The number of labels."""
        return self.per_labels[1]


Guarantee = Literal["ever"] | PerLabels
_PROBABILITY: Final = ratio(Interval(1e-6, 0.5))
_PER: Final = whole(FEWEST_PER_ALARMS, 10**12)


def _guarantee(name: str, value: object) -> Guarantee:
    if value == EVER:
        return "ever"
    pair = value.get("per_labels") if isinstance(value, dict) and set(value) == {"per_labels"} else None
    if not isinstance(pair, list | tuple) or len(pair) != len(("probability", "labels")):
        raise BadInput(name, value, f"must be {GUARANTEE.accepts}")
    probability, labels = pair
    return PerLabels(
        per_labels=(
            _PROBABILITY.parse(f"{name}.per_labels[0]", probability),
            _PER.parse(f"{name}.per_labels[1]", labels),
        )
    )


GUARANTEE: Final[SettingType[Guarantee]] = SettingType(
    accepts='"ever", or {"per_labels": [a, N]} with a ratio a from 0.000001 to 0.5 and a whole number N from 250 to 10^12',
    schema=Guarantee,
    parse=_guarantee,
)

Reference = tuple[int, int] | Literal["champion", "validation"] | None


def _reference(name: str, value: object) -> Reference:
    if value is None:
        return None
    for word in REFERENCES:
        if value == word:
            return word
    if not isinstance(value, dict) or set(value) != {"start", "end"}:
        raise BadInput(name, value, f"must be {REFERENCE.accepts}")
    start, end = (parse_bound(f"{name}.{key}", value[key]) for key in ("start", "end"))
    if start >= end:
        raise BadInput(name, value, "start must be before end")
    return start, end


def _shown_reference(reference: Reference) -> object:
    return {"start": rfc3339(reference[0]), "end": rfc3339(reference[1])} if isinstance(reference, tuple) else reference


_Range = Annotated[
    dict[str, Moment],
    Meta(min_length=2, max_length=2, extra_json_schema={"propertyNames": {"enum": ["start", "end"]}}),
]
REFERENCE: Final = SettingType(
    accepts="null, " + ", ".join(f'"{word}"' for word in REFERENCES) + ", or an object of start and end",
    schema=_Range | Literal["champion", "validation"] | None,
    parse=_reference,
    shown=_shown_reference,
)
