"""Settings of a model: declared by its owner as JSON, checked, and given back under the contract's names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeVar

from .errors import BadInput, Conflict
from .events import MAX_CLASSES
from .names import name_fault
from .times import HOUR, MINUTE, duration_text, parse_bound, parse_duration, parse_span, rfc3339

TASKS: Final = ("binary", "multiclass", "confidence", "regression")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What the roll-up of an event depended on; rows keep its number."""

    number: int
    segments: tuple[str, ...]  # declared keys
    label_delay: int | None  # microseconds; None where it is learned


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What an owner declares about a model; the contract's names, durations in microseconds."""

    label_delay: int | None = None
    windows: tuple[str, ...] = ("1h", "24h", "7d")
    segments: tuple[str, ...] = ()
    minimum_labels: int = 500
    thresholds: dict[str, float] = field(default_factory=lambda: {"ece": 0.05, "psi": 0.2})
    class_thresholds: dict[str, float] = field(default_factory=dict)  # of the ECE of single classes
    alert_policy: str = "sequential"
    false_alarm_rate: float = 0.01
    reference: tuple[int, int] | Literal["champion", "validation"] | None = None  # microseconds, or what they name
    recalibration: str = "propose"
    canary: float = 0.0  # share of traffic that a version serves before it is promoted; 0: none
    trusted_sources: tuple[str, ...] | None = None  # of labels that may decide; None: all
    guards: dict[str, float] = field(default_factory=lambda: {"label_rate_jump": 0.1, "mean_change": 0.25})
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> threshold, selects, precision
    stale_after: int = HOUR // 4
    cooldown: int = HOUR

    @property
    def longest_window(self) -> int:
        """The longest of the windows, in microseconds."""
        return max(parse_duration("windows", window) for window in self.windows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as the store knows it."""

    id: int
    name: str
    task: str | None  # None until the first prediction or a declaration
    classes: tuple[str, ...] | None
    settings: ModelSettings
    revision: int
    created_at: int


T = TypeVar("T")

RECALIBRATION: Final = ("off", "propose", "auto", "shadow")

ALERT_POLICIES: Final = ("window", "sequential")

CHAMPION: Final = "champion"

"""The reference that is what the calibrator in service was fitted on."""

VALIDATION: Final = "validation"

"""The reference that is the validation set, sent as events with `reference: true`."""

GUARDS: Final = ("label_rate_jump", "mean_change")

SELECTS: Final = ("above", "below")

MAX_DECISIONS: Final = 20

MAX_SOURCES: Final = 50

LARGEST_CANARY: Final = 0.5

THRESHOLDS: Final = ("ece", "psi")

MAX_WINDOWS: Final = 10

MAX_SEGMENTS: Final = 20

MAX_PAIR: Final = 50

"""Characters of a pair's name: with two values of 200 characters it must still fit into an index of Postgres."""

CLASS: Final = "class="

"""What the segment of an alarm on a single class begins with."""


def settings_from(old: ModelSettings, given: Mapping[str, Any]) -> ModelSettings:
    """Return old settings with the given ones in their place; `task` and `classes` are looked at elsewhere.

    Raises
    ------
    BadInput
        for an unknown name or a value that is not usable.

    """
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name in {"task", "classes"}:
            continue
        if name not in _PARSERS:
            known = ", ".join(sorted([*_PARSERS, "task", "classes"]))
            raise BadInput(name, value, f"there is no such setting; the settings are {known}")
        changes[name] = _PARSERS[name](name, value)
    for name in {"thresholds", "guards"} & changes.keys():
        changes[name] = {**getattr(old, name), **changes[name]}
    return replace(old, **changes)


def task_from(model: Model | None, given: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...] | None]:
    """Return task and classes after a declaration.

    Raises
    ------
    BadInput
        for values that are not usable.
    Conflict
        for a change of what events have been summed under.

    """
    task = _choice("task", given["task"], (*TASKS, None)) if "task" in given else None
    classes = _classes(given["classes"]) if given.get("classes") is not None else None
    if model is not None:
        task = _unchanged("task", model.task, task)
        classes = _unchanged("classes", model.classes, classes)
    if task == "binary" and classes is not None and len(classes) != 2:  # noqa: PLR2004 - what binary means
        raise BadInput("classes", list(classes), "a binary model has exactly two classes, the positive one last")
    return task, classes


