"""Alarms: what one window, or one test, says now, and whether an alarm changes by it."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .domain.settings import CLASS, ModelSettings
from .domain.times import duration_text, parse_time, rfc3339
from .stats.reliability import clopper_pearson_upper
from .windows.scores import TOO_FEW_LABELS

RESOLVED_SHARE: Final = 0.8
"""An alarm resolves only once what fired it is under this share of its threshold."""

EVEN_ODDS: Final = 0.5
"""How often the bound that ends an alarm may exceed the truth."""

FEWER_SHARE: Final = 0.8
"""Labels are missing where fewer than this share of the usual ones came, and are back at `BACK_SHARE`."""

BACK_SHARE: Final = 0.9

MOST_GROWTH: Final = 4
"""The same hours of the week before tell nothing of what is usual where there are so many times as many predictions now."""

STALE_SHARE: Final = 0.1
"""Clients are stale where more than this share of predictions were not served with what is in service, and follow under `FRESH_SHARE`."""

FRESH_SHARE: Final = 0.05

FIRING: Final = "firing"
RESOLVED: Final = "resolved"

MISCALIBRATION: Final = "miscalibration"
SCORE_DRIFT: Final = "score_drift"
MISSING_LABELS: Final = "missing_labels"
STALE: Final = "stale"

WINDOW: Final = "window"
SEQUENTIAL: Final = "sequential"
"""An alert policy; and in place of a window, what the alarm of the sequential test is over."""

_SHOWN: Final = (
    "ece",
    "ece_lower_bound",
    "ece_even_odds_bound",
    "ece_null_mean",
    "quantile_ece",
    "quantile_ece_lower_bound",
    "quantile_ece_even_odds_bound",
    "labelled",
    "predictions",
    "direction",
    "accuracy",
    "mean_confidence",
    "start",
    "end",
)
_MOST_SHOWN: Final = 300 * math.log(10)
"""Of an e-value; beyond e to the power of it, it is so large that its size says nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """An alarm as it was: whether it fires and since when, in event time."""

    firing: bool
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one window says now."""

    kind: str
    window: str
    version: str
    segment: str
    start: int
    end: int
    enough: bool  # as many labels (of a drift, of missing labels or of stale clients: predictions) as a verdict needs
    beyond: bool  # surely above (of missing labels: under) the threshold
    back: bool  # clearly on the other side of it
    anew: bool = True  # only a window that began after the alarm fired can end it
    claim: str  # what is said where it fires
    relief: str  # and where it ends
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many predictions there were, and how many of them are labelled."""

    predictions: int = 0
    labelled: int = 0

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(predictions=self.predictions + other.predictions, labelled=self.labelled + other.labelled)

    @property
    def share(self) -> float:
        """The labelled share, 0 without predictions."""
        return self.labelled / self.predictions if self.predictions else 0.0

    def at_most(self, alpha: float) -> float:
        """Return an upper bound of the share that is ever labelled, by Clopper and Pearson; it fails with probability alpha."""
        return float(clopper_pearson_upper(self.labelled, self.predictions, 1 - alpha))

    def at_least(self, alpha: float) -> float:
        """Return a lower bound of it."""
        return 1 - float(clopper_pearson_upper(self.predictions - self.labelled, self.predictions, 1 - alpha))


def transition(state: State | None, finding: Finding, settings: ModelSettings) -> str | None:
    """Return the state that an alarm changes to, or None while it stays as it is.

    It fires when enough evidence is beyond the threshold, and not within the cooldown after it resolved. It resolves when enough
    evidence, as a rule of a window that began after it fired, is clearly back.
    """
    if not finding.enough:
        return None
    if state is None or not state.firing:
        rested = state is None or finding.end >= state.since + settings.cooldown
        return FIRING if finding.beyond and rested else None
    return RESOLVED if finding.back and (finding.start >= state.since or not finding.anew) else None


def in_words(model: str, finding: Finding, state: str) -> str:
    """Return a transition as one sentence for a person."""
    where = f"{model} {finding.version}".strip() + (f" ({finding.segment})" if finding.segment else "")
    return f"{where}: {finding.claim if state == FIRING else finding.relief}"


def miscalibration(fields: Mapping[str, Any], window: str, settings: ModelSettings) -> Finding:
    """Return what an evaluation says about the alarm on calibration of a model version as a whole.

    Where it carries a bound of even odds, that is what counts: the alarm fires, and this is about its end. It is of enough labels then.
    """
    name = "quantile_ece" if "quantile_ece_lower_bound" in fields else "ece"
    even = fields.get(f"{name}_even_odds_bound")
    return _bounded(
        fields,
        window,
        settings,
        enough=even is not None or fields["verdict"] != TOO_FEW_LABELS,
        bound=fields[f"{name}_lower_bound"] if even is None else even,
        threshold=settings.thresholds["ece"],
        name="quantile ECE" if name == "quantile_ece" else "ECE",
        evidence={shown: fields[shown] for shown in _SHOWN if shown in fields},
    )


