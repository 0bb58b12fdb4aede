"""Settings of a model, each declared once with type, default and meaning; API, documentation and page are derived from these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_type_hints

from .errors import BadInput, Conflict
from .events import CLASSES_KEPT, MAX_CLASSES
from .setting_types import (
    DECISION,
    DURATION,
    EVER,
    FLAG,
    GUARANTEE,
    REFERENCE,
    SHARE,
    WINDOWS,
    Decision,
    Guarantee,
    Interval,
    Reference,
    SettingType,
    by_class,
    by_name,
    choice,
    limits,
    names,
    nullable,
    number,
    ratio,
    segment_keys,
    whole,
)
from .times import HOUR, parse_duration

T = TypeVar("T")

VALIDATION: Final = "validation"
"""The reference that is the validation set, sent as events with `reference: true`."""

RATIO: Final = "ratio"
"""The threshold of observed over expected outcomes; also stands in place of the window of an alarm that its test raised."""

CLASS: Final = "class="
"""What the segment of an alert on a single class begins with."""

Task = Literal["binary", "multiclass", "confidence", "regression"]
TASKS: Final[tuple[Task, ...]] = get_args(Task)

AlertOn = Literal["ece", "pointwise"]

Recalibration = Literal["off", "propose", "auto", "shadow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is declared of a setting."""

    type: SettingType[Any]
    sentence: str
    name: str = ""  # where it is declared in ModelSettings: of the field
    default: Any = None  # likewise

    @property
    def shown_default(self) -> object:
        """Its default as JSON shows it."""
        return self.type.shown(self.default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What the roll-up of an event depended on; rows keep its number."""

    number: int
    segments: tuple[str, ...]  # declared keys
    label_delay: int | None  # microseconds; None where it is learned
    classes: tuple[str, ...] = ()  # that have thresholds of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What an owner declares about a model; the contract's names, durations in microseconds."""

    label_delay: Annotated[
        int | None,
        Setting(
            type=nullable(DURATION),
            sentence="How long labels take to come; null learns it from the labels so far.",
        ),
    ] = None
    windows: Annotated[
        tuple[str, ...],
        Setting(type=WINDOWS, sentence="Windows that are evaluated on a schedule and watched by alerts."),
    ] = ("1h", "24h", "7d")
    segments: Annotated[
        tuple[str, ...],
        Setting(
            type=segment_keys(20, reserved=CLASS),
            sentence="Keys of events' segments that are summed apart; two with a comma between them, as in country,device, "
            "declare a pair. They apply from now on; `calwatch rebuild` applies them to the past.",
        ),
    ] = ()
    most_segment_values: Annotated[
        int,
        Setting(
            type=whole(1, 100_000, "values"),
            sentence="How many values of each declared segment, or pair, have sums of their own: those seen first. Events with any other "
            "count in the value `__other__`.",
        ),
    ] = 1000
    most_versions: Annotated[
        int,
        Setting(
            type=whole(1, 10_000, "versions"),
            sentence="How many versions of the model have sums, tests and alerts of their own: those seen first. Events of any other count "
            "together in the version `__other__`, which has figures but no sequential test.",
        ),
    ] = 200
    minimum_labels: Annotated[
        int,
        Setting(
            type=whole(1, 10**9, "labels"),
            sentence="Fewer labels than this give no verdict and no refit; a verdict may need more, see `labels_needed`.",
        ),
    ] = 500
    thresholds: Annotated[
        dict[str, float],
        Setting(
            type=limits(
                "threshold",
                {"ece": SHARE, "psi": Interval(0, 100, open_below=True, open_above=True)},
                '{"ece": 0.05, "psi": 0.2}',
                optional={RATIO: Interval(1, 1000, open_below=True)},
            ),
            sentence="ECE up to which a model counts as calibrated, and PSI up to which its scores have not drifted. `ratio`, of a binary "
            "model: how many times as often as expected, or as seldom, its outcomes may happen; not tested by default, and null ends "
            "that. For events so rare that no ECE could reach its threshold.",
        ),
    ] = field(default_factory=lambda: {"ece": 0.05, "psi": 0.2})
    class_thresholds: Annotated[
        dict[str, float],
        Setting(
            type=by_class(number(SHARE), '{"fraud": 0.02}'),
            sentence="Thresholds for the ECE of single classes, whose errors cost more, of a model with up to 100 classes. They are tested "
            "from now on.",
        ),
    ] = field(default_factory=dict)
    alert_policy: Annotated[
        str,
        Setting(
            type=choice("window", "sequential"),
            sentence="How the calibration alert decides: `sequential` tests each minute of predictions once its labels have matured, "
            "and stays valid however often one looks; `window` judges each matured window by itself.",
        ),
    ] = "sequential"
    false_alarm_rate: Annotated[
        float,
        Setting(
            type=ratio(Interval(1e-6, 0.5)),
            sentence="Probability that a calibrated model ever raises a sequential alert, over all versions, segments and restarts; "
            "also the level of each window's lower bounds and the false discovery rate of segments.",
        ),
    ] = 0.01
    guarantee: Annotated[
        Guarantee,
        Setting(
            type=GUARANTEE,
            sentence="What the policy `sequential` promises of a model within its threshold. `ever`: it is ever alerted with probability "
            'at most `false_alarm_rate`. `{"per_labels": [a, N]}`: it is alerted within the first n ≤ N labels of a test with probability '
            "at most a·n/N, and after N/a labels or more on average; a fault after a long calm is found as soon as one at the start. "
            "A change starts the tests again.",
        ),
    ] = EVER
    alert_on: Annotated[
        AlertOn,
        Setting(
            type=choice(*get_args(AlertOn)),
            sentence="What the threshold `ece` limits under the policy `sequential`: `ece`, the ECE; or `pointwise`, the error of each "
            "confidence, where your limit holds at each: faults are found sooner. Not for regressions. A change starts the tests again.",
        ),
    ] = "ece"
    reference: Annotated[
        Reference,
        Setting(
            type=REFERENCE,
            sentence="What scores are compared with for drift: a range, `champion` for the data that the calibrator in service "
            "was fitted on, `validation` for events sent with `reference: true`. null: the validation set where it has `minimum_labels`, "
            "else the window before; then the alert comes from the longest window before which the model served as long again.",
        ),
    ] = None
    recalibration: Annotated[
        Recalibration,
        Setting(
            type=choice(*get_args(Recalibration)),
            sentence="What follows a miscalibration alert: `off` nothing, `propose` a calibrator for a person to promote, `auto` "
            "one that is promoted once it passes its gate, `shadow` one that is compared with the champion and never serves.",
        ),
    ] = "propose"
    canary: Annotated[
        float,
        Setting(
            type=ratio(Interval(0, 0.5)),
            sentence="Share of traffic that a version serves before `auto` promotes it; 0 for none.",
        ),
    ] = 0.0
    trusted_sources: Annotated[
        tuple[str, ...] | None,
        Setting(
            type=nullable(names(50, least=1)),
            sentence="Sources of labels that candidates are judged by; null trusts all.",
        ),
    ] = None
    guards: Annotated[
        dict[str, float],
        Setting(
            type=limits(
                "guard",
                dict.fromkeys(("label_rate_jump", "mean_change"), Interval(0, 1, open_below=True)),
                '{"label_rate_jump": 0.1, "mean_change": 0.25}',
            ),
            sentence="Limits beyond which `auto` leaves a promotion to a person: the significance level of a jump in the label "
            "rate, and the mean change of what is served; 1 lets everything pass.",
        ),
    ] = field(default_factory=lambda: {"label_rate_jump": 0.1, "mean_change": 0.25})
    decisions: Annotated[
        dict[str, Decision],
        Setting(
            type=by_name(
                DECISION,
                "decisions",
                20,
                '{"approve": {"threshold": 0.9, "selects": "above", "precision": 0.95}}',
            ),
            sentence="Thresholds that the scores are used with, by name; each refit says what it changes about them.",
        ),
    ] = field(default_factory=dict)
    normalize: Annotated[
        bool,
        Setting(
            type=FLAG,
            sentence="Whether events are taken that were rounded to 16 bits: vectors whose sum is within 0.02 of 1 are brought to 1, and "
            "quantiles that cross by up to 0.02 of the largest are sorted. Finer rounding is always taken.",
        ),
    ] = False
    cluster_span: Annotated[
        int,
        Setting(
            type=DURATION,
            sentence="How long events of a new cluster are gathered, from its first prediction on, before the sequential test "
            "bets once on all of them; later ones change the scores only.",
        ),
    ] = 24 * HOUR
    stale_after: Annotated[
        int,
        Setting(
            type=DURATION,
            sentence="How long clients may take to serve what was promoted before the alert `stale` fires.",
        ),
    ] = HOUR // 4
    cooldown: Annotated[
        int,
        Setting(type=DURATION, sentence="How long an alert that resolved can't fire again."),
    ] = HOUR

    @property
    def longest_window(self) -> int:
        """The longest of the windows, in microseconds."""
        return max(parse_duration("windows", window) for window in self.windows)


RULES: Final = 1
"""The present rules by which labels are read; 0 are those of releases up to 0.3.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the meaning of labels depended on until a change: rows that were summed before keep it."""

    until: int  # the last revision of the settings that it holds for
    rules: int
    classes: tuple[str, ...] | None
    ordered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as the store knows it."""

    id: int
    name: str
    task: Task | None  # None until the first prediction or a declaration
    classes: tuple[str, ...] | None
    settings: ModelSettings
    revision: int
    created_at: int
    ordered: bool = True  # False: the classes came by name, sorted, so that numbers and arrays mean none of them
    accepted: bool = False  # an event was accepted, so that its label may have been read already
    rules: int = RULES
    former: tuple[Reading, ...] = ()  # oldest first

    def as_of(self, revision: int) -> "Model":
        """Return the model with the classes and rules that labels were read by under a revision of its settings."""
        if not self.former or revision > self.former[-1].until:
            return self
        held = next(reading for reading in self.former if revision <= reading.until)
        return replace(self, classes=held.classes, ordered=held.ordered, rules=held.rules, former=())

    @property
    def shorter(self) -> tuple[int, ...]:
        """How many classes there were before each time that they were extended."""
        now = self.classes or ()
        before = {reading.classes for reading in self.former if reading.classes is not None and reading.ordered}
        return tuple(len(names) for names in before if len(names) < len(now) and now[: len(names)] == names)

    @property
    def reading(self) -> Reading:
        """How labels are read now, and were up to this revision."""
        return Reading(until=self.revision, rules=self.rules, classes=self.classes, ordered=self.ordered)

    @property
    def normalize(self) -> bool:
        """Whether rounding to 16 bits is taken."""
        return self.settings.normalize


def _declared(record: type[ModelSettings]) -> list[Setting]:
    """Return the settings that fields of a record declare."""
    hints, defaults = get_type_hints(record, include_extras=True), record()
    return [
        replace(setting, name=declared.name, default=getattr(defaults, declared.name))
        for declared in fields(record)
        for setting in hints[declared.name].__metadata__
        if isinstance(setting, Setting)
    ]


TASK: Final = Setting(
    name="task",
    type=nullable(choice(*TASKS)),
    sentence="What the model predicts; fixed by the first event.",
)
CLASSES: Final = Setting(
    name="classes",
    type=nullable(names(MAX_CLASSES, least=2)),
    sentence="Class names in the order of probability vectors, the positive one last of a binary model; fixed by the first event, "
    "but further classes may follow, and those that came by name may still be put in order.",
)
SETTINGS: Final = {setting.name: setting for setting in (TASK, CLASSES, *_declared(ModelSettings))}
"""All settings of a model by name, as the API takes and shows them."""


def settings_from(old: ModelSettings, declaration: Mapping[str, object]) -> ModelSettings:
    """Return old settings with those of a declaration in their place, except `task` and `classes`, which `task_from` returns.

    Raises
    ------
    BadInput
        for an unknown name or a value that is not usable.

    """
    changes: dict[str, Any] = {}
    for name, value in declaration.items():
        if name not in SETTINGS:
            raise BadInput(name, value, f"there is no such setting; the settings are {', '.join(sorted(SETTINGS))}")
        if name not in {TASK.name, CLASSES.name}:
            setting = SETTINGS[name].type
            parsed = setting.parse(name, value)
            changes[name] = _merged(getattr(old, name), parsed) if setting.merges else parsed
    return replace(old, **changes)


def _merged(old: Mapping[str, object], changed: Mapping[str, object]) -> dict[str, object]:
    """Return old limits with new ones in their place, without those that are taken back."""
    return {name: limit for name, limit in {**old, **changed}.items() if limit is not None}


def task_from(model: Model | None, declaration: Mapping[str, object]) -> tuple[Task | None, tuple[str, ...] | None]:
    """Return task and classes after a declaration.

    Raises
    ------
    BadInput
        for values that are not usable.
    Conflict
        for a change of what events have been summed under.

    """
    task: Task | None = TASK.type.parse("task", declaration.get("task"))
    classes: tuple[str, ...] | None = CLASSES.type.parse("classes", declaration.get("classes"))
    if model is not None:
        task = _unchanged("task", model.task, task)
        classes = _classes_after(model, classes)
    if task == "binary" and classes is not None and len(classes) != 2:  # noqa: PLR2004 - what binary means
        raise BadInput("classes", list(classes), "must be exactly two for a binary model, the positive one last")
    return task, classes


def check_task_of(
    chosen: Mapping[str, object], task: Task | None, settings: ModelSettings, classes: Sequence[str] | None = None
) -> None:
    """Check that chosen settings are of the task and its classes.

    Raises
    ------
    BadInput
        for a chosen setting, or a chosen task, that does not go with the rest.

    """
    if (
        task == "regression"
        and settings.alert_on == "pointwise"
        and not chosen.keys().isdisjoint({"alert_on", TASK.name})
    ):
        raise BadInput(
            "alert_on", settings.alert_on, "must be ece for a regression, which has no confidences of its own"
        )
    limit = settings.thresholds.get(RATIO)
    chosen_now = chosen.keys() & {"thresholds", TASK.name}
    if limit is not None and task not in {None, "binary"} and chosen_now:
        raise BadInput(
            "thresholds.ratio", limit, f"is for binary models, whose outcomes can be counted; this one's task is {task}"
        )
    count = len(classes or ())
    if (
        settings.class_thresholds
        and count > CLASSES_KEPT
        and not chosen.keys().isdisjoint({"class_thresholds", CLASSES.name})
    ):
        reason = f"is for models with up to {CLASSES_KEPT} classes, of which sums are kept; this one has {count}"
        raise BadInput("class_thresholds", settings.class_thresholds, reason)


def _classes_after(model: Model, declared: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the classes after a declaration: further ones may follow, and those that came by name may be put into any order."""
    known = model.classes or ()
    if declared is None or not known or model.task != "multiclass":
        return _unchanged("classes", model.classes, declared)
    kept = declared[: len(known)] == known if model.ordered else set(declared) >= set(known)
    if not kept:
        raise Conflict(
            f"classes is {known!r} and events were stored under it; it can't become {declared!r}, but further classes may follow. "
            "Delete the model or use another name."
        )
    return declared


def _unchanged(name: str, old: T | None, new: T | None) -> T | None:
    if old is not None and new is not None and old != new:
        raise Conflict(
            f"{name} is {old!r} and events were stored under it; it can't become {new!r}. "
            "Delete the model or use another name."
        )
    return new if old is None else old