def _unchanged(name: str, old: T | None, new: T | None) -> T | None:
    if old is not None and new is not None and old != new:
        raise Conflict(
            f"{name} is {old!r} and events were stored under it; it can't become {new!r}. "
            "Delete the model or use another name."
        )
    return new if old is None else old


def as_json(model: Model) -> dict[str, Any]:
    """Return a model's settings under the contract's names."""
    s = model.settings
    return {
        "model": model.name,
        "task": model.task,
        "classes": None if model.classes is None else list(model.classes),
        "label_delay": None if s.label_delay is None else duration_text(s.label_delay),
        "windows": list(s.windows),
        "segments": list(s.segments),
        "minimum_labels": s.minimum_labels,
        "thresholds": s.thresholds,
        "class_thresholds": s.class_thresholds,
        "alert_policy": s.alert_policy,
        "false_alarm_rate": s.false_alarm_rate,
        "reference": dict(zip(("start", "end"), map(rfc3339, s.reference), strict=True))
        if isinstance(s.reference, tuple)
        else s.reference,
        "recalibration": s.recalibration,
        "canary": s.canary,
        "trusted_sources": None if s.trusted_sources is None else list(s.trusted_sources),
        "guards": s.guards,
        "decisions": s.decisions,
        "stale_after": duration_text(s.stale_after),
        "cooldown": duration_text(s.cooldown),
        "revision": model.revision,
        "created_at": rfc3339(model.created_at),
    }


def _label_delay(name: str, value: Any) -> int | None:
    return None if value is None else parse_span(name, value)


