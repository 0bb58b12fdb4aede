"""Alert transitions: whether a finding about an alarm makes it fire or resolve."""

from dataclasses import dataclass
from typing import Final

from ..domain.alerts import FIRING, RESOLVED, Alarm, Evidence, State
from ..domain.settings import ModelSettings

RESOLVED_SHARE: Final = 0.8
"""An alarm resolves only once the figure that fired it is under this share of its threshold."""

EVEN_ODDS: Final = 0.5
"""Error rate of the bound that ends an alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The finding of one window about one alarm."""

    alarm: Alarm
    start: int
    end: int
    enough: bool  # as many labels (of a drift, of missing labels or of stale clients: predictions) as a verdict needs
    beyond: bool  # significantly above (of missing labels: under) the threshold
    back: bool  # clearly on the other side of it
    anew: bool = True  # only a window that began after the alarm fired can end it
    rests: bool = True  # for the cooldown, after the alarm ended
    grows: bool = False  # an alarm that fires already has more to name, and fires once more
    claim: str  # what is said where it fires
    relief: str  # and where it ends
    evidence: Evidence


def transition(state: State | None, finding: Finding, settings: ModelSettings) -> str | None:
    """Return the state that an alarm changes to, or None while it stays as it is.

    It fires when enough evidence is beyond the threshold, and not within the cooldown after it resolved. It resolves when enough
    evidence, as a rule of a window that began after it fired, is clearly back. It fires once more when it has more to name.
    """
    if not finding.enough:
        return None
    if state is None or not state.firing:
        rested = state is None or not finding.rests or finding.end >= state.since + settings.cooldown
        return FIRING if finding.beyond and rested else None
    if finding.grows:
        return FIRING
    return RESOLVED if finding.back and (finding.start >= state.since or not finding.anew) else None


def in_words(model: str, alarm: Alarm, words: str) -> str:
    """Return the text of an alarm, led by the model, version and segment that it is about."""
    where = f"{model} {alarm.version}".strip() + (f" ({alarm.segment})" if alarm.segment else "")
    return f"{where}: {words}"


def percent(ratio: float) -> str:
    """Return a ratio in words.

    >>> percent(0.01), percent(0.9238), percent(1.0), percent(0.0)
    ('1 %', '92.4 %', '100 %', '0 %')
    """
    return f"{100 * ratio:.3g} %"