def class_miscalibration(
    fields: Mapping[str, Any], found: Mapping[str, Any], window: str, settings: ModelSettings
) -> Finding:
    """Return what an evaluation, and what it says of one class, say about the alarm on that class."""
    about = {shown: fields[shown] for shown in ("labelled", "predictions", "start", "end")}
    even = found.get("ece_even_odds_bound")
    return _bounded(
        fields,
        window,
        settings,
        enough=even is not None or found["verdict"] != TOO_FEW_LABELS,
        bound=found["ece_lower_bound"] if even is None else even,
        threshold=settings.class_thresholds[found["class"]],
        name="class-wise ECE",
        segment=f"{CLASS}{found['class']}",
        evidence={**about, **found},
    )


def _bounded(
    fields: Mapping[str, Any],
    window: str,
    settings: ModelSettings,
    *,
    enough: bool,
    bound: float | None,
    threshold: float,
    name: str,
    evidence: dict[str, Any],
    segment: str = "",
) -> Finding:
    value, rate = bound or 0.0, settings.false_alarm_rate
    said = f"a lower bound of its {name} over {window}, {value:.3f}, is"
    chance = f"of windows in which it is at or under that, at most {percent(rate)} show this"
    return Finding(
        kind=MISCALIBRATION,
        window=window,
        version=fields["version"],
        segment=segment,
        start=parse_time("start", fields["start"]),
        end=parse_time("end", fields["end"]),
        enough=enough and bound is not None,
        beyond=value > threshold,
        back=value < RESOLVED_SHARE * threshold,
        claim=f"{said} above the threshold {threshold:g}; {chance}",
        relief=f"{said} back under the threshold {threshold:g}",
        evidence=evidence | {"threshold": threshold, "false_alarm_rate": rate, "policy": WINDOW},
    )


def sequential_finding(fields: Mapping[str, Any], version: str, name: str = "ECE") -> Finding:
    """Return what the sequential test of a model version says about the alarm on its calibration.

    Parameters
    ----------
    fields : of the test, as it stands
    name : what its threshold is of

    """
    rate, threshold, log_e = fields["false_alarm_rate"], fields["threshold"], fields["log_e"] or 0.0
    value = e_value(log_e)
    claim = (
        f"e-value {value} reached {1 / rate:.6g} = 1/false_alarm_rate on {fields['labels']:,} labels since {fields['since']}; while its "
        f"{name} stays at or under {threshold:g} a model does this with probability at most {percent(rate)} however long it is watched"
    )
    return Finding(
        kind=MISCALIBRATION,
        window=SEQUENTIAL,
        version=version,
        segment="",
        start=parse_time("since", fields["since"]),
        end=parse_time("until", fields["until"]),
        enough=True,
        beyond=log_e >= -math.log(rate),
        back=False,  # a test says when there is something, never that there is nothing
        claim=claim,
        relief="",
        evidence={**fields, "policy": SEQUENTIAL, "e_value": math.exp(min(log_e, _MOST_SHOWN))},
    )


def e_value(log_e: float) -> str:
    """Return an e-value in words.

    >>> e_value(4.88), e_value(20.0), e_value(1e4)
    ('132', '4.85e+08', 'over 1e+300')
    """
    return f"over {math.exp(_MOST_SHOWN):.0e}" if log_e > _MOST_SHOWN else f"{math.exp(log_e):.3g}"


def settled(finding: Finding) -> Finding:
    """Return what a window says about the end of an alarm that the sequential test raised."""
    return Finding(
        kind=finding.kind,
        window=SEQUENTIAL,
        version=finding.version,
        segment=finding.segment,
        start=finding.start,
        end=finding.end,
        enough=finding.enough,
        beyond=False,
        back=finding.back,
        claim="",
        relief=f"{finding.relief}; its test begins afresh",
        evidence=finding.evidence | {"policy": SEQUENTIAL},
    )


def score_drift(fields: Mapping[str, Any], window: str) -> Finding:
    """Return what a comparison with the reference says about the alarm on drift."""
    shown = ("psi", "psi_null_95", "psi_null_999", "ks", "ks_null_95", "js", "js_null_95", "predictions")
    about = ("reference_predictions", "start", "end", "reference_start", "reference_kind")
    evidence = {name: fields.get(name) for name in (*shown, *about)}
    value, threshold = fields["psi"], fields["threshold"]
    said = f"PSI over {window}, {0.0 if value is None else value:.3f}, is"
    return Finding(
        kind=SCORE_DRIFT,
        window=window,
        version=fields["version"],
        segment=fields["segment"],
        start=parse_time("start", fields["start"]),
        end=parse_time("end", fields["end"]),
        enough=fields["enough"] and value is not None,
        beyond=fields["drifted"],
        back=value is not None and value < RESOLVED_SHARE * threshold,
        claim=f"{said} above the threshold {threshold:g}",
        relief=f"{said} back under the threshold {threshold:g}",
        evidence=evidence | {"threshold": threshold},
    )