def _windows(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_WINDOWS:
        raise BadInput(name, value, f'must be a list of 1 to {MAX_WINDOWS} durations, such as ["1h", "24h", "7d"]')
    for each in value:
        if parse_span(name, each) < MINUTE:
            raise BadInput(name, each, "a window must be at least 1m")
    if len({parse_duration(name, each) for each in value}) != len(value):
        raise BadInput(name, value, "names a window twice")
    return tuple(value)


def _segments(name: str, value: Any) -> tuple[str, ...]:
    names = _names(name, value, MAX_SEGMENTS)
    for each in names:
        if ":" in each:
            raise BadInput(name, each, "a segment's name can't contain a colon")
        if each.startswith(CLASS):
            raise BadInput(name, each, f"a segment's name can't begin with {CLASS}, as the alarms on single classes do")
        fault = _pair_fault(each)
        if fault is not None:
            raise BadInput(name, each, fault)
    if len({frozenset(each.split(",")) for each in names}) != len(names):
        raise BadInput(name, value, "names a pair twice: the order of its names means nothing")
    return names


def _pair_fault(name: str) -> str | None:
    """Return why a name with commas can't declare a pair of segments, or None; a name without any declares no pair."""
    keys = name.split(",")
    if len(keys) == 1:
        return None
    if len(keys) > 2:  # noqa: PLR2004 - what a pair is
        return "a comma makes a pair of two segments, as in country,device; there can't be more than two"
    if "" in keys or keys[0] == keys[1]:
        return "a pair must name two different segments, as in country,device"
    return f"the names of a pair may have {MAX_PAIR} characters together" if len(name) > MAX_PAIR else None


def _classes(value: Any) -> tuple[str, ...]:
    names = _names("classes", value, MAX_CLASSES)
    if len(names) < 2:  # noqa: PLR2004 - fewer is no classification
        raise BadInput("classes", value, "must name at least two classes")
    return names


def _names(name: str, value: Any, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > most:
        raise BadInput(name, value, f"must be a list of at most {most} names")
    for each in value:
        fault = name_fault(each) if isinstance(each, str) else "must be text"
        if fault is not None:
            raise BadInput(name, each, fault)
    if len(set(value)) != len(value):
        raise BadInput(name, value, "names something twice")
    return tuple(value)


def _whole(name: str, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 10**9:
        raise BadInput(name, value, "must be a whole number from 1 to 1000000000")
    return value


def _thresholds(name: str, value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise BadInput(name, value, 'must be an object such as {"ece": 0.05, "psi": 0.2}')
    for key, number in value.items():
        if key not in THRESHOLDS:
            raise BadInput(f"{name}.{key}", number, f"there is no such threshold; there are {', '.join(THRESHOLDS)}")
        if type(number) not in (int, float) or not 0 < number < (1 if key == "ece" else 100):
            raise BadInput(
                f"{name}.{key}", number, "must be a number above 0" + (" and below 1" if key == "ece" else "")
            )
    return {key: float(number) for key, number in value.items()}


def _rate(name: str, value: Any) -> float:
    if type(value) is not float or not 1e-6 <= value <= 0.5:  # noqa: PLR2004 - the range that the message gives
        raise BadInput(name, value, "must be a ratio from 0.000001 to 0.5")
    return value


def _class_thresholds(name: str, value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise BadInput(name, value, 'must be an object of classes, such as {"fraud": 0.02}')
    for key, number in value.items():
        if type(number) not in (int, float) or not 0 < number < 1:
            raise BadInput(f"{name}.{key}", number, "must be a number above 0 and below 1")
    return {key: float(number) for key, number in value.items()}


def _reference(name: str, value: Any) -> tuple[int, int] | Literal["champion", "validation"] | None:
    if value is None:
        return None
    if value == CHAMPION:
        return CHAMPION
    if value == VALIDATION:
        return VALIDATION
    if not isinstance(value, dict) or set(value) != {"start", "end"}:
        raise BadInput(name, value, f'must be null, "{CHAMPION}", "{VALIDATION}", or an object of start and end')
    start, end = (parse_bound(f"{name}.{key}", value[key]) for key in ("start", "end"))
    if start >= end:
        raise BadInput(name, value, "start must be before end")
    return start, end


def _canary(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= LARGEST_CANARY:
        raise BadInput(name, value, f"must be a ratio from 0, for none, to {LARGEST_CANARY}")
    return float(value)


def _trusted_sources(name: str, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = _names(name, value, MAX_SOURCES)
    if not names:
        raise BadInput(name, value, "must name at least one source of labels, or be null, which trusts all")
    return names


def _guards(name: str, value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise BadInput(name, value, 'must be an object such as {"label_rate_jump": 0.1, "mean_change": 0.25}')
    for key, number in value.items():
        if key not in GUARDS:
            raise BadInput(f"{name}.{key}", number, f"there is no such guard; there are {', '.join(GUARDS)}")
        if type(number) not in (int, float) or not 0 < number <= 1:
            raise BadInput(f"{name}.{key}", number, "must be a ratio above 0; 1 lets everything pass")
    return {key: float(number) for key, number in value.items()}


def _decisions(name: str, value: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict) or len(value) > MAX_DECISIONS:
        example = '{"approve": {"threshold": 0.9, "selects": "above", "precision": 0.95}}'
        raise BadInput(name, value, f"must be an object of at most {MAX_DECISIONS} decisions, such as {example}")
    for key in value:
        fault = name_fault(key)
        if fault is not None:
            raise BadInput(f"{name}.{key}", key, fault)
    return {key: _decision(f"{name}.{key}", each) for key, each in value.items()}


def _decision(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not {"threshold"} <= value.keys() <= {"threshold", "selects", "precision"}:
        raise BadInput(name, value, "must be an object of threshold and, if wanted, selects and precision")
    for key in ("threshold", "precision"):
        number = value.get(key)
        if key in value and not (isinstance(number, int | float) and 0 < number < 1):
            raise BadInput(f"{name}.{key}", number, "must be a ratio above 0 and below 1")
    selects = _choice(f"{name}.selects", value.get("selects", "above"), SELECTS)
    precision = value.get("precision")
    return {
        "threshold": float(value["threshold"]),
        "selects": selects,
        "precision": None if precision is None else float(precision),
    }


def _choice(name: str, value: Any, among: tuple[Any, ...]) -> Any:
    if value not in among:
        raise BadInput(name, value, f"must be one of {', '.join(map(str, among))}")
    return value


_PARSERS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "label_delay": _label_delay,
    "windows": _windows,
    "segments": _segments,
    "minimum_labels": _whole,
    "thresholds": _thresholds,
    "class_thresholds": _class_thresholds,
    "alert_policy": lambda name, value: _choice(name, value, ALERT_POLICIES),
    "false_alarm_rate": _rate,
    "reference": _reference,
    "recalibration": lambda name, value: _choice(name, value, RECALIBRATION),
    "canary": _canary,
    "trusted_sources": _trusted_sources,
    "guards": _guards,
    "decisions": _decisions,
    "stale_after": parse_span,
    "cooldown": parse_span,
}