def missing_labels(
    now: Coverage,
    usual: Coverage,
    week_before: Coverage,
    *,
    window: str,
    version: str,
    over: tuple[int, int],
    usual_over: tuple[int, int],
    settings: ModelSettings,
) -> Finding:
    """Return what the labels of a window say about the alarm on missing ones.

    It fires where the share of labelled predictions is surely, by an upper bound at the model's false alarm rate, under 0.8 of the
    usual share, and under 0.8 of what the same hours a week before surely had, so that nobody is called on the weekends of those who
    label.
    It ends where a bound of even odds is above 0.9 of the usual share, also where the labels of the same window came after all.

    Parameters
    ----------
    now : predictions of the window, whose labels are due
    usual : those of the history before it
    week_before : those of the same hours a week before; not looked at where they were far fewer
    over, usual_over : beginning and end of the window and of that history

    """
    rate = settings.false_alarm_rate
    comparable = 0 < now.predictions <= MOST_GROWTH * week_before.predictions
    expected = min(usual.share, week_before.at_least(rate)) if comparable else usual.share
    highest, lowest = now.at_most(rate), now.at_least(EVEN_ODDS)
    said = f"{percent(now.share)} of the {now.predictions:,} predictions over {window} whose label is due have one"
    usually = f"{percent(usual.share)} of the {usual.predictions:,} before"
    return Finding(
        kind=MISSING_LABELS,
        window=window,
        version=version,
        segment="",
        start=over[0],
        end=over[1],
        enough=now.predictions > 0 and usual.labelled > 0 and usual.predictions >= settings.minimum_labels,
        beyond=highest < FEWER_SHARE * expected,
        back=lowest >= BACK_SHARE * usual.share,
        anew=False,
        claim=f"{said}, but {usually}; by chance so few come in at most {percent(rate)} of windows",
        relief=f"{said} again, as {usually}",
        evidence={
            "label_coverage": now.share,
            "label_coverage_upper_bound": highest,
            "usual_label_coverage": usual.share,
            "week_before_label_coverage": week_before.share if comparable else None,
            "threshold": FEWER_SHARE * expected,
            "predictions": now.predictions,
            "labelled": now.labelled,
            "usual_predictions": usual.predictions,
            "usual_labelled": usual.labelled,
            "start": rfc3339(over[0]),
            "end": rfc3339(over[1]),
            "usual_start": rfc3339(usual_over[0]),
            "usual_end": rfc3339(usual_over[1]),
            "false_alarm_rate": rate,
        },
    )


def stale(
    served: Mapping[int, int],
    right: Collection[int],
    *,
    champion: int | None,
    since: int,
    version: str,
    over: tuple[int, int],
    settings: ModelSettings,
) -> Finding:
    """Return what predictions say about the alarm on clients that serve something else than what is in service.

    It fires where more than .1 of them were served with another calibrator, or with none, and ends where fewer than .05 are.

    Parameters
    ----------
    served : how many predictions each calibrator served; 0 stands for none
    right : the calibrators that may serve: the champion, and a canary
    champion, since : what is in service, None for no calibrator, and since when in event time
    over : beginning and end of the stretch of time that the predictions are of

    """
    total = sum(served.values())
    shares = {number: count / total for number, count in sorted(served.items()) if count}
    wrong = {number: share for number, share in shares.items() if number not in right}
    share = sum(wrong.values())
    of = f"of the {total:,} predictions from {rfc3339(over[0])} on"
    should = f"they should be since {rfc3339(since)}, with {_named(champion)}"
    served_with = ", ".join(f"{percent(each)} with {_named(number)}" for number, each in wrong.items())
    return Finding(
        kind=STALE,
        window=duration_text(settings.stale_after),
        version=version,
        segment="",
        start=over[0],
        end=over[1],
        enough=True,
        beyond=share > STALE_SHARE,
        back=share < FRESH_SHARE,
        anew=False,
        claim=f"{of}, {percent(share)} were served otherwise than {should}: {served_with}",
        relief=f"{of}, {percent(1 - share)} were served as {should}",
        evidence={
            "champion": champion,
            "champion_since": rfc3339(since),
            "stale_share": share,
            "threshold": STALE_SHARE,
            "served_with": {"none" if number == 0 else str(number): each for number, each in shares.items()},
            "predictions": total,
            "start": rfc3339(over[0]),
            "end": rfc3339(over[1]),
        },
    )


def _named(number: int | None) -> str:
    return f"calibrator {number}" if number else "no calibrator"


def percent(ratio: float) -> str:
    """Return a ratio in words.

    >>> percent(0.01), percent(0.9238), percent(1.0), percent(0.0)
    ('1 %', '92.4 %', '100 %', '0 %')
    """
    return f"{100 * ratio:.3g} %"
